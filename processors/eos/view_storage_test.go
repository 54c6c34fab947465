package eos

import (
	"errors"
	"testing"

	"github.com/lovoo/goka/storage"
)

// fullDisk is a storage that keeps no offset.
type fullDisk struct {
	storage.Storage
	err error
}

func (d *fullDisk) SetOffset(int64) error { return d.err }

// A view has reached what it could keep, not what it has read.
func TestAViewHasNotReachedWhatItCouldNotKeep(t *testing.T) {
	v, err := NewView(ViewConfig{Topic: "t"})
	mustDo(t, err)
	v.begin(1)
	p := v.partitions[0]
	p.applied.Store(-1)
	v.recovered(p)
	disk := &fullDisk{err: errors.New("no space left")}
	s := &viewStorage{Storage: disk, v: v, p: p}
	if err := s.SetOffset(7); !errors.Is(err, disk.err) {
		t.Errorf("the error is %v", err)
	}
	if v.Reached(map[int32]int64{0: 1}) {
		t.Errorf("the next record is %d, although nothing was kept", v.Next()[0])
	}
	disk.err = nil
	mustDo(t, s.SetOffset(7))
	if !v.Reached(map[int32]int64{0: 8}) {
		t.Errorf("the next record is %d, want 8", v.Next()[0])
	}
}
