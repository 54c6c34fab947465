package eos

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

const (
	defaultCacheBytes = 32 << 20

	// Committed rows are written to Pebble when they take writeBytes or are writeAfter old; commit waits for the writer at maxUnwrittenBytes.
	writeBytes        = 1 << 20
	writeAfter        = time.Second
	maxUnwrittenBytes = 4 * writeBytes

	// What the batches of all recovering partitions may hold, and one of them. A batch of maxBulkBytes goes to disk sorted, without the memtable.
	bulkBytes    = 16 << 20
	minBulkBytes = 512 << 10
	maxBulkBytes = 4 << 20
)

var (
	errNilRow     = errors.New("eos: store: a row cannot be nil")
	errRecovering = errors.New("eos: store: the table is recovering")
	errClosed     = errors.New("eos: store: the state directory is closed")
)

// storeOptions is what a store must know about the rows that it keeps.
type storeOptions struct {
	// overlay makes Set, Delete and SetOffset of a recovered store wait for commit or abort. Without it (views) SetOffset commits.
	overlay bool

	// clusterID and topicID name the log whose rows these are; state of any other log is wiped.
	clusterID string
	topicID   [16]byte

	// deleteRetention is the changelog's delete.retention.ms: how long a compacted log still shows a deletion. Zero is for ever.
	deleteRetention time.Duration

	// cacheBytes bounds the row cache of all partitions of the table together; 0 means 32 MiB.
	cacheBytes int

	// due and index give a row's deadlines and look-up entries; nil for none. Both may be called from any goroutine. A row is not written whose entries
	// cannot be told.
	due   func(key string, row []byte) []Deadline
	index func(key string, value []byte) ([]string, error)

	// indexVersion names what due and index compute; entries of another version on disk are replaced after recovery.
	indexVersion string

	// changed is told which row was committed, and wiping that all rows are about to be removed (views wake those who wait, and stop answering).
	// Neither may block or call the store. Nil for nobody.
	changed func(key string)
	wiping  func(partition int32)

	logger *slog.Logger
}

// store keeps one partition of a table: Pebble, a cache of rows in front of it, and the rows of the open transaction.
//
// A row is in one of three places. What the open transaction set is in row.next of a cached row, until commit moves it to row.value or abort drops
// it. What was committed but not written is in row.value of a cached row. Everything else is in Pebble, and perhaps in the cache as well. A row of
// the first two kinds never leaves the cache. Rows and the changelog offset that they contain are written in one batch, so what is on disk is what
// some committed prefix of the log says, whenever the process stops.
//
// It serves any number of readers and one writer, as Goka's storage.Storage demands. The engine owns it: Goka's Close ends an assignment, and the
// store can be opened again.
type store struct {
	table     *stateTable
	db        *pebble.DB
	partition int32
	o         storeOptions

	active   atomic.Bool  // assigned: counts for the cache's budget
	openSize atomic.Int64 // bytes in the overlay of the open transaction

	mu          sync.RWMutex
	writeEnded  sync.Cond // on mu
	rows        rowCache
	open        []*row // set in the open transaction
	unwritten   []*row // committed, not in Pebble
	writing     []*row // being written
	unwrittenN  int    // bytes of unwritten
	position    position
	persisted   position // as it is in Pebble
	recovering  bool
	bulk        *pebble.Batch       // recovery writes, nil if there are none
	bulkEntries map[string][]string // look-up entries of the rows in bulk
	bulkLimit   int
	filling     bool // compactions wait for this recovery
	timer       *time.Timer
	closed      bool
	indexed     bool  // index entries in Pebble are complete but for unwritten rows
	nextAt      int64 // when due may have something new to report (Unix milliseconds)

	reconciledAt time.Time // of the load that is under way
	logStart     int64     // where the log began then
	turnAt       int       // size of the young generation that makes it the old one
}

// position says which part of the changelog the rows contain.
type position struct {
	offset int64 // of the last record, -1 before the first
	asOf   int64 // Unix milliseconds at which the rows contained all the log had, or reading from its beginning began; 0 if never
}

var _ storage.Storage = (*store)(nil)

// newStore opens a partition of t. State of another log, or of another format, is wiped.
func newStore(t *stateTable, partition int32, o storeOptions) (*store, error) {
	if o.cacheBytes == 0 {
		o.cacheBytes = defaultCacheBytes
	}
	s := &store{table: t, db: t.db, partition: partition, o: o, recovering: true, bulkLimit: minBulkBytes, nextAt: noDeadline}
	s.writeEnded.L = &s.mu
	s.rows.clear()
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// recovered says whether the store has been in use since it was opened.
func (s *store) recovered() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.recovering
}

// Open begins a recovery: Goka calls it at every assignment. What an open transaction left is dropped, what was committed is written.
func (s *store) Open() error {
	s.active.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropOpen()
	if err := s.writeAll(); err != nil {
		return err
	}
	s.recovering = true
	s.reconciledAt = time.Time{}
	s.rows.clear()
	s.setCacheLimit()
	s.bulkLimit = max(minBulkBytes, min(s.table.share(bulkBytes, true), maxBulkBytes))
	return nil
}

// Close ends an assignment: the cache is given back, and what was committed is written. The rows stay on disk, and Open may follow.
func (s *store) Close() error {
	s.active.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.dropOpen()
	if err := s.writeAll(); err != nil {
		return err
	}
	s.filled()
	s.rows.clear()
	s.setCacheLimit()
	return nil
}

// shutdown writes what was committed. Every other method returns errClosed from then on.
func (s *store) shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropOpen()
	err := s.writeAll()
	s.filled()
	s.rows.clear()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	return err
}

// usable returns why the store cannot be used any more, nil while it can. The caller holds mu.
func (s *store) usable() error {
	if s.closed {
		return errClosed
	}
	return s.table.failed()
}

// Has says whether key has a row, the open transaction included.
func (s *store) Has(key string) (bool, error) {
	value, err := s.Get(key)
	return value != nil, err
}

// Get returns the row of key, the open transaction included; nil if there is none. The caller must not change it.
func (s *store) Get(key string) ([]byte, error) {
	s.mu.RLock()
	if r := s.rows.peek(key); r != nil && (r.open || r.known) {
		value := r.value
		if r.open {
			value = r.next
		}
		s.mu.RUnlock()
		return value, nil
	}
	s.mu.RUnlock()
	return s.fetch(key, true)
}

// committed returns the row of key as it was committed last: what others than the open transaction may see.
func (s *store) committed(key string) ([]byte, error) {
	s.mu.RLock()
	if r := s.rows.peek(key); r != nil && r.known {
		value := r.value
		s.mu.RUnlock()
		return value, nil
	}
	s.mu.RUnlock()
	return s.fetch(key, false)
}

// fetch reads a row that the young generation of the cache does not have.
func (s *store) fetch(key string, withOpen bool) ([]byte, error) {
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if s.bulk != nil {
		if err := s.writeBulk(); err != nil {
			s.mu.Unlock()
			return nil, err
		}
	}
	if r := s.rows.use(key); r != nil {
		if r.open && withOpen || r.known {
			value := r.value
			if r.open && withOpen {
				value = r.next
			}
			s.mu.Unlock()
			return value, nil
		}
	}
	epoch := s.rows.epoch
	s.mu.Unlock()

	// Pebble is read without the lock. What it says is true of the time before; it is kept only if no row can have left the cache since.
	value, err := s.read(key)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recovering || epoch != s.rows.epoch {
		return value, nil
	}
	r := s.rows.use(key)
	if r == nil {
		r = s.rows.add(key)
	}
	if !r.known {
		s.rows.setValue(r, value)
	}
	s.shrink()
	return value, nil
}

// Set keeps value in the open transaction; without an overlay SetOffset follows and commits. The caller must not change value until then.
func (s *store) Set(key string, value []byte) error {
	if value == nil {
		return errNilRow
	}
	return s.put(key, value)
}

// Delete removes the row of key, like Set.
func (s *store) Delete(key string) error { return s.put(key, nil) }

func (s *store) put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if s.recovering {
		return s.putBulk(key, value)
	}
	r := s.rows.use(key)
	if r == nil {
		r = s.rows.add(key)
	}
	if !r.open {
		r.open = true
		s.open = append(s.open, r)
		s.openSize.Add(int64(len(key) + rowOverhead))
	}
	s.openSize.Add(int64(len(value) - len(r.next)))
	r.next = value
	return nil
}

// dirty returns the bytes in the overlay of the open transaction. It is cheap and may be called from any goroutine.
func (s *store) dirty() int { return int(s.openSize.Load()) }

// GetOffset returns the changelog offset of the last record that the rows contain.
func (s *store) GetOffset(def int64) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.position.offset < 0 {
		return def, nil
	}
	return s.position.offset, nil
}

// oldest is where the log began when the rows were compared with it. Who reads on from the later of their end and what a broker calls the start at
// another moment skips what was removed in between, deletions too: with this one the broker refuses a position that it does not have any more.
func (s *store) oldest() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.logStart
}

// SetOffset says which changelog record the last Set or Delete came from. Recovery and views commit by it; in the open transaction of a table it
// means nothing, because the offset comes with the commit. Who was cut off for too long does not go on: the error wraps errOverdue.
func (s *store) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.overlay && !s.recovering {
		return nil
	}
	if err := s.readable(); err != nil {
		return err
	}
	if s.recovering {
		return s.setBulkOffset(offset)
	}
	return s.commitOpen(offset, s.position.asOf)
}

// commitAsOf makes the open transaction's rows the committed ones: Kafka said committed. changelogOffset is the offset of the last changelog record
// that the transaction produced to this partition; -1 leaves the offset as it is. at is when the rows contained all that the log had.
func (s *store) commitAsOf(changelogOffset int64, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recovering {
		return errRecovering
	}
	return s.commitOpen(changelogOffset, at.UnixMilli())
}

// follow commits what the changelog says up to offset, for a copy that others write. Whether that is all the log has, completeAsOf says. A copy that was
// cut off for too long does not go on: the error wraps errOverdue.
func (s *store) follow(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recovering {
		return errRecovering
	}
	if err := s.readable(); err != nil {
		return err
	}
	return s.commitOpen(offset, s.position.asOf)
}

// completeAsOf notes that the rows contain all that the log had at the time.
func (s *store) completeAsOf(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	s.position.asOf = at.UnixMilli()
	return s.writeSoon()
}

// abort drops the open transaction's rows.
func (s *store) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropOpen()
}
