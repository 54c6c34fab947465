package feed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/topics"
)

// everyOnce says whether everything that was committed was heard once, that of each customer in its order.
func everyOnce(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(byCustomer(want), byCustomer(got)); diff != "" {
		t.Errorf("told and heard differ (-told +heard):\n%s", diff)
	}
}

func byCustomer(ids []string) map[string][]string {
	m := map[string][]string{}
	for _, id := range ids {
		customer, _, _ := strings.Cut(id, "/")
		m[customer] = append(m[customer], id)
	}
	return m
}

func customers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("c-%d", i))
	}
	return all
}

// A reader that is cut off after any event, and goes on at any instance, also one that has just started or keeps nearly nothing,
// gets every committed event once; what was aborted it never sees.
func TestEveryEventOnceOverManyInstances(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // not a secret
	w := newTown(t)
	all := customers(12)
	some := func() []string {
		var out []string
		for range 1 + rnd.IntN(5) {
			out = append(out, all[rnd.IntN(len(all))])
		}
		return out
	}
	w.abort(some()...)
	w.commit(some()...)
	rings := []int{1, 3000, 1 << 20}
	feeds, stops := make([]*Feed, len(rings)), make([]func(), len(rings))
	for i, bytes := range rings {
		feeds[i], stops[i] = w.feed(bytes)
	}
	readers := []*heard{{}, {}, {}}
	before := len(w.told)
	for i, r := range readers {
		w.caughtUp(feeds[i])
		w.hear(feeds[i], r, 0, Filter{})
	}
	for round := range 60 {
		for range rnd.IntN(4) {
			if rnd.IntN(3) == 0 {
				w.abort(some()...)
			} else {
				w.commit(some()...)
			}
		}
		if rnd.IntN(10) == 0 {
			i := rnd.IntN(len(feeds))
			stops[i]()
			feeds[i], stops[i] = w.feed(rings[i])
		}
		r := readers[rnd.IntN(len(readers))]
		have, there := len(r.ids), len(w.told)-before
		w.hear(feeds[rnd.IntN(len(feeds))], r, have+rnd.IntN(there-have+1), Filter{})
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	for i, r := range readers {
		w.hear(feeds[i], r, len(w.told)-before, Filter{})
		everyOnce(t, w.told[before:], r.ids)
		for _, f := range feeds {
			w.caughtUp(f)
			w.quiet(f, r, Filter{})
		}
	}
}

// What is filtered out moves the position on all the same, and what is left is what all get, chosen.
func TestFiltersChoose(t *testing.T) {
	w := newTown(t)
	f, _ := w.feed(0)
	var mine, none heard
	w.hear(f, &mine, 0, Filter{Customer: "c-1"})
	w.hear(f, &none, 0, Filter{Types: []string{"CustomerMoved"}})
	began := none.lastID
	w.commit("c-1", "c-2", "c-3", "c-1")
	w.caughtUp(f)
	w.hear(f, &mine, 2, Filter{Customer: "c-1"})
	if !slices.Equal(mine.ids, []string{"c-1/1", "c-1/2"}) {
		t.Error(mine.ids)
	}
	r, err := f.Follow(t.Context(), began, false, Filter{Types: []string{"CustomerMoved"}})
	if err != nil {
		t.Fatal(err)
	}
	if batch := r.take(f.ring.after(0).chunks); len(batch) > 0 || r.Position() == began {
		t.Errorf("%q, position moved: %v", batch, r.Position() != began)
	}
}

// A partner is told that something has changed, not about whom: nothing personal is in any frame, from memory or from the log.
func TestMaskedFramesHaveNothingPersonal(t *testing.T) {
	w := newTown(t)
	w.commit("c-1", "c-2")
	f, _ := w.feed(0)
	small, _ := w.feed(1)
	for _, f := range []*Feed{f, small} {
		h := heard{lastID: w.oldest(f)}
		w.hear(f, &h, 2, Filter{Masked: true})
		h.lastID = w.oldest(f)
		w.hear(f, &h, 4, Filter{})
		for i, text := range h.text {
			if personal := strings.Contains(text, ".example"); personal != (i >= 2) {
				t.Errorf("frame %d: %s", i, text)
			}
		}
	}
}

// oldest is the position before everything.
func (w *town) oldest(f *Feed) string {
	w.t.Helper()
	r, err := f.Follow(w.t.Context(), "", true, Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Position()
}

// A position that the log no longer reaches back to is never answered with what is left: that would be a silent gap.
func TestAGapIsSaid(t *testing.T) {
	w := newTown(t)
	f, _ := w.feed(1)
	before := w.oldest(f)
	w.commit("c-1", "c-2", "c-3")
	w.commit("c-1", "c-2", "c-3")
	w.caughtUp(f)
	at := kadm.Offsets{}
	at.AddOffset(topics.CustomerChanges.Name, topics.Partition("c-1", partitions), 1, -1)
	if _, err := w.admin.DeleteRecords(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	var gone *GoneError
	if _, err := f.Follow(t.Context(), before, false, Filter{}); !errors.As(err, &gone) || gone.Anew {
		t.Fatalf("stream: %v", err)
	}
	if _, err := f.Forward(t.Context(), before, 10, Filter{}); !errors.As(err, &gone) {
		t.Fatalf("page: %v", err)
	}
	var h heard
	h.lastID = gone.Oldest
	w.hear(f, &h, len(w.told)-1, Filter{})
	if page, err := f.Forward(t.Context(), "", 10, Filter{}); err != nil || len(page.Changes) != len(w.told)-1 {
		t.Errorf("the oldest page: %+v %v", page, err)
	}
	if page, err := f.Backward(t.Context(), "", 500, Filter{}); err != nil || len(page.Changes) != len(w.told)-1 || page.Older || page.Settled {
		t.Errorf("the newest page: %+v %v", page, err)
	}
}

// A position of a topic that was deleted and made again means nothing; that is said, too.
func TestAPositionOfATopicThatWasMadeAnew(t *testing.T) {
	w := newTown(t)
	w.commit("c-1")
	f, stop := w.feed(0)
	before := w.oldest(f)
	stop()
	if _, err := w.admin.DeleteTopics(t.Context(), topics.CustomerChanges.Name); err != nil {
		t.Fatal(err)
	}
	w.create()
	f, _ = w.feed(0)
	var gone *GoneError
	if _, err := f.Follow(t.Context(), before, false, Filter{}); !errors.As(err, &gone) || !gone.Anew {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoPositionIsRefused(t *testing.T) {
	w := newTown(t)
	w.commit("c-1", "c-2")
	f, _ := w.feed(0)
	good := w.oldest(f)
	damaged := []byte(good)
	damaged[len(damaged)/2] ^= 1
	facts := f.ring.after(0).facts
	end := f.ring.after(0).last
	for what, position := range map[string]string{
		"damaged": string(damaged), "a word": "17", "cut short": good[:len(good)-3], "not base64": good + "!",
		"beyond the end":  end.with(1, end[1]+1000).encode(facts.tag()),
		"more partitions": append(append(Position{}, end...), 0).encode(facts.tag()),
	} {
		if _, err := f.Follow(t.Context(), position, false, Filter{}); !errors.Is(err, ErrPosition) {
			t.Errorf("%s: stream: %v", what, err)
		}
		for _, filter := range []Filter{{}, {Customer: "c-1"}} {
			if _, err := f.Forward(t.Context(), position, 10, filter); !errors.Is(err, ErrPosition) && (what != "beyond the end" || filter.Customer == "") {
				t.Errorf("%s: page: %v", what, err)
			}
		}
		if _, err := f.Backward(t.Context(), position, 10, Filter{}); !errors.Is(err, ErrPosition) {
			t.Errorf("%s: page before: %v", what, err)
		}
	}
}

// Who does not read what comes is cut off, and has lost nothing when it is back.
func TestASlowReaderIsCutOff(t *testing.T) {
	w := newTown(t)
	f, _ := w.feed(2000)
	r, err := f.Follow(t.Context(), "", false, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	h := heard{lastID: r.Position()}
	w.commit("c-1")
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.commit(customers(9)...)
		w.caughtUp(f)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrSlow) {
		t.Errorf("%v", err)
	}
	w.hear(f, &h, len(w.told), Filter{})
	everyOnce(t, w.told, h.ids)
}

// Pages forwards and backwards have everything once; a page that is settled is the same from every instance, later, too.
func TestPages(t *testing.T) {
	w := newTown(t)
	for range 10 {
		w.abort("c-1", "c-2")
		w.commit(customers(7)...)
	}
	f, _ := w.feed(0)
	other, _ := w.feed(1)
	for _, filter := range []Filter{{}, {Customer: "c-3"}} {
		want := w.told
		if filter.Customer != "" {
			want = byCustomer(w.told)[filter.Customer]
		}
		var got []string
		for at, more := "", true; more; {
			page, err := f.Forward(t.Context(), at, 4, filter)
			if err != nil {
				t.Fatal(err)
			}
			again, err := other.Forward(t.Context(), page.After, 4, filter)
			if diff := cmp.Diff(page, again); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
			for _, c := range page.Changes {
				got = append(got, c.ID)
			}
			if len(page.Changes) > 4 || page.More && filter.Customer == "" && len(page.Changes) < 4 {
				t.Errorf("%d changes, more: %v", len(page.Changes), page.More)
			}
			at, more = page.Next, page.More
		}
		everyOnce(t, want, got)
		got = nil
		for at, older := "", true; older; {
			page, err := f.Backward(t.Context(), at, 4, filter)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, c := range page.Changes {
				ids = append(ids, c.ID)
			}
			got = append(ids, got...)
			at, older = page.After, page.Older
		}
		everyOnce(t, want, got)
	}
}

// An open transaction holds a page back from being kept: what it commits would belong into it.
func TestAnOpenTransactionUnsettlesAPage(t *testing.T) {
	w := newTown(t)
	w.commit("c-1", "c-1", "c-1")
	f, _ := w.feed(0)
	w.begin("other")
	other := "c-2"
	for topics.Partition(other, partitions) == topics.Partition("c-1", partitions) {
		other += "x"
	}
	w.write("other", other)
	later := f.now().Add(settledAfter * 2)
	f.now = func() time.Time { return later }
	if page, err := f.Forward(t.Context(), "", 2, Filter{}); err != nil || page.Settled {
		t.Errorf("%+v %v", page, err)
	}
	w.end("other", true)
	if page, err := f.Forward(t.Context(), "", 2, Filter{}); err != nil || !page.Settled || !page.More {
		t.Errorf("%+v %v", page, err)
	}
}
