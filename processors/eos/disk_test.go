//go:build synctests

package eos

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The n-th write to the local state fails, because the disk is full or broken. The instance ends with a sentence; another goes on; and on the same directory
// so does the next one, once there is room.
func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for _, n := range []int64{1, 2, 3} {
			t.Run(fmt.Sprintf("%v at write %d", cause, n), func(t *testing.T) {
				t.Parallel()
				inVirtualTime(t, 1, func(t *testing.T, w *world) { diskFails(t, w, cause, n) })
			})
		}
	}
}

func diskFails(t *testing.T, w *world, cause syscall.Errno, n int64) {
	t.Helper()
	var room atomic.Bool
	room.Store(true)
	var writes atomic.Int64
	disk := vfs.NewCrashableMem()
	a := w.start("a", disk, func(c *Config) {
		c.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if room.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, ".sst") || writes.Add(1) < n {
				return nil
			}
			time.Sleep(10 * time.Millisecond) // Pebble tries again at once, and virtual time would stand still
			return &os.PathError{Op: "write", Path: op.Path, Err: cause}
		}))
	})
	b := w.start("b", nil)
	a.ready()
	b.ready()
	w.commandsFor("before", 200, 50)
	w.until("all is counted", w.caughtUp)
	room.Store(false)
	for i := 0; ; i++ {
		w.commandsFor(fmt.Sprintf("during%d-", i), 20, 50)
		select {
		case <-a.done:
		case <-time.After(5 * time.Second):
			if i < 100 {
				continue
			}
			t.Fatal("it goes on although it cannot write")
		}
		break
	}
	if !errors.Is(a.err, cause) || !strings.Contains(a.err.Error(), "the state of "+tableName) {
		t.Errorf("Run returned %v", a.err)
	}
	w.until("the other counts all", w.caughtUp)
	a = w.start("a", disk)
	a.ready()
	w.commandsFor("after", 200, 50)
	w.until("all is counted", w.caughtUp)
	w.verify()
	a.stop()
	b.stop()
}

// What Pebble cannot go on after ends the process with a sentence, and with the exit code of a failure: the runtime's own is that of a wrong command line.
func TestWhatPebbleCannotGoOnAfter(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	code := 0
	pebbleLogger{l: slog.New(slog.NewTextHandler(&log, nil)), exit: func(c int) { code = c }}.Fatalf("MANIFEST flush failed: %v", syscall.ENOSPC)
	if code != 1 || !strings.Contains(log.String(), "MANIFEST flush failed: no space left on device") || !strings.Contains(log.String(), "nothing is lost") {
		t.Errorf("exit code %d, %s", code, &log)
	}
}
