//go:build synctests

package eos

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// While somebody reads the first partition of a view, the second one is wiped, because its log has lost what the view had not read, and cannot be read again
// for long. What was read is not an answer.
func TestAViewThatIsWipedWhileItIsReadHasNotAnswered(t *testing.T) {
	for name, read := range map[string]func(v *View, then func()) error{
		"Iterate": func(v *View, then func()) error {
			return v.Iterate(func(string, []byte) error { then(); return nil })
		},
		"Keys": func(v *View, then func()) error {
			_, err := v.Keys("", "", 100, func(string, []byte) bool { then(); return true })
			return err
		},
		"Find": func(v *View, then func()) error {
			_, err := v.Find("one", Place{}, 100, func(string, []byte) bool { then(); return true })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, wipe := wipeable(t)
				wiped := false
				err := read(v, func() {
					if !wiped {
						wiped = true
						wipe()
					}
				})
				if !wiped || !errors.Is(err, ErrNotReady) {
					t.Errorf("wiped: %v, error %v", wiped, err)
				}
			})
		})
	}
	t.Run("what Get and Lookup ask", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v, wipe := wipeable(t)
			all, err := v.use()
			mustDo(t, err)
			one, err := v.useOne("a")
			mustDo(t, err, all.whole(), one.whole())
			wipe()
			for _, r := range []viewRead{all, one} {
				if err := r.whole(); !errors.Is(err, ErrNotReady) {
					t.Errorf("error %v", err)
				}
				r.done()
			}
		})
	})
}

// wipeable is a view of two partitions that has recovered, and what makes it lose the second one.
func wipeable(t *testing.T) (*View, func()) {
	t.Helper()
	c := newLogCluster(t, 2, "t")
	opts, cut := c.cuttable()
	var blocked atomic.Bool
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "a@one"), rec("t", 1, "b", "b@one"), rec("t", 1, "c", "c@one"))
	v, _ := runView(t, ViewConfig{Client: opts, Topic: "t", Index: byDomain, Admit: func(value []byte) error {
		if blocked.Load() && strings.HasPrefix(string(value), "d") {
			return fmt.Errorf("the registry: %w", ErrBlocked)
		}
		return nil
	}})
	for !v.Ready() {
		time.Sleep(time.Second)
	}
	return v, func() {
		blocked.Store(true)
		cut.Store(true)
		time.Sleep(time.Minute)
		c.write(t, kgo.TryCommit, rec("t", 1, "b", ""))
		c.write(t, kgo.TryCommit, rec("t", 1, "d", "d@one"))
		c.deleteRecords(t, "t", 1, 5)
		cut.Store(false)
		for v.Ready() {
			time.Sleep(100 * time.Millisecond)
		}
	}
}
