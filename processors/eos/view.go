package eos

import (
	"context"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ViewConfig says which topic a view copies, and where to.
type ViewConfig struct {
	Client []kgo.Opt // seeds, TLS, SASL, dialer
	Topic  string
	Dir    string // empty: in memory, read from the log at every start
	FS     vfs.FS // nil: the disk
	// Index gives the look-up entries of a row; IndexVersion must change when it does, so that rows on disk are indexed again.
	Index        func(key string, value []byte) []string
	IndexVersion string
	CacheBytes   int
	Logger       *slog.Logger
}

// View is a materialised copy of a compacted topic: committed rows only.
type View struct{}

// NewView checks cfg; nothing is opened before Run.
func NewView(cfg ViewConfig) (*View, error) { return nil, errSkeleton }

// Run copies the topic until ctx ends.
func (v *View) Run(ctx context.Context) error { return errSkeleton }

// Ready says whether the view has recovered.
func (v *View) Ready() bool { return false }

// Progress says how far recovery is, as of the last report of each partition.
func (v *View) Progress() Progress { return Progress{} }

// Get returns the row of key, nil if there is none; before the view has recovered a *NotReadyError.
func (v *View) Get(key string) ([]byte, error) { return nil, errSkeleton }

// Wait returns the row of key as soon as enough says that it will do (row is nil while there is none), or ctx's error.
func (v *View) Wait(ctx context.Context, key string, enough func(row []byte) bool) ([]byte, error) {
	return nil, errSkeleton
}

// Lookup returns the keys whose rows have entry in their index, sorted.
func (v *View) Lookup(entry string) ([]string, error) { return nil, errSkeleton }

// Iterate calls each for every row, in key order per partition, until it returns an error.
func (v *View) Iterate(each func(key string, row []byte) error) error { return errSkeleton }

// Progress is how much of a table's log has been read.
type Progress struct {
	Records int64 // read so far, of
	Of      int64 // this many
	Since   time.Time
}
