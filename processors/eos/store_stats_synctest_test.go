//go:build synctests

package eos

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Whichever byte of a file with a range deletion is damaged, time goes on: Pebble's collection of statistics, which fails again and again, waits
// in between. Without the pause this test never ends, and a process would keep a core busy until it closes the table.
func TestADamagedFileKeepsNoCoreBusy(t *testing.T) {
	golden := vfs.NewMem()
	d, s := reopen(t, golden, nil)
	mustDo(t, s.Set("key", []byte("value")), s.commit(1))
	s.writeLate()
	mustDo(t, s.db.Flush()) // a file of its own for the deletion: nobody reads it but the statistics
	mustDo(t, s.db.DeleteRange([]byte("x"), []byte("y"), pebble.NoSync), s.db.Flush(), d.closeAll())
	paused := 0
	for file := range 8 {
		for at := 0; at < 2000; at += 11 {
			fs := copyFS(t, golden, "state")
			replaceBytes(t, fs, file, at, []byte{1})
			synctest.Test(t, func(t *testing.T) {
				d, err := openStateDir(fs, "state")
				mustDo(t, err)
				began := time.Now()
				_, err = d.store("t", 0, storeOptions{overlay: true, cacheBytes: 2000, logger: slog.New(slog.DiscardHandler)})
				time.Sleep(time.Second)
				failed := d.failed("t")
				_ = d.closeAll() // it may say that the files are damaged
				if err == nil && failed {
					paused++
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("byte %d of file %d: %v", at, file, took)
				}
			})
		}
	}
	if paused == 0 {
		t.Error("no damage was found in the background: this has tested nothing")
	}
}
