package eos

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
)

// ErrStateLocked is returned when another process uses a state directory. Two processes must not write one table.
var ErrStateLocked = errors.New("the state directory is used by another process")

// ErrStateDamaged is returned when a table's files turn out to be damaged while they are used. Nothing of them was served; the next start removes them and reads
// the rows from the log again.
var ErrStateDamaged = errors.New("the state is damaged; start again to have it read from the log")

// ErrStateCorrupt is returned when a table's files are damaged and had been rebuilt before without a clean stop in between: rebuilding them
// again and again would hide a failing disk.
var ErrStateCorrupt = errors.New("the state is damaged again after it had been rebuilt")

const (
	lockFile     = "LOCK"
	instanceFile = "instance"

	// The memory that all tables of a directory share. Rows that are used often are in the row cache; the block cache is for the index and
	// filter blocks in front of the others.
	blockCacheBytes = 64 << 20
	openFiles       = 500
)

// stateDir is a locked directory that holds one Pebble instance per table, and the instance id.
//
// One instance per table, not per partition: memtables, the open-files cache, and the two syncs of each flush are then paid once, whatever the
// number of partitions (24 on a cluster; 28 tables and views in one process under "utopia up"). A partition is a key prefix, which a range
// deletion wipes. What it costs is that damaged files rebuild all partitions of the table, not one.
type stateDir struct {
	fs     vfs.FS
	dir    string
	lock   io.Closer
	blocks *pebble.Cache
	files  *pebble.FileCache

	mu      sync.Mutex
	tables  map[string]*stateTable
	corrupt error // why a table was not opened, if it is beyond repair
	closed  bool
}

// openStateDir locks dir, which is made if it is not there. The error wraps ErrStateLocked if another process holds it.
func openStateDir(fs vfs.FS, dir string) (*stateDir, error) {
	if fs == nil {
		fs = vfs.Default
	}
	lock, err := lockStateDir(fs, dir)
	if err != nil {
		return nil, err
	}
	return &stateDir{
		fs:     fs,
		dir:    dir,
		lock:   lock,
		blocks: pebble.NewCache(blockCacheBytes),
		files:  pebble.NewFileCache(1, openFiles),
		tables: make(map[string]*stateTable),
	}, nil
}

func lockStateDir(fs vfs.FS, dir string) (io.Closer, error) {
	const unwritable = "the state directory %s cannot be written: give it to the user that runs this process, or name another (--state-dir): %w"
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf(unwritable, dir, err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, lockFile))
	if err == nil {
		return lock, nil
	}
	// What a held lock looks like differs between systems; a directory that cannot be written at all does not.
	probe, perr := fs.Create(fs.PathJoin(dir, lockFile+".probe"), vfs.WriteCategoryUnspecified)
	if perr != nil {
		return nil, fmt.Errorf(unwritable, dir, perr)
	}
	_ = probe.Close()
	_ = fs.Remove(fs.PathJoin(dir, lockFile+".probe"))
	return nil, fmt.Errorf("%s: %w: stop that one, or give this one a directory of its own (--state-dir): %w", dir, ErrStateLocked, err)
}

// instance returns flag if it is not empty, else the UUID kept in the directory, made at the first call.
func (d *stateDir) instance(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	path := d.fs.PathJoin(d.dir, instanceFile)
	kept, err := readFile(d.fs, path)
	if err != nil && !isNotExist(err) {
		return "", fmt.Errorf("read the instance id: %w", err)
	}
	if id, perr := uuid.Parse(strings.TrimSpace(string(kept))); err == nil && perr == nil {
		return id.String(), nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("make an instance id: %w", err)
	}
	if err := writeFile(d.fs, d.dir, instanceFile, []byte(id.String()+"\n")); err != nil {
		return "", fmt.Errorf("keep the instance id: %w", err)
	}
	return id.String(), nil
}

// store returns the store of one partition, opened at the first call and the same one from then on, with the options of that call.
func (d *stateDir) store(topic string, partition int32, o storeOptions) (*store, error) {
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	t := d.tables[topic]
	if t == nil {
		var err error
		if t, err = openStateTable(d, topic, o.logger); err != nil {
			if errors.Is(err, ErrStateCorrupt) {
				d.corrupt = err
			}
			return nil, err
		}
		d.tables[topic] = t
	}
	return t.store(partition, o)
}

// bytes returns what a table takes on disk.
func (d *stateDir) bytes(topic string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tables[topic]; t != nil && !d.closed {
		return int64(t.db.Metrics().DiskSpaceUsage())
	}
	return 0
}

// failed says whether a table cannot be used any more: it must be closed and opened again.
func (d *stateDir) failed(topic string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[topic]
	return t != nil && t.failed() != nil
}

// damage returns what makes a table's files unfit, nil if nothing does: ErrStateDamaged or ErrStateCorrupt, whose kind Goka does not keep.
func (d *stateDir) damage(topic string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.corrupt != nil {
		return d.corrupt
	}
	t := d.tables[topic]
	if t == nil || t.failed() == nil || !isDamage(t.failed()) {
		return nil
	}
	return fmt.Errorf("%s in %s: %w: %w", topic, d.dir, ErrStateDamaged, t.failed())
}

// sameLog returns an error that wraps errLogDiffers if a table is open with rows of another log than this one: the topic was made anew.
func (d *stateDir) sameLog(topic string, log tableLog) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tables[topic]; t != nil {
		return t.sameLog(log.clusterID, log.topicID)
	}
	return nil
}

// closeAll writes and closes every store and releases the lock. After it, the rows and offsets on disk are those committed last.
func (d *stateDir) closeAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	var errs []error
	for _, t := range d.tables {
		errs = append(errs, t.close())
	}
	d.files.Unref()
	d.blocks.Unref()
	errs = append(errs, d.lock.Close())
	return errors.Join(errs...)
}

// ResetState removes the tables that dir keeps, but not its instance id, so that they are read from their logs at the next start. The error wraps
// ErrStateLocked while another process uses dir.
func ResetState(dir string) error { return resetState(vfs.Default, dir) }

func resetState(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err != nil {
		return fmt.Errorf("reset the state: %w", err)
	}
	lock, err := lockStateDir(fs, dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("reset the state: %w", err)
	}
	for _, name := range names {
		if name == lockFile || name == instanceFile || !isTableFile(name) {
			continue
		}
		if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("reset the state: %w", err)
		}
	}
	return nil
}
