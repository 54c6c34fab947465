package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/topics"
)

// member is one client in the group: what it consumes and produces belongs to one transactional id. A member whose transaction did not commit is closed
// and replaced; its successor takes the positions from the group, never from the client's memory.
type member struct {
	p       *Processor
	handler sarama.ConsumerGroupHandler
	sess    *kgo.GroupTransactSession
	cl      *kgo.Client
	abandon context.CancelFunc // ends the client's own context
	opened  chan struct{}      // closed when sess and cl are set: the client calls back before its constructor returns

	wake    atomic.Pointer[context.CancelFunc] // ends the poll under way
	waiting atomic.Bool                        // a rebalance waits for the transaction to end
	ending  atomic.Pointer[ending]             // the end of transaction that is under way

	// After a rebalance the session would abort the next transaction, and not report the next rebalance, until its End is called. The loop does
	// that between transactions; a new generation begins only then.
	revoked   atomic.Int64  // rebalances reported
	refreshed atomic.Int64  // of which the session has been freed
	fresh     chan struct{} // cap 1: told when refreshed has changed

	mu     sync.Mutex // guards latest
	latest map[string][]int32
}

// openMember makes the client, which begins to join the group, and then takes over the transactional id: that aborts what an earlier process under the
// same id left open, or waits for its commit. Without it an idle instance would leave the old transaction open until its first own one.
// When life ends, so does all that waits for brokers.
func openMember(ctx, life context.Context, p *Processor, handler sarama.ConsumerGroupHandler) (*member, error) {
	m := &member{p: p, handler: handler, fresh: make(chan struct{}, 1), opened: make(chan struct{})}
	life, abandon := context.WithCancel(life)
	m.abandon = abandon
	sess, err := kgo.NewGroupTransactSession(append(m.options(), kgo.WithContext(life))...)
	if err != nil {
		abandon()
		return nil, fmt.Errorf("open the group session: %w", err)
	}
	m.sess, m.cl = sess, sess.Client()
	close(m.opened)
	if _, _, err := m.cl.ProducerID(ctx); err != nil {
		m.close()
		return nil, fmt.Errorf("take over transactional id %s: %w", p.transactionalID(), err)
	}
	return m, nil
}

func (m *member) options() []kgo.Opt {
	c := &m.p.cfg
	opts := []kgo.Opt{
		kgo.ConsumerGroup(m.p.group),
		kgo.ConsumeTopics(m.p.inputs...),
		kgo.InstanceID(m.p.instance),
		kgo.TransactionalID(m.p.transactionalID()),
		kgo.TransactionTimeout(c.TransactionTimeout),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(min(c.HeartbeatInterval, c.SessionTimeout/10)),
		kgo.RebalanceTimeout(c.rebalanceTimeout),
		// All inputs have as many partitions, so that range gives a member the same numbers of each.
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers are polled so that positions, and thus lag, count them.
		kgo.KeepControlRecords(),
		// An offset that the log does not have is an error, never a silent jump. Without a commit the beginning is read; whether that is
		// right is decided in assigned.
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchMaxBytes(int32(c.MaxBytes)), //nolint:gosec // A few MiB.
		// A partition that is assigned while a fetch of the same broker waits for records is only in the next fetch: with the default
		// of 5 s a restarted member with a backlog stood still for that long.
		kgo.FetchMaxWait(250 * time.Millisecond),
		// A dead letter is the largest record that is admitted, and the headers that say why.
		kgo.ProducerBatchMaxBytes(topics.BatchBytes),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(partitioner()),
		// Records wait for the flush at the end of a small transaction; a large one sends full batches meanwhile.
		kgo.ProducerLinger(10 * time.Millisecond),
		kgo.MaxBufferedRecords(50_000),
		kgo.MaxBufferedBytes(64 << 20),
		// The defaults (5 s, 250 ms) turn one answer of CONCURRENT_TRANSACTIONS or NOT_LEADER into a stall.
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(backoff),
		kgo.ConcurrentTransactionsBackoff(5 * time.Millisecond),
		kgo.DisableClientMetrics(),
		kgo.OnPartitionsAssigned(m.onAssigned),
		kgo.OnPartitionsRevoked(m.onRevoked),
		kgo.OnPartitionsLost(m.onRevoked),
		kgo.OnPartitionsCallbackBlocked(m.onBlocked),
		kgo.AdjustFetchOffsetsFn(m.onOffsets),
	}
	if c.Hooks.At != nil {
		opts = append(opts, kgo.WithHooks(points{c.Hooks.At}))
	}
	return slices.Concat(c.Client, opts)
}

// backoff grows from 5 ms to 2 s.
func backoff(tries int) time.Duration {
	return min(5*time.Millisecond<<min(tries, 10), 2*time.Second)
}

// poll returns what can be read within wait. It always leaves rebalances blocked, until allowRebalance.
func (m *member) poll(stop context.Context, wait time.Duration, records int) kgo.Fetches {
	ctx, cancel := context.WithTimeout(stop, wait)
	defer cancel()
	m.wake.Store(&cancel)
	defer m.wake.Store(nil)
	if m.stale() {
		cancel()
	}
	return m.sess.PollRecords(ctx, records)
}

// pollNow returns what has been fetched already. It is for use inside a transaction.
func (m *member) pollNow(records int) kgo.Fetches {
	return m.sess.PollRecords(nil, records) //nolint:staticcheck // A nil context means not to wait.
}

func (m *member) allowRebalance() {
	m.waiting.Store(false)
	m.sess.AllowRebalance()
}

func (m *member) stale() bool { return m.revoked.Load() != m.refreshed.Load() }

// refresh makes the session forget that partitions were revoked. No transaction is open, and no partition assigned, so that End does nothing else.
func (m *member) refresh(ctx context.Context) error {
	seen := m.revoked.Load()
	if seen == m.refreshed.Load() {
		return nil
	}
	if _, err := m.sess.End(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("reset the session after a rebalance: %w", err)
	}
	m.refreshed.Store(seen)
	select {
	case m.fresh <- struct{}{}:
	default:
	}
	return nil
}

// confirm asks the group whether the partitions of g are this member's still, and notes in g when it asked: until then nobody else has written to their tables.
// A process that stood still is perhaps out since long, and has not heard of it.
func (m *member) confirm(g *generation) {
	asked := time.Now()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = m.p.group, g.number, g.memberID, &m.p.instance
	if resp, err := req.RequestWith(g.ctx, m.cl); err == nil && resp.ErrorCode == 0 {
		g.owned.Store(&asked)
	}
}

// onAssigned runs when the group has assigned partitions, perhaps none. With none no offsets are fetched, so that the generation begins here.
func (m *member) onAssigned(ctx context.Context, _ *kgo.Client, assigned map[string][]int32) {
	m.mu.Lock()
	m.latest = assigned
	m.mu.Unlock()
	if len(assigned) == 0 {
		if err := m.begin(ctx, assigned, nil); err != nil && !errors.Is(err, errEnded) {
			m.p.fail(err)
		}
	}
}

// onOffsets runs when the group's offsets of the assigned partitions are stable: no transaction that could move them is open any more. Only now may the
// tables be recovered. ctx ends when the group rebalances; recovery is taken up again later.
func (m *member) onOffsets(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for m.stale() {
		select {
		case <-m.fresh:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	assigned := m.latest
	m.mu.Unlock()
	var initial map[topicPartition]int64
	err := m.p.sameTopics(ctx)
	if err == nil {
		initial, err = m.p.initialOffsets(ctx, assigned, offsets)
	}
	if err == nil {
		err = m.begin(ctx, assigned, initial)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errOverdue):
		m.p.log.Warn("the tables were not recovered in time; recovering again", slog.String("error", err.Error()))
		return nil, err // the client rejoins
	case errors.Is(err, errEnded), errors.Is(err, errNoAnswer):
		return nil, err // the client rejoins
	case err != nil:
		m.p.fail(err)
		return nil, err
	}
	for tp, at := range initial {
		offsets[tp.topic][tp.partition] = kgo.NoResetOffset().At(at)
	}
	return offsets, nil
}

// begin ends the generation before, if it has not ended, and sets up the next one.
func (m *member) begin(ctx context.Context, assigned map[string][]int32, initial map[topicPartition]int64) error {
	<-m.opened
	m.endGeneration()
	if m.p.standby != nil {
		m.p.standby.hand(assigned) //nolint:contextcheck // Followers outlive the assignment.
	}
	memberID, number := m.cl.GroupMetadata()
	g := newGeneration(m.p, m.handler, memberID, number, assigned)
	g.initial = initial
	m.p.generation.Store(g)
	err := g.setUp(ctx)
	if err == nil {
		m.p.log.Info("partitions assigned", slog.Int("generation", int(number)), slog.Int("partitions", len(g.tables.all())))
	}
	return err
}

// onRevoked runs when partitions are taken away, always between transactions.
func (m *member) onRevoked(context.Context, *kgo.Client, map[string][]int32) {
	m.endGeneration()
	m.revoked.Add(1)
	if wake := m.wake.Load(); wake != nil {
		(*wake)()
	}
}

// endGeneration ends the current generation, if there is one, and drops what its tables hold uncommitted.
func (m *member) endGeneration() {
	g := m.p.generation.Load()
	if g == nil {
		return
	}
	if err := g.end(); err != nil && g.ctx.Err() == nil {
		m.p.log.Warn("clean up after the assignment", slog.String("error", err.Error()))
	}
	for _, tb := range g.tables.all() {
		tb.st.abort()
	}
	m.p.generation.CompareAndSwap(g, nil)
}

// onBlocked runs when a rebalance waits for the transaction to end. Normally that is soon. If the group has thrown this member out, the session's End
// waits for a heartbeat that nobody sends any more, and would wait for ever.
func (m *member) onBlocked(context.Context, *kgo.Client) {
	if m.waiting.CompareAndSwap(false, true) {
		time.AfterFunc(time.Second, m.unblock)
	}
}

// unblock gives up an end of transaction that takes long while a rebalance waits for it.
func (m *member) unblock() {
	if !m.waiting.Load() {
		return
	}
	if e := m.ending.Load(); e != nil && time.Since(e.began) > 2*time.Second {
		e.cancel()
		return
	}
	time.AfterFunc(time.Second, m.unblock)
}

// ending is an end of transaction that is under way.
type ending struct {
	began  time.Time
	cancel context.CancelFunc
}

// close ends the generation and the client. The membership stays: a static member leaves by an explicit request only. The client's context is ended first:
// otherwise Close would wait for a rebalance to complete, which takes minutes if another member is slow.
func (m *member) close() {
	m.waiting.Store(false)
	m.endGeneration()
	m.abandon()
	m.sess.CloseAllowingRebalance()
	m.endGeneration() // one that began meanwhile
}
