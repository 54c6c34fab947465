package eos

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A look-up entry is written in the batch of the row that it comes from, and removed in the batch in which the row no longer says so: an entry is
// made of what the row has, which may be personal, and must not outlive it. That costs a read of the row that was there, of views alone.
//
// A deadline is a hint. It is never removed by a later write of its row, because the tables of processors are written far more often. Who reads one
// checks it against the row, and drops it if the row no longer says so.

// noDeadline is later than every deadline.
const noDeadline = math.MaxInt64

// maxStale bounds how many stale entries one call looks at and drops, so that it holds up a transaction for a tenth of a second at most. The next call
// goes on from there.
const maxStale = 10_000

// lookAround is after how many rows the making of an index looks whether it is still wanted.
const lookAround = 256

// dueEntry is a deadline of a row that has passed.
type dueEntry struct {
	Key string
	Deadline
}

// appendHints writes the deadlines of a row and returns the earliest.
func (s *store) appendHints(b *pebble.Batch, key string, value []byte) int64 {
	earliest := int64(noDeadline)
	if value == nil {
		return earliest
	}
	if s.o.due != nil {
		for _, d := range s.o.due(key, value) {
			at := dueMillis(d.At)
			_ = b.Set(s.dueKey(at, key, d), nil, nil) // a batch that is not committed cannot fail
			earliest = min(earliest, at)
		}
	}
	return earliest
}

// appendEntries writes the look-up entries of a row, and removes those of the row that it replaces (nil: none).
func (s *store) appendEntries(b *pebble.Batch, key string, was, is []string) {
	for _, entry := range was {
		if !slices.Contains(is, entry) {
			_ = b.Delete(append(s.indexPrefix(entry), key...), nil) // a batch that is not committed cannot fail
		}
	}
	for _, entry := range is {
		if !slices.Contains(was, entry) {
			_ = b.Set(append(s.indexPrefix(entry), key...), nil, nil)
		}
	}
}

// entries are the look-up entries of a row, none if it is deleted. One with a zero byte would end where it does not, and is none.
func (s *store) entries(key string, row []byte) ([]string, error) {
	if row == nil {
		return nil, nil
	}
	all, err := s.o.index(key, row)
	if err != nil {
		return nil, fmt.Errorf("look-up entries of %q: %w", key, err)
	}
	return slices.DeleteFunc(all, func(entry string) bool { return strings.IndexByte(entry, 0) >= 0 }), nil
}

// replaced are the look-up entries of the row that Pebble has of a key.
func (s *store) replaced(key string) ([]string, error) {
	row, err := s.read(key)
	if err != nil {
		return nil, err
	}
	return s.entries(key, row)
}

// indexName is what the index on disk is called: what it holds, and its layout if it has look-up entries.
func (o *storeOptions) indexName() string {
	if o.index == nil {
		return o.indexVersion
	}
	return "ordered/" + o.indexVersion
}

// buildIndex makes the index of all rows, if it is not complete, and finds the first deadline. The caller holds mu.
func (s *store) buildIndex(ctx context.Context) error {
	if !s.indexed && (s.o.index != nil || s.o.due != nil) {
		if err := s.rebuildIndex(ctx); err != nil {
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

// rebuildIndex reads all rows, which takes seconds for a million. When it is broken off there is no index, and the next recovery begins again.
func (s *store) rebuildIndex(ctx context.Context) error {
	b := s.db.NewBatchWithSize(minBulkBytes)
	defer func() { _ = b.Close() }()
	if err := b.DeleteRange(s.keyspace(nil, kindIndex), s.keyspace(nil, kindEnd), nil); err != nil {
		return err
	}
	if err := b.Delete(s.meta(metaIndex), nil); err != nil { // a release with another index must not take half of this one for it
		return err
	}
	it, err := s.iterate(kindRow)
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		key := string(it.Key()[5:])
		s.appendHints(b, key, it.Value())
		if s.o.index != nil {
			is, err := s.entries(key, it.Value())
			if err != nil {
				return err
			}
			s.appendEntries(b, key, nil, is)
		}
		if n++; n%lookAround == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
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
	if err := b.Set(s.meta(metaIndex), []byte(s.o.indexName()), nil); err != nil {
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
	var keys []string
	_, err := s.scan(entry+"\x00", "", func(h Hit) bool {
		keys = append(keys, h.Key)
		return true
	})
	return keys, err
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

// valid says whether a deadline's entry agrees with its row in Pebble. The caller holds mu, and nothing is unwritten.
func (s *store) valid(entry []byte) (bool, error) {
	_, key, ok := parseDueKey(entry)
	if !ok {
		return false, nil
	}
	row, err := s.read(key)
	if err != nil || row == nil {
		return false, err
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
	k := append(s.keyspace(make([]byte, 0, 64), kindIndex), entry...)
	return append(k, 0)
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
