package eos

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// maxLooked bounds how many entries of one partition a page of a search looks at.
const maxLooked = 1_000

// Place is where somebody is in an order of rows: those of an index by entry and key, or those of a table by key alone. The zero Place is before all.
type Place struct{ Entry, Key string }

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Entry, q.Entry), cmp.Compare(p.Key, q.Key))
}

// Hit is a row that was found.
type Hit struct {
	Place

	Row []byte
}

// Page is a part of what was found, in order.
type Page struct {
	Hits []Hit
	// Next is where the next page begins, zero if there is none. A page may have fewer hits than were asked for and a next one all the same: a search
	// that keeps few of many rows does not look at all of them at once.
	Next Place
}

// Find returns rows that have an entry with this prefix in their index, in the order of entry and key, from behind after on: at most limit, and of
// those only the ones that keep wants (nil: all). A row with several such entries stands at the first. A place is one in the order and no number of
// rows, so what is committed meanwhile moves nothing: each row that stays as it is comes once. *NotReadyError before the view has recovered.
func (v *View) Find(prefix string, after Place, limit int, keep func(key string, row []byte) bool) (Page, error) {
	if v.cfg.Index == nil {
		return Page{}, fmt.Errorf("the view of %s has no index", v.cfg.Topic)
	}
	return v.page(limit, func(s *store, each func(Hit) bool) error {
		looked := 0
		_, err := s.scan(prefix, after.seek(), func(h Hit) bool {
			if h.compare(after) <= 0 {
				return true
			}
			if first := s.first(h, prefix); first != h.Entry || keep != nil && !keep(h.Key, h.Row) {
				if looked++; looked >= maxLooked {
					h.Row = nil
					return each(h)
				}
				return true
			}
			return each(h)
		})
		return err
	})
}

// Keys returns rows whose key has this prefix, in the order of the keys, from behind after on: as Find does, but for the entries.
func (v *View) Keys(prefix, after string, limit int, keep func(key string, row []byte) bool) (Page, error) {
	return v.page(limit, func(s *store, each func(Hit) bool) error {
		looked := 0
		start := []byte(max(prefix, after))
		it, err := s.IteratorWithRange(start, limitOf(prefix))
		if err != nil {
			return err
		}
		defer it.Release()
		for it.Next() {
			row, err := it.Value()
			if err != nil {
				return err
			}
			h := Hit{Place{Key: string(it.Key())}, row}
			if h.Key == after {
				continue
			}
			if keep != nil && !keep(h.Key, row) {
				if looked++; looked < maxLooked {
					continue
				}
				h.Row = nil
			}
			if !each(h) {
				break
			}
		}
		return it.Err()
	})
}

func limitOf(prefix string) []byte {
	if prefix == "" {
		return nil
	}
	return after([]byte(prefix))
}

// page asks every partition for its next hits and merges them. A hit without a row is where a partition has given up for this time.
func (v *View) page(limit int, ask func(s *store, each func(Hit) bool) error) (Page, error) {
	r, err := v.use()
	if err != nil {
		return Page{}, err
	}
	defer r.done()
	var hits []Hit
	var end *Place // where the first partition stopped that has more: what others have behind that comes later
	for _, s := range r.stores {
		n := 0
		err := ask(s, func(h Hit) bool {
			if h.Row != nil {
				hits = append(hits, h)
			}
			if n++; n <= limit && h.Row != nil {
				return true
			}
			if end == nil || h.compare(*end) < 0 {
				end = &h.Place
			}
			return false
		})
		if err != nil {
			return Page{}, v.explain(s, err)
		}
	}
	if err := r.whole(); err != nil {
		return Page{}, err
	}
	slices.SortFunc(hits, func(a, b Hit) int { return a.compare(b.Place) })
	p := Page{Hits: hits}
	if end != nil {
		n, found := slices.BinarySearchFunc(hits, *end, func(h Hit, at Place) int { return h.compare(at) })
		if found {
			n++
		}
		p.Hits, p.Next = hits[:n], *end
	}
	if len(p.Hits) > limit {
		p.Hits = p.Hits[:limit]
		p.Next = p.Hits[limit-1].Place
	}
	return p, nil
}

// seek is where the entries behind a place begin, within those of a prefix.
func (p Place) seek() string {
	if p == (Place{}) {
		return ""
	}
	return p.Entry + "\x00" + p.Key
}

// first is the first entry of a hit's row that has the prefix.
func (s *store) first(h Hit, prefix string) string {
	first := h.Entry
	entries, _ := s.entries(h.Key, h.Row) // scan has had them
	for _, entry := range entries {
		if strings.HasPrefix(entry, prefix) && entry < first {
			first = entry
		}
	}
	return first
}

// scan calls each for the committed rows whose look-up entries, with a zero byte and the row's key behind them, begin with prefix and are not before
// from, in their order, until it returns false; then more is true.
func (s *store) scan(prefix, from string, each func(Hit) bool) (more bool, err error) {
	s.mu.Lock()
	err = s.writeAll()
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	if err := s.table.enter(); err != nil {
		return false, err
	}
	defer s.table.leave()
	lower := append(s.keyspace(nil, kindIndex), prefix...)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return false, s.table.check(err)
	}
	defer func() { err = s.table.check(errors.Join(err, it.Error(), it.Close())) }()
	for ok := it.SeekGE(append(s.keyspace(nil, kindIndex), max(prefix, from)...)); ok; ok = it.Next() {
		entry, key, ok := bytes.Cut(it.Key()[5:], []byte{0})
		if !ok {
			continue
		}
		h := Hit{Place: Place{string(entry), string(key)}}
		if h.Row, err = s.committed(h.Key); err != nil {
			return false, err
		}
		if h.Row == nil {
			continue // deleted since, and not written yet
		}
		entries, err := s.entries(h.Key, h.Row)
		if err != nil {
			return false, err
		}
		if !slices.Contains(entries, h.Entry) {
			continue // committed since, and not written yet
		}
		if !each(h) {
			return true, nil
		}
	}
	return false, nil
}
