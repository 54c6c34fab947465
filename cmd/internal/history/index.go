// Package history is the query side of the customer service: which commands came about a customer and which events they led to, when, and what caused
// what. It is a read model of the service's own: it reads the event store and the commands, which are private or the service's, in the service's process,
// and gives nothing personal away, because it keeps nothing personal.
//
// It deliberately decides nothing and is no part of any transaction: it may be away, and it may be behind.
package history

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// Kinds of entries.
const (
	Command = "command"
	Event   = "event"
)

// MaxPage is the most entries that a page has, but for those of its last moment.
const MaxPage = 100

var (
	// ErrCursor says that a cursor is none of this history.
	ErrCursor = errors.New("the cursor is not one of this history")
	// ErrNotReady says that the log has not been read yet.
	ErrNotReady = errors.New("the query side is still reading the log")
)

// Entry is a command about a customer, or an event.
type Entry struct {
	ID          string `json:"id"` // of the command; of an event its key and version
	Kind        string `json:"kind"`
	Type        string `json:"type"`
	At          int64  `json:"at"` // Unix milliseconds; of an event, those of the command
	Version     int64  `json:"version,omitempty"`
	Cause       string `json:"cause,omitempty"`
	Correlation string `json:"correlation,omitempty"`
	Change      string `json:"change,omitempty"` // the address change that it is about
}

// Page is a part of a history, newest first. Next is the cursor of the next page, empty if there is none.
type Page struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
}

// Config of an index. Client and IDs are required.
type Config struct {
	Client []kgo.Opt
	IDs    schemas.IDs
	// Dir is a directory that the index makes anew at every start; empty means in memory.
	Dir    string
	Logger *slog.Logger
}

// Index is a complete copy of what the log says, without the people: about 150 bytes a record, on the disk if there is a directory.
type Index struct {
	cfg      Config
	commands *schemas.Codec

	mu    sync.RWMutex // held to use db
	db    *pebble.DB
	ready bool
}

// New makes an index; nothing is connected or opened before Run.
func New(cfg Config) (*Index, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	codec, err := schemas.NewCodec(topics.CustomerCommands.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Index{cfg: cfg, commands: codec}, nil
}

// Ready says what is missing before the index answers.
func (x *Index) Ready() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.ready {
		return ErrNotReady
	}
	return nil
}

// Run reads the log until ctx ends, and returns nil then.
func (x *Index) Run(ctx context.Context) error {
	if err := x.open(); err != nil {
		return err
	}
	defer x.close()
	cl, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, x.cfg.Client...),
		kgo.ConsumeTopics(topics.CustomerCommands.Name, topics.CustomerEvents.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...) // a log ends with a marker
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer cl.Close()
	ends, err := x.ends(ctx, cl.Client)
	if err != nil {
		return nil
	}
	for told := false; ; {
		if !told && len(ends) == 0 {
			told = true
			x.mu.Lock()
			x.ready = true
			x.mu.Unlock()
		}
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			x.cfg.Logger.Warn("the history misses a part of the log", slog.String("topic", topic), slog.Int("partition", int(partition)), slog.Any("error", err))
		})
		if err := x.take(ctx, fetches, ends); err != nil {
			return err
		}
	}
}

func (x *Index) open() error {
	var fs vfs.FS = vfs.NewMem()
	dir := "history"
	if x.cfg.Dir != "" {
		fs, dir = vfs.Default, x.cfg.Dir
		if err := os.RemoveAll(dir); err != nil { // it is a copy: what an older log or release left is not looked at
			return fmt.Errorf("history: %w", err)
		}
	}
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, Logger: quiet{}, DisableWAL: true})
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.db = db
	return nil
}

func (x *Index) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ready = false
	_ = x.db.Close() // a copy that nobody reads again
	x.db = nil
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// ends are the committed ends that the log has now, of the partitions that have something; a cluster that is away is waited for.
func (x *Index) ends(ctx context.Context, cl *kgo.Client) (map[place]int64, error) {
	for {
		listed, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topics.CustomerCommands.Name, topics.CustomerEvents.Name)
		if err == nil {
			err = listed.Error()
		}
		starts, serr := kadm.NewClient(cl).ListStartOffsets(ctx, topics.CustomerCommands.Name, topics.CustomerEvents.Name)
		if err := errors.Join(err, serr); err != nil {
			x.cfg.Logger.Warn("the history cannot be read yet", slog.Any("error", err))
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
			}
			continue
		}
		ends := map[place]int64{}
		listed.Each(func(o kadm.ListedOffset) {
			if start, ok := starts.Lookup(o.Topic, o.Partition); !ok || start.Offset < o.Offset {
				ends[place{o.Topic, o.Partition}] = o.Offset
			}
		})
		return ends, nil
	}
}

// take writes what a poll has brought, and strikes out of ends what has been reached.
func (x *Index) take(ctx context.Context, fetches kgo.Fetches, ends map[place]int64) error {
	b := x.db.NewBatch() // only close, which comes after, takes db away
	defer func() { _ = b.Close() }()
	fetches.EachRecord(func(r *kgo.Record) {
		if at := (place{r.Topic, r.Partition}); r.Offset+1 >= ends[at] {
			delete(ends, at)
		}
		if r.Attrs.IsControl() {
			return
		}
		var e Entry
		if err := cluster.AwaitSchema(ctx, x.cfg.Logger, func() (err error) {
			e, err = x.entry(r)
			return err
		}); err != nil {
			return // not for this release, or the end
		}
		value, err := json.Marshal(e)
		if err != nil {
			return // two numbers and strings: cannot be
		}
		_ = b.Set(entryKey(string(r.Key), e, r), value, nil) // a batch that is not committed cannot fail
	})
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// errUntold says that a record has no place in a history.
var errUntold = errors.New("a record that this release does not tell of")

// entry is what a record says, without the people. An error for one that this release cannot read; schemas.ErrRegistryDown if it may be able to later.
func (x *Index) entry(r *kgo.Record) (e Entry, err error) {
	if r.Topic == topics.CustomerEvents.Name {
		rec, err := schemas.DecodePrivate(r.Value)
		if err != nil {
			return e, err
		}
		headed, ok := rec.(interface{ Head() schemas.EventHead })
		if !ok {
			return e, errUntold
		}
		h := headed.Head()
		e = Entry{
			ID: string(r.Key) + "/" + strconv.FormatInt(h.Version, 10), Kind: Event, Type: shortName(rec), At: h.At, Version: h.Version,
			Cause: h.CommandID, Correlation: h.CorrelationID, Change: changeOf(rec),
		}
		if e.Cause == "" {
			e.Cause = h.CausationID
		}
		return e, nil
	}
	rec, err := x.commands.Decode(r.Value)
	if err != nil {
		return e, err
	}
	c, ok := rec.(schemas.Command)
	if !ok {
		return e, errUntold
	}
	m := c.Metadata()
	return Entry{
		ID: m.CommandID, Kind: Command, Type: shortName(rec), At: r.Timestamp.UnixMilli(), Cause: m.CausationID, Correlation: m.CorrelationID,
		Change: changeOf(rec),
	}, nil
}

func shortName(r schemas.Record) string {
	return r.AvroName()[strings.LastIndexByte(r.AvroName(), '.')+1:]
}

// changeOf is the address change that a record is about, but for the command that asks for it: it is that itself.
func changeOf(r schemas.Record) string {
	switch r := r.(type) {
	case *schemas.ConfirmAddressChange:
		return r.ChangeID
	case *schemas.CancelAddressChange:
		return r.ChangeID
	case *schemas.ExpireAddressChange:
		return r.ChangeID
	case *schemas.ApplyAddressChange:
		return r.ChangeID
	case *schemas.RemindConfirmation:
		return r.ChangeID
	case *schemas.AddressChangeRequested:
		return r.ChangeID
	case *schemas.ConfirmationReminded:
		return r.ChangeID
	case *schemas.ConfirmationUndeliverable:
		return r.ChangeID
	case *schemas.AddressChangeScheduled:
		return r.ChangeID
	case *schemas.AddressChangeCancelled:
		return r.ChangeID
	case *schemas.AddressChangeExpired:
		return r.ChangeID
	case *schemas.AddressChangeOutdated:
		return r.ChangeID
	case *schemas.CustomerMoved:
		return r.ChangeID
	case *schemas.AddressCorrected:
		return r.ChangeID
	}
	return ""
}

// entryKey orders the entries of a customer: by time, a command before its events, then by place in the log.
func entryKey(id string, e Entry, r *kgo.Record) []byte {
	k := append([]byte(id), 0)
	k = binary.BigEndian.AppendUint64(k, uint64(e.At)) //nolint:gosec // after 1970
	if e.Kind == Event {
		return binary.BigEndian.AppendUint64(append(k, 1), uint64(e.Version)) //nolint:gosec // a version
	}
	return binary.BigEndian.AppendUint64(append(k, 0), uint64(r.Offset)) //nolint:gosec // an offset
}

// entryKeyLen is the length of what follows a customer's id.
const entryKeyLen = 17

// Entries returns a page of a customer's history, newest first: what was before the cursor, or the newest. What happened in one moment is on one page.
// Errors: ErrCursor, ErrNotReady.
func (x *Index) Entries(_ context.Context, id, before string, limit int) (Page, error) {
	if limit < 1 || limit > MaxPage {
		limit = MaxPage
	}
	lower := append([]byte(id), 0)
	upper := append([]byte(id), 1)
	if before != "" {
		at, err := hex.DecodeString(before)
		if err != nil || len(at) != entryKeyLen {
			return Page{}, ErrCursor
		}
		upper = append(append([]byte{}, lower...), at...)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.ready {
		return Page{}, ErrNotReady
	}
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return Page{}, fmt.Errorf("history: %w", err)
	}
	p := Page{Entries: []Entry{}}
	last := ""
	for ok := it.Last(); ok; ok = it.Prev() {
		var e Entry
		if err := json.Unmarshal(it.Value(), &e); err != nil {
			return Page{}, errors.Join(fmt.Errorf("history: %w", err), it.Close())
		}
		if n := len(p.Entries); n >= limit && (e.At != p.Entries[n-1].At || n >= 2*limit) {
			p.Next = last
			break
		}
		p.Entries = append(p.Entries, e)
		last = hex.EncodeToString(it.Key()[len(lower):])
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return Page{}, fmt.Errorf("history: %w", err)
	}
	return p, nil
}

// quiet keeps Pebble's chatter out of the log.
type quiet struct{}

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (quiet) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
