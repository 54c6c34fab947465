//go:build synctests

package eos

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A view that has recovered goes on noting up to when it was complete while it is opened again. Such a write may be under way when the rows are wiped, and
// must not put the position back that they led to.
func TestAWriteUnderWayEndsBeforeAWipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := mustOpen(t, vfs.NewMem())
		s := mustStore(t, d, storeOptions{})
		mustDo(t, s.Set("a", []byte("1")), s.SetOffset(10), s.Open(), s.completeAsOf(time.Now()))
		s.mu.Lock()
		rows, at := s.freeze()
		s.mu.Unlock()
		wiped := make(chan error)
		go func() { wiped <- s.reconcile(0, 5, time.Now()) }()
		synctest.Wait()
		mustDo(t, s.write(rows, at), <-wiped)
		if offset, err := s.GetOffset(-3); offset != -3 || err != nil {
			t.Errorf("offset %d, %v", offset, err)
		}
		mustDo(t, s.load())
		if offset, err := s.GetOffset(-3); offset != -3 || err != nil {
			t.Errorf("offset %d, %v on disk", offset, err)
		}
		mustDo(t, d.closeAll())
	})
}
