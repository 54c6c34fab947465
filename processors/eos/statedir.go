package eos

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/lovoo/goka/storage"
)

// ResetState removes the tables kept in dir, not its instance id. It refuses while another process uses dir.
func ResetState(dir string) error { return errSkeleton }

// stateDir is a locked state directory.
type stateDir struct{}

// openStateDir locks dir, made if it is not there. The error says so if another process holds it (ErrStateLocked).
func openStateDir(fs vfs.FS, dir string) (*stateDir, error) { return nil, errSkeleton }

// instance returns flag if it is not empty, else the UUID kept in the directory (made at the first call).
func (d *stateDir) instance(flag string) (string, error) { return "", errSkeleton }

// store returns the store of one partition, opened at the first call and the same one from then on.
func (d *stateDir) store(topic string, partition int32, o storeOptions) (*store, error) {
	return nil, errSkeleton
}

// builder is what Goka is given: it finds the log's identity on the cluster, opens the store, and at every start of a load
// compares the stored offset with the log (truncated: wiped and rebuilt) before Goka reads from there. ctx ends all waiting.
func (d *stateDir) builder(ctx context.Context, logs *tableLogs, o storeOptions) storage.Builder {
	return func(string, int32) (storage.Storage, error) { return nil, errSkeleton }
}

// closeAll writes and closes every store and releases the lock.
func (d *stateDir) closeAll() error { return errSkeleton }
