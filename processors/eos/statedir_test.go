package eos

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
)

func TestStateDirInstance(t *testing.T) {
	fs := vfs.NewMem()
	d := mustOpen(t, fs)
	if got, err := d.instance("named"); err != nil || got != "named" {
		t.Errorf("%q, %v", got, err)
	}
	first, err := d.instance("")
	mustDo(t, err)
	if _, err := uuid.Parse(first); err != nil {
		t.Errorf("%q: %v", first, err)
	}
	mustDo(t, d.closeAll())
	if again, err := mustOpen(t, fs).instance(""); err != nil || again != first {
		t.Errorf("%q after a restart, %v; was %q", again, err, first)
	}
	mustDo(t, writeFile(fs, "state", instanceFile, []byte("garbage\n")))
	other, err := mustOpen(t, copyFS(t, fs, "state")).instance("")
	mustDo(t, err)
	if _, err := uuid.Parse(other); err != nil || other == first {
		t.Errorf("%q from garbage", other)
	}
}

func TestStateDirIsLocked(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			d, err := openStateDir(fs, dir)
			mustDo(t, err)
			if _, err := openStateDir(fs, dir); !errors.Is(err, ErrStateLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--state-dir") {
				t.Errorf("second: %v", err)
			}
			if err := resetState(fs, dir); !errors.Is(err, ErrStateLocked) {
				t.Errorf("reset: %v", err)
			}
			mustDo(t, d.closeAll(), d.closeAll())
			if _, err := d.store("t", 0, storeOptions{}); err == nil {
				t.Error("a closed directory gives out stores")
			}
			d, err = openStateDir(fs, dir)
			mustDo(t, err, d.closeAll())
		})
	}
}

// It is refused with a sentence that says what to do, and not taken for one that is locked.
func TestStateDirThatCannotBeWritten(t *testing.T) {
	for name, fs := range map[string]vfs.FS{
		"its parent is another's": unwritable{FS: vfs.NewMem(), made: false},
		"it is another's":         unwritable{FS: vfs.NewMem(), made: true},
	} {
		_, err := openStateDir(fs, "state")
		if !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrStateLocked) || !strings.Contains(err.Error(), "--state-dir") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unwritable is a file system in which nothing can be made, but for a directory that was.
type unwritable struct {
	vfs.FS
	made bool
}

func (u unwritable) MkdirAll(string, os.FileMode) error {
	if u.made {
		return nil
	}
	return os.ErrPermission
}

func (unwritable) Create(string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, os.ErrPermission
}

func (unwritable) Lock(string) (io.Closer, error) { return nil, os.ErrPermission }

func TestResetStateKeepsTheInstance(t *testing.T) {
	dir := t.TempDir()
	d, err := openStateDir(vfs.Default, dir)
	mustDo(t, err)
	id, err := d.instance("")
	mustDo(t, err)
	s := mustStore(t, d, storeOptions{overlay: true})
	mustDo(t, s.Set("a", []byte("1")), s.commit(4))
	if size := d.bytes("t"); size <= 0 {
		t.Errorf("%d bytes on disk", size)
	}
	mustDo(t, d.closeAll(), os.WriteFile(filepath.Join(dir, "somebody else's"), nil, 0o600))

	mustDo(t, ResetState(dir))
	if _, err := os.Stat(filepath.Join(dir, "somebody else's")); err != nil {
		t.Error(err)
	}
	d, err = openStateDir(vfs.Default, dir)
	mustDo(t, err)
	if again, err := d.instance(""); err != nil || again != id {
		t.Errorf("instance %q, %v; was %q", again, err, id)
	}
	s = mustStore(t, d, storeOptions{overlay: true})
	if got, _ := s.Get("a"); got != nil {
		t.Errorf("a = %q", got)
	}
	mustDo(t, d.closeAll())
	if err := ResetState(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reset of nothing: %v", err)
	}
}
