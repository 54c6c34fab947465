package eos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/topics"
)

// foundView is a view over stores that no topic feeds.
func foundView(tb testing.TB, partitions int) *View {
	tb.Helper()
	v, err := NewView(ViewConfig{Topic: "t", Index: testIndex})
	mustDo(tb, err)
	d := mustOpen(tb, vfs.NewMem())
	for n := range partitions {
		s, err := d.store("t", int32(n), storeOptions{index: testIndex, indexVersion: "1"}) //nolint:gosec // few
		mustDo(tb, err, s.Open(), s.MarkRecovered())
		v.partitions = append(v.partitions, &viewPartition{store: s, recovered: true})
	}
	v.ready = true
	return v
}

// set commits a row of the view; an empty one deletes.
func (v *View) set(key, row string) error {
	s := v.partitions[topics.Partition(key, int32(len(v.partitions)))].store //nolint:gosec // few
	if row == "" {
		return errors.Join(s.Delete(key), s.SetOffset(1))
	}
	return errors.Join(s.Set(key, []byte(row)), s.SetOffset(1))
}

func places(p Page) []string {
	var all []string
	for _, h := range p.Hits {
		all = append(all, strings.TrimPrefix(h.Entry+" "+h.Key, " "))
	}
	return all
}

// pages reads page after page, and calls between after each.
func pages(tb rapid.TB, read func(after Place) (Page, error), between func()) []string {
	tb.Helper()
	var all []string
	var at Place
	for range 1000 {
		p, err := read(at)
		check(tb, err)
		all = append(all, places(p)...)
		if p.Next == (Place{}) {
			return all
		}
		if p.Next.compare(at) <= 0 {
			tb.Fatalf("the page behind %v leads to %v", at, p.Next)
		}
		at = p.Next
		between()
	}
	tb.Fatalf("no end: %q", all)
	return nil
}

// TestFindInOrder: whatever the size of the pages, the whole of them is what the rows say, each row at its first entry; and rows that come, change and
// go between two pages do not move the others.
func TestFindInOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := foundView(t, rapid.SampledFrom([]int{1, 3}).Draw(r, "partitions"))
		rows := map[string]string{}
		for i := range rapid.IntRange(0, 30).Draw(r, "rows") {
			rows[fmt.Sprint("k", i)] = strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "abc", "b", "a"}), 1, 3).Draw(r, "words"), " ")
		}
		for k, row := range rows {
			check(r, v.set(k, row))
		}
		prefix := rapid.SampledFrom([]string{"", "a", "ab", "abc", "c"}).Draw(r, "prefix")
		odd := func(key string, _ []byte) bool { return (key[len(key)-1]-'0')%2 == 1 }
		var want, keys []string
		for k, row := range rows {
			entries := slices.DeleteFunc(strings.Fields(row), func(e string) bool { return !strings.HasPrefix(e, prefix) })
			if len(entries) > 0 && odd(k, nil) {
				want = append(want, slices.Min(entries)+"\x00"+k)
			}
			keys = append(keys, k)
		}
		slices.Sort(want)
		slices.Sort(keys)
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "\x00", " ")
		}
		limit, n := rapid.IntRange(1, 7).Draw(r, "limit"), 0
		churn := func() {
			n++
			check(r, v.set(fmt.Sprint("other", n%3*2), []string{"a ab", "b", ""}[n%3]))
		}
		got := slices.DeleteFunc(pages(r, func(at Place) (Page, error) { return v.Find(prefix, at, limit, odd) }, churn),
			func(s string) bool { return strings.Contains(s, "other") })
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("find %q by %d: %s", prefix, limit, diff)
		}
		got = pages(r, func(at Place) (Page, error) { return v.Keys("k", at.Key, limit, nil) }, churn)
		if diff := cmp.Diff(keys, got); diff != "" {
			r.Fatalf("keys by %d: %s", limit, diff)
		}
	})
}

// A search that keeps one of many rows ends its page early, and the next one goes on.
func TestFindLooksAtSoMuchAtOnce(t *testing.T) {
	v := foundView(t, 2)
	for i := range 3 * maxLooked {
		mustDo(t, v.set(fmt.Sprintf("k%05d", i), "x"))
	}
	mustDo(t, v.set("k99999", "x"))
	last := func(key string, _ []byte) bool { return key == "k99999" }
	for name, read := range map[string]func(Place) (Page, error){
		"find": func(at Place) (Page, error) { return v.Find("x", at, 10, last) },
		"keys": func(at Place) (Page, error) { return v.Keys("", at.Key, 10, last) },
	} {
		p, err := read(Place{})
		mustDo(t, err)
		if len(p.Hits) != 0 || p.Next == (Place{}) {
			t.Errorf("%s: the first page has %q, and goes on at %v", name, places(p), p.Next)
		}
		if got := pages(t, read, func() {}); len(got) != 1 || !strings.HasSuffix(got[0], "k99999") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// An index that is being made does not hold up the end, and what there was of it is not taken for the whole, by this release or by an older one.
func TestMakingAnIndexCanBeBrokenOff(t *testing.T) {
	fs := vfs.NewMem()
	d, err := openStateDir(fs, "state")
	mustDo(t, err)
	o := storeOptions{index: testIndex, indexVersion: "1"}
	s, err := d.store("t", 0, o)
	mustDo(t, err, s.Open())
	for i := range 4 * lookAround {
		mustDo(t, s.Set(fmt.Sprintf("k%05d", i), []byte("x")), s.SetOffset(int64(i)))
	}
	mustDo(t, s.MarkRecovered(), d.closeAll())

	other := o
	other.indexVersion = "2"
	d, err = openStateDir(fs, "state")
	mustDo(t, err)
	s, err = d.store("t", 0, other)
	mustDo(t, err, s.Open())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.mu.Lock()
	err = s.endRecovery(ctx)
	s.mu.Unlock()
	if !errors.Is(err, context.Canceled) || s.recovered() {
		t.Fatalf("broken off with %v, recovered %v", err, s.recovered())
	}
	mustDo(t, d.closeAll())

	for _, o := range []storeOptions{o, other} {
		d, err = openStateDir(fs, "state")
		mustDo(t, err)
		s, err = d.store("t", 0, o)
		mustDo(t, err, s.Open(), s.MarkRecovered())
		keys, err := s.lookup("x")
		mustDo(t, err, d.closeAll())
		if len(keys) != 4*lookAround {
			t.Errorf("version %s finds %d", o.indexVersion, len(keys))
		}
	}
}
