//go:build synctests

package eos

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// One partition of a view waits with a row when another one cannot be read for a moment. The view reads on from there, also while the row still waits:
// otherwise it would answer for ever from rows that grow older.
func TestAViewReadsOnAfterAnErrorWhileARowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLogCluster(t, 2, "t")
		a, b := keyIn(0, 2), keyIn(1, 2)
		c.write(t, kgo.TryCommit, rec("t", 0, a, "1"), rec("t", 1, b, "1"))
		var known atomic.Bool
		v, stop := runView(t, ViewConfig{Client: c.opts, Topic: "t", Admit: func(value []byte) error {
			if known.Load() || !strings.HasPrefix(string(value), "new") {
				return nil
			}
			return fmt.Errorf("the registry: %w", ErrBlocked)
		}})
		waitFor(t, v, b, "1")
		c.write(t, kgo.TryCommit, rec("t", 0, a, "new"))
		time.Sleep(10 * time.Minute)
		denied := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: 1})
		for began := time.Now(); denied.Hits() == 0; {
			if time.Sleep(time.Millisecond); time.Since(began) > time.Minute {
				t.Fatal("nothing was tested")
			}
		}
		c.write(t, kgo.TryCommit, rec("t", 1, b, "2"))
		waitFor(t, v, b, "2")
		c.write(t, kgo.TryCommit, rec("t", 1, b, "3")) // after the view has read up to where the log ended when it began again
		waitFor(t, v, b, "3")
		if row, err := v.Get(a); err != nil || string(row) != "1" {
			t.Errorf("the row that waits: %q, %v", row, err)
		}
		known.Store(true)
		waitFor(t, v, a, "new")
		stop()
	})
}
