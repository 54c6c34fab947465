package eos

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestStoreAfterACrash stops a store at any place, with any part of what was not synced lost, and compares what the next process finds with what was
// committed at the offset that it finds: never more, never half of it.
func TestStoreAfterACrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		d, s := reopen(t, fs, nil)
		defer func() { _ = d.closeAll() }()
		rows := map[string]string{}
		history := map[int64]map[string]string{-1: {}}
		offset := int64(-1)
		change := func(t *rapid.T) {
			k, v := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "key")), strings.Repeat("v", rapid.IntRange(1, 60).Draw(t, "size"))
			if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
				delete(rows, k)
				check(t, s.Delete(k))
				return
			}
			rows[k] = v
			check(t, s.Set(k, []byte(v)))
		}
		note := func() {
			offset++
			history[offset] = maps.Clone(rows)
		}
		t.Repeat(map[string]func(*rapid.T){
			"transaction": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "rows") {
					change(t)
				}
				if rapid.Bool().Draw(t, "aborts") {
					rows = maps.Clone(history[offset])
					s.abort()
					return
				}
				note()
				check(t, s.commit(offset))
			},
			"recovery": func(t *rapid.T) {
				check(t, s.Close(), s.Open())
				for range rapid.IntRange(0, 10).Draw(t, "records") {
					change(t)
					note()
					check(t, s.SetOffset(offset))
					if rapid.IntRange(0, 3).Draw(t, "batch ends") == 0 {
						s.bulkLimit = 0
					}
				}
				if rapid.Bool().Draw(t, "ends") {
					check(t, s.MarkRecovered())
				} else {
					check(t, s.Close(), s.Open(), s.MarkRecovered()) // cut short, and begun again
				}
			},
			"write": func(*rapid.T) { s.writeLate() },
			"flush": func(t *rapid.T) {
				s.writeLate()
				check(t, s.db.Flush())
			},
			"restart": func(t *rapid.T) {
				check(t, d.closeAll())
				d, s = reopen(t, fs, nil)
				if got, _ := s.GetOffset(-1); got != offset {
					t.Fatalf("offset %d after a clean stop at %d", got, offset)
				}
			},
			"crash": func(t *rapid.T) {
				seed := rapid.Uint64().Draw(t, "seed")
				survivor := fs.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(t, "unsynced data that survives"),
					RNG:                 rand.New(rand.NewPCG(seed, 0)),
				})
				d, s := reopen(t, survivor, nil)
				found, err := s.GetOffset(-1)
				check(t, err)
				want, ok := history[found]
				if !ok || found > offset {
					t.Fatalf("offset %d was never committed (the last is %d)", found, offset)
				}
				_, got := rowsOf(t, s, nil, nil)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("at offset %d: %s", found, diff)
				}
				check(t, d.closeAll())
			},
		})
	})
}

// damageLog records what a store says about damage.
type damageLog struct{ bytes.Buffer }

func (l *damageLog) logger() *slog.Logger  { return slog.New(slog.NewTextHandler(&l.Buffer, nil)) }
func (l *damageLog) count(text string) int { return strings.Count(l.String(), text) }
func (l *damageLog) rebuilds() int         { return l.count("local state is damaged") }

// writtenState is a state directory after many transactions and a clean stop, and what was written at each offset.
func writtenState(tb testing.TB) (vfs.FS, [][2]string) {
	tb.Helper()
	fs := vfs.NewMem()
	d, err := openStateDir(fs, "state")
	mustDo(tb, err)
	s := mustStore(tb, d, storeOptions{overlay: true, cacheBytes: 2000})
	var writes [][2]string
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		k, v := fmt.Sprintf("key-%04d", rng.IntN(1000)), fmt.Sprint("value ", rng.Uint64())
		writes = append(writes, [2]string{k, v})
		mustDo(tb, s.Set(k, []byte(v)), s.commit(int64(i)))
		if i%1000 == 500 {
			s.writeLate()
			mustDo(tb, s.db.Flush())
		}
	}
	mustDo(tb, d.closeAll())
	return fs, writes
}

// TestStoreWithFlippedBits flips bits in files at rest. Whatever is hit, the store serves what was committed, or says that it cannot, or has rebuilt
// itself: it never serves anything else.
func TestStoreWithFlippedBits(t *testing.T) {
	golden, writes := writtenState(t)
	outcomes := map[string]int{}
	for seed := range uint64(200) {
		fs := copyFS(t, golden, "state")
		rng := rand.New(rand.NewPCG(seed, 2))
		file := replaceBytes(t, fs, rng.Int(), rng.Int(), []byte{1 << rng.IntN(8)})
		outcome := serveDamaged(t, fs, writes)
		outcomes[outcome]++
		if outcome == "wrong" {
			t.Fatalf("seed %d: a flipped bit in %s is served", seed, file)
		}
	}
	t.Logf("outcomes: %v", outcomes)
	if outcomes["rebuilt"] == 0 || outcomes["whole"] == 0 {
		t.Errorf("the test hits too little: %v", outcomes)
	}
}

// serveDamaged opens a store, reads all of it, and starts it again if it says that it is damaged. A store that has lost its end is as good as after a
// crash: it is read on from where it is.
func serveDamaged(t *testing.T, fs vfs.FS, writes [][2]string) string {
	t.Helper()
	var log damageLog
	for range 3 {
		d, err := openStateDir(fs, "state")
		mustDo(t, err)
		got, offset, err := readAll(d, log.logger())
		cerr := d.closeAll()
		want := map[string]string{}
		for _, w := range writes[:offset+1] {
			want[w[0]] = w[1]
		}
		switch {
		case err != nil || cerr != nil:
			continue // the next process rebuilds
		case len(got) == 0 && offset == -1 && log.rebuilds() == 1:
			return "rebuilt"
		case !cmp.Equal(got, want):
		case offset == int64(len(writes))-1:
			return "whole"
		default:
			return "shorter"
		}
		t.Logf("%d rows at offset %d, %d rebuilds", len(got), offset, log.rebuilds())
		return "wrong"
	}
	t.Fatalf("still damaged at the third start:\n%s", log.String())
	return ""
}

func readAll(d *stateDir, logger *slog.Logger) (all map[string]string, at int64, err error) {
	defer func() {
		if err != nil {
			at = -1
		}
	}()
	s, err := d.store("t", 0, storeOptions{overlay: true, logger: logger})
	if err != nil {
		return nil, 0, err
	}
	if err := errors.Join(s.Open(), s.MarkRecovered()); err != nil {
		return nil, 0, err
	}
	if at, err = s.GetOffset(-1); err != nil {
		return nil, 0, err
	}
	it, err := s.Iterator()
	if err != nil {
		return nil, 0, err
	}
	defer it.Release()
	rows := map[string]string{}
	for it.Next() {
		value, err := it.Value()
		if err != nil {
			return nil, 0, err
		}
		rows[string(it.Key())] = string(value)
		if again, err := s.read(string(it.Key())); err != nil || !bytes.Equal(again, value) {
			return nil, 0, errors.Join(err, errors.New("get and iterator differ"))
		}
	}
	return rows, at, it.Err()
}

func copyFS(t *testing.T, from vfs.FS, dir string) vfs.FS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := vfs.Clone(from, to, dir, dir); err != nil {
		t.Fatal(err)
	}
	return to
}

// replaceBytes changes (by exclusive or) bytes of one of the table's files and returns its name.
func replaceBytes(t *testing.T, fs vfs.FS, file, at int, with []byte) string {
	t.Helper()
	dir := fs.PathJoin("state", tablePrefix+"t")
	names, err := fs.List(dir)
	mustDo(t, err)
	slices.Sort(names)
	path := fs.PathJoin(dir, names[file%len(names)])
	data, err := readFile(fs, path)
	mustDo(t, err)
	if len(data) == 0 {
		return path
	}
	for i, x := range with {
		data[(at%len(data)+i)%len(data)] ^= x
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	mustDo(t, err)
	_, err = f.Write(data)
	mustDo(t, err, f.Close())
	return path
}

// damage changes the middle of the table's larger files, so that it is found when they are read, not when they are opened.
func damage(t *testing.T, fs vfs.FS) {
	t.Helper()
	damageIn(t, fs, fs.PathJoin("state", tablePrefix+"t"))
}

func damageIn(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List(dir)
	mustDo(t, err)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		data, err := readFile(fs, path)
		mustDo(t, err)
		if !strings.HasSuffix(name, ".sst") || len(data) < 12_000 {
			continue
		}
		copy(data[10_000:], bytes.Repeat([]byte("x"), 100))
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		mustDo(t, err)
		_, err = f.Write(data)
		mustDo(t, err, f.Close())
	}
}

// fill commits rows that take several blocks on disk.
func fill(t *testing.T, s *store, offset int64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(offset), 0))
	for i := range 200 {
		v := make([]byte, 100)
		for j := range v {
			v[j] = byte(rng.Uint32())
		}
		mustDo(t, s.Set(fmt.Sprint("key-", i), v))
	}
	mustDo(t, s.commit(offset))
}

// damagedState is a state directory with rows, stopped cleanly and damaged then.
func damagedState(t *testing.T) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	d, s := reopen(t, fs, nil)
	fill(t, s, 5)
	mustDo(t, d.closeAll())
	damage(t, fs)
	return fs
}

// Damage that shows when the files are closed has the same name as any other, and the next start reads the log.
func TestStoreFindsDamageWhenItIsClosed(t *testing.T) {
	fs := vfs.NewMem()
	d, s := reopen(t, fs, nil)
	fill(t, s, 5)
	_ = s.table.check(pebble.ErrCorruption)
	if err := d.closeAll(); !errors.Is(err, ErrStateDamaged) {
		t.Errorf("closed with %v", err)
	}
	var log damageLog
	d, _ = startDamaged(t, fs, &log)
	if log.rebuilds() != 1 {
		t.Errorf("rebuilt %d times", log.rebuilds())
	}
	mustDo(t, d.closeAll())
}

// A damaged table is rebuilt once; if it is damaged again before a clean stop, a person has to look at the disk.
func TestStoreRebuildsOnce(t *testing.T) {
	fs := damagedState(t)
	var log damageLog
	d, s := startDamaged(t, fs, &log)
	if _, rows := rowsOf(t, s, nil, nil); len(rows) != 0 || log.rebuilds() != 1 {
		t.Fatalf("rows %v after %d rebuilds", rows, log.rebuilds())
	}
	fill(t, s, 6)
	mustDo(t, s.Close(), s.db.Flush())
	crashed := copyFS(t, fs, "state")

	damage(t, crashed)
	var err error
	for range 2 { // the first finds the damage, the second is to rebuild
		d2, oerr := openStateDir(crashed, "state")
		mustDo(t, oerr)
		_, _, err = readAll(d2, log.logger())
		_ = d2.closeAll()
	}
	if !errors.Is(err, ErrStateCorrupt) || log.rebuilds() != 1 {
		t.Errorf("damaged again: %v, %d rebuilds", err, log.rebuilds())
	}
	mustDo(t, resetState(crashed, "state"))
	d2, err := openStateDir(crashed, "state")
	mustDo(t, err)
	if rows, offset, err := readAll(d2, log.logger()); err != nil || len(rows) != 0 || offset != -1 {
		t.Errorf("after a reset: %d rows at %d, %v", len(rows), offset, err)
	}
	mustDo(t, d2.closeAll())

	// After a clean stop a new damage is a new damage.
	mustDo(t, d.closeAll())
	damage(t, fs)
	d, _ = startDamaged(t, fs, &log)
	if log.rebuilds() != 2 {
		t.Errorf("%d rebuilds", log.rebuilds())
	}
	mustDo(t, d.closeAll())
}

// startDamaged opens a store as often as it takes to find the damage and to rebuild.
func startDamaged(t *testing.T, fs vfs.FS, log *damageLog) (*stateDir, *store) {
	t.Helper()
	before := log.rebuilds()
	for range 3 {
		d, err := openStateDir(fs, "state")
		mustDo(t, err)
		if _, _, err = readAll(d, log.logger()); err == nil && log.rebuilds() > before {
			s, err := d.store("t", 0, storeOptions{})
			mustDo(t, err)
			return d, s
		}
		_ = d.closeAll()
	}
	t.Fatalf("not rebuilt:\n%s", log.String())
	return nil, nil
}

// A table that turns out to be damaged while it is used refuses to go on, and the next process rebuilds it.
func TestStoreStopsWhenItFindsDamage(t *testing.T) {
	fs := damagedState(t)
	var log damageLog
	d, err := openStateDir(fs, "state")
	mustDo(t, err)
	s, err := d.store("t", 0, storeOptions{overlay: true, logger: log.logger()})
	mustDo(t, err, s.Open(), s.MarkRecovered())
	for i := 0; i < 200 && err == nil; i++ {
		_, err = s.Get(fmt.Sprint("key-", i))
	}
	if err == nil {
		t.Fatal("damage was not noticed")
	}
	if err := s.Set("a", []byte("1")); err == nil {
		t.Error("a damaged store takes a row")
	}
	if err := s.commit(6); err == nil {
		t.Error("a damaged store commits")
	}
	if err := s.Open(); err == nil {
		t.Error("a damaged store is assigned again")
	}
	if err := d.closeAll(); err == nil {
		t.Error("a damaged store stops cleanly")
	}
	d, s = startDamaged(t, fs, &log)
	if offset, _ := s.GetOffset(-1); offset != -1 {
		t.Errorf("offset %d after a rebuild", offset)
	}
	mustDo(t, d.closeAll())
}
