package eos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// generation is one assignment of input partitions to this member, from Setup to Cleanup. To Goka it is a sarama.ConsumerGroupSession.
type generation struct {
	p        *Processor
	handler  sarama.ConsumerGroupHandler
	memberID string
	number   int32
	assigned map[string][]int32
	claims   map[topicPartition]*claim
	initial  map[topicPartition]int64 // where partitions without a committed offset begin; committed before anything else
	firing   *firing

	ctx    context.Context // ends with the generation
	cancel context.CancelFunc

	inflight atomic.Int64  // records handed to Goka and not handled yet
	half     int64         // at which Goka is given more
	progress chan struct{} // told when inflight passes half and when it reaches zero
	broken   chan struct{} // closed when a partition processor has stopped by itself
	breakOne sync.Once

	owned atomic.Pointer[time.Time] // when the group was asked whether the partitions are this member's, and said yes; the loop takes it

	tables   tables
	handlers sync.WaitGroup
	isSetUp  chan struct{} // closed when Setup has returned
	ready    atomic.Bool   // Setup succeeded: the tables have caught up
	ending   atomic.Bool
	ended    chan struct{} // closed when Cleanup has returned
	endErr   error
}

func newGeneration(p *Processor, handler sarama.ConsumerGroupHandler, memberID string, number int32, assigned map[string][]int32) *generation {
	ctx, cancel := context.WithCancel(context.Background())
	g := &generation{
		p: p, handler: handler, memberID: memberID, number: number, assigned: assigned,
		claims: make(map[topicPartition]*claim),
		ctx:    ctx, cancel: cancel,
		half:     int64(p.cfg.MaxRecords / 2),
		progress: make(chan struct{}, 1),
		broken:   make(chan struct{}),
		isSetUp:  make(chan struct{}),
		ended:    make(chan struct{}),
	}
	for topic, partitions := range assigned {
		for _, partition := range partitions {
			g.claims[topicPartition{topic, partition}] = newClaim(g, topic, partition)
		}
	}
	g.firing = newFiring(p, g)
	return g
}

// setUp recovers the tables and starts one handler per claim. It returns errEnded if ctx, or the generation, ends first, and errOverdue if a table must be
// recovered anew. Whatever it returns, end must follow.
func (g *generation) setUp(ctx context.Context) error {
	defer close(g.isSetUp)
	stop := context.AfterFunc(ctx, g.cancel)
	defer stop()
	began := time.Now()
	err := g.handler.Setup(g)
	if g.ctx.Err() != nil {
		return errEnded
	}
	for _, tb := range g.tables.all() {
		if late := tb.overdue.Load(); late != nil {
			return *late
		}
	}
	if err != nil {
		return fmt.Errorf("set up the assigned partitions: %w", err)
	}
	for _, c := range g.claims {
		g.handlers.Go(func() { g.handle(c) })
	}
	g.ready.Store(true)
	if g.p.cfg.Hooks.Recovered != nil {
		g.p.cfg.Hooks.Recovered(time.Since(began), len(g.tables.all()))
	}
	return nil
}

// handle lets Goka read a claim until the generation ends. A partition processor that stops before that has met a defect: a callback panicked, or its
// table cannot be read.
func (g *generation) handle(c *claim) {
	if err := g.handler.ConsumeClaim(g, c); err != nil || g.ctx.Err() == nil {
		g.breakOne.Do(func() { close(g.broken) })
	}
}

// end stops the handlers and waits for Goka's clean-up, once; whoever calls it later waits for the same. Nothing that was handed over is handled any
// more after it, and no emit is under way.
func (g *generation) end() error {
	if !g.ending.CompareAndSwap(false, true) {
		<-g.ended
		return g.endErr
	}
	defer close(g.ended)
	g.ready.Store(false)
	g.cancel()
	<-g.isSetUp
	g.handlers.Wait()
	g.endErr = g.handler.Cleanup(g)
	return g.endErr
}

// vouch notes in the tables that they were complete when the group said last that their partitions are this member's.
func (g *generation) vouch() error {
	at := g.owned.Swap(nil)
	if at == nil {
		return nil
	}
	for _, tb := range g.tables.all() {
		if err := tb.st.completeAsOf(*at); err != nil {
			return fmt.Errorf("keep the position of partition %d: %w", tb.partition, err)
		}
	}
	return nil
}

// errEnded means that the generation ended before it was set up. errBroken means that a partition processor stopped by itself; errStuck that callbacks took longer than the transaction may last.
var (
	errEnded  = errors.New("the assignment ended")
	errBroken = errors.New("a partition processor stopped")
	errStuck  = errors.New("the records were not handled within the transaction timeout")
)

// wait blocks until at most n records are in flight, or returns why that will not happen. n is 0 or g.half.
func (g *generation) wait(ctx context.Context, n int64, timeout <-chan time.Time) error {
	for g.inflight.Load() > n {
		select {
		case <-g.progress:
		case <-g.broken:
			return errBroken
		case <-g.ctx.Done():
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return errStuck
		}
	}
	return nil
}

// MarkOffset implements sarama.ConsumerGroupSession. Goka calls it once for each record when its callback has returned; which record it was does not
// matter, because the transaction ends only when all are handled.
func (g *generation) MarkOffset(string, int32, int64, string) {
	if n := g.inflight.Add(-1); n == g.half || n == 0 {
		select {
		case g.progress <- struct{}{}:
		default:
		}
	}
}

// Claims implements sarama.ConsumerGroupSession.
func (g *generation) Claims() map[string][]int32 { return g.assigned }

// MemberID implements sarama.ConsumerGroupSession.
func (g *generation) MemberID() string { return g.memberID }

// GenerationID implements sarama.ConsumerGroupSession.
func (g *generation) GenerationID() int32 { return g.number }

// Context implements sarama.ConsumerGroupSession.
func (g *generation) Context() context.Context { return g.ctx }

// MarkMessage implements sarama.ConsumerGroupSession.
func (g *generation) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	g.MarkOffset(m.Topic, m.Partition, m.Offset+1, metadata)
}

// ResetOffset implements sarama.ConsumerGroupSession. Goka never calls it: offsets belong to the transaction.
func (g *generation) ResetOffset(string, int32, int64, string) {}

// Commit implements sarama.ConsumerGroupSession. Goka never calls it: the loop commits.
func (g *generation) Commit() {}
