package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// offsetNone is no offset of a log: the local state holds nothing.
const offsetNone int64 = -3

// standby keeps copies of partitions that are not assigned to this instance, so that a partition that comes to it has little left to read.
//
// A copy takes no part in transactions: it holds what the committed changelog says, at the offset to which it says so. A partition's store has one
// user at a time, either its follower here or Goka, who opens it for a generation. It costs what it promises: the disk and the network traffic of the
// whole table, in every instance.
type standby struct {
	p    *Processor
	log  *changelog
	stop context.CancelFunc
	ctx  context.Context // the followers'; ends with close

	mu        sync.Mutex
	followers map[int32]*follower
}

// follower keeps one partition up to date.
type follower struct {
	s         *standby
	partition int32
	cancel    context.CancelFunc
	done      chan struct{}
	caughtUp  chan struct{} // closed when the copy has what the log had when following began
	isClosed  bool

	reading
}

// newStandby begins to follow every partition of the group's table.
func newStandby(ctx context.Context, p *Processor) (*standby, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	log, err := newChangelog(ctx, changelogOptions{client: p.cfg.Client, logger: p.log})
	if err != nil {
		stop()
		return nil, err
	}
	s := &standby{p: p, log: log, stop: stop, ctx: ctx, followers: make(map[int32]*follower)}
	s.follow(nil) //nolint:contextcheck // Followers outlive whoever starts them.
	return s, nil
}

// hand gives the assigned partitions to a generation that is about to begin. The others are copied from now on or, without hot standby, no longer.
func (s *standby) hand(assigned map[string][]int32) {
	mine := make(map[int32]bool)
	for _, partitions := range assigned { // of each input the same numbers
		for _, n := range partitions {
			mine[n] = true
		}
	}
	var given []*follower
	for _, f := range s.all() {
		if mine[f.partition] || !s.p.cfg.HotStandby {
			given = append(given, f)
		}
	}
	s.release(given...)
	if s.p.cfg.HotStandby {
		s.follow(mine)
	}
}

// follow keeps copies of every partition but mine.
func (s *standby) follow(mine map[int32]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	for n := range s.p.facts.partitions {
		if mine[n] || s.followers[n] != nil {
			continue
		}
		f := &follower{s: s, partition: n, done: make(chan struct{}), caughtUp: make(chan struct{})}
		ctx, cancel := context.WithCancel(s.ctx)
		f.cancel = cancel
		s.followers[n] = f
		go f.run(ctx)
	}
}

// release ends followers. Their stores may be opened by others then.
func (s *standby) release(followers ...*follower) {
	for _, f := range followers {
		f.cancel()
	}
	for _, f := range followers {
		<-f.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range followers {
		delete(s.followers, f.partition)
	}
}

// all returns the followers of now.
func (s *standby) all() []*follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*follower, 0, len(s.followers))
	for _, f := range s.followers {
		all = append(all, f)
	}
	return all
}

// recovered waits until every copy has what its log had when following began.
func (s *standby) recovered(ctx context.Context) error {
	for _, f := range s.all() {
		select {
		case <-f.caughtUp:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close ends all copying.
func (s *standby) close() error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.release(s.all()...)
	return s.log.Close()
}

// run follows until ctx ends. What fails is tried again: a copy is never needed for what this instance does now.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	for wait := viewBackoffMin; ctx.Err() == nil; wait = min(2*wait, viewBackoffMax) {
		err := f.feed(ctx)
		if ctx.Err() != nil || errors.Is(err, errClosed) {
			return
		}
		if f.s.p.dir.failed(f.s.p.tableTopic) || errors.Is(err, errLogDiffers) || f.s.p.failure() != nil {
			f.s.p.fail(fmt.Errorf("keep a copy of partition %d: %w", f.partition, err))
			return
		}
		f.s.p.log.Warn("the copy of a partition lost its log; reading on from where it was", slog.Int("partition", int(f.partition)),
			slog.Duration("after", wait), slog.String("error", oneLine(err)))
		_ = pause(ctx, wait)
	}
}

// feed opens the store, reads up to the end that the log has now, and then on.
func (f *follower) feed(ctx context.Context) (err error) {
	p := f.s.p
	st, err := p.dir.builder(ctx, p.logs, p.storeOptions())(p.tableTopic, f.partition)
	if err != nil {
		return err
	}
	a, ok := st.(*assignment)
	if !ok {
		return fmt.Errorf("storage of %s/%d has an unexpected type", p.tableTopic, f.partition)
	}
	if err := a.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	copied := &table{Storage: a, st: a.store, p: p, partition: f.partition}
	at, err := f.recover(ctx, copied)
	if err != nil {
		return err
	}
	return f.keep(ctx, copied, at)
}

// recover reads what the log had when it was called, and returns the offset of the next record.
func (f *follower) recover(ctx context.Context, t *table) (int64, error) {
	began := time.Now()
	last, err := t.GetOffset(offsetNone)
	if err != nil {
		return 0, err
	}
	end, err := f.s.p.logs.end(ctx, t.st.table.topic, f.partition)
	if err != nil {
		return 0, err
	}
	at := max(last+1, t.st.oldest())
	f.from.Store(at)
	f.applied.Store(at - 1)
	f.end.Store(end)
	if at < end {
		err = f.read(ctx, at, nil, func(m *sarama.ConsumerMessage) (bool, error) {
			err := errors.Join(skipMarkers(nil, t, string(m.Key), m.Value), t.SetOffset(m.Offset))
			at = m.Offset + 1
			f.applied.Store(m.Offset)
			return at < end, err
		})
		if err != nil {
			return 0, err
		}
	}
	if err := t.MarkRecovered(); err != nil {
		return 0, err
	}
	t.live.Store(false) // rows go on to come from the log
	if err := t.st.completeAsOf(began); err != nil {
		return 0, err
	}
	if !f.isClosed {
		f.isClosed = true
		close(f.caughtUp)
	}
	return at, nil
}

// keep applies what is committed from at on, until ctx ends. Once a minute it looks whether it has everything that the log had: a copy that cannot say so
// for too long has perhaps missed deletions, and is read anew.
func (f *follower) keep(ctx context.Context, t *table, at int64) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	sure, mark := time.Now(), int64(-1) // the log ended at mark when it was asked
	return f.read(ctx, at, tick.C, func(m *sarama.ConsumerMessage) (bool, error) {
		if m == nil {
			asked := time.Now()
			end, err := f.s.p.logs.highWaterMark(ctx, t.st.table.topic, f.partition)
			if err != nil {
				return false, err
			}
			// By the clock on the wall: the other one stands still while a machine sleeps.
			if age := time.Now().Round(0).Sub(sure); t.st.o.deleteRetention > 0 && age > t.st.o.deleteRetention/2 {
				return false, fmt.Errorf("the copy was last complete %s ago", age.Round(time.Minute))
			}
			if mark < 0 {
				sure, mark = asked, end
			}
		} else {
			at = m.Offset + 1
			f.applied.Store(m.Offset)
			if err := skipMarkers(nil, t, string(m.Key), m.Value); err != nil {
				return false, err
			}
			if err := t.st.follow(m.Offset); err != nil {
				return false, err
			}
		}
		if mark >= 0 && at >= mark {
			mark = -1
			return true, t.st.completeAsOf(sure)
		}
		return true, nil
	})
}

// read gives each message from offset at on to apply, and nil at each tick, until apply says that it was the last one, or fails, or ctx ends.
func (f *follower) read(ctx context.Context, at int64, tick <-chan time.Time, apply func(*sarama.ConsumerMessage) (bool, error)) error {
	reader, err := f.s.log.ConsumePartition(f.s.p.tableTopic, f.partition, at)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	for {
		var m *sarama.ConsumerMessage
		select {
		case m = <-reader.Messages():
			if m == nil {
				return errReaderClosed
			}
		case err := <-reader.Errors():
			if err == nil {
				return errReaderClosed
			}
			return err
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
		if more, err := apply(m); !more || err != nil {
			return err
		}
	}
}
