//go:build synctests

package eos

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
)

// keepsTheLast makes the counter's rows what the last command of a key said, and none if it was "delete".
func keepsTheLast(c *Config) {
	c.Graph = goka.DefineGroup(groupName, goka.Persist(bytesCodec{}), goka.Output(events, bytesCodec{}),
		goka.Input(commands, bytesCodec{}, func(ctx goka.Context, msg any) {
			if id, _ := msg.([]byte); string(id) == "delete" {
				ctx.Delete()
				return
			}
			ctx.SetValue(msg)
		}))
}

// A process stands still for longer than the log keeps deletions, while another one has its partitions. What was deleted meanwhile, and compacted away, does not
// live on: when it wakes, it does not take its rows for complete only because nobody has told it yet that it is out.
func TestAProcessThatStoodStillDoesNotVouchForItsRows(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		defer w.reap()
		key := keyIn(0, w.partitions)
		var stands, woke atomic.Bool
		var sleptAt, wokeWith atomic.Int64
		var one *instance
		one = w.newInstance("one", nil, keepsTheLast, func(c *Config) {
			c.Hooks.At = func(point string) {
				switch {
				case point != "poll":
				case stands.CompareAndSwap(true, false):
					sleptAt.Store(time.Now().UnixMilli())
					one.link.cut()
					time.Sleep(40 * time.Minute)
					one.link.heal()
					woke.Store(true)
				case woke.CompareAndSwap(true, false):
					wokeWith.Store(one.completeAt(0).UnixMilli())
				}
			}
		})
		one.run()
		one.ready()
		for n := range 20 {
			w.produce(w.record("other"+strconv.Itoa(n), "1"))
		}
		w.produce(w.record(key, "a person"))
		w.until("the person is there", w.caughtUp)
		time.Sleep(5 * time.Minute)
		if at := one.completeAt(0); time.Since(at) > 2*time.Minute {
			t.Errorf("the rows of an idle owner are known to be complete as of %v ago", time.Since(at))
		}
		stands.Store(true)
		two := w.start("two", nil, keepsTheLast)
		time.Sleep(2 * time.Minute)
		two.ready()
		w.produce(w.record(key, "delete"))
		w.until("the person is deleted", w.caughtUp)
		time.Sleep(35 * time.Minute)
		for n := range 20 {
			w.produce(w.record("another"+strconv.Itoa(n), "1"))
		}
		w.until("others came", w.caughtUp)
		w.cluster.Compact()
		w.cluster.Compact()
		time.Sleep(10 * time.Minute)
		two.stop()
		time.Sleep(time.Minute)
		one.ready()
		if row, err := one.proc.Get(key); err != nil || row != nil {
			t.Errorf("the person is %q (%v)", row, err)
		}
		if wokeWith.Load() == 0 || wokeWith.Load() > sleptAt.Load() {
			t.Errorf("it woke with rows that were known to be complete as of %v after it fell asleep",
				time.Duration(wokeWith.Load()-sleptAt.Load())*time.Millisecond)
		}
		if log := w.log.String(); !strings.Contains(log, "it was last complete") {
			t.Error("nothing was read anew")
		}
		one.stop()
	}, withConfig(tableName, "delete.retention.ms", "1200000"), withConfig(tableName, "min.cleanable.dirty.ratio", "0"))
}

// What a transaction wrote is complete as of when it began: that the partition was this member's later, nobody has said.
func TestATransactionVouchesForTheTimeThatItBegan(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		defer w.reap()
		key := keyIn(0, w.partitions)
		var began atomic.Int64
		a := w.start("a", nil, func(c *Config) {
			c.Hooks.At = func(point string) {
				switch point {
				case "begin":
					began.Store(time.Now().UnixMilli())
				case "end_answered":
					time.Sleep(5 * time.Second)
				}
			}
		})
		a.ready()
		w.produce(w.record(key, "one"))
		w.until("it is counted", func() bool { row, err := a.proc.Get(key); return err == nil && count(row) == 1 })
		if at := a.completeAt(0).UnixMilli(); at != began.Load() {
			t.Errorf("complete as of %v after it began", time.Duration(at-began.Load())*time.Millisecond)
		}
		a.stop()
	})
}
