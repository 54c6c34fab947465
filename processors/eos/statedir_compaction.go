package eos

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// bulkUncompacted is how much a recovery may write before compaction starts beside it.
const bulkUncompacted = 512 << 20

// compactions decides when Pebble compacts a table: as much as Pebble asks for, but not while a recovery fills the table. Merging the first half of
// a million rows while the second half arrives costs more than the recovery itself; afterwards, one pass does it.
//
// Pebble's own scheduler would also wake ten times a second for each table, for ever, which an idle process and a virtual clock both notice.
type compactions struct {
	db pebble.DBForCompaction

	mu           sync.Mutex
	granted      sync.Cond // on mu
	running      int
	recovering   int // partitions
	written      int // by recoveries that are under way
	granting     bool
	unregistered bool
}

var (
	_ pebble.CompactionScheduler   = (*compactions)(nil)
	_ pebble.CompactionGrantHandle = (*compactions)(nil)
)

func newCompactions() *compactions {
	c := new(compactions)
	c.granted.L = &c.mu
	return c
}

// Register implements pebble.CompactionScheduler.
func (c *compactions) Register(_ int, db pebble.DBForCompaction) { c.db = db }

// Unregister implements pebble.CompactionScheduler: after it, db is not called.
func (c *compactions) Unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unregistered = true
	for c.granting {
		c.granted.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.room() {
		return false, nil
	}
	c.running++
	return true, c
}

// room says whether one more compaction may run. The caller holds mu.
func (c *compactions) room() bool {
	held := c.recovering > 0 && c.written < bulkUncompacted
	return !c.unregistered && !held && c.running < c.db.GetAllowedWithoutPermission()
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. It is called with locks held that granting needs.
func (c *compactions) UpdateGetAllowedWithoutPermission() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room() && !c.granting {
		go c.grant()
	}
}

// Started implements pebble.CompactionGrantHandle.
func (*compactions) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (*compactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (*compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle: a compaction has ended.
func (c *compactions) Done() {
	c.mu.Lock()
	c.running--
	c.mu.Unlock()
	c.grant()
}

// grant starts what Pebble was refused before. Our lock is not held while Pebble is called: its locks come first.
func (c *compactions) grant() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.granting {
		c.granted.Wait()
	}
	c.granting = true
	for c.room() {
		c.running++
		c.mu.Unlock()
		waiting, _ := c.db.GetWaitingCompaction()
		accepted := waiting && c.db.Schedule(c)
		c.mu.Lock()
		if !accepted {
			c.running--
			break
		}
	}
	c.granting = false
	c.granted.Broadcast()
}

// recoveryWrote notes what a partition's recovery is about to write.
func (c *compactions) recoveryWrote(first bool, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first {
		c.recovering++
	}
	c.written += bytes
}

// recoveryEnded lets compactions start when no other partition recovers.
func (c *compactions) recoveryEnded() {
	c.mu.Lock()
	c.recovering--
	last := c.recovering == 0
	if last {
		c.written = 0
	}
	c.mu.Unlock()
	if last {
		c.grant()
	}
}
