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

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// loading is a store whose load begins now, of a log with the offsets from 0 to end.
func loading(t *testing.T, end int64) *store {
	t.Helper()
	s, err := mustOpen(t, vfs.NewMem()).store("t", 0, storeOptions{overlay: true, deleteRetention: 24 * time.Hour})
	mustDo(t, err, s.Open(), s.reconcile(0, end, time.Now()))
	return s
}

// loadRow is what a load does with a record.
func loadRow(s storage.Storage, offset int64) error {
	return errors.Join(s.Set(fmt.Sprint("k", offset), []byte("1")), s.SetOffset(offset))
}

// A load that was blocked for as long as the log keeps deletions may have read a row whose deletion is gone. It does not go on, and the next one reads
// everything again.
func TestAStoreThatSleptDoesNotLoadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, last := range []int64{0, 1} { // the first record has been read, or none
			s := loading(t, 10)
			for offset := range last {
				mustDo(t, loadRow(s, offset))
			}
			time.Sleep(25 * time.Hour)
			p := new(viewPartition)
			p.applied.Store(last - 1)
			if err := loadRow(&viewStorage{Storage: s, p: p}, last); !errors.Is(err, errOverdue) {
				t.Errorf("after it slept: %v", err)
			}
			if at := p.applied.Load(); at != last-1 {
				t.Errorf("the view has read up to %d, and will say that it is complete", at)
			}
			mustDo(t, s.Close(), s.Open(), s.reconcile(0, 10, time.Now()))
			if row, err := s.Get("k0"); row != nil || err != nil {
				t.Errorf("row %q, %v", row, err)
			}
			for offset := range int64(10) {
				mustDo(t, loadRow(s, offset))
				time.Sleep(2 * time.Hour)
			}
			mustDo(t, s.MarkRecovered(), s.table.d.closeAll())
		}
	})
}

// What counts is when the rows were complete last, not when the load of what follows began: that may have been shortly before deletions go. There is an
// hour left to a load in any case.
func TestALoadOfOldRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for slept, late := range map[time.Duration]bool{58 * time.Minute: false, 70 * time.Minute: true} {
			s := loading(t, 1)
			mustDo(t, loadRow(s, 0), s.MarkRecovered())
			time.Sleep(23 * time.Hour)
			mustDo(t, s.Close(), s.Open(), s.reconcile(0, 10, time.Now()), loadRow(s, 1))
			time.Sleep(slept)
			if err := loadRow(s, 2); errors.Is(err, errOverdue) != late {
				t.Errorf("after %s more: %v", slept, err)
			}
			mustDo(t, s.table.d.closeAll())
		}
	})
}

// Nothing was written for months: the rows have been complete until now, whenever they were read. A record that comes while a load begins is no reason to
// read everything again.
func TestALoadOfRowsThatAreComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []int64{0, 1} {
			s := loading(t, end)
			for offset := range end {
				mustDo(t, loadRow(s, offset))
			}
			mustDo(t, s.MarkRecovered())
			time.Sleep(90 * 24 * time.Hour)
			mustDo(t, s.Close(), s.Open(), s.reconcile(0, end, time.Now()), loadRow(s, end), s.MarkRecovered())
			mustDo(t, s.table.d.closeAll())
		}
	})
}

// A copy that slept does not read on either. Its error is one that the follower begins again after, and no reason to end the processor.
func TestACopyThatSleptDoesNotReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := loading(t, 0)
		mustDo(t, s.MarkRecovered(), s.Set("a", []byte("1")))
		time.Sleep(20 * time.Hour)
		mustDo(t, s.follow(0), s.Set("b", []byte("1")))
		time.Sleep(4 * time.Hour)
		if err := s.follow(1); !errors.Is(err, errOverdue) || errors.Is(err, errLogDiffers) {
			t.Errorf("after it slept: %v", err)
		}
		mustDo(t, s.Close(), s.Open(), s.reconcile(0, 2, time.Now()))
		if offset, err := s.GetOffset(-3); offset != -3 || err != nil {
			t.Errorf("goes on from %d, %v", offset, err)
		}
		mustDo(t, s.table.d.closeAll())
	})
}

// A view waits with a row, while it recovers, for longer than the log keeps deletions. It has read a row by then that is deleted further on in the log.
func TestViewThatWaitsWhileItRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLogCluster(t, 1, "t")
		c.configure(t, "t", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0", "delete.retention.ms", "7200000")
		want := map[string]string{"blocks": "1", "last": "2"}
		c.write(t, kgo.TryCommit, rec("t", 0, "erased", "a person"), rec("t", 0, "blocks", "1"))
		small, large := "3", noise(300<<10)
		for i := range 2 * messageBuffer { // more than the view fetches before it waits
			key := fmt.Sprint("more", i)
			if want[key] = small; i >= 2*messageBuffer-20 {
				want[key] = large
			}
			c.write(t, kgo.TryCommit, rec("t", 0, key, want[key]))
		}
		c.write(t, kgo.TryCommit, rec("t", 0, "erased", ""), rec("t", 0, "last", "2"))
		var away atomic.Bool
		away.Store(true)
		var log damageLog
		v, stop := runView(t, ViewConfig{Client: c.opts, Topic: "t", Logger: log.logger(), Admit: func(value []byte) error {
			if string(value) == "1" && away.Load() {
				return ErrBlocked
			}
			return nil
		}})
		time.Sleep(3 * time.Hour)
		c.Compact()
		c.Compact()
		away.Store(false)
		waitFor(t, v, "last", "2")
		if diff := cmp.Diff(want, viewRows(t, v)); diff != "" {
			t.Errorf("%s\n%s", diff, log.String())
		}
		stop()
	})
}

// A processor and a copy whose load takes longer than the log keeps deletions read everything again. Neither ends the process.
func TestALoadThatTakesTooLongBeginsAnew(t *testing.T) {
	for name, change := range map[string]func(*Config){"processor": func(*Config) {}, "copies": hotStandby} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				defer w.reap()
				one := w.start("one", nil)
				one.ready()
				w.commandsFor("a", 300, 60)
				w.until("all is counted", w.caughtUp)
				if name == "processor" {
					one.stop()
				}
				two := w.newInstance("two", nil, change)
				began := time.Now()
				two.slowTable(func() time.Duration { return max(0, 25*time.Minute-time.Since(began)) })
				two.run()
				time.Sleep(30 * time.Minute)
				w.commandsFor("b", 100, 60)
				w.until("all is counted", w.caughtUp)
				time.Sleep(time.Minute)
				if !strings.Contains(w.log.String(), "local state is removed") {
					t.Errorf("nothing was read again:\n%s", w.log.String())
				}
				w.verify()
				w.verifyRows(two)
				two.stop()
				if name == "copies" {
					one.stop()
				}
			}, withConfig(tableName, "delete.retention.ms", "1200000"))
		})
	}
}

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
