package eos

import (
	"errors"
	"log/slog"
	"time"

	"github.com/lovoo/goka/storage"
)

// storeOptions is what a store must know about the rows that it keeps.
type storeOptions struct {
	// overlay makes Set, Delete and SetOffset of a recovered store wait for commit or abort. Without it (views) SetOffset commits.
	overlay bool
	// clusterID and topicID name the log whose rows these are; state of any other log is wiped.
	clusterID string
	topicID   [16]byte
	// deleteRetention is the changelog's delete.retention.ms: how long a compacted log still shows a deletion.
	deleteRetention time.Duration
	// cacheBytes bounds the row cache of all partitions of the table together; 0 means 32 MiB.
	cacheBytes int
	// due and index give a row's deadlines and look-up entries; nil for none. Both may be called from any goroutine.
	due   func(key string, row []byte) []Deadline
	index func(key string, value []byte) []string
	// indexVersion names what due and index compute; another version on disk is rebuilt from the rows.
	indexVersion string
	// changed is told, after the commit, which rows changed (views wake those who wait). It must not call the store.
	changed func(key string)
	logger  *slog.Logger
}

// dueEntry is a deadline of a row that has passed.
type dueEntry struct {
	Key string
	Deadline
}

// store is one partition of a table.
type store struct{}

var _ storage.Storage = (*store)(nil)

var errSkeleton = errors.New("eos: store: not there yet")

// Open begins a recovery: Goka calls it at every assignment. What an open transaction left in the overlay is dropped.
func (s *store) Open() error { return errSkeleton }

// Close ends an assignment. The engine owns the store: rows stay on disk and the store can be opened again.
func (s *store) Close() error { return errSkeleton }

// Has says whether key has a row, the open transaction included.
func (s *store) Has(key string) (bool, error) { return false, errSkeleton }

// Get returns the row of key, the open transaction included; nil if there is none. The caller must not change it.
func (s *store) Get(key string) ([]byte, error) { return nil, errSkeleton }

// committed returns the row of key as it was committed last: what others than the open transaction may see.
func (s *store) committed(key string) ([]byte, error) { return nil, errSkeleton }

// Set keeps value (which is copied no sooner than commit, so the caller must not change it).
func (s *store) Set(key string, value []byte) error { return errSkeleton }

// Delete removes the row of key.
func (s *store) Delete(key string) error { return errSkeleton }

// GetOffset returns the changelog offset of the last record that the rows contain.
func (s *store) GetOffset(def int64) (int64, error) { return def, errSkeleton }

// SetOffset says which changelog record the last Set or Delete came from.
func (s *store) SetOffset(offset int64) error { return errSkeleton }

// MarkRecovered ends a recovery.
func (s *store) MarkRecovered() error { return errSkeleton }

// Iterator iterates over all rows, the open transaction included, as they are now.
func (s *store) Iterator() (storage.Iterator, error) { return nil, errSkeleton }

// IteratorWithRange iterates over [start, limit); an empty bound is none.
func (s *store) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	return nil, errSkeleton
}

// dirty returns the bytes in the overlay of the open transaction. It is cheap and may be called from any goroutine.
func (s *store) dirty() int { return 0 }

// commit makes the open transaction's rows the committed ones: Kafka said committed. changelogOffset is the offset of the last
// changelog record that the transaction produced to this partition; -1 leaves the offset as it is.
func (s *store) commit(changelogOffset int64) error { return errSkeleton }

// abort drops the open transaction's rows.
func (s *store) abort() {}

// due returns at most limit deadlines that have passed at now, earliest first, leaving out those that skip says (nil: none).
func (s *store) due(now time.Time, limit int, skip func(dueEntry) bool) ([]dueEntry, error) {
	return nil, errSkeleton
}

// nextDue returns when due can first report something that its last call did not; false if nothing is waiting.
// Rows committed within the last second may not be counted yet.
func (s *store) nextDue() (time.Time, bool) { return time.Time{}, false }
