package webhooks

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// receiver is somebody who is called.
type receiver struct {
	mu     sync.Mutex
	got    []string // ids of messages, whatever came of them
	at     []time.Time
	answer func(n int, m message) outcome // n counts from 0
}

func (r *receiver) call(_ context.Context, _ *schemas.WebhookState, m message) outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.got)
	r.got, r.at = append(r.got, m.id), append(r.at, time.Now())
	if r.answer == nil {
		return outcome{code: Taken}
	}
	return r.answer(n, m)
}

// desk keeps what a lane saves and reports, and is the webhook service as far as a lane sees it.
type desk struct {
	mu      sync.Mutex
	saved   schemas.WebhookPosition
	reports []webhook.Record
	hook    schemas.WebhookState
}

func (d *desk) latest() *schemas.WebhookState {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.hook
	return &w
}

// report does what the core would do.
func (d *desk) report(_ context.Context, _ *schemas.WebhookState, r webhook.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reports = append(d.reports, r)
	d.hook.Version++
	switch r.Result {
	case webhook.Failing:
		d.hook.Troubles = []schemas.WebhookTrouble{{Partition: r.Trouble.Partition}}
	case webhook.Recovered:
		d.hook.Troubles = nil
	case webhook.GivenUp, webhook.Gone:
		d.hook.Status = string(webhook.StatusDisabled)
	}
	return nil
}

func (d *desk) results() []webhook.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []webhook.Result
	for _, r := range d.reports {
		all = append(all, r.Result)
	}
	return all
}

// moved is a change in the log.
func moved(t *testing.T, offset int64, customer string, version int64) *kgo.Record {
	t.Helper()
	codec, err := schemas.NewCodec(topics.CustomerChanges.Name, schemas.NewMemoryIDs())
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.Append(nil, &schemas.PublicCustomerMoved{
		CustomerID: customer, EventHead: schemas.EventHead{Version: version, At: schemas.Millis(time.Now())},
		Before: schemas.Residence{Reason: "registered"}, After: schemas.Residence{Reason: "moved"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topics.CustomerChanges.Name, Offset: offset, Key: []byte(customer), Value: value, Timestamp: time.Now()}
}

func newLane(t *testing.T, d *desk, r *receiver) *lane {
	t.Helper()
	ids := schemas.NewMemoryIDs()
	codec, err := schemas.NewCodec(topics.CustomerChanges.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("https://api.example.org")
	if err != nil {
		t.Fatal(err)
	}
	d.hook = schemas.WebhookState{WebhookFields: schemas.WebhookFields{
		WebhookID: "w-1", Version: 1, Status: string(webhook.StatusActive), Payload: string(webhook.Thin), ActiveAt: schemas.Millis(time.Now()),
	}}
	return &lane{
		hook: d.latest(), compose: &composer{codec: codec, ids: ids, base: base}, caller: r, slots: make(chan struct{}, inFlight),
		save: func(p schemas.WebhookPosition) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.saved = p
		},
		latest: d.latest, report: d.report, observed: func(string, time.Time) {}, log: slog.New(slog.DiscardHandler),
	}
}

// A receiver that is down for hours misses nothing and sees one change after the other, each time with the same id.
func TestALaneKeepsItsOrderThroughFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, d := time.Now(), &desk{}
		r := &receiver{answer: func(int, message) outcome {
			if time.Since(began) < 5*time.Hour {
				return outcome{code: "status_500"}
			}
			return outcome{code: Taken}
		}}
		l := newLane(t, d, r)
		for i := range int64(3) {
			if err := l.handle(t.Context(), moved(t, i, "c-1", i+1)); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"c-1/1", "c-1/2", "c-1/3"}, slices.Compact(slices.Clone(r.got))); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if len(r.got) < 12 || len(r.got) > 40 {
			t.Errorf("%d calls in five hours", len(r.got))
		}
		for i := 1; i < len(r.at)-2; i++ {
			if pause := r.at[i].Sub(r.at[i-1]); pause < firstPause/2 || pause > longestPause*3/2 {
				t.Errorf("a pause of %s", pause)
			}
		}
		if diff := cmp.Diff([]webhook.Result{webhook.Failing, webhook.Recovered}, d.results()); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
		if d.saved.Offset != 3 || d.saved.FailingAt != 0 || d.saved.Attempts != 0 {
			t.Errorf("%+v", d.saved)
		}
	})
}

// After a day it is given up, once and not before; nothing is passed by.
func TestALaneGivesUpAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &desk{}, &receiver{answer: func(int, message) outcome { return outcome{code: "timeout"} }}
		l := newLane(t, d, r)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		if err := l.handle(ctx, moved(t, 7, "c-1", 1)); err == nil {
			t.Fatal("a change that nobody took is done")
		}
		if diff := cmp.Diff([]webhook.Result{webhook.Failing, webhook.GivenUp}, d.results()); diff != "" {
			t.Fatalf("reported (-want +got):\n%s", diff)
		}
		last := d.reports[1].Trouble
		if !last.Since.Equal(began) || last.Detail != "timeout" || last.Attempts < 24 {
			t.Errorf("%+v, began at %s", last, began)
		}
		if d.saved.Offset != 0 || d.saved.FailingAt != schemas.Millis(began) {
			t.Errorf("%+v", d.saved)
		}
		state := webhook.State{Status: webhook.StatusActive, Version: 1, ActiveAt: began}
		at := r.at[slices.IndexFunc(r.at, func(at time.Time) bool { return at.Sub(began) >= webhook.GiveUpAfter })]
		if _, err := webhook.Decide(state, d.reports[1], at); err != nil {
			t.Errorf("the service would not disable it: %v", err)
		}
	})
}

// The age of a failure outlives the process.
func TestALaneThatIsStartedAgainGoesOnCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &desk{}, &receiver{answer: func(int, message) outcome { return outcome{code: "connect"} }}
		l := newLane(t, d, r)
		began := time.Now()
		for range 5 { // killed every six hours
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
			_ = l.handle(ctx, moved(t, 0, "c-1", 1)) // it cannot be done
			cancel()
			next := newLane(t, &desk{}, r)
			next.hook, next.pos, next.save, next.latest, next.report = l.hook, d.saved, l.save, l.latest, l.report
			l = next
		}
		if got := d.results(); len(got) != 2 || got[1] != webhook.GivenUp {
			t.Fatalf("reported %v", got)
		}
		if since := d.reports[1].Trouble.Since; !since.Equal(began) {
			t.Errorf("since %s, began at %s", since, began)
		}
	})
}

func TestAReceiverSaysWhenAndWhether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		r := &receiver{answer: func(n int, _ message) outcome {
			switch n {
			case 0:
				return outcome{code: "status_503", after: 2 * time.Hour}
			default:
				return outcome{code: codeGone}
			}
		}}
		l := newLane(t, d, r)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		_ = l.handle(ctx, moved(t, 0, "c-1", 1)) // it cannot be done
		if len(r.at) < 2 || r.at[1].Sub(r.at[0]) < 2*time.Hour {
			t.Errorf("called at %v", r.at)
		}
		if diff := cmp.Diff([]webhook.Result{webhook.Gone}, d.results()); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	})
}

// What is known of the webhook may be from after a resumption already, while a call from before it is answered.
func TestAReportSaysWhatWasCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		l := newLane(t, d, &receiver{answer: func(int, message) outcome { return outcome{code: codeGone} }})
		d.hook.ActiveAt += 1000
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = l.handle(ctx, moved(t, 0, "c-1", 1)) // it cannot be done
		if len(d.reports) != 1 || !d.reports[0].ActiveAt.Equal(schemas.Time(l.hook.ActiveAt)) {
			t.Errorf("%+v", d.reports)
		}
	})
}

// Killed between a call and the position: the change is told again, with the same id, before the next.
func TestWhatIsNotWrittenIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &desk{}, &receiver{}
		l := newLane(t, d, r)
		tell := func(l *lane, offsets ...int64) {
			for _, o := range offsets {
				if err := l.handle(t.Context(), moved(t, o, "c-1", o+1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		tell(l, 0)
		written := d.saved
		tell(l, 1)
		again := newLane(t, d, r)
		again.pos = written
		tell(again, 1, 2)
		if diff := cmp.Diff([]string{"c-1/1", "c-1/2", "c-1/2", "c-1/3"}, r.got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestALaneTellsWhatIsWanted(t *testing.T) {
	d, r := &desk{}, &receiver{}
	l := newLane(t, d, r)
	l.hook.Events = []string{"EmailChanged"}
	for i, rec := range []*kgo.Record{
		moved(t, 0, "c-1", 1), {Offset: 1, Key: []byte("c-1"), Value: []byte("no record")}, {Offset: 2, Key: []byte("c-1")}, moved(t, 3, "c-2", 1),
	} {
		if i == 3 {
			l.hook.Events = nil
		}
		if err := l.handle(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"c-2/1"}, r.got); diff != "" || d.saved.Offset != 4 {
		t.Errorf("offset %d, told (-want +got):\n%s", d.saved.Offset, diff)
	}
}

// What is told again of one customer is not told again of the others, and what waited comes after it.
func TestOnlyOneCustomerIsToldAgain(t *testing.T) {
	d, r := &desk{}, &receiver{}
	l := newLane(t, d, r)
	l.pos = rewound(schemas.WebhookPosition{Offset: 4}, 0, "c-1")
	for i := range int64(6) {
		if err := l.handle(t.Context(), moved(t, i, fmt.Sprintf("c-%d", i%2), i)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"c-1/1", "c-1/3", "c-0/4", "c-1/5"}, r.got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Whatever is asked for in whatever order, what has not been told yet is told.
func TestRewoundLosesNothing(t *testing.T) {
	at := func(offset int64, only string, until int64) schemas.WebhookPosition {
		return schemas.WebhookPosition{Offset: offset, Only: only, Until: until}
	}
	for name, tt := range map[string]struct {
		from     schemas.WebhookPosition
		to       int64
		customer string
		want     schemas.WebhookPosition
	}{
		"all, from before":                    {at(10, "", 0), 3, "", at(3, "", 0)},
		"all, from a later change":            {at(10, "", 0), 20, "", at(10, "", 0)},
		"one":                                 {at(10, "", 0), 3, "a", at(3, "a", 10)},
		"one, that is still to be told":       {at(10, "", 0), 12, "a", at(10, "", 0)},
		"one, while it is told again":         {at(5, "a", 10), 3, "a", at(3, "a", 10)},
		"one, while another is told again":    {at(5, "a", 10), 3, "b", at(3, "b", 5)},
		"another, from later than one":        {at(5, "a", 10), 7, "b", at(5, "a", 7)},
		"another, from where one is":          {at(5, "a", 10), 5, "b", at(5, "a", 5)},
		"another, that is still to be told":   {at(5, "a", 10), 10, "b", at(5, "a", 10)},
		"all, while one is told again":        {at(5, "a", 10), 3, "", at(3, "", 0)},
		"all, from later than one told again": {at(5, "a", 10), 30, "", at(5, "a", 10)},
		"all, from within one told again":     {at(5, "a", 10), 7, "", at(5, "a", 7)},
	} {
		if diff := cmp.Diff(tt.want, rewound(tt.from, tt.to, tt.customer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
