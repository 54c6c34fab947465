package eos

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lovoo/goka/storage"
)

// table is one partition of the group's table for one generation: the storage that Goka is given, with two things added. It checks that this code can
// read the rows, and it counts how far recovery is.
type table struct {
	storage.Storage
	p         *Processor
	partition int32
	st        *store

	live    atomic.Bool           // recovery is over
	overdue atomic.Pointer[error] // why recovery must begin again; Goka does not keep the chain of errors
	reading

	reused int64 // a mistake, for the test of the simulation: the rows of an earlier generation are taken for those of this offset
}

// tables are the partitions of the group's table in one generation. Goka opens them at the same time.
type tables struct {
	mu    sync.Mutex
	byNum map[int32]*table
	list  []*table
}

func (t *tables) add(tb *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byNum == nil {
		t.byNum = make(map[int32]*table)
	}
	t.byNum[tb.partition] = tb
	t.list = append(slices.Clip(t.list), tb)
}

func (t *tables) get(partition int32) *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byNum[partition]
}

// all returns the tables so far. The caller must not change the slice.
func (t *tables) all() []*table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// buildStorage is Goka's storage builder: it opens the partition's store for the generation that is being set up.
func (p *Processor) buildStorage(topic string, partition int32) (storage.Storage, error) {
	g := p.generation.Load()
	if g == nil {
		return nil, errors.New("no partitions are assigned")
	}
	s, err := p.dir.builder(g.ctx, p.logs, p.storeOptions())(topic, partition)
	if err != nil {
		return nil, err
	}
	a, ok := s.(*assignment)
	if !ok {
		return nil, fmt.Errorf("storage of %s/%d has an unexpected type", topic, partition)
	}
	tb := &table{Storage: s, st: a.store, p: p, partition: partition}
	if a.recovered() && p.sabotaged("reuse the store after fencing") {
		end, err := p.logs.highWaterMark(g.ctx, topic, partition)
		if err != nil {
			return nil, err
		}
		tb.reused = end - 1
	}
	g.tables.add(tb)
	return tb, nil
}

// storeOptions is what the stores of the group's table know about their rows.
func (p *Processor) storeOptions() storeOptions {
	o := storeOptions{overlay: true, cacheBytes: p.cfg.CacheBytes, logger: p.log}
	if d := p.cfg.Deadlines; d != nil {
		o.due, o.indexVersion = d.Due, d.Version
	}
	return o
}

// Set implements storage.Storage. What recovery brings in is checked here: a newer release may have written it.
func (t *table) Set(key string, value []byte) error {
	if !t.live.Load() {
		if err := t.check(key, value); err != nil {
			return err
		}
	}
	return t.Storage.Set(key, value)
}

// Get implements storage.Storage. What was on disk already is checked here.
func (t *table) Get(key string) ([]byte, error) {
	value, err := t.Storage.Get(key)
	if err == nil && value != nil {
		err = t.check(key, value)
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (t *table) check(key string, value []byte) error {
	if t.p.cfg.Row == nil {
		return nil
	}
	if err := t.p.cfg.Row(key, value); err != nil {
		err = fmt.Errorf("the row of %s in partition %d cannot be read by this release; start the release that wrote it, or a newer one: %w",
			key, t.partition, err)
		t.p.fail(err) // Goka does not keep the chain of errors
		return err
	}
	return nil
}

// GetOffset implements storage.Storage.
func (t *table) GetOffset(def int64) (int64, error) {
	offset, err := t.Storage.GetOffset(def)
	if err == nil && offset != def && t.reused > 0 {
		offset = max(offset, t.reused)
	}
	if err == nil && offset != def {
		t.from.Store(offset + 1)
		t.applied.Store(offset)
	}
	return offset, err
}

// SetOffset implements storage.Storage.
func (t *table) SetOffset(offset int64) error {
	t.applied.Store(offset)
	err := t.Storage.SetOffset(offset)
	if errors.Is(err, errOverdue) {
		t.overdue.Store(&err)
	}
	return err
}

// MarkRecovered implements storage.Storage.
func (t *table) MarkRecovered() error {
	if err := t.Storage.MarkRecovered(); err != nil {
		return err
	}
	t.live.Store(true)
	return nil
}

// reading is how far a partition of the changelog has been read.
type reading struct {
	from    atomic.Int64
	applied atomic.Int64 // offset of the last changelog record that was applied
	end     atomic.Int64 // offset that recovery must reach, 0 while it is not known
}

// progress says how many changelog records there are to read, and how many have been.
func (r *reading) progress() (read, of int64) {
	if of = r.end.Load() - r.from.Load(); of <= 0 {
		return 0, 0
	}
	return max(0, min(of, r.applied.Load()+1-r.from.Load())), of
}
