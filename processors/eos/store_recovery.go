package eos

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// stateFormat is the version of the key layout and of what the values mean. A change of either takes a new number: the state is then rebuilt.
const stateFormat = 1

// tombstoneMargin is how long before the changelog may drop its tombstones a position counts as too old to go on from.
const tombstoneMargin = time.Hour

// identity names the log that the rows come from, and the format they are kept in.
func (s *store) identity() []byte {
	id := append([]byte{stateFormat}, s.o.topicID[:]...)
	return append(id, s.o.clusterID...)
}

// load reads what is on disk. State of another log or format is wiped.
func (s *store) load() error {
	id, err := s.readMeta(metaIdentity)
	if err != nil {
		return err
	}
	if id != nil && !bytes.Equal(id, s.identity()) {
		return s.wipe("it belongs to another cluster, topic or format")
	}
	pos, err := s.readMeta(metaPosition)
	if err != nil {
		return err
	}
	s.position = position{offset: -1}
	if len(pos) == 16 {
		s.position.offset = int64(binary.BigEndian.Uint64(pos[:8]))
		s.position.asOf = int64(binary.BigEndian.Uint64(pos[8:]))
	}
	s.persisted = s.position
	version, err := s.readMeta(metaIndex)
	if err != nil {
		return err
	}
	s.indexed = version != nil && string(version) == s.o.indexName()
	if id == nil {
		return s.db.Set(s.meta(metaIdentity), s.identity(), pebble.NoSync)
	}
	return nil
}

func (s *store) readMeta(name string) ([]byte, error) {
	value, closer, err := s.db.Get(s.meta(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.table.check(fmt.Errorf("read the state of %s/%d: %w", s.table.topic, s.partition, err))
	}
	return append([]byte{}, value...), closer.Close()
}

// wipe removes everything that the partition keeps; it is read from the log again. It cannot loop: afterwards there is no position that could
// disagree with the log.
func (s *store) wipe(why string) error {
	s.o.logger.Warn("local state is removed and read from the log again", slog.String("topic", s.table.topic),
		slog.Int("partition", int(s.partition)), slog.String("reason", why))
	if s.o.wiping != nil {
		s.o.wiping(s.partition)
	}
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }()
	if err := b.DeleteRange(s.keyspace(nil, kindMeta), s.keyspace(nil, kindEnd), nil); err != nil {
		return err
	}
	if err := b.Set(s.meta(metaIdentity), s.identity(), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("wipe the state of %s/%d: %w", s.table.topic, s.partition, err)
	}
	s.rows.clear()
	s.position = position{offset: -1}
	s.persisted = s.position
	s.indexed = false
	s.nextAt = noDeadline
	return nil
}

// errLogDiffers is returned for a store in use whose log turned out to be another one than it was built from. It must be opened anew.
var errLogDiffers = errors.New("the log is no longer the one that the local state was read from")

// errOverdue is returned when a log is read on that may have forgotten deletions meanwhile. The store must be opened anew; reconcile then wipes it.
var errOverdue = errors.New("the log may have forgotten deletions that the local state has not seen")

// reconcile compares the position with the log, which now has the offsets from start to end (the high-water mark), before reading goes on. A
// position that the log does not lead on from is wiped during recovery; afterwards the error wraps errLogDiffers.
func (s *store) reconcile(start, end int64, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing != nil {
		s.writeEnded.Wait() // it would put back the position that is wiped
	}
	if err := s.usable(); err != nil {
		return err
	}
	why := s.mismatch(start, end, now)
	s.reconciledAt = now
	if why == "" {
		if s.position.asOf == 0 || s.position.offset+1 == end {
			s.position.asOf = now.UnixMilli() // reading begins, and must reach the end before tombstones go; or there is nothing to read
		}
		return nil
	}
	if !s.recovering {
		return fmt.Errorf("%s/%d: %w: %s", s.table.topic, s.partition, errLogDiffers, why)
	}
	if s.bulk != nil {
		_ = s.bulk.Close()
		s.bulk, s.bulkEntries = nil, nil
	}
	if err := s.wipe(why); err != nil {
		return err
	}
	s.position.asOf = now.UnixMilli()
	return nil
}

func (s *store) mismatch(start, end int64, now time.Time) string {
	next := s.position.offset + 1
	switch {
	case next > end:
		return fmt.Sprintf("it contains offset %d, but the log ends at %d", next-1, end)
	case next > 0 && next < start:
		return fmt.Sprintf("it ends at offset %d, but the log begins at %d", next-1, start)
	case next < end:
		return s.overdue(now, s.margin())
	}
	return ""
}

func (s *store) margin() time.Duration { return min(tombstoneMargin, s.o.deleteRetention/2) }

// readable returns why a record that was read just now does not count, nil if it does: deletions before it may be gone from the log. A load is given the
// margin as well, because it may begin just before the margin does. Its age is that of the rows, not the time since it began: what it has to read was
// written since they were complete, and may go that long after. The caller holds mu.
func (s *store) readable() error {
	margin, hint := s.margin(), ""
	if s.recovering {
		margin, hint = 0, "; if reading takes that long, raise delete.retention.ms"
	}
	if why := s.overdue(time.Now(), margin); why != "" {
		return fmt.Errorf("%s/%d: %w: %s%s", s.table.topic, s.partition, errOverdue, why, hint)
	}
	return nil
}

// overdue says why the log may soon, within margin, have forgotten deletions that the rows have not seen, "" if it cannot: a deleted key must not live on
// because its tombstone was compacted away while nobody read. asOf is of the clock on the wall, which goes on while a machine sleeps. The caller holds mu.
func (s *store) overdue(now time.Time, margin time.Duration) string {
	if s.o.deleteRetention == 0 || s.position.asOf == 0 {
		return ""
	}
	age := now.Sub(time.UnixMilli(s.position.asOf))
	if age <= s.o.deleteRetention-margin {
		return ""
	}
	return fmt.Sprintf("it was last complete %s ago, and the log keeps deletions for %s only", age.Round(time.Minute), s.o.deleteRetention)
}

// putBulk writes a row of the changelog. Once indexed, nearly everything is on disk already: the few rows that follow are indexed as they come, and go into
// the batch with their entries or not at all. The caller holds mu.
func (s *store) putBulk(key string, value []byte) error {
	var was, is []string
	if s.indexed && s.o.index != nil {
		var err error
		if was, is, err = s.bulkChange(key, value); err != nil {
			return err
		}
	}
	if s.bulk == nil {
		s.bulk = s.db.NewBatchWithSize(s.bulkLimit + s.bulkLimit/8)
	}
	if err := s.appendRow(s.bulk, key, value); err != nil { // a batch that is not committed cannot fail
		return err
	}
	if s.indexed {
		s.appendHints(s.bulk, key, value)
	}
	if s.indexed && s.o.index != nil {
		s.appendEntries(s.bulk, key, was, is)
		if s.bulkEntries == nil {
			s.bulkEntries = make(map[string][]string)
		}
		s.bulkEntries[key] = is
	}
	if s.o.changed != nil {
		s.o.changed(key)
	}
	return nil
}

// bulkChange tells the look-up entries of a row of the bulk, and those of the row that it replaces, which may be in the same batch. The caller holds mu.
func (s *store) bulkChange(key string, value []byte) (was, is []string, err error) {
	if is, err = s.entries(key, value); err != nil {
		return nil, nil, err
	}
	was, ok := s.bulkEntries[key]
	if !ok {
		was, err = s.replaced(key)
	}
	return was, is, err
}

// setBulkOffset ends the row that putBulk wrote. A batch ends here and nowhere else, so that its rows and its offset agree. The caller holds mu.
func (s *store) setBulkOffset(offset int64) error {
	s.position.offset = offset
	if s.bulk != nil && s.bulk.Len() >= s.bulkLimit {
		return s.writeBulk()
	}
	return nil
}

// writeBulk writes the batch of the recovery with the position that it leads to. The caller holds mu.
func (s *store) writeBulk() error {
	b := s.bulk
	s.bulk, s.bulkEntries = nil, nil
	defer func() { _ = b.Close() }()
	s.table.compactions.recoveryWrote(!s.filling, b.Len())
	s.filling = true
	if err := s.appendPosition(b, s.position); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		err = fmt.Errorf("write the state of %s/%d: %w", s.table.topic, s.partition, err)
		s.table.fail(err)
		return err
	}
	s.persisted = s.position
	return nil
}

// MarkRecovered ends a recovery: the index is completed, and Set waits for commit from now on.
func (s *store) MarkRecovered() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endRecovery(context.Background())
}

// endRecovery is MarkRecovered for who holds mu. When ctx ends before the index is complete, the table stays as it is while it recovers.
func (s *store) endRecovery(ctx context.Context) error {
	if err := s.usable(); err != nil || !s.recovering {
		return err
	}
	s.position.asOf = s.reconciledAt.UnixMilli()
	if s.reconciledAt.IsZero() {
		s.position.asOf = time.Now().UnixMilli()
	}
	if err := s.writeAll(); err != nil {
		return err
	}
	if err := s.buildIndex(ctx); err != nil {
		return s.table.check(err)
	}
	s.recovering = false
	s.filled()
	s.rows.clear()
	return nil
}

// filled lets compactions go on when a recovery has ended, one way or the other.
func (s *store) filled() {
	if s.filling {
		s.filling = false
		s.table.compactions.recoveryEnded()
	}
}
