package eos

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Index entries are hints. One is written in the batch of the row that it comes from, and is never removed by a later write of the row: that would
// cost a read and a decoding of the old row. Who reads an entry checks it against the row, and drops it if the row no longer says so.

// noDeadline is later than every deadline.
const noDeadline = math.MaxInt64

// maxStale bounds how many stale entries one call looks at and drops, so that it holds up a transaction for a tenth of a second at most. The next call
// goes on from there.
const maxStale = 10_000

// dueEntry is a deadline of a row that has passed.
type dueEntry struct {
	Key string
	Deadline
}

// appendHints writes the index entries of a row and returns its earliest deadline.
func (s *store) appendHints(b *pebble.Batch, key string, value []byte) int64 {
	earliest := int64(noDeadline)
	if value == nil {
		return earliest
	}
	if s.o.index != nil {
		for _, entry := range s.o.index(key, value) {
			_ = b.Set(append(s.indexPrefix(entry), key...), nil, nil) // a batch that is not committed cannot fail
		}
	}
	if s.o.due != nil {
		for _, d := range s.o.due(key, value) {
			at := dueMillis(d.At)
			_ = b.Set(s.dueKey(at, key, d), nil, nil)
			earliest = min(earliest, at)
		}
	}
	return earliest
}

// buildIndex makes the index of all rows, if it is not complete, and finds the first deadline. The caller holds mu.
func (s *store) buildIndex() error {
	if !s.indexed && (s.o.index != nil || s.o.due != nil) {
		if err := s.rebuildIndex(); err != nil {
			return fmt.Errorf("build the index of %s/%d: %w", s.table.topic, s.partition, err)
		}
	}
	s.nextAt = noDeadline
	if s.o.due == nil {
		return nil
	}
	it, err := s.iterate(kindDue)
	if err != nil {
		return err
	}
	if it.First() {
		if at, _, ok := parseDueKey(it.Key()); ok {
			s.nextAt = at
		}
	}
	return errors.Join(it.Error(), it.Close())
}

func (s *store) rebuildIndex() error {
	b := s.db.NewBatchWithSize(minBulkBytes)
	defer func() { _ = b.Close() }()
	if err := b.DeleteRange(s.keyspace(nil, kindIndex), s.keyspace(nil, kindEnd), nil); err != nil {
		return err
	}
	it, err := s.iterate(kindRow)
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for ok := it.First(); ok; ok = it.Next() {
		s.appendHints(b, string(it.Key()[5:]), it.Value())
		if b.Len() < minBulkBytes {
			continue
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
		_ = b.Close()
		b = s.db.NewBatchWithSize(minBulkBytes)
	}
	if err := it.Error(); err != nil {
		return err
	}
	if err := b.Set(s.meta(metaIndex), []byte(s.o.indexVersion), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	s.indexed = true
	return nil
}

// iterate returns a Pebble iterator over the partition's keys of one kind.
func (s *store) iterate(kind byte) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: s.keyspace(nil, kind), UpperBound: s.keyspace(nil, kind+1)})
}

// lookup returns the keys whose committed rows have entry in their index, in key order.
func (s *store) lookup(entry string) ([]string, error) {
	s.mu.Lock()
	err := s.writeAll()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := s.table.enter(); err != nil {
		return nil, err
	}
	defer s.table.leave()
	prefix := s.indexPrefix(entry)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, s.table.check(err)
	}
	var keys []string
	var stale [][]byte
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		key := string(it.Key()[len(prefix):])
		var row []byte
		if row, err = s.committed(key); err != nil {
			break
		}
		if row != nil && slices.Contains(s.o.index(key, row), entry) {
			keys = append(keys, key)
		} else if len(stale) < maxStale {
			stale = append(stale, bytes.Clone(it.Key()))
		}
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, s.table.check(err)
	}
	return keys, s.drop(stale)
}

// drop removes stale entries. A row that gets the same entry back at this moment must not lose it: the write of a row and this one exclude each
// other, and each entry is checked once more.
func (s *store) drop(stale [][]byte) error {
	if len(stale) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writeAll(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }()
	for _, k := range stale {
		valid, err := s.valid(k)
		if err != nil {
			return err
		}
		if !valid {
			if err := b.Delete(k, nil); err != nil {
				return err
			}
		}
	}
	return b.Commit(pebble.NoSync)
}

// valid says whether an entry agrees with its row in Pebble. The caller holds mu, and nothing is unwritten.
func (s *store) valid(entry []byte) (bool, error) {
	key, ok := s.entryKey(entry)
	if !ok {
		return false, nil
	}
	row, err := s.read(key)
	if err != nil || row == nil {
		return false, err
	}
	if entry[4] == kindIndex {
		return slices.ContainsFunc(s.o.index(key, row), func(e string) bool {
			return bytes.Equal(append(s.indexPrefix(e), key...), entry)
		}), nil
	}
	return slices.ContainsFunc(s.o.due(key, row), func(d Deadline) bool {
		return bytes.Equal(s.dueKey(dueMillis(d.At), key, d), entry)
	}), nil
}

// due returns at most limit deadlines that have passed at now, earliest first, leaving out those that skip names (nil: none).
func (s *store) due(now time.Time, limit int, skip func(dueEntry) bool) ([]dueEntry, error) {
	if s.o.due == nil {
		return nil, nil
	}
	s.mu.Lock()
	if s.recovering {
		s.mu.Unlock()
		return nil, errRecovering
	}
	err := s.writeAll()
	s.nextAt = noDeadline // writes that come after this scan's view of the rows lower it again
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	found, next, stale, err := s.scanDue(now.UnixMilli(), limit, skip)
	s.mu.Lock()
	if err != nil {
		next = 0
	}
	s.nextAt = min(s.nextAt, next)
	s.mu.Unlock()
	if err != nil {
		return nil, s.table.check(err)
	}
	return found, s.drop(stale)
}

// scanDue reads the due index up to now. next is when a later scan may find more.
func (s *store) scanDue(now int64, limit int, skip func(dueEntry) bool) (found []dueEntry, next int64, stale [][]byte, err error) {
	if err := s.table.enter(); err != nil {
		return nil, 0, nil, err
	}
	defer s.table.leave()
	it, err := s.iterate(kindDue)
	if err != nil {
		return nil, 0, nil, err
	}
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		at, key, ok := parseDueKey(it.Key())
		if at > now || len(found) >= limit || len(stale) >= maxStale {
			return found, at, stale, nil
		}
		var row []byte
		if row, err = s.committed(key); err != nil {
			return nil, 0, nil, err
		}
		var d Deadline
		valid := false
		if ok && row != nil {
			d, valid = s.match(it.Key(), key, row)
		}
		switch e := (dueEntry{Key: key, Deadline: d}); {
		case !valid:
			stale = append(stale, bytes.Clone(it.Key()))
		case skip == nil || !skip(e):
			found = append(found, e)
		}
	}
	return found, noDeadline, stale, nil
}

// match returns the deadline of row that an entry of the due index stands for.
func (s *store) match(entry []byte, key string, row []byte) (Deadline, bool) {
	for _, d := range s.o.due(key, row) {
		if bytes.Equal(s.dueKey(dueMillis(d.At), key, d), entry) {
			return d, true
		}
	}
	return Deadline{}, false
}

// nextDue returns when due can first report something that its last call did not; false if nothing is waiting. A row that was committed within the
// last second may not be counted yet.
func (s *store) nextDue() (time.Time, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.recovering || s.nextAt == noDeadline {
		return time.Time{}, false
	}
	return time.UnixMilli(s.nextAt), true
}

// dueMillis rounds up, so that no deadline is reported early.
func dueMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

func (s *store) indexPrefix(entry string) []byte {
	k := binary.AppendUvarint(s.keyspace(nil, kindIndex), uint64(len(entry)))
	return append(k, entry...)
}

func (s *store) dueKey(at int64, key string, d Deadline) []byte {
	k := s.keyspace(make([]byte, 0, 32+len(key)+len(d.Kind)+len(d.Ref)), kindDue)
	k = binary.BigEndian.AppendUint64(k, uint64(at)^(1<<63))
	k = binary.AppendUvarint(k, uint64(len(key)))
	k = append(k, key...)
	k = append(k, d.Kind...)
	k = append(k, 0)
	return append(k, d.Ref...)
}

func parseDueKey(k []byte) (at int64, key string, ok bool) {
	if len(k) < 13 {
		return 0, "", false
	}
	at = int64(binary.BigEndian.Uint64(k[5:]) ^ (1 << 63))
	n, size := binary.Uvarint(k[13:])
	if size <= 0 || uint64(len(k)-13-size) < n {
		return at, "", false
	}
	return at, string(k[13+size:][:n]), true
}

// entryKey returns the row's key in an index entry.
func (s *store) entryKey(entry []byte) (string, bool) {
	if entry[4] == kindDue {
		_, key, ok := parseDueKey(entry)
		return key, ok
	}
	n, size := binary.Uvarint(entry[5:])
	if size <= 0 || uint64(len(entry)-5-size) < n {
		return "", false
	}
	return string(entry[5+size+int(n):]), true
}

// after returns the first key that does not begin with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
