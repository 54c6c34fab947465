package eos

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka/storage"
	"pgregory.net/rapid"
)

// mustOpen opens a state directory that is closed at the end of the test.
func mustOpen(tb testing.TB, fs vfs.FS) *stateDir {
	tb.Helper()
	d, err := openStateDir(fs, "state")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.closeAll() })
	return d
}

// mustStore returns partition 0 of a table, recovered.
func mustStore(tb testing.TB, d *stateDir, o storeOptions) *store {
	tb.Helper()
	s, err := d.store("t", 0, o)
	if err == nil {
		err = errors.Join(s.Open(), s.MarkRecovered())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustDo(tb testing.TB, errs ...error) {
	tb.Helper()
	if err := errors.Join(errs...); err != nil {
		tb.Fatal(err)
	}
}

// rowsOf returns all rows, as an iterator gives them.
func rowsOf(tb rapid.TB, s storage.Storage, start, limit []byte) (keys []string, rows map[string]string) {
	tb.Helper()
	it, err := s.IteratorWithRange(start, limit)
	if err != nil {
		tb.Fatal(err)
	}
	defer it.Release()
	rows = make(map[string]string)
	for it.Next() {
		value, err := it.Value()
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, string(it.Key()))
		rows[string(it.Key())] = string(value)
	}
	if err := it.Err(); err != nil {
		tb.Fatal(err)
	}
	return keys, rows
}

func TestStoreShowsTheOpenTransactionToItselfOnly(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("1")), s.commit(0))
	mustDo(t, s.Set("a", []byte("2")), s.Delete("b"), s.Set("c", []byte{}))

	for key, want := range map[string][2]string{"a": {"2", "1"}, "b": {"-", "-"}, "c": {"", "-"}} {
		own, err := s.Get(key)
		mustDo(t, err)
		others, err := s.committed(key)
		mustDo(t, err)
		if got := [2]string{show(own), show(others)}; got != want {
			t.Errorf("%s: own and others %q, want %q", key, got, want)
		}
	}
	if s.dirty() == 0 {
		t.Error("an open transaction takes no bytes")
	}
	s.abort()
	if got, _ := s.Get("a"); string(got) != "1" || s.dirty() != 0 {
		t.Errorf("after abort a = %q, dirty %d", got, s.dirty())
	}
	if has, _ := s.Has("c"); has {
		t.Error("after abort c is there")
	}
}

func show(value []byte) string {
	if value == nil {
		return "-"
	}
	return string(value)
}

func TestStoreDoesNotKeepTheCallersBuffers(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	value := []byte("before")
	mustDo(t, s.Set("k", value), s.commit(0))
	copy(value, "xxxxxx")
	if got, _ := s.Get("k"); string(got) != "before" {
		t.Errorf("row changed with the caller's buffer: %q", got)
	}
}

func TestStoreRefusesNil(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	if err := s.Set("k", nil); !errors.Is(err, errNilRow) {
		t.Errorf("Set(nil) = %v", err)
	}
}

func TestStoreOpenDropsWhatWasNotCommitted(t *testing.T) {
	d := mustOpen(t, vfs.NewMem())
	s := mustStore(t, d, storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("1")), s.commit(7), s.Set("a", []byte("2")), s.Close())
	again, err := d.store("t", 0, storeOptions{overlay: true})
	mustDo(t, err)
	if again != s {
		t.Fatal("another store for the same partition")
	}
	mustDo(t, s.Open())
	if got, _ := s.Get("a"); string(got) != "1" {
		t.Errorf("a = %q", got)
	}
	if err := s.commit(8); !errors.Is(err, errRecovering) {
		t.Errorf("commit during recovery: %v", err)
	}
	// What the changelog brings is written without waiting for a commit.
	mustDo(t, s.Set("a", []byte("3")), s.SetOffset(9), s.MarkRecovered(), s.MarkRecovered())
	offset, err := s.GetOffset(-3)
	mustDo(t, err)
	if got, _ := s.committed("a"); string(got) != "3" || offset != 9 {
		t.Errorf("a = %q at %d", got, offset)
	}
}

func TestStoreWithoutOverlayCommitsByOffset(t *testing.T) {
	var changed []string
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{changed: func(key string) { changed = append(changed, key) }})
	mustDo(t, s.Set("a", []byte("1")))
	if got, _ := s.committed("a"); got != nil {
		t.Errorf("a is seen before its offset: %q", got)
	}
	mustDo(t, s.SetOffset(3))
	if got, _ := s.committed("a"); string(got) != "1" {
		t.Errorf("a = %q", got)
	}
	if diff := cmp.Diff([]string{"a"}, changed); diff != "" {
		t.Error(diff)
	}
}

func TestStoreOffsetIsTheDefaultUntilThereIsOne(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	if got, _ := s.GetOffset(-3); got != -3 {
		t.Errorf("offset %d", got)
	}
	mustDo(t, s.Set("a", []byte("1")), s.commit(0))
	if got, _ := s.GetOffset(-3); got != 0 {
		t.Errorf("offset %d", got)
	}
	mustDo(t, s.Set("a", []byte("2")), s.commit(-1))
	if got, _ := s.GetOffset(-3); got != 0 {
		t.Errorf("offset %d", got)
	}
}

// model is what a store must look like: the committed rows, and those of the open transaction (nil: deleted).
type model struct {
	committed map[string]string
	open      map[string]*string
	offset    int64
}

func (m *model) visible() map[string]string {
	rows := maps.Clone(m.committed)
	for k, v := range m.open {
		if v == nil {
			delete(rows, k)
		} else {
			rows[k] = *v
		}
	}
	return rows
}

func (m *model) commit(offset int64) {
	m.committed, m.open, m.offset = m.visible(), map[string]*string{}, offset
}

// TestStoreIsAMap compares a store whose cache holds a handful of rows with a map, through transactions, writes, assignments and restarts.
func TestStoreIsAMap(t *testing.T) {
	keys := rapid.StringMatching(`[ab]{0,2}[\x00c\xff]?`)
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		m := &model{committed: map[string]string{}, open: map[string]*string{}, offset: -1}
		d, s := reopen(t, fs, nil)
		defer func() { _ = d.closeAll() }()
		set := func(t *rapid.T) {
			k, v := keys.Draw(t, "key"), strings.Repeat("v", rapid.IntRange(0, 300).Draw(t, "size"))
			m.open[k] = &v
			check(t, s.Set(k, []byte(v)))
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": set,
			"set more": func(t *rapid.T) {
				for range 5 {
					set(t)
				}
			},
			"delete": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				m.open[k] = nil
				check(t, s.Delete(k))
			},
			"commit": func(t *rapid.T) {
				m.commit(m.offset + 1)
				check(t, s.commit(m.offset))
			},
			"abort": func(*rapid.T) {
				m.open = map[string]*string{}
				s.abort()
			},
			"get": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				got, err := s.Get(k)
				check(t, err)
				want, ok := m.visible()[k]
				if (got != nil) != ok || string(got) != want {
					t.Fatalf("Get(%q) = %q, want %q, %v", k, got, want, ok)
				}
				got, err = s.committed(k)
				check(t, err)
				want, ok = m.committed[k]
				if (got != nil) != ok || string(got) != want {
					t.Fatalf("committed(%q) = %q, want %q, %v", k, got, want, ok)
				}
			},
			"iterate": func(t *rapid.T) { compareRange(t, s, m, keys.Draw(t, "start"), keys.Draw(t, "limit")) },
			"seek":    func(t *rapid.T) { compareSeek(t, s, m, keys.Draw(t, "seek")) },
			"write":   func(*rapid.T) { s.writeLate() },
			"assign": func(t *rapid.T) {
				m.open = map[string]*string{}
				check(t, s.Close(), s.Open())
				k := keys.Draw(t, "recovered key")
				if rapid.Bool().Draw(t, "recovers") {
					m.offset++
					m.committed[k] = "from the log"
					check(t, s.Set(k, []byte("from the log")), s.SetOffset(m.offset))
				}
				check(t, s.MarkRecovered())
			},
			"restart": func(t *rapid.T) {
				m.open = map[string]*string{}
				check(t, d.closeAll())
				d, s = reopen(t, fs, nil)
				if got, _ := s.GetOffset(-1); got != m.offset {
					t.Fatalf("offset %d after a restart, want %d", got, m.offset)
				}
			},
			"": func(t *rapid.T) {
				_, got := rowsOf(t, s, nil, nil)
				if diff := cmp.Diff(m.visible(), got); diff != "" {
					t.Fatal(diff)
				}
			},
		})
	})
}

func check(t rapid.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// reopen opens a store with a cache of a few rows.
func reopen(t rapid.TB, fs vfs.FS, logger *slog.Logger) (*stateDir, *store) {
	t.Helper()
	d, err := openStateDir(fs, "state")
	check(t, err)
	s, err := d.store("t", 0, storeOptions{overlay: true, cacheBytes: 2000, logger: logger})
	check(t, err)
	check(t, s.Open(), s.MarkRecovered())
	return d, s
}

func compareRange(t *rapid.T, s *store, m *model, start, limit string) {
	var want []string
	for k := range m.visible() {
		if k >= start && (limit == "" || k < limit) {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	got, _ := rowsOf(t, s, []byte(start), []byte(limit))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("[%q, %q): %s", start, limit, diff)
	}
}

func compareSeek(t *rapid.T, s *store, m *model, key string) {
	it, err := s.Iterator()
	check(t, err)
	defer it.Release()
	all := slices.Sorted(maps.Keys(m.visible()))
	at, _ := slices.BinarySearch(all, key)
	ok := it.Seek([]byte(key))
	for ; ok; ok = it.Next() {
		if at == len(all) || string(it.Key()) != all[at] {
			t.Fatalf("Seek(%q): at %q, want %q", key, it.Key(), all[min(at, len(all)-1):])
		}
		at++
	}
	if at != len(all) {
		t.Fatalf("Seek(%q) ended before %q", key, all[at])
	}
}

// Goka merges the partitions of a view with its own iterator, which relies on where Seek leaves the iterators that it merges.
func TestStoreIteratorUnderGokasMerge(t *testing.T) {
	d := mustOpen(t, vfs.NewMem())
	var its []storage.Iterator
	for p := range int32(3) {
		s, err := d.store("t", p, storeOptions{overlay: true})
		mustDo(t, err, s.Open(), s.MarkRecovered())
		for i := int(p); i < 30; i += 3 {
			mustDo(t, s.Set(fmt.Sprintf("k%02d", i), []byte{byte(i)}))
		}
		mustDo(t, s.commit(1))
		it, err := s.Iterator()
		mustDo(t, err)
		its = append(its, it)
	}
	merged := storage.NewMultiIterator(its)
	defer merged.Release()
	if !merged.Seek([]byte("k10")) {
		t.Fatal("nothing from k10 on")
	}
	var got []byte
	for merged.Next() {
		value, err := merged.Value()
		mustDo(t, err)
		got = append(got, value...)
	}
	want := []byte{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29}
	if !bytes.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestStoreIteratorIsASnapshot(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("1")), s.commit(0), s.Set("b", []byte("1")))
	it, err := s.Iterator()
	mustDo(t, err, s.Set("a", []byte("2")), s.Set("b", []byte("2")), s.Set("c", []byte("2")), s.commit(1))
	defer it.Release()
	var got []string
	for it.Next() {
		value, _ := it.Value()
		got = append(got, string(it.Key())+string(value))
	}
	if diff := cmp.Diff([]string{"a1", "b1"}, got); diff != "" {
		t.Error(diff)
	}
	it.Release()
	if it.Next() || it.Seek(nil) || it.Key() != nil {
		t.Error("a released iterator goes on")
	}
}

func TestStoreWritesByTimeAndBySize(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Set("small", []byte("x")), s.commit(0))
	eventually(t, func() bool { return onDisk(t, s, "small") })

	big := bytes.Repeat([]byte("x"), writeBytes/8)
	for i := range 10 {
		mustDo(t, s.Set(fmt.Sprint("big", i), big), s.commit(int64(i+1)))
	}
	eventually(t, func() bool { return onDisk(t, s, "big0") })
}

func onDisk(t *testing.T, s *store, key string) bool {
	t.Helper()
	value, err := s.read(key)
	mustDo(t, err)
	return value != nil
}

// eventually polls until ok, with a deadline that a loaded machine keeps.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
		<-tick.C
	}
}

// One writer and many readers, with a cache that forgets all the time and writes that overlap commits: no reader ever sees a row older than one that it
// has seen, and the writer sees its own.
func TestStoreReadersSeeRowsMoveForwardOnly(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true, cacheBytes: 64 << 10})
	const keys = 200
	pad := strings.Repeat("x", 2000)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 0))
			var seen [keys]int
			for {
				select {
				case <-done:
					return
				default:
				}
				k := rng.IntN(keys)
				row, err := s.committed(fmt.Sprint(k))
				if err != nil {
					t.Error(err)
					return
				}
				if n := number(row); n < seen[k] {
					t.Errorf("key %d went back from %d to %d", k, seen[k], n)
					return
				}
				seen[k] = number(row)
			}
		})
	}
	rng := rand.New(rand.NewPCG(9, 9))
	var own [keys]int
	for i := 1; i <= 3000; i++ {
		before := own
		for range 5 {
			k := rng.IntN(keys)
			row, err := s.Get(fmt.Sprint(k))
			mustDo(t, err)
			if number(row) != own[k] {
				t.Fatalf("key %d is %d to its writer, who set %d", k, number(row), own[k])
			}
			own[k] = i
			mustDo(t, s.Set(fmt.Sprint(k), fmt.Appendf(nil, "%d %s", i, pad)))
		}
		if rng.IntN(5) == 0 {
			s.abort()
			own = before
			continue
		}
		mustDo(t, s.commit(int64(i)))
	}
	close(done)
	readers.Wait()
}

// fillCache reads so many missing keys that every row which may leave the cache has left it.
func fillCache(t *testing.T, s *store) {
	t.Helper()
	for i := range 500 {
		_, err := s.Get(fmt.Sprint("missing ", i))
		mustDo(t, err)
	}
}

// Rows that are not in Pebble stay in the cache, however small it is: those of the open transaction, those committed, and those being written.
func TestStoreKeepsWhatPebbleDoesNotHave(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true, cacheBytes: 1000})
	mustDo(t, s.Set("a", []byte("1")), s.commit(0))
	s.mu.Lock()
	rows, at := s.freeze()
	s.mu.Unlock()
	fillCache(t, s)
	if got, _ := s.Get("a"); string(got) != "1" {
		t.Errorf("while it is written, a = %q", got)
	}
	mustDo(t, s.write(rows, at))
	fillCache(t, s)
	if s.rows.peek("a") != nil {
		t.Error("a row that is in Pebble was not forgotten")
	}
	mustDo(t, s.Set("b", []byte("1")))
	fillCache(t, s)
	if got, _ := s.Get("b"); string(got) != "1" {
		t.Errorf("in the open transaction, b = %q", got)
	}
	mustDo(t, s.Set("b", []byte("2")), s.commit(1))
	fillCache(t, s)
	if got, _ := s.Get("b"); string(got) != "2" {
		t.Errorf("committed, b = %q", got)
	}
}

func number(row []byte) int {
	n, _ := strconv.Atoi(strings.SplitN(string(row), " ", 2)[0])
	return n
}

// Nothing may touch Pebble after the directory is closed: it would panic.
func TestStoreAfterItsDirectoryIsClosed(t *testing.T) {
	d := mustOpen(t, vfs.NewMem())
	s := mustStore(t, d, indexedOptions())
	mustDo(t, s.Set("a", []byte("x k:1:")), s.commit(0))
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for i := 0; ; i++ {
				_, err := s.committed(fmt.Sprint("missing ", i))
				_, lerr := s.lookup("x")
				_, derr := s.due(second(5), 10, nil)
				if err := errors.Join(err, lerr, derr); err != nil {
					if !errors.Is(err, errClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	eventually(t, func() bool { has, err := s.Has("a"); return has && err == nil })
	mustDo(t, d.closeAll())
	reading.Wait()
	for name, err := range map[string]error{
		"Open": s.Open(), "Set": s.Set("a", []byte("2")), "SetOffset": s.SetOffset(1), "MarkRecovered": s.MarkRecovered(),
		"commit": s.commit(1), "reconcile": s.reconcile(0, 9, second(0)),
	} {
		if !errors.Is(err, errClosed) && name != "SetOffset" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Iterator(); !errors.Is(err, errClosed) {
		t.Errorf("Iterator: %v", err)
	}
	mustDo(t, s.Close())
	s.abort()
	s.writeLate()
}

// Goka closes the stores of a view that cannot reach its log, and the view goes on answering. They must not take the whole budget each.
func TestClosedStoresShareTheCache(t *testing.T) {
	const n, rows, budget = 8, 200, 400_000
	d := mustOpen(t, vfs.NewMem())
	stores := make([]*store, n)
	for i := range stores {
		s, err := d.store("t", int32(i), storeOptions{cacheBytes: budget})
		mustDo(t, err, s.Open())
		for k := range int64(rows) {
			mustDo(t, s.Set(fmt.Sprint(k), make([]byte, 1000)), s.SetOffset(k))
		}
		mustDo(t, s.MarkRecovered())
		stores[i] = s
	}
	for _, s := range stores {
		mustDo(t, s.Close())
	}
	cached := 0
	for _, s := range stores {
		for k := range rows {
			_, err := s.committed(fmt.Sprint(k))
			mustDo(t, err)
		}
		all := maps.Clone(s.rows.young)
		maps.Copy(all, s.rows.old)
		for _, r := range all {
			cached += r.size()
		}
	}
	if cached > 2*budget || cached < budget/2 {
		t.Errorf("%d bytes are cached of a budget of %d", cached, budget)
	}
}
