package operator

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// States of a dead letter.
const (
	Open    = "open"
	Retried = "retried"
	Dropped = "dropped"
)

const (
	// keepLetters is how many dead letters an index knows, the newest, about 500 bytes each.
	keepLetters = 50_000
	// decidedFor is for how long a decision is known: as long as a letter is kept, and what clocks may differ.
	decidedFor = 32 * 24 * time.Hour
	// maxText is the longest text of a letter that is kept, in bytes: keys and details may be anything.
	maxText = 200
	// lookEvery is how often letters that the log has no more are taken away.
	lookEvery = time.Minute
)

var (
	// ErrCursor says that a cursor is none of this list.
	ErrCursor = errors.New("the cursor is not one of this list")
	// ErrNotReady says that the log has not been read yet.
	ErrNotReady = errors.New("the dead letters are still being read")
)

// Letter is a dead letter without its value and headers.
type Letter struct {
	Ref, Origin    cluster.Ref
	At             time.Time
	Reason, Detail string
	Key            string // as text, or 0x and hexadecimal digits; the beginning of a long one
	Bytes          int    // of the value
	Decision       *Action
}

// State is open, retried or dropped.
func (l Letter) State() string {
	switch {
	case l.Decision == nil:
		return Open
	case l.Decision.Action == Drop:
		return Dropped
	}
	return Retried
}

// Query asks for a page of letters.
type Query struct {
	Topic  string // the topic they came from; empty: any
	State  string // empty: any
	Cursor string // Next of the page before
	Limit  int
}

// Page is a part of the letters, newest first.
type Page struct {
	Letters   []Letter
	Next      string // empty: this was the last
	Forgotten int    // letters that were older than all of those that are known
}

// Index knows the dead letters and what was decided about them. It reads the log, and keeps nothing that the log does not have.
type Index struct {
	cfg   Config
	codec *schemas.Codec
	log   *slog.Logger

	mu        sync.RWMutex
	letters   []*Letter // oldest first
	forgotten int
	decided   map[string]*Action // by the letter
	read      map[int32]int64    // of the actions: the offset that comes next
	moved     chan struct{}      // closed when something was read
	ready     bool
}

// NewIndex makes an index; nothing is connected before Run.
func NewIndex(cfg Config) (*Index, error) {
	codec, err := schemas.NewCodec(topics.OperatorActions.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	x := &Index{cfg: cfg, codec: codec, log: cfg.Logger, decided: map[string]*Action{}, read: map[int32]int64{}, moved: make(chan struct{})}
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	return x, nil
}

// sources are the topics that an index reads.
func sources() []string {
	names := []string{topics.OperatorActions.Name}
	for _, t := range topics.All() {
		if t.Kind == topics.DeadLetters {
			names = append(names, t.Name)
		}
	}
	return names
}

// Run reads the log until ctx ends, and returns nil then.
func (x *Index) Run(ctx context.Context) error {
	cl, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, x.cfg.Client...),
		kgo.ConsumeTopics(sources()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...) // a log ends with a marker
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	defer cl.Close()
	ends, err := x.ends(ctx, cl.Client)
	if err != nil {
		return nil
	}
	looked := time.Now()
	for ctx.Err() == nil {
		if len(ends) == 0 {
			x.setReady()
		}
		poll, cancel := context.WithTimeout(ctx, lookEvery)
		fetches := cl.PollFetches(poll)
		cancel()
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && ctx.Err() == nil {
				x.log.Warn("dead letters cannot be read", slog.String("topic", e.Topic), slog.Int("partition", int(e.Partition)), slog.Any("error", e.Err))
			}
		}
		x.take(fetches, ends)
		if time.Since(looked) > lookEvery {
			x.forget(ctx, cl.Client)
			looked = time.Now()
		}
	}
	return nil
}

func (x *Index) setReady() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ready = true
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// ends are the committed ends that the log has now, of the partitions that have something; a cluster that is away, or has not all of the
// topics yet, is waited for.
func (x *Index) ends(ctx context.Context, cl *kgo.Client) (map[place]int64, error) {
	adm := kadm.NewClient(cl)
	for {
		listed, err := adm.ListCommittedOffsets(ctx, sources()...)
		starts, serr := adm.ListStartOffsets(ctx, sources()...)
		if err = errors.Join(err, serr); err == nil {
			err = errors.Join(listed.Error(), starts.Error())
		}
		if err == nil {
			ends := map[place]int64{}
			listed.Each(func(o kadm.ListedOffset) {
				if start, ok := starts.Lookup(o.Topic, o.Partition); !ok || start.Offset < o.Offset {
					ends[place{o.Topic, o.Partition}] = o.Offset
				}
			})
			return ends, nil
		}
		if ctx.Err() == nil {
			x.log.Warn("dead letters cannot be read yet", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// take remembers what a poll has brought, and strikes out of ends what has been reached.
func (x *Index) take(fetches kgo.Fetches, ends map[place]int64) {
	if fetches.NumRecords() == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		if at := (place{r.Topic, r.Partition}); r.Offset+1 >= ends[at] {
			delete(ends, at)
		}
		if r.Topic == topics.OperatorActions.Name {
			x.read[r.Partition] = r.Offset + 1
			x.decide(r)
		} else if !r.Attrs.IsControl() {
			x.add(letterOf(cluster.LetterOf(r)))
		}
	})
	close(x.moved)
	x.moved = make(chan struct{})
}

func (x *Index) decide(r *kgo.Record) {
	if r.Attrs.IsControl() || time.Since(r.Timestamp) > decidedFor {
		return
	}
	a, err := actionOf(x.codec, r)
	if err != nil {
		x.log.Warn("an operator's action cannot be read", slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset), slog.Any("error", err))
		return
	}
	if a.decides() {
		x.decided[a.Target] = &a
	}
}

func (x *Index) add(l *Letter) {
	i, _ := slices.BinarySearchFunc(x.letters, l, older)
	x.letters = slices.Insert(x.letters, i, l)
	if len(x.letters) > keepLetters {
		x.letters = slices.Delete(x.letters, 0, 1)
		x.forgotten++
	}
}

// older orders letters by time, and those of one time somehow, but always alike.
func older(a, b *Letter) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Ref.Topic, b.Ref.Topic), cmp.Compare(a.Ref.Partition, b.Ref.Partition), cmp.Compare(a.Ref.Offset, b.Ref.Offset))
}

func letterOf(d cluster.DeadLetter) *Letter {
	return &Letter{
		Ref: d.Ref, Origin: d.Origin, At: d.At, Reason: head(d.Reason), Detail: head(d.Detail), Key: head(cluster.Printable(d.Record.Key)), Bytes: len(d.Record.Value),
	}
}

// head is the beginning of a text, copied: what it came in is as large as a record.
func head(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.Clone(s)
}

// forget takes away what the log has no more.
func (x *Index) forget(ctx context.Context, cl *kgo.Client) {
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, sources()...)
	if err != nil || starts.Error() != nil {
		return // another time
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.letters = slices.DeleteFunc(x.letters, func(l *Letter) bool {
		start, ok := starts.Lookup(l.Ref.Topic, l.Ref.Partition)
		return ok && l.Ref.Offset < start.Offset
	})
	for target, a := range x.decided {
		if time.Since(a.At) > decidedFor {
			delete(x.decided, target)
		}
	}
}

// Letters returns a page. Errors: ErrCursor, ErrNotReady.
func (x *Index) Letters(q Query) (Page, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.ready {
		return Page{}, ErrNotReady
	}
	i := len(x.letters)
	if q.Cursor != "" {
		before, err := parseCursor(q.Cursor)
		if err != nil {
			return Page{}, ErrCursor
		}
		i, _ = slices.BinarySearchFunc(x.letters, before, older)
	}
	p := Page{Forgotten: x.forgotten}
	for i--; i >= 0; i-- {
		l := *x.letters[i]
		l.Decision = x.decided[l.Ref.String()]
		if q.Topic != "" && l.Ref.Topic != q.Topic+".dlq" || q.State != "" && l.State() != q.State {
			continue
		}
		if len(p.Letters) == max(q.Limit, 1) {
			p.Next = cursor(p.Letters[len(p.Letters)-1])
			break
		}
		p.Letters = append(p.Letters, l)
	}
	return p, nil
}

// Decision returns what was decided about a letter, nil if nothing was. ErrNotReady.
func (x *Index) Decision(ref cluster.Ref) (*Action, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.ready {
		return nil, ErrNotReady
	}
	return x.decided[ref.String()], nil
}

// Wait returns when the index knows of an action, or ctx ends.
func (x *Index) Wait(ctx context.Context, a Action) {
	for {
		x.mu.RLock()
		known, moved := x.read[a.Partition] > a.Offset, x.moved
		x.mu.RUnlock()
		if known {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// cursor is a place in the order: whatever is behind it comes next.
func cursor(l Letter) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(l.At.UnixMilli(), 10) + "/" + l.Ref.String()))
}

func parseCursor(text string) (*Letter, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	at, ref, _ := strings.Cut(string(b), "/")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, err
	}
	r, err := cluster.ParseRef(ref)
	return &Letter{Ref: r, At: time.UnixMilli(ms)}, err
}
