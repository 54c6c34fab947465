package eos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// rowWrite is a committed row on its way to Pebble.
type rowWrite struct {
	key   string
	value []byte
}

// commitOpen makes the open rows the committed ones. asOf is when the rows contain all the log had, in Unix milliseconds. The caller holds mu.
func (s *store) commitOpen(offset, asOf int64) error {
	if err := s.usable(); err != nil {
		return err
	}
	for i, r := range s.open {
		s.rows.setValue(r, clone(r.next))
		r.next, r.open = nil, false
		if !r.unwritten {
			r.unwritten = true
			s.unwritten = append(s.unwritten, r)
			s.unwrittenN += r.size()
		}
		s.open[i] = nil
		if s.o.changed != nil {
			s.o.changed(r.key)
		}
	}
	s.open = s.open[:0]
	s.openSize.Store(0)
	s.position.asOf = asOf
	if offset >= 0 {
		s.position.offset = offset
	}
	s.shrink()
	return s.writeSoon()
}

// dropOpen forgets what the open transaction set. The caller holds mu.
func (s *store) dropOpen() {
	for i, r := range s.open {
		r.next, r.open = nil, false
		if !r.known {
			s.rows.forget(r)
		}
		s.open[i] = nil
	}
	s.open = s.open[:0]
	s.openSize.Store(0)
}

// writeSoon starts a write if there is enough to write, else sees to it that one starts within writeAfter. It waits only when far more was
// committed than the disk has taken. The caller holds mu.
func (s *store) writeSoon() error {
	for s.unwrittenN >= maxUnwrittenBytes && s.writing != nil {
		s.writeEnded.Wait()
	}
	if s.unwrittenN >= writeBytes && s.writing == nil {
		rows, at := s.freeze()
		go func() { _ = s.write(rows, at) }() // a failed write fails the table: the next commit returns it
	} else if s.timer == nil {
		s.timer = time.AfterFunc(writeAfter, s.writeLate)
	}
	return s.table.failed()
}

// writeLate is the timer's: it writes whatever there is.
func (s *store) writeLate() {
	s.mu.Lock()
	s.timer = nil
	if s.closed {
		s.mu.Unlock()
		return
	}
	err := s.writeAll()
	s.mu.Unlock()
	if err != nil {
		s.o.logger.Error("write the local state", slog.String("topic", s.table.topic),
			slog.Int("partition", int(s.partition)), slog.String("error", err.Error()))
		return
	}
	s.table.flushSometimes()
}

// writeAll writes everything that is committed and waits for it. The caller holds mu, which is released meanwhile.
func (s *store) writeAll() error {
	for {
		for s.writing != nil {
			s.writeEnded.Wait()
		}
		if err := s.usable(); err != nil {
			return err
		}
		switch {
		case s.bulk != nil:
			return s.writeBulk()
		case len(s.unwritten) == 0 && s.position == s.persisted:
			return nil
		}
		rows, at := s.freeze()
		s.mu.Unlock()
		err := s.write(rows, at)
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// freeze takes the unwritten rows as they are now; they may change again while they are being written. The caller holds mu and has seen that no
// write is under way.
func (s *store) freeze() ([]rowWrite, position) {
	rows := make([]rowWrite, len(s.unwritten))
	for i, r := range s.unwritten {
		rows[i] = rowWrite{r.key, r.value}
		r.unwritten = false
	}
	s.writing, s.unwritten, s.unwrittenN = s.unwritten, nil, 0
	if s.writing == nil {
		s.writing = []*row{} // not nil: a write of the offset alone is a write
	}
	return rows, s.position
}

// write puts rows and the position that they belong to into Pebble, in one batch. The caller does not hold mu, and has set writing.
func (s *store) write(rows []rowWrite, at position) error {
	earliest, err := s.apply(rows, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = nil
	s.writeEnded.Broadcast()
	if err != nil {
		return err
	}
	s.persisted = at
	s.nextAt = min(s.nextAt, earliest)
	return nil
}

func (s *store) apply(rows []rowWrite, at position) (earliest int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the state of %s/%d: %w", s.table.topic, s.partition, err)
			s.table.fail(err)
		}
	}()
	size := 0
	for i := range rows {
		size += len(rows[i].key) + len(rows[i].value) + 16
	}
	b := s.db.NewBatchWithSize(size + 64)
	defer func() { _ = b.Close() }()
	earliest = noDeadline
	for i := range rows {
		if err := s.appendRow(b, rows[i].key, rows[i].value); err != nil {
			return 0, err
		}
		earliest = min(earliest, s.appendHints(b, rows[i].key, rows[i].value))
		if s.o.index != nil {
			was, err := s.replaced(rows[i].key)
			if err != nil {
				return 0, err
			}
			is, err := s.entries(rows[i].key, rows[i].value)
			if err != nil {
				return 0, err
			}
			s.appendEntries(b, rows[i].key, was, is)
		}
	}
	if err := s.appendPosition(b, at); err != nil {
		return 0, err
	}
	return earliest, b.Commit(pebble.NoSync)
}

// read returns a row from Pebble. It needs no lock, and may be under way when the directory is closed.
func (s *store) read(key string) ([]byte, error) {
	if err := s.table.enter(); err != nil {
		return nil, err
	}
	defer s.table.leave()
	// Get would not ask the filters of the last level, where nearly all rows are, whether there is such a key. New customers are common.
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, s.table.check(err)
	}
	var buf [128]byte
	var value []byte
	if it.SeekPrefixGE(append(s.keyspace(buf[:0], kindRow), key...)) {
		value = append([]byte{}, it.Value()...)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, s.table.check(fmt.Errorf("read the state of %s/%d: %w", s.table.topic, s.partition, err))
	}
	return value, nil
}

// Keys in Pebble: partition (4 bytes, big endian), kind, and what the kind says.
const (
	kindMeta  = 0 // identity, position, index
	kindRow   = 1 // the row's key
	kindIndex = 2 // entry, 0, the row's key
	kindDue   = 3 // time (8 bytes, big endian), length of the row's key (uvarint), the row's key, kind, 0, ref
	kindEnd   = 4

	metaIdentity = "identity"
	metaPosition = "position"
	metaIndex    = "index"
)

// keyspace appends the prefix of the partition's keys of one kind.
func (s *store) keyspace(dst []byte, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(s.partition)), kind)
}

func (s *store) meta(name string) []byte { return append(s.keyspace(nil, kindMeta), name...) }

func (s *store) appendRow(b *pebble.Batch, key string, value []byte) error {
	n := 5 + len(key)
	if value == nil {
		d := b.DeleteDeferred(n)
		copy(s.keyspace(d.Key[:0], kindRow)[5:n], key)
		return d.Finish()
	}
	d := b.SetDeferred(n, len(value))
	copy(s.keyspace(d.Key[:0], kindRow)[5:n], key)
	copy(d.Value, value)
	return d.Finish()
}

func (s *store) appendPosition(b *pebble.Batch, at position) error {
	var v [16]byte
	binary.BigEndian.PutUint64(v[:8], uint64(at.offset))
	binary.BigEndian.PutUint64(v[8:], uint64(at.asOf))
	return b.Set(s.meta(metaPosition), v[:], nil)
}
