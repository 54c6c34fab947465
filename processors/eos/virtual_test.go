//go:build synctests

package eos

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inVirtualTime runs a test with a clock that jumps whenever everybody waits, on a network in memory.
func inVirtualTime(t *testing.T, seed uint64, f func(t *testing.T, w *world), opts ...worldOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, append([]worldOption{onVirtualNetwork(new(kfake.VirtualNetwork))}, opts...)...)
		defer w.close()
		f(t, w)
	})
}

// EndTxn was applied, but its answer was replaced by UNKNOWN_SERVER_ERROR. The client then says "not committed" without an error and rewinds to what it
// believes was committed before; the group has moved on. Measured with a client that is kept: 5 inputs became 10 committed outputs.
func TestACommitWithoutItsAnswerIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int16{
		"unknown server error": kerr.UnknownServerError.Code,
		"request timed out":    kerr.RequestTimedOut.Code,
		"no answer at all":     -2,
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				a := w.start("a", nil)
				a.ready()
				w.commandsFor("first-", 5, 3)
				w.until("the first are counted", w.caughtUp)
				var lost atomic.Int64
				a.link.onAnswer(func(key int16, body []byte) bool {
					if key != kmsg.EndTxn.Int16() || !lost.CompareAndSwap(0, 1) {
						return true
					}
					if code == -2 {
						return false
					}
					binary.BigEndian.PutUint16(body[1+4:], uint16(code)) // after the header's tags and the throttle time
					return true
				})
				w.commandsFor("second-", 5, 3)
				w.until("all are counted", w.caughtUp)
				time.Sleep(5 * time.Second)
				if lost.Load() != 1 {
					t.Fatal("no answer was lost: nothing was tested")
				}
				w.verify()
				w.verifyRows(a)
				a.stop()
			})
		})
	}
}

// Rebalances happen between transactions: instances that come and go abort nothing, and leaving takes no time.
func TestInstancesComeAndGoWithoutAborts(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var all []*instance
		for round := range 6 {
			w.commandsFor("x"+string(rune('a'+round)), 50, 20)
			if round < 4 {
				all = append(all, w.start(string(rune('a'+round)), nil))
			} else {
				began := time.Now()
				all[0].stop()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("leaving took %v", took)
				}
				all = all[1:]
			}
			for range 20 {
				w.commandsFor("y"+string(rune('a'+round)), 5, 20)
				time.Sleep(100 * time.Millisecond)
			}
		}
		w.until("the group has caught up", w.caughtUp)
		for _, i := range all {
			i.stop()
		}
		w.verify()
		for what, n := range w.hits {
			if what != "generation" {
				t.Errorf("%s: %d", what, n)
			}
		}
	})
}
