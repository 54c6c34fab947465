package eos

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Rows of these tests are lists of words. "k:5:r" is a deadline of kind k at second 5 with reference r, any other word is an index entry.
func testDue(_ string, row []byte) []Deadline {
	var due []Deadline
	for word := range strings.FieldsSeq(string(row)) {
		if p := strings.SplitN(word, ":", 3); len(p) == 3 {
			at, _ := strconv.Atoi(p[1])
			due = append(due, Deadline{Kind: p[0], At: second(at), Ref: p[2]})
		}
	}
	return due
}

func testIndex(_ string, row []byte) ([]string, error) {
	return slices.DeleteFunc(strings.Fields(string(row)), func(word string) bool { return strings.Contains(word, ":") }), nil
}

func second(n int) time.Time { return time.Unix(int64(n), 0) }

func indexedOptions() storeOptions {
	return storeOptions{overlay: true, cacheBytes: 2000, due: testDue, index: testIndex, indexVersion: "1"}
}

// fired names what due returns.
func fired(tb rapid.TB, s *store, now, limit int, skip func(dueEntry) bool) []string {
	tb.Helper()
	entries, err := s.due(second(now), limit, skip)
	check(tb, err)
	got := []string{}
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s %s:%d:%s", e.Key, e.Kind, e.At.Unix(), e.Ref))
	}
	return got
}

func TestStoreDue(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), indexedOptions())
	if _, ok := s.nextDue(); ok {
		t.Error("an empty store has something due")
	}
	mustDo(t, s.Set("a", []byte("expire:30:x remind:10:x")), s.Set("b", []byte("expire:20:y")), s.commit(0))
	s.writeLate()
	if at, ok := s.nextDue(); !ok || !at.Equal(second(10)) {
		t.Errorf("next due %v, %v", at, ok)
	}
	steps := []struct {
		do   func() error
		now  int
		want []string
		next int
	}{
		{now: 9, next: 10},
		{now: 10, want: []string{"a remind:10:x"}, next: 20},
		{now: 25, want: []string{"a remind:10:x", "b expire:20:y"}, next: 30},
		{now: 40, want: []string{"a remind:10:x", "b expire:20:y", "a expire:30:x"}, next: -1},
		{do: func() error { return s.Set("a", []byte("expire:30:x")) }, now: 40, want: []string{"b expire:20:y", "a expire:30:x"}, next: -1},
		{do: func() error { return s.Delete("b") }, now: 40, want: []string{"a expire:30:x"}, next: -1},
		{do: func() error { return s.Set("a", []byte("expire:35:x")) }, now: 32, next: 35},
		{do: func() error { return s.Set("a", []byte("nothing")) }, now: 99, next: -1},
	}
	for i, step := range steps {
		if step.do != nil {
			mustDo(t, step.do(), s.commit(int64(i)))
		}
		want := append([]string{}, step.want...)
		if diff := cmp.Diff(want, fired(t, s, step.now, 10, nil)); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		at, ok := s.nextDue()
		if ok != (step.next >= 0) || ok && !at.Equal(second(step.next)) {
			t.Errorf("step %d: next due %v, %v, want %d", i, at, ok, step.next)
		}
	}
	it, err := s.iterate(kindDue)
	mustDo(t, err)
	if it.First() {
		t.Errorf("stale entry %q was not dropped", it.Key())
	}
	mustDo(t, it.Close())
}

func TestStoreDueLimitAndSkip(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), indexedOptions())
	for i := range 10 {
		mustDo(t, s.Set(fmt.Sprint("k", i), fmt.Appendf(nil, "expire:%d:", i)))
	}
	mustDo(t, s.commit(0))
	if got := fired(t, s, 100, 3, nil); len(got) != 3 || got[0] != "k0 expire:0:" {
		t.Errorf("got %q", got)
	}
	if at, ok := s.nextDue(); !ok || !at.Equal(second(3)) {
		t.Errorf("after three of ten, next due %v, %v", at, ok)
	}
	got := fired(t, s, 100, 3, func(e dueEntry) bool { return e.Key < "k5" })
	if diff := cmp.Diff([]string{"k5 expire:5:", "k6 expire:6:", "k7 expire:7:"}, got); diff != "" {
		t.Error(diff)
	}
	if got := fired(t, s, 100, 3, func(dueEntry) bool { return true }); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	if at, ok := s.nextDue(); ok {
		t.Errorf("everything was skipped, but the next is due at %v", at)
	}
	mustDo(t, s.Set("new", []byte("expire:1:")), s.commit(1))
	s.writeLate()
	if at, ok := s.nextDue(); !ok || !at.Equal(second(1)) {
		t.Errorf("a new row's deadline is not next: %v, %v", at, ok)
	}
}

func TestStoreDueSeesCommittedRowsOnly(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), indexedOptions())
	mustDo(t, s.Set("a", []byte("expire:5:")))
	if got := fired(t, s, 10, 10, nil); len(got) != 0 {
		t.Errorf("an open transaction's deadline is due: %q", got)
	}
	s.abort()
	mustDo(t, s.Set("a", []byte("expire:5:")), s.commit(0), s.Delete("a"))
	if got := fired(t, s, 10, 10, nil); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestDueMillisIsNeverEarly(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(5, 0), time.Unix(5, 1), time.Unix(5, 999_999), time.Unix(5, 1_000_000), time.Unix(-5, 1), time.Date(9999, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		if got := time.UnixMilli(dueMillis(at)); got.Before(at) || got.Sub(at) >= time.Millisecond {
			t.Errorf("%v became %v", at, got)
		}
	}
}

func TestDueKeysSortByTime(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), indexedOptions())
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		ka, kb := s.dueKey(a, rapid.String().Draw(t, "key"), Deadline{Kind: "k"}), s.dueKey(b, "x", Deadline{})
		if a < b != (string(ka) < string(kb)) && a != b {
			t.Fatalf("%d and %d", a, b)
		}
		if at, _, ok := parseDueKey(ka); !ok || at != a {
			t.Fatalf("%d became %d, %v", a, at, ok)
		}
	})
}

// TestStoreIndexIsTheRows compares the deadlines and look-ups of a store with what its rows say, through transactions, assignments and restarts.
func TestStoreIndexIsTheRows(t *testing.T) {
	keys, words := rapid.SampledFrom([]string{"a", "b", "bb", "b\x00", "c"}), rapid.SampledFrom([]string{"x", "y", "xx", "k:3:", "k:9:r", "j:3:", ""})
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		var d *stateDir
		var s *store
		version := 1
		start := func() {
			var err error
			d, err = openStateDir(fs, "state")
			check(t, err)
			o := indexedOptions()
			o.indexVersion = fmt.Sprint(version)
			s, err = d.store("t", 0, o)
			check(t, err)
			check(t, s.Open(), s.MarkRecovered())
		}
		start()
		defer func() { _ = d.closeAll() }()
		rows := map[string]string{}
		offset := int64(0)
		change := func(t *rapid.T) {
			k := keys.Draw(t, "key")
			v := strings.Join(rapid.SliceOfN(words, 0, 4).Draw(t, "words"), " ")
			if v == "" {
				delete(rows, k)
				check(t, s.Delete(k))
			} else {
				rows[k] = v
				check(t, s.Set(k, []byte(v)))
			}
			offset++
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) { change(t); check(t, s.commit(offset)) },
			"abort": func(t *rapid.T) {
				before := maps.Clone(rows)
				change(t)
				s.abort()
				rows = before
			},
			"write":   func(*rapid.T) { s.writeLate() },
			"restart": func(t *rapid.T) { check(t, d.closeAll()); start() },
			"other index": func(t *rapid.T) {
				version++
				check(t, d.closeAll())
				start()
			},
			"assign": func(t *rapid.T) {
				check(t, s.Close(), s.Open())
				for range rapid.IntRange(0, 3).Draw(t, "records") {
					change(t)
					check(t, s.SetOffset(offset))
				}
				check(t, s.MarkRecovered())
			},
			"wipe": func(t *rapid.T) {
				clear(rows)
				check(t, s.Open(), s.reconcile(offset+2, offset+2, time.Now()), s.MarkRecovered())
				offset = 0
			},
			"look": func(t *rapid.T) {
				compareIndex(t, s, rows)
				s.writeLate()
				compareEntries(t, s, rows)
			},
		})
	})
}

func compareIndex(t *rapid.T, s *store, rows map[string]string) {
	for _, entry := range []string{"x", "y", "xx", "z"} {
		var want []string
		for k, v := range rows {
			if is, _ := testIndex(k, []byte(v)); slices.Contains(is, entry) {
				want = append(want, k)
			}
		}
		slices.Sort(want)
		got, err := s.lookup(entry)
		check(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lookup %q: %s", entry, diff)
		}
	}
	for _, now := range []int{2, 3, 9} {
		var want []string
		for k, v := range rows {
			for _, e := range testDue(k, []byte(v)) {
				if w := fmt.Sprintf("%s %s:%d:%s", k, e.Kind, e.At.Unix(), e.Ref); !e.At.After(second(now)) && !slices.Contains(want, w) {
					want = append(want, w)
				}
			}
		}
		got := fired(t, s, now, 100, nil)
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 && len(got) == 0 {
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("due at %d: %s", now, diff)
		}
	}
}

// compareEntries wants exactly the entries of the rows on disk: one that stayed behind would keep what an erased row had.
func compareEntries(t *rapid.T, s *store, rows map[string]string) {
	want, got := map[string]bool{}, map[string]bool{}
	for k, v := range rows {
		is, _ := testIndex(k, []byte(v))
		for _, e := range is {
			want[e+"\x00"+k] = true
		}
	}
	it, err := s.iterate(kindIndex)
	check(t, err)
	for ok := it.First(); ok; ok = it.Next() {
		got[string(it.Key()[5:])] = true
	}
	check(t, it.Error(), it.Close())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("entries on disk: %s", diff)
	}
}

// The entries of the row that is replaced cannot be told while the registry is away. Then the new row is not kept without its own: nothing would ever
// write them, or remove those of the old one.
func TestARecoveredRowHasItsEntries(t *testing.T) {
	d := mustOpen(t, vfs.NewMem())
	o, away := indexedOptions(), false
	o.index = func(key string, row []byte) ([]string, error) {
		if away && string(row) == "x" {
			return nil, errors.New("the registry is away")
		}
		return testIndex(key, row)
	}
	s := mustStore(t, d, o)
	mustDo(t, s.Set("a", []byte("x")), s.commit(0), s.Open())
	away = true
	if s.Set("a", []byte("y")) == nil {
		t.Error("a row was taken whose entries cannot be told")
	}
	mustDo(t, s.Close(), s.Open())
	away = false
	if row, err := s.Get("a"); string(row) != "x" || err != nil {
		t.Errorf("row %q, %v", row, err)
	}
	mustDo(t, s.Set("a", []byte("y")), s.SetOffset(1), s.MarkRecovered())
	for entry, want := range map[string][]string{"x": nil, "y": {"a"}} {
		if keys, err := s.lookup(entry); !slices.Equal(keys, want) || err != nil {
			t.Errorf("%s: %v, %v", entry, keys, err)
		}
	}
	it, err := s.iterate(kindIndex)
	mustDo(t, err)
	for ok := it.First(); ok; ok = it.Next() {
		if !bytes.HasPrefix(it.Key(), s.indexPrefix("y")) {
			t.Errorf("entry %q is left", it.Key())
		}
	}
	mustDo(t, it.Close())
}
