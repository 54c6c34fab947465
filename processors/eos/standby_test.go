//go:build synctests

package eos

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
)

func hotStandby(c *Config)   { c.HotStandby = true }
func recoverAhead(c *Config) { c.RecoverAhead = true }

// unread is how many changelog records an instance had to read for the partitions that it was assigned last.
func (i *instance) unread() (n int64) {
	for _, tb := range i.proc.generation.Load().tables.all() {
		_, of := tb.progress()
		n += of
	}
	return n
}

// completeAt is when a store is known to have contained all that its log had.
func (i *instance) completeAt(partition int32) time.Time {
	s := i.proc.dir.tables[tableName].stores[partition]
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.UnixMilli(s.position.asOf)
}

// An instance with copies takes over from one that was killed and reads next to nothing; what it serves is what the group has.
func TestAHotStandbyHasNothingToRead(t *testing.T) {
	for name, change := range map[string]func(*Config){"hot standby": hotStandby, "without": func(*Config) {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, onVirtualNetwork(new(kfake.VirtualNetwork)))
				defer w.close()
				defer w.reap()
				one := w.start("one", nil, change)
				one.ready()
				two := w.start("two", nil, change)
				w.commandsFor("a", 2000, 500)
				w.until("the group has caught up", w.caughtUp)
				time.Sleep(30 * time.Second)
				w.commandsFor("b", 100, 500)
				w.until("the group has caught up", w.caughtUp)
				time.Sleep(time.Second)
				one.kill()
				w.commandsFor("c", 100, 500)
				w.until("the group has caught up", w.caughtUp)
				n := two.unread()
				if copied := name != "without"; copied != (n <= 8) { // a marker or two in each partition
					t.Errorf("%d records to read at the take-over", n)
				}
				w.verify()
				w.verifyRows(two)
				two.stop()
			})
		})
	}
}

// An instance that recovers ahead does not join before it has read the table.
func TestAnInstanceThatRecoversAheadHasNothingToRead(t *testing.T) {
	for name, change := range map[string]func(*Config){"recover ahead": recoverAhead, "without": func(*Config) {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, onVirtualNetwork(new(kfake.VirtualNetwork)))
				defer w.close()
				defer w.reap()
				one := w.start("one", nil)
				w.commandsFor("a", 2000, 500)
				w.until("the group has caught up", w.caughtUp)
				two := w.start("two", nil, change)
				two.ready()
				if n := two.unread(); (name != "without") != (n <= 8) {
					t.Errorf("%d records to read after joining", n)
				}
				if p := two.proc.standby; p != nil && len(p.all()) != 0 {
					t.Errorf("%d partitions are copied still", len(p.all()))
				}
				w.commandsFor("b", 100, 500)
				w.until("the group has caught up", w.caughtUp)
				w.verify()
				w.verifyRows(one, two)
				one.stop()
				two.stop()
			})
		})
	}
}

// Copies follow for longer than the log keeps deletions, idle and busy, and are not read anew for it when they are taken over. A copy that was cut off for that
// long is: it may have missed deletions.
func TestCopiesOutliveDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, onVirtualNetwork(new(kfake.VirtualNetwork)), withConfig(tableName, "delete.retention.ms", "1200000"))
		defer w.close()
		defer w.reap()
		slow := func(c *Config) { c.HotStandby, c.HeartbeatInterval = true, 3*time.Second }
		one := w.start("one", nil, slow)
		one.ready()
		two := w.start("two", nil, slow)
		two.ready()
		for range 3 {
			w.commandsFor("a", 50, 20)
			time.Sleep(15 * time.Minute)
		}
		for _, f := range two.proc.standby.all() {
			if at := two.completeAt(f.partition); time.Since(at) > 2*time.Minute {
				t.Errorf("the copy of partition %d is known to be complete as of %s ago", f.partition, time.Since(at))
			}
		}
		one.stop()
		w.until("the group has caught up", w.caughtUp)
		two.ready()
		if log := w.log.String(); strings.Contains(log, "local state is removed") {
			t.Errorf("a copy that was complete is read anew:\n%s", log)
		}
		fs := vfs.NewCrashableMem()
		one = w.start("one", fs, slow)
		one.ready()
		one.link.cut()
		time.Sleep(30 * time.Minute)
		w.commandsFor("b", 50, 20)
		one.link.heal()
		time.Sleep(10 * time.Minute)
		if log := w.log.String(); !strings.Contains(log, "local state is removed") {
			t.Errorf("a copy that was cut off for longer than deletions are kept is not read anew:\n%s", log)
		}
		w.until("the group has caught up", w.caughtUp)
		w.verify()
		w.verifyRows(one, two)
		one.stop()
		two.stop()
	})
}
