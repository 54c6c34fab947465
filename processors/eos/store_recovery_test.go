package eos

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestStoreOfAnotherLogIsWiped(t *testing.T) {
	mine := storeOptions{overlay: true, clusterID: "c", topicID: [16]byte{1}}
	for name, other := range map[string]storeOptions{
		"cluster": {overlay: true, clusterID: "d", topicID: [16]byte{1}},
		"topic":   {overlay: true, clusterID: "c", topicID: [16]byte{2}},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			d := mustOpen(t, fs)
			s := mustStore(t, d, mine)
			neighbour, err := d.store("t", 1, mine)
			mustDo(t, err, neighbour.Open(), neighbour.MarkRecovered())
			mustDo(t, s.Set("a", []byte("1")), s.commit(3), neighbour.Set("b", []byte("1")), neighbour.commit(3))
			if _, err := d.store("t", 0, other); !errors.Is(err, errLogDiffers) {
				t.Errorf("an open store was taken for another log's: %v", err)
			}
			mustDo(t, d.closeAll())

			var log damageLog
			other.logger = log.logger()
			d = mustOpen(t, fs)
			s = mustStore(t, d, other)
			if _, rows := rowsOf(t, s, nil, nil); len(rows) != 0 {
				t.Errorf("rows of another log: %v", rows)
			}
			if offset, _ := s.GetOffset(-3); offset != -3 {
				t.Errorf("offset %d of another log", offset)
			}
			mustDo(t, s.Set("a", []byte("2")), s.commit(0), d.closeAll())
			if n := strings.Count(log.String(), "local state is removed"); n != 1 {
				t.Errorf("%d log lines:\n%s", n, log.String())
			}

			// It is not wiped again.
			s = mustStore(t, mustOpen(t, fs), other)
			if got, _ := s.Get("a"); string(got) != "2" {
				t.Errorf("a = %q after a restart", got)
			}
		})
	}
}

func TestStoreWipesOnePartition(t *testing.T) {
	d := mustOpen(t, vfs.NewMem())
	s := mustStore(t, d, storeOptions{overlay: true})
	neighbour, err := d.store("t", 1, storeOptions{overlay: true})
	mustDo(t, err, neighbour.Open(), neighbour.MarkRecovered())
	mustDo(t, s.Set("a", []byte("1")), s.commit(10), neighbour.Set("b", []byte("1")), neighbour.commit(10))
	mustDo(t, s.Open(), s.reconcile(0, 5, time.Now()), s.MarkRecovered())
	if got, _ := s.Get("a"); got != nil {
		t.Errorf("a = %q", got)
	}
	if got, _ := neighbour.Get("b"); string(got) != "1" {
		t.Errorf("b = %q", got)
	}
}

func TestStoreReconcile(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		start, end int64
		now        time.Time
		wiped      bool
	}{
		"nothing new":                             {start: 0, end: 11, now: now.Add(90 * 24 * time.Hour)},
		"a marker more":                           {start: 0, end: 12, now: now},
		"the log begins after what was read":      {start: 11, end: 20, now: now},
		"the log has lost its end":                {start: 0, end: 10, now: now, wiped: true},
		"the log is empty":                        {start: 0, end: 0, now: now, wiped: true},
		"records in between were deleted":         {start: 12, end: 20, now: now, wiped: true},
		"tombstones are still there":              {start: 0, end: 20, now: now.Add(22 * time.Hour)},
		"tombstones may have been compacted away": {start: 0, end: 20, now: now.Add(24 * time.Hour), wiped: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true, deleteRetention: 24 * time.Hour})
			mustDo(t, s.Set("a", []byte("1")), s.commit(10), s.Open())
			s.position.asOf = now.UnixMilli()
			mustDo(t, s.reconcile(test.start, test.end, test.now))
			got, _ := s.GetOffset(-3)
			row, _ := s.Get("a")
			if wiped := got == -3; wiped != test.wiped || (row == nil) != test.wiped {
				t.Errorf("offset %d, row %q", got, row)
			}
			mustDo(t, s.reconcile(test.start, test.end, test.now)) // never twice
			mustDo(t, s.MarkRecovered())
			if s.position.asOf != test.now.UnixMilli() {
				t.Errorf("complete as of %d, want %d", s.position.asOf, test.now.UnixMilli())
			}
		})
	}
}

func TestStoreInUseIsNotWiped(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("1")), s.commit(10))
	if err := s.reconcile(0, 5, time.Now()); !errors.Is(err, errLogDiffers) {
		t.Errorf("reconcile: %v", err)
	}
	if got, _ := s.Get("a"); string(got) != "1" {
		t.Errorf("a = %q", got)
	}
}

// A recovery that was cut short goes on from where its last batch ended.
func TestStoreRecoveryIsResumable(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Close(), s.Open())
	for i := range int64(100) {
		mustDo(t, s.Set(fmt.Sprint("k", i), []byte("v")), s.SetOffset(i))
	}
	mustDo(t, s.Close(), s.Open())
	offset, err := s.GetOffset(-3)
	mustDo(t, err)
	if offset != 99 {
		t.Errorf("goes on from offset %d", offset)
	}
	mustDo(t, s.MarkRecovered())
	if _, rows := rowsOf(t, s, nil, nil); len(rows) != 100 {
		t.Errorf("%d rows", len(rows))
	}
}

// What is read while a table recovers is what the log said so far, and the cache does not keep any of it.
func TestStoreReadsDuringRecovery(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("0")), s.commit(0))
	mustDo(t, s.Close(), s.Open())
	for i := range int64(5) {
		want := fmt.Sprint(i)
		mustDo(t, s.Set("a", []byte(want)), s.SetOffset(i+1))
		if got, _ := s.Get("a"); string(got) != want {
			t.Fatalf("a = %q, want %q", got, want)
		}
		if _, rows := rowsOf(t, s, nil, nil); rows["a"] != want {
			t.Fatalf("iterator: a = %q, want %q", rows["a"], want)
		}
	}
	mustDo(t, s.MarkRecovered())
	if got, _ := s.Get("a"); string(got) != "4" {
		t.Errorf("a = %q", got)
	}
}

// Goka may leave a MarkRecovered behind when an assignment is revoked. It must not end the recovery of the next assignment.
func TestAssignmentEnds(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	d := mustOpen(t, vfs.NewMem())
	build := d.builder(t.Context(), c.logs(t), storeOptions{overlay: true})
	first, err := build("t", 0)
	mustDo(t, err, first.Open(), first.Close())
	second, err := build("t", 0)
	mustDo(t, err, second.Open())
	if err := first.MarkRecovered(); !errors.Is(err, errAssignmentOver) {
		t.Errorf("MarkRecovered of an assignment that is over: %v", err)
	}
	mustDo(t, first.Close(), second.Set("a", []byte("1")), second.SetOffset(0), second.MarkRecovered())
	if got, _ := second.Get("a"); string(got) != "1" {
		t.Errorf("a = %q", got)
	}
}

// The stored offset is compared with the log itself, whenever Goka begins to load.
func TestAssignmentReconcilesWithTheLog(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"), rec("t", 0, "b", "1"))
	d := mustOpen(t, vfs.NewMem())
	build := d.builder(t.Context(), c.logs(t), storeOptions{overlay: true})
	st, err := build("t", 0)
	mustDo(t, err, st.Open(), st.Set("a", []byte("1")), st.SetOffset(1), st.MarkRecovered())
	if offset, err := st.GetOffset(-3); err != nil || offset != 1 {
		t.Errorf("offset %d, %v", offset, err)
	}
	mustDo(t, st.Close())

	c.write(t, kgo.TryCommit, rec("t", 0, "a", "2"), rec("t", 0, "b", "2"))
	c.deleteRecords(t, "t", 0, 4)
	st, err = build("t", 0)
	mustDo(t, err, st.Open())
	if offset, err := st.GetOffset(-3); err != nil || offset != -3 {
		t.Errorf("offset %d, %v after the log was truncated", offset, err)
	}
}
