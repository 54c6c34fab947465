package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// ErrViewStopped is returned by a view's methods after Run has returned.
var ErrViewStopped = errors.New("eos: the view has stopped")

// Progress is how much of a table's log has been read.
type Progress struct {
	Records int64 // read so far (offsets, transaction markers included), of
	Of      int64 // this many; 0 while it is not known
	Since   time.Time
}

// NotReadyError says how far a view that cannot answer yet has come. It wraps ErrNotReady.
type NotReadyError struct{ Progress }

// Error implements error.
func (e *NotReadyError) Error() string {
	if e.Of == 0 {
		return ErrNotReady.Error()
	}
	return fmt.Sprintf("%s: %d of %d records read", ErrNotReady.Error(), e.Records, e.Of)
}

// Unwrap returns ErrNotReady.
func (*NotReadyError) Unwrap() error { return ErrNotReady }

// ViewConfig says which topic a view copies, and where to. Client and Topic are required.
type ViewConfig struct {
	Client []kgo.Opt // seeds, TLS, SASL, dialer
	Topic  string

	// Dir is where the view makes a directory named after its topic; empty means in memory, read from the log at every start. FS nil is the disk.
	Dir string
	FS  vfs.FS

	// Index gives the look-up entries of a row, nil for none. It must depend on its arguments only. IndexVersion names what it computes: rows on
	// disk are indexed again when it changes.
	Index        func(key string, value []byte) ([]string, error)
	IndexVersion string

	// Admit is asked before a row is taken; nil takes all. While its error wraps ErrBlocked the view reads no further in that partition and answers from what it
	// has: what Index and readers of the row need is not there, such as a schema that the registry has and this process does not. Other errors do not matter.
	Admit func(value []byte) error

	CacheBytes int // of the rows' cache; 0 means 32 MiB
	Logger     *slog.Logger

	// sabotage is for the test of the simulation, as in Config. Nil in production.
	sabotage func(mistake string) bool
}

// View is a materialised copy of a compacted topic. It holds committed rows only, and answers nothing before it has read everything that was
// committed when it started. Afterwards it answers also while the cluster cannot be reached: with the rows as they were.
//
// All methods are safe for concurrent use.
type View struct {
	cfg     ViewConfig
	waiters waiters
	wipes   atomic.Int64 // of partitions; raised under mu

	mu         sync.Mutex
	readers    sync.WaitGroup // of the stores; added to under mu
	started    bool
	stopped    bool
	since      time.Time
	partitions []*viewPartition
	ready      bool
}

// viewPartition is what a view knows about one partition.
type viewPartition struct {
	store     *store
	recovered bool
	from      int64        // offset that reading began at
	end       int64        // offset that recovery reads up to
	applied   atomic.Int64 // offset of the last message read
}

// NewView checks cfg. Nothing is opened before Run.
func NewView(cfg ViewConfig) (*View, error) {
	if cfg.Topic == "" {
		return nil, errors.New("eos: ViewConfig.Topic is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v := &View{cfg: cfg}
	v.waiters.byKey = make(map[string][]chan struct{})
	return v, nil
}

// Ready says whether the view has recovered.
func (v *View) Ready() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ready
}

// Progress says how far recovery is.
func (v *View) Progress() Progress {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.progress()
}

func (v *View) progress() Progress {
	p := Progress{Since: v.since}
	for _, vp := range v.partitions {
		if vp.end > vp.from {
			p.Of += vp.end - vp.from
			p.Records += max(0, min(vp.end, vp.applied.Load()+1)-vp.from)
		}
	}
	return p
}

// Reached says whether the view has read at least as far as these offsets, the next ones by partition: with what a broker calls
// the last stable offsets, whether it had everything that was committed when the broker was asked.
func (v *View) Reached(next map[int32]int64) bool {
	at := v.Next()
	for partition, offset := range next {
		if here, known := at[partition]; !known || here < offset {
			return false
		}
	}
	return at != nil
}

// Next returns what the view reads next, by partition; nil before it has recovered.
func (v *View) Next() map[int32]int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ready {
		return nil
	}
	next := make(map[int32]int64, len(v.partitions))
	for i := range v.partitions {
		next[int32(i)] = v.partitions[i].applied.Load() + 1 //nolint:gosec // few partitions
	}
	return next
}

// viewRead is one reading of a view.
type viewRead struct {
	v      *View
	stores []*store // stay open until done is called
	wipes  int64    // of the view when the reading began
}

// use begins to read all partitions. done must follow.
func (v *View) use() (viewRead, error) {
	return v.read(func(all []*viewPartition) []*viewPartition { return all })
}

// useOne begins to read the partition that key belongs to. done must follow.
func (v *View) useOne(key string) (viewRead, error) {
	return v.read(func(all []*viewPartition) []*viewPartition {
		n := topics.Partition(key, int32(len(all)))
		return all[n : n+1]
	})
}

func (v *View) read(choose func(all []*viewPartition) []*viewPartition) (viewRead, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.stopped:
		return viewRead{}, ErrViewStopped
	case !v.ready:
		return viewRead{}, &NotReadyError{v.progress()}
	}
	v.readers.Add(1)
	r := viewRead{v: v, wipes: v.wipes.Load()}
	for _, p := range choose(v.partitions) {
		r.stores = append(r.stores, p.store)
	}
	return r, nil
}

func (r viewRead) done() { r.v.readers.Done() }

// whole says whether what has been read is an answer. A partition that was wiped meanwhile looks like one with few rows: then the error is a *NotReadyError.
func (r viewRead) whole() error {
	if r.v.wipes.Load() == r.wipes {
		return nil
	}
	return &NotReadyError{r.v.Progress()}
}

// Get returns the row of key, nil if there is none. The caller must not change it. Before the view has recovered the error is a *NotReadyError.
func (v *View) Get(key string) ([]byte, error) {
	r, err := v.useOne(key)
	if err != nil {
		return nil, err
	}
	defer r.done()
	row, err := r.stores[0].committed(key)
	if err != nil {
		return nil, v.explain(r.stores[0], err)
	}
	if err := r.whole(); err != nil {
		return nil, err
	}
	return row, nil
}

// explain turns errors of a table that is about to be rebuilt into what that means for who asked.
func (v *View) explain(s *store, err error) error {
	if err != nil && s.table.failed() != nil {
		return &NotReadyError{Progress{Since: time.Now()}}
	}
	return err
}

// Wait returns the row of key as soon as enough says that it will do; row is nil while there is none. It waits for the view to recover, too. The
// error is ctx's when that ends first.
func (v *View) Wait(ctx context.Context, key string, enough func(row []byte) bool) ([]byte, error) {
	changed, done := v.waiters.watch(key)
	defer done()
	for {
		row, err := v.Get(key)
		if err == nil && enough(row) {
			return row, nil
		}
		if err != nil && !errors.Is(err, ErrNotReady) {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", key, ctx.Err())
		}
	}
}

// Lookup returns the keys whose rows have entry in their index, sorted.
func (v *View) Lookup(entry string) ([]string, error) {
	if v.cfg.Index == nil {
		return nil, fmt.Errorf("the view of %s has no index", v.cfg.Topic)
	}
	r, err := v.use()
	if err != nil {
		return nil, err
	}
	defer r.done()
	var keys []string
	for _, s := range r.stores {
		found, err := s.lookup(entry)
		if err != nil {
			return nil, v.explain(s, err)
		}
		keys = append(keys, found...)
	}
	if err := r.whole(); err != nil {
		return nil, err
	}
	slices.Sort(keys)
	return keys, nil
}

// Iterate calls each for every row, in key order within each partition, until it returns an error, which Iterate returns. Each partition is seen as
// it was when its first row was reached. row is each's only until it returns. A *NotReadyError can also come in the middle or at the end, when rows had to be
// removed meanwhile: those that each has had are then not all.
func (v *View) Iterate(each func(key string, row []byte) error) error {
	r, err := v.use()
	if err != nil {
		return err
	}
	defer r.done()
	for _, s := range r.stores {
		if err := r.whole(); err != nil {
			return err
		}
		if err := iterateStore(s, each); err != nil {
			return v.explain(s, err)
		}
	}
	return r.whole()
}

func iterateStore(s *store, each func(key string, row []byte) error) error {
	it, err := s.Iterator()
	if err != nil {
		return err
	}
	defer it.Release()
	for it.Next() {
		row, err := it.Value()
		if err != nil {
			return err
		}
		if err := each(string(it.Key()), row); err != nil {
			return err
		}
	}
	return it.Err()
}
