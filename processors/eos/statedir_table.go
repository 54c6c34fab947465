package eos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	tablePrefix   = "table-"
	damagedSuffix = ".damaged" // written when damage is found, so that the next start rebuilds
	rebuiltSuffix = ".rebuilt" // written when a damaged table is removed; removed by a clean stop

	memTableBytes = 8 << 20

	// A crash loses what Pebble had not flushed, and reads it again from the log: at most this much, in time.
	flushEvery = 30 * time.Second
)

// stateTable is the Pebble instance of one table, with one store per partition.
type stateTable struct {
	d           *stateDir
	topic       string
	logger      *slog.Logger
	db          *pebble.DB
	compactions *compactions

	failure atomic.Pointer[error] // why the table cannot be used any more
	broken  chan struct{}         // closed when there is a failure

	mu        sync.Mutex
	stores    map[int32]*store
	lastFlush time.Time
	users     int // of db, between enter and leave
	left      sync.Cond
	closed    bool
}

// openStateTable opens the table's files. Damaged ones are removed once: the table is then read from its log.
func openStateTable(d *stateDir, topic string, logger *slog.Logger) (*stateTable, error) {
	t := &stateTable{d: d, topic: topic, logger: logger, stores: make(map[int32]*store), lastFlush: time.Now(), broken: make(chan struct{})}
	t.left.L = &t.mu
	var damage error
	if t.flagged(damagedSuffix) {
		damage = errors.New("damage was found by the process before this one")
	} else if damage = t.openDB(); damage == nil {
		return t, nil
	} else if isSystem(damage) {
		return nil, fmt.Errorf("open the state of %s: %w", topic, damage)
	}
	if err := t.rebuild(damage); err != nil {
		return nil, err
	}
	if err := t.openDB(); err != nil {
		return nil, fmt.Errorf("open the state of %s: %w", topic, err)
	}
	return t, nil
}

// rebuild removes the table's files, unless that was done before and no clean stop has followed.
func (t *stateTable) rebuild(damage error) error {
	if t.flagged(rebuiltSuffix) {
		return fmt.Errorf("%s in %s: %w: check the disk, then reset the state (utopia state reset): %w",
			t.topic, t.d.dir, ErrStateCorrupt, damage)
	}
	t.logger.Warn("local state is damaged; it is removed and read from the log again",
		slog.String("topic", t.topic), slog.String("dir", t.d.dir), slog.String("damage", damage.Error()))
	if err := writeFile(t.d.fs, t.d.dir, t.name(rebuiltSuffix), nil); err != nil {
		return fmt.Errorf("note the rebuild of %s: %w", t.topic, err)
	}
	if err := t.d.fs.RemoveAll(t.path()); err != nil {
		return fmt.Errorf("remove the damaged state of %s: %w", t.topic, err)
	}
	return t.unflag(damagedSuffix)
}

// openDB opens Pebble with little memory: a few memtables of 8 MiB, which count as part of the block cache that the directory's tables share.
func (t *stateTable) openDB() error {
	t.compactions = newCompactions()
	opts := &pebble.Options{
		FS:                 t.d.fs,
		Cache:              t.d.blocks,
		FileCache:          t.d.files,
		DisableWAL:         true, // the changelog is the write-ahead log
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             pebbleLogger{t.logger, os.Exit},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				t.fail(fmt.Errorf("write the state of %s: %w", t.topic, err))
				if triesAgainAtOnce() {
					time.Sleep(statsPause)
				}
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) { t.fail(info.Details) },
		},
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       1000, // a recovery outruns compaction, which comes afterwards
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	opts.Experimental.CompactionScheduler = t.compactions
	for i := range opts.Levels {
		l := &opts.Levels[i]
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.IndexBlockSize = 512 << 10 // one level of index: a second one is a second block to find
		// Rows compress to three quarters, and each read of a row that is not cached would pay for it.
		l.Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	db, err := pebble.Open(t.path(), opts)
	if err != nil {
		return err
	}
	t.db = db
	return nil
}

// statsPause is how long Pebble waits before it tries again to collect the statistics of a file that it cannot read.
const statsPause = 100 * time.Millisecond

// triesAgainAtOnce says whether it is called by Pebble's collection of statistics, which reports an error and tries again, for ever and without a
// pause: it would keep a core busy until the table is closed. Unlike whoever else reports errors it holds no locks, so it can be made to wait. The rest of
// Pebble cannot be told from it otherwise.
func triesAgainAtOnce() bool {
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".collectTableStats") {
			return true
		}
		if !more {
			return false
		}
	}
}

// sameLog says whether every open store belongs to this log.
func (t *stateTable) sameLog(clusterID string, topicID [16]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.stores {
		if s.o.clusterID != clusterID || s.o.topicID != topicID {
			return fmt.Errorf("%s: %w", t.topic, errLogDiffers)
		}
	}
	return nil
}

// store returns the store of a partition, made at the first call.
func (t *stateTable) store(partition int32, o storeOptions) (*store, error) {
	if err := t.sameLog(o.clusterID, o.topicID); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.stores[partition]; s != nil {
		return s, nil
	}
	s, err := newStore(t, partition, o)
	if err != nil {
		return nil, t.check(err)
	}
	t.stores[partition] = s
	return s, nil
}

// share divides a budget among the table's active stores. One that is not active has its part of all: a view goes on answering from its stores while
// it cannot reach its log, when none is.
func (t *stateTable) share(total int, active bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, s := range t.stores {
		if s.active.Load() || !active {
			n++
		}
	}
	return total / max(n, 1)
}

// flushSometimes lets Pebble write its memtables to disk, so that a crash need not read more than flushEvery from the log.
func (t *stateTable) flushSometimes() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || time.Since(t.lastFlush) < flushEvery {
		return
	}
	t.lastFlush = time.Now()
	if _, err := t.db.AsyncFlush(); err != nil {
		t.logger.Error("flush the local state", slog.String("topic", t.topic), slog.String("error", err.Error()))
	}
}

// close writes what the stores hold and closes the files. A clean stop ends the memory of an earlier rebuild.
func (t *stateTable) close() error {
	var errs []error
	for _, s := range t.stores {
		errs = append(errs, s.shutdown())
	}
	t.mu.Lock()
	t.closed = true
	for t.users > 0 {
		t.left.Wait()
	}
	t.mu.Unlock()
	if t.failed() == nil {
		errs = append(errs, t.db.Flush())
	}
	errs = append(errs, t.db.Close())
	err := errors.Join(append(errs, t.failed())...)
	switch {
	case err == nil:
		return t.unflag(rebuiltSuffix)
	case isDamage(err):
		return fmt.Errorf("close the state of %s: %w: %w", t.topic, ErrStateDamaged, t.check(err))
	}
	return fmt.Errorf("close the state of %s: %w", t.topic, err)
}

// enter lets the caller use db until leave, unless the table is closed. Who holds a store's lock and has found the store usable need not enter.
func (t *stateTable) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.users++
	return nil
}

func (t *stateTable) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users--; t.users == 0 {
		t.left.Broadcast()
	}
}

// failed returns why the table cannot be used any more, nil while it can.
func (t *stateTable) failed() error {
	if p := t.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail remembers the first error after which the table must not be used, and flags damage for the next start. It may be called by Pebble at any
// place, so it takes no locks.
func (t *stateTable) fail(err error) {
	if !t.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(t.broken)
	t.logger.Error("local state cannot be used any more", slog.String("topic", t.topic), slog.String("error", err.Error()))
	if !isDamage(err) {
		return
	}
	if werr := writeFile(t.d.fs, t.d.dir, t.name(damagedSuffix), nil); werr != nil {
		t.logger.Error("flag the damaged state", slog.String("topic", t.topic), slog.String("error", werr.Error()))
	}
}

// check passes err on, having failed the table if err means damage.
func (t *stateTable) check(err error) error {
	if err != nil && isDamage(err) {
		t.fail(err)
	}
	return err
}

func (t *stateTable) name(suffix string) string { return tablePrefix + t.topic + suffix }
func (t *stateTable) path() string              { return t.d.fs.PathJoin(t.d.dir, t.name("")) }

func (t *stateTable) flagged(suffix string) bool {
	_, err := t.d.fs.Stat(t.d.fs.PathJoin(t.d.dir, t.name(suffix)))
	return err == nil
}

func (t *stateTable) unflag(suffix string) error {
	if err := t.d.fs.Remove(t.d.fs.PathJoin(t.d.dir, t.name(suffix))); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove the flag %s: %w", t.name(suffix), err)
	}
	return nil
}

func isTableFile(name string) bool { return strings.HasPrefix(name, tablePrefix) }

// isDamage says whether an error while the table is used means that files were changed or are missing, as opposed to a disk that is full.
func isDamage(err error) bool { return pebble.IsCorruptionError(err) || isNotExist(err) }

// isSystem says whether err is the operating system's refusal rather than something that Pebble found in its files, such as a wrong size or a format
// that this release does not know.
func isSystem(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.ENOENT
}

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

// writeFile replaces a small file so that a crash leaves the old or the new one.
func writeFile(fs vfs.FS, dir, name string, data []byte) error {
	path := fs.PathJoin(dir, name)
	f, err := fs.Create(path+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pebbleLogger passes Pebble's messages on. They hold file names and sizes, never rows.
type pebbleLogger struct {
	l    *slog.Logger
	exit func(code int)
}

func (p pebbleLogger) Infof(format string, args ...any) {
	if !p.l.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	p.l.Debug("pebble", slog.String("message", fmt.Sprintf(format, args...)))
}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.l.Warn("pebble", slog.String("message", fmt.Sprintf(format, args...)))
}

// Fatalf must not return: Pebble calls it with its locks held, when it cannot write down what it has done (a full disk) or its files no longer agree with its
// memory. A panic would end the process as well, but with a dump and the exit code of a wrong command line.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	p.l.Error("the local state cannot be used any more and this process ends; nothing is lost: the next start reads from the log what is missing",
		slog.String("cause", fmt.Sprintf(format, args...)))
	p.exit(1)
}
