package eos

import (
	"bytes"
	"strings"
)

// rowOverhead is what a cached row takes beside its key and value: the struct, the map's slot, and the allocator's rounding.
const rowOverhead = 128

// row is a cached row.
type row struct {
	key   string
	value []byte // committed; nil: there is no row. Never changed in place, because readers keep it
	next  []byte // set by the open transaction; nil: deleted by it

	known     bool // value is what was committed (a Set without a Get before does not know)
	open      bool // next counts
	unwritten bool // value is not in Pebble and not being written
}

func (r *row) size() int { return len(r.key) + len(r.value) + rowOverhead }

// rowCache is a cache of two generations. A row that is used moves to the young one; when that is full it becomes the old one, and what was in the
// old one and not used since is forgotten. It costs one map look-up for a hot row, and no list to maintain.
type rowCache struct {
	young, old map[string]*row
	bytes      int    // of the young generation
	epoch      uint64 // changes whenever a row may have been forgotten
}

// peek returns the row of key if it is in the young generation. It changes nothing.
func (c *rowCache) peek(key string) *row { return c.young[key] }

// use returns the cached row of key, having moved it to the young generation; nil if there is none.
func (c *rowCache) use(key string) *row {
	if r := c.young[key]; r != nil {
		return r
	}
	r := c.old[key]
	if r != nil {
		c.young[r.key] = r
		c.bytes += r.size()
	}
	return r
}

// add makes a row about which nothing is known. The key is copied: it may be part of something larger.
func (c *rowCache) add(key string) *row {
	r := &row{key: strings.Clone(key)}
	c.young[r.key] = r
	c.bytes += r.size()
	return r
}

// setValue makes value the committed one of r, which is in the young generation. The cache keeps value.
func (c *rowCache) setValue(r *row, value []byte) {
	c.bytes += len(value) - len(r.value)
	r.value, r.known = value, true
}

// forget removes a row about which nothing is known.
func (c *rowCache) forget(r *row) {
	if c.young[r.key] == r {
		c.bytes -= r.size()
	}
	delete(c.young, r.key)
	delete(c.old, r.key)
}

// turn makes the young generation the old one. The rows in keep stay young.
func (c *rowCache) turn(keep ...[]*row) {
	c.old, c.young = c.young, make(map[string]*row, len(c.young)/8)
	c.bytes = 0
	c.epoch++
	for _, rows := range keep {
		for _, r := range rows {
			if c.young[r.key] == nil {
				c.young[r.key] = r
				c.bytes += r.size()
			}
		}
	}
}

// clear forgets every row.
func (c *rowCache) clear() {
	c.young, c.old = make(map[string]*row), nil
	c.bytes = 0
	c.epoch++
}

// setCacheLimit takes the store's share of the table's budget. The caller holds mu.
func (s *store) setCacheLimit() {
	s.turnAt = s.table.share(s.o.cacheBytes, s.active.Load()) / 2
}

// shrink turns the generations when the young one has taken half of the store's share. The caller holds mu.
func (s *store) shrink() {
	if s.rows.bytes <= s.turnAt {
		return
	}
	s.rows.turn(s.open, s.unwritten, s.writing)
	s.setCacheLimit()
	// Rows that had to stay may be more than the share: then turning again at once would copy them for nothing.
	s.turnAt = max(s.turnAt, 2*s.rows.bytes)
}

// clone copies a value that the caller may not own, so that the cache never keeps a larger buffer alive. An empty row stays a row.
func clone(value []byte) []byte {
	if value == nil {
		return nil
	}
	if len(value) == 0 {
		return []byte{}
	}
	return bytes.Clone(value)
}
