// Package feed tells the changes of customers (customer.changes.v1) on to those who have no Kafka. One reader for all follows
// the log, decodes and writes each record once, and keeps the newest in memory; whoever comes with an older position is served
// from the log until it meets the others. A position is the offset of each partition, so that any instance goes on exactly
// where another one stopped: no event is lost, and none comes twice.
//
// It knows nothing of HTTP and decides nobody's rights.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

const (
	// ringBytes bounds the memory of the newest events.
	ringBytes = 32 << 20
	// flushEvery is how long events wait for others at most, so that many readers are woken seldom.
	flushEvery = 50 * time.Millisecond
	// positionEvery is how often positions move on when the log has nothing but ends of transactions.
	positionEvery = 5 * time.Second
	// warm is how much of the log a new instance has at hand: those who lost another one have been away as long at most.
	warm = time.Minute
	// retryAfter is how long a tail that failed waits before it begins again.
	retryAfter = time.Second
)

// Config of a feed. Client and IDs are required.
type Config struct {
	Client    []kgo.Opt
	IDs       schemas.IDs
	RingBytes int // 0: 32 MiB
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Feed follows the topic for any number of readers.
type Feed struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	source  *source
	ring    *ring
	ready   atomic.Bool // it was live once
	skipped atomic.Int64
}

// New makes a feed; nothing is connected before Run.
func New(cfg Config) (*Feed, error) {
	if cfg.IDs == nil {
		return nil, errors.New("feed: IDs are needed")
	}
	if cfg.RingBytes == 0 {
		cfg.RingBytes = ringBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s, err := newSource(topics.CustomerChanges.Name, cfg.IDs)
	if err != nil {
		return nil, err
	}
	return &Feed{cfg: cfg, log: cfg.Logger, now: cfg.Now, source: s, ring: newRing(cfg.RingBytes)}, nil
}

// Run follows the log until ctx ends, and returns nil then. A log that cannot be read is tried again for ever: those who read
// are told, and come back with their positions.
func (f *Feed) Run(ctx context.Context) error {
	disconnect, err := f.source.connect(ctx, f.cfg.Client)
	if err != nil {
		return err
	}
	defer disconnect()
	for {
		err := f.follow(ctx)
		f.ring.lively(false)
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		f.log.Warn("the changes cannot be followed; beginning again", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryAfter):
		}
	}
}

// Ready says whether the log has been read up to its end once.
func (f *Feed) Ready() bool { return f.ready.Load() }

// Skipped is how many records were not told on, because this release does not know their type or cannot read them.
func (f *Feed) Skipped() int64 { return f.skipped.Load() }

// Reached says whether everything before these offsets has been read.
func (f *Feed) Reached(offsets map[int32]int64) bool {
	at := f.Next()
	for p, offset := range offsets {
		if here, known := at[p]; !known || here < offset {
			return false
		}
	}
	return at != nil
}

// Next returns what the feed reads next, by partition; nil while it does not follow the log.
func (f *Feed) Next() map[int32]int64 {
	l := f.ring.after(0)
	if !l.live {
		return nil
	}
	next := make(map[int32]int64, len(l.last))
	for p, offset := range l.last {
		next[int32(p)] = offset //nolint:gosec // few partitions
	}
	return next
}

// follow reads the log from a minute ago, and tells what comes.
func (f *Feed) follow(ctx context.Context) error {
	facts, err := f.source.look(ctx)
	if err != nil {
		return err
	}
	end, err := f.source.newest(ctx, len(facts.leaders))
	if err != nil {
		return err
	}
	from, err := f.source.since(ctx, f.now().Add(-warm), len(facts.leaders))
	if err != nil {
		return err
	}
	for i := range from {
		from[i] = min(from[i], end[i]) // an open transaction may be older than that
	}
	t, err := f.open(ctx, facts, from, end)
	if err != nil {
		return err
	}
	defer t.client.Close()
	return t.run(ctx)
}

// tail is one attempt to follow the log.
type tail struct {
	*Feed
	facts   facts
	client  *kafkaclient.Client
	end     Position // to reach before it is live
	live    bool
	before  Position // of what is pending
	at      Position // changed in place; never handed out
	pending []Event
	flushed time.Time
}

func (f *Feed) open(ctx context.Context, facts facts, from, end Position) (*tail, error) {
	offsets := map[int32]kgo.Offset{}
	for i, at := range from {
		offsets[int32(i)] = kgo.NewOffset().At(at) //nolint:gosec // partitions are few
	}
	client, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, f.cfg.Client...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.source.topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a position moves past the ends of transactions
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(responseBytes), kgo.FetchMaxPartitionBytes(responseBytes/4), kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return nil, err
	}
	t := &tail{Feed: f, facts: facts, client: client, end: end, before: from, at: append(Position{}, from...)}
	f.ring.begin(facts, from)
	return t, nil
}

func (t *tail) run(ctx context.Context) error {
	t.arrive()
	for {
		fetches := t.poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.DeadlineExceeded) {
				return fmt.Errorf("partition %d: %w", failed.Partition, failed.Err)
			}
		}
		if err := t.take(ctx, fetches); err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
}

// poll waits for records, but not longer than what is pending may wait.
func (t *tail) poll(ctx context.Context) kgo.Fetches {
	within := positionEvery
	if len(t.pending) > 0 {
		within = max(time.Millisecond, flushEvery-t.now().Sub(t.flushed))
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return t.client.PollFetches(ctx)
}

func (t *tail) take(ctx context.Context, fetches kgo.Fetches) error {
	for i := fetches.RecordIter(); !i.Done(); {
		r := i.Next()
		if !r.Attrs.IsControl() {
			e, err := t.decode(ctx, r)
			switch {
			case errors.Is(err, errSkipped):
				t.skipped.Add(1)
			case err != nil:
				return err
			default:
				t.pending = append(t.pending, e)
			}
		}
		t.at[r.Partition] = r.Offset + 1
	}
	return nil
}

// arrive says so when the end is reached that the log had when the tail began.
func (t *tail) arrive() {
	if !t.live && t.before.covers(t.end) {
		t.live = true
		t.ring.lively(true) // before somebody is told that it is ready, and reads
		t.ready.Store(true)
	}
}

// decode waits for a registry that is away: an event is not left out for that.
func (t *tail) decode(ctx context.Context, r *kgo.Record) (e Event, err error) {
	err = cluster.AwaitSchema(ctx, t.log, func() (err error) {
		e, err = read(t.source.codec, r)
		return err
	})
	return e, err
}

// flush hands on what is pending, if it has waited long enough.
func (t *tail) flush() error {
	now := t.now()
	wait := flushEvery
	if len(t.pending) == 0 {
		wait = positionEvery
	}
	arriving := !t.live && t.at.covers(t.end)
	if !arriving && now.Sub(t.flushed) < wait || len(t.pending) == 0 && t.before.covers(t.at) {
		return nil
	}
	after := append(Position{}, t.at...)
	c, err := newChunk(t.before, after, t.facts.tag(), t.pending)
	if err != nil {
		return err
	}
	t.ring.push(c)
	t.before, t.pending, t.flushed = after, nil, now
	t.arrive()
	return nil
}
