package webhooks

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

const (
	// inFlight is how many calls of one webhook are under way at the same time.
	inFlight = 8
	// ahead is how many changes wait in a lane before its partition is not read for a while.
	ahead = 64
	// perPoll bounds what is taken up at once.
	perPoll = 200
)

// worker reads for one webhook and calls it, until it is stopped. When what the webhook wants changes, another takes its place.
type worker struct {
	hook  *schemas.WebhookState
	lanes map[int32]*lane
	stop  context.CancelFunc
	done  chan struct{}
}

// same says whether a worker for one can go on for the other.
func same(a, b *schemas.WebhookState) bool {
	return a.URL == b.URL && a.Payload == b.Payload && slices.Equal(a.Events, b.Events) && a.RegisteredAt == b.RegisteredAt &&
		a.ActiveAt == b.ActiveAt && slices.Equal(a.Redeliveries(), b.Redeliveries()) && a.Secret == b.Secret && a.Previous == b.Previous &&
		a.PreviousEndsAt == b.PreviousEndsAt
}

// start makes and runs the worker of a webhook for partitions.
func (s *Sender) start(ctx context.Context, w *schemas.WebhookState, parts []int32) (*worker, error) {
	k := &worker{hook: w, lanes: map[int32]*lane{}, done: make(chan struct{})}
	slots := make(chan struct{}, inFlight)
	places, from, err := s.places(ctx, w, parts)
	if err != nil {
		return nil, err
	}
	for part, pos := range places {
		s.positions.save(pos)
		k.lanes[part] = &lane{
			hook: w, part: part, pos: pos, compose: s.compose, caller: s.caller, slots: slots, save: s.positions.save,
			latest: func() *schemas.WebhookState { return s.latest(w.WebhookID) }, report: s.report, observed: s.cfg.Hooks.Attempt, log: s.log,
		}
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	cl, err := kafkaclient.New(run, append(append([]kgo.Opt{}, s.cfg.Client...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topics.CustomerChanges.Name: from}),
		// What retention has removed cannot be told any more; the oldest that is left comes next. Where a log that is being read was cut
		// off, and nobody knows at which place, its last hour is told again, not everything.
		kgo.ConsumeResetOffset(kgo.RewindOffset(time.Hour)),
		kgo.KeepControlRecords(), // so that a lane reaches the end of the log, which is a marker
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(1<<20), kgo.FetchMaxPartitionBytes(128<<10),
	)...)
	if err != nil {
		stop()
		return nil, fmt.Errorf("webhook reader: %w", err)
	}
	k.stop = stop
	go func() {
		defer close(k.done)
		defer cl.Abandon() // a reader has nobody to tell that it ends
		k.run(run, cl.Client, s.log)
	}()
	return k, nil
}

// run hands what is read to the lanes. A lane that has enough has its partition paused; the others are not held up.
func (k *worker) run(ctx context.Context, cl *kgo.Client, log *slog.Logger) {
	queues := map[int32]*queue{}
	var all sync.WaitGroup
	for part, l := range k.lanes {
		q := newQueue(
			func() { cl.PauseFetchPartitions(map[string][]int32{topics.CustomerChanges.Name: {part}}) },
			func() { cl.ResumeFetchPartitions(map[string][]int32{topics.CustomerChanges.Name: {part}}) },
		)
		queues[part] = q
		all.Go(func() {
			for {
				r, err := q.next(ctx)
				if err == nil {
					err = l.handle(ctx, r)
				}
				if err != nil {
					return
				}
			}
		})
	}
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, perPoll)
		if ctx.Err() == nil {
			fetches.EachError(func(_ string, p int32, err error) {
				log.Error("a webhook's changes cannot be read", slog.String("webhook", k.hook.WebhookID), slog.Int64("partition", int64(p)), slog.Any("error", err))
			})
		}
		fetches.EachRecord(func(r *kgo.Record) { queues[r.Partition].add(r) })
	}
	all.Wait()
}

// parts are the partitions of a worker, ascending.
func (k *worker) parts() []int32 { return slices.Sorted(maps.Keys(k.lanes)) }

// queue is what one lane has to do.
type queue struct {
	mu            sync.Mutex
	waiting       []*kgo.Record
	paused        bool
	more          chan struct{}
	pause, resume func()
}

func newQueue(pause, resume func()) *queue {
	return &queue{more: make(chan struct{}, 1), pause: pause, resume: resume}
}

func (q *queue) add(r *kgo.Record) {
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	if len(q.waiting) >= ahead && !q.paused {
		q.paused = true
		q.pause()
	}
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue) next(ctx context.Context) (*kgo.Record, error) {
	for {
		q.mu.Lock()
		if len(q.waiting) > 0 {
			r := q.waiting[0]
			q.waiting[0] = nil
			q.waiting = q.waiting[1:]
			if len(q.waiting) < ahead/4 && q.paused {
				q.paused = false
				q.resume()
			}
			q.mu.Unlock()
			return r, nil
		}
		q.mu.Unlock()
		select {
		case <-q.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// places are where a webhook goes on, and a reader with it. The ends are asked for last: what is beyond them has been cut off.
func (s *Sender) places(ctx context.Context, w *schemas.WebhookState, parts []int32) (map[int32]schemas.WebhookPosition, map[int32]kgo.Offset, error) {
	all, from := map[int32]schemas.WebhookPosition{}, map[int32]kgo.Offset{}
	at := s.offsets(ctx)
	for _, part := range parts {
		pos, err := s.place(w, part, at)
		if err != nil {
			return nil, nil, err
		}
		all[part] = pos
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// High-water marks: what is not committed yet is in the log, too.
	ends, err := s.adm.ListEndOffsets(limited, topics.CustomerChanges.Name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ends of changes: %w", err)
	}
	for part, pos := range all {
		end, ok := ends.Lookup(topics.CustomerChanges.Name, part)
		if !ok {
			return nil, nil, fmt.Errorf("ends of changes: %w: partition %d", errUnlisted, part)
		}
		all[part] = cutOff(s.log, pos, end.Offset)
		// With the epoch the client finds out, before it has read anything, at which place a log is cut off.
		from[part] = kgo.NewOffset().At(all[part].Offset).WithEpoch(end.LeaderEpoch)
	}
	return all, from, nil
}

// place is where a webhook goes on in a partition: where it was, or else with what happened since it was registered; and before
// that, if it was asked to be told again since.
func (s *Sender) place(w *schemas.WebhookState, part int32, at offsetAt) (schemas.WebhookPosition, error) {
	pos, ok := s.positions.of(w, part)
	if !ok {
		first, err := at(part, w.RegisteredAt)
		if err != nil {
			return pos, err
		}
		pos = schemas.WebhookPosition{WebhookID: w.WebhookID, Partition: part, RegisteredAt: w.RegisteredAt, Offset: first}
	}
	if pos.FailingAt < w.ActiveAt {
		pos.FailingAt, pos.Attempts = 0, 0
	}
	for _, wish := range w.Redeliveries() {
		if wish.Version <= pos.Redelivery {
			continue // it has begun
		}
		pos.Redelivery = wish.Version
		if wish.CustomerID != "" && topics.Partition(wish.CustomerID, s.count) != part {
			continue
		}
		first, err := at(part, wish.FromAt)
		if err != nil {
			return pos, err
		}
		pos = rewound(pos, first, wish.CustomerID)
	}
	return pos, nil
}

// rewound is a position from which what begins at offset at is told again. Where two wishes meet, only the one that begins earlier
// is told until the other begins, and everything from there on: rather more than less.
func rewound(pos schemas.WebhookPosition, at int64, customer string) schemas.WebhookPosition {
	narrow := pos.Only != "" && pos.Offset < pos.Until
	all := pos.Offset // everything is told from here on
	if narrow {
		all = pos.Until
	}
	switch {
	case at >= all:
		return pos // still to be told anyway
	case narrow && pos.Only == customer:
		if at >= pos.Offset {
			return pos
		}
		pos.Offset = at
	case at >= pos.Offset:
		pos.Until = at
		return pos
	case customer == "":
		pos.Offset, pos.Only, pos.Until = at, "", 0
	default:
		pos.Offset, pos.Only, pos.Until = at, customer, pos.Offset
	}
	pos.FailingAt, pos.Attempts = 0, 0
	return pos
}

// offsetAt is that of the first change of a partition at or after a time, in Unix milliseconds, or the end.
type offsetAt func(part int32, ms int64) (int64, error)

// offsets looks times up, each once for all partitions.
func (s *Sender) offsets(ctx context.Context) offsetAt {
	known := map[int64]kadm.ListedOffsets{}
	return func(part int32, ms int64) (int64, error) {
		if known[ms] == nil {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			all, err := cluster.OffsetsSince(limited, s.adm, topics.CustomerChanges.Name, schemas.Time(ms))
			if err != nil {
				return 0, fmt.Errorf("offsets of changes: %w", err)
			}
			known[ms] = all
		}
		o, ok := known[ms].Lookup(topics.CustomerChanges.Name, part)
		if !ok {
			return 0, fmt.Errorf("offsets of changes: %w: partition %d", errUnlisted, part)
		}
		return o.Offset, nil
	}
}

// called says whether a webhook is to be called.
func called(w *schemas.WebhookState) bool { return w.Status == string(webhook.StatusActive) }
