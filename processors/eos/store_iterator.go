package eos

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

// Iterator iterates over all rows, the open transaction included, as they are now.
func (s *store) Iterator() (storage.Iterator, error) { return s.IteratorWithRange(nil, nil) }

// IteratorWithRange iterates over the rows with start <= key < limit, the open transaction included, as they are now. An empty bound is none
// (Goka's LevelDB storage takes an empty limit for "all keys that begin with start", which its own interface does not say).
func (s *store) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writeAll(); err != nil {
		return nil, err
	}
	opts := &pebble.IterOptions{
		LowerBound: append(s.keyspace(nil, kindRow), start...),
		UpperBound: s.keyspace(nil, kindRow+1),
	}
	if len(limit) > 0 {
		opts.UpperBound = append(s.keyspace(nil, kindRow), limit...)
	}
	if bytes.Compare(opts.LowerBound, opts.UpperBound) >= 0 {
		return &storage.NullIter{}, nil
	}
	it, err := s.db.NewIter(opts)
	if err != nil {
		return nil, s.table.check(err)
	}
	m := &iterator{store: s, base: it}
	for _, r := range s.open {
		if r.key >= string(start) && (len(limit) == 0 || r.key < string(limit)) {
			m.over = append(m.over, rowWrite{r.key, r.next})
		}
	}
	slices.SortFunc(m.over, func(a, b rowWrite) int { return cmp.Compare(a.key, b.key) })
	return m, nil
}

// iterator merges the rows of an open transaction (over) with those in Pebble (base); where both have a key, over wins, and a nil value there
// hides the row. It stands before the first row when it is made.
type iterator struct {
	store   *store
	base    *pebble.Iterator
	over    []rowWrite
	next    int  // in over
	ready   bool // base stands on a row that was not passed yet, or at its end
	current rowWrite
	onRow   bool
	err     error
}

// Next moves to the next row and says whether there is one.
func (i *iterator) Next() bool {
	if i.base == nil || i.err != nil {
		return false
	}
	if !i.ready {
		i.advance(i.base.First())
	}
	return i.step()
}

// Seek moves to the first row whose key is not less than key, and says whether there is one. The iterator then stands on that row, as Goka's merge
// of several partitions needs and its LevelDB storage does.
func (i *iterator) Seek(key []byte) bool {
	if i.base == nil || i.err != nil {
		return false
	}
	i.advance(i.base.SeekGE(append(i.store.keyspace(nil, kindRow), key...)))
	i.next = sort.Search(len(i.over), func(n int) bool { return i.over[n].key >= string(key) })
	return i.step()
}

// advance notes that base has moved, to a row or to its end.
func (i *iterator) advance(ok bool) {
	i.ready = true
	if !ok {
		i.err = i.store.table.check(i.base.Error())
	}
}

// step takes the smaller of both next rows.
func (i *iterator) step() bool {
	i.onRow = false
	for i.err == nil {
		fromOver, fromBase := i.next < len(i.over), i.base.Valid()
		if !fromOver && !fromBase {
			return false
		}
		var order int
		switch {
		case !fromOver:
			order = 1
		case !fromBase:
			order = -1
		default:
			order = cmp.Compare(i.over[i.next].key, string(i.base.Key()[5:]))
		}
		if order > 0 {
			return i.take(rowWrite{string(i.base.Key()[5:]), i.base.Value()}, true)
		}
		top := i.over[i.next]
		i.next++
		if order == 0 {
			i.advance(i.base.Next())
		}
		if top.value != nil {
			return i.take(top, false)
		}
	}
	return false
}

// take makes r the current row. A row of base is copied, because base must move on.
func (i *iterator) take(r rowWrite, ofBase bool) bool {
	if ofBase {
		r.value = append([]byte{}, r.value...)
		i.advance(i.base.Next())
	}
	i.current, i.onRow = r, i.err == nil
	return i.onRow
}

// Err returns the error that ended the iteration.
func (i *iterator) Err() error { return i.err }

// Key returns the current row's key, nil if the iterator stands on none.
func (i *iterator) Key() []byte {
	if !i.onRow {
		return nil
	}
	return []byte(i.current.key)
}

// Value returns the current row, nil if the iterator stands on none.
func (i *iterator) Value() ([]byte, error) {
	if !i.onRow {
		return nil, i.err
	}
	return i.current.value, nil
}

// Release frees the iterator. It is not usable afterwards.
func (i *iterator) Release() {
	if i.base != nil {
		i.err = errors.Join(i.err, i.base.Close())
	}
	i.base, i.over, i.onRow = nil, nil, false
}
