package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	idlePoll = time.Second // how long a poll waits when nothing else is to be done

	// A processor that is told to stop has leaveTime for the transaction at hand and for leaving the group, at least lastWord for the latter. Then none of its
	// clients waits for brokers any more: less than the five seconds that orchestrators and our binaries give.
	leaveTime = 3 * time.Second
	lastWord  = 500 * time.Millisecond

	// A transaction that finds more to read than it takes may grow: from minWindow, doubled each time, up to the commit interval.
	minWindow = 2 * time.Millisecond

	// Positions past nothing but transaction markers are committed with the next record, or after this time: otherwise an input that ends with an aborted
	// transaction would show a lag for ever.
	markersWait = time.Second

	// One transaction reads at most this many times what may be in flight.
	maxIntakes = 8
)

// loop is the transaction loop of a processor: poll, admit, hand to Goka, wait, commit. It replaces the member whenever a transaction's outcome is in
// doubt.
type loop struct {
	p       *Processor
	handler sarama.ConsumerGroupHandler
	stop    context.Context // ends when the processor is to finish
	hard    context.Context // ends leaveTime later: what is not finished then is given up

	m        *member
	r        *reader
	box      *outbox
	boxOf    *generation
	in       intake
	window   time.Duration
	timeout  *time.Timer
	failures int       // since the last commit
	passed   time.Time // since when positions wait that lie past markers only; zero: none do

	housekept, refreshed, sized time.Time
}

func newLoop(stop context.Context, p *Processor, handler sarama.ConsumerGroupHandler) (*loop, context.CancelFunc) {
	hard, cancel := context.WithCancel(context.WithoutCancel(stop))
	l := &loop{p: p, handler: handler, stop: stop, hard: hard, window: minWindow, timeout: time.NewTimer(time.Hour)}
	l.r = &reader{p: p, stopped: make(map[topicPartition]bool)}
	unhook := context.AfterFunc(stop, func() { time.AfterFunc(leaveTime, cancel) })
	return l, func() {
		unhook()
		l.timeout.Stop()
		cancel()
	}
}

// run works until stop ends or the processor has failed, and then leaves the group.
func (l *loop) run() {
	for l.stop.Err() == nil {
		if err := l.step(); err != nil {
			l.replace(err)
		}
	}
	l.leave()
}

// step is one round: at most one transaction.
func (l *loop) step() error {
	if l.m == nil {
		m, err := openMember(l.stop, l.hard, l.p, l.handler)
		if err != nil {
			return err
		}
		l.m, l.r.m = m, m
		l.r.g = nil
		for tp := range l.r.stopped {
			m.cl.PauseFetchPartitions(tp.asMap())
		}
	}
	if err := l.m.refresh(l.hard); err != nil {
		return err
	}
	fetches := l.m.poll(l.stop, l.idle(), max(1, l.p.cfg.MaxRecords-l.in.admitted))
	l.p.at("poll")
	if len(fetches) == 0 {
		return nil // the client holds up rebalances for a poll that brings something: an error, if only that its time is over
	}
	g := l.p.generation.Load()
	l.r.follow(g, &l.in)
	if err := l.r.read(fetches, &l.in); err != nil {
		return err
	}
	if g != nil && g.ready.Load() {
		if err := l.work(g); err != nil {
			return err
		}
	}
	l.m.allowRebalance()
	return nil
}

// idle is how long the next poll may wait.
func (l *loop) idle() time.Duration {
	g := l.p.generation.Load()
	if g == nil || !g.ready.Load() {
		return idlePoll
	}
	if len(g.initial) > 0 || !l.in.empty() {
		return 0
	}
	wait := l.r.nextRetry(time.Now(), idlePoll)
	if at, ok := g.firing.nextAt(); ok {
		wait = min(wait, at.Sub(l.p.cfg.Now()))
	}
	return max(wait, 0)
}

// work does what there is to do for g, between a poll and the next.
func (l *loop) work(g *generation) error {
	if l.boxOf != g {
		l.boxOf, l.box = g, newOutbox(g, l.m.cl)
	}
	if len(g.initial) > 0 {
		if err := l.commitInitial(g); err != nil {
			return err
		}
	}
	now := time.Now()
	l.r.retryHeld(now, &l.in)
	l.housekeep(g, now)
	due, ok := g.firing.nextAt()
	if l.in.empty() && (!ok || due.After(l.p.cfg.Now())) && !l.markersDue(now) {
		return nil
	}
	return l.transact(g)
}

// markersDue says whether positions past markers have waited long enough for a transaction of their own.
func (l *loop) markersDue(now time.Time) bool {
	switch {
	case len(l.in.next) == 0:
		l.passed = time.Time{}
	case l.passed.IsZero():
		l.passed = now
	}
	return !l.passed.IsZero() && now.Sub(l.passed) >= markersWait
}

// commitInitial commits where the partitions without an offset begin, before anything of them is handled.
func (l *loop) commitInitial(g *generation) error {
	t, err := l.m.open(g, l.box)
	if err != nil {
		return err
	}
	for tp, at := range g.initial {
		t.next[tp] = inputOffset{at, -1}
	}
	if err := l.commit(t); err != nil {
		return &txnError{err, time.Since(t.began)}
	}
	g.initial = nil
	return nil
}

// transact runs one transaction over the intake, and over what comes meanwhile as long as it may grow.
func (l *loop) transact(g *generation) error {
	t, err := l.m.open(g, l.box)
	if err != nil {
		return err
	}
	l.timeout.Reset(l.p.cfg.TransactionTimeout)
	err = g.firing.fire(l.p.cfg.Now(), l.box)
	for more := true; err == nil && more; {
		t.take(&l.in)
		more, err = l.more(t)
	}
	if err == nil && !l.p.sabotaged("do not wait for what is in flight") {
		err = g.wait(l.hard, 0, l.timeout.C)
	}
	if err == nil {
		err = l.commit(t)
	}
	if err != nil {
		if l.p.sabotaged("keep the rows of a failed transaction") {
			_ = t.apply()
		}
		return &txnError{err, time.Since(t.began)}
	}
	return nil
}

// more reads further records into the transaction. It comes back when half of what is in flight is handled, so that Goka never runs dry, and once more when
// all is: then nothing more means that there is nothing left to read, and it is time to commit.
func (l *loop) more(t *transaction) (bool, error) {
	for _, n := range []int64{t.g.half, 0} {
		if !l.mayGrow(t) {
			return false, nil
		}
		if err := t.g.wait(l.hard, n, l.timeout.C); err != nil {
			return false, err
		}
		if err := l.r.read(l.m.pollNow(l.p.cfg.MaxRecords-int(t.g.inflight.Load())), &l.in); err != nil {
			return false, err
		}
		if !l.in.empty() {
			return true, nil
		}
	}
	return false, nil
}

// prefetch takes what has come while the transaction was flushed, for the next one: the client asks a broker for more only when what it has of it is taken, so
// that what comes during the end of a transaction would otherwise miss the next one, too.
func (l *loop) prefetch() error {
	if l.stop.Err() == nil && !l.m.waiting.Load() && l.in.empty() {
		return l.r.read(l.m.pollNow(l.p.cfg.MaxRecords), &l.in)
	}
	return nil
}

func (l *loop) mayGrow(t *transaction) bool {
	return l.stop.Err() == nil && !l.m.waiting.Load() &&
		time.Since(t.began) < l.window &&
		t.bytes < maxIntakes*l.p.cfg.MaxBytes &&
		t.dirty() < l.p.cfg.MaxDirty/2
}

// commit ends t and looks at how it went.
func (l *loop) commit(t *transaction) error {
	if err := t.flush(l.hard); err != nil {
		return err
	}
	if err := l.prefetch(); err != nil {
		return err
	}
	if err := t.end(l.hard); err != nil {
		return err
	}
	l.failures, l.passed = 0, time.Time{}
	l.r.committed()
	// Let transactions grow only while reading lags behind: without a backlog a larger one only makes everybody wait.
	if l.r.behind() > int64(t.records) {
		l.window = min(2*l.window, l.p.cfg.CommitInterval)
	} else {
		l.window = min(minWindow, l.p.cfg.CommitInterval)
	}
	hooks := &l.p.cfg.Hooks
	if hooks.Committed != nil {
		hooks.Committed(time.Since(t.began), t.records)
	}
	if hooks.Handled != nil {
		for topic, n := range t.perTopic {
			hooks.Handled(topic, n)
		}
	}
	t.box.tell()
	return nil
}

// txnError is a failure while a transaction was open.
type txnError struct {
	err error
	age time.Duration
}

func (e *txnError) Error() string { return e.err.Error() }
func (e *txnError) Unwrap() error { return e.err }

// replace gives the member up after err. Whatever its last transaction wrote to the tables is dropped; a new member takes the positions from the group, where
// the truth is: an answer may have been lost after the commit. An error that a new member cannot heal fails the processor instead.
func (l *loop) replace(err error) {
	var age time.Duration
	if txn, ok := errors.AsType[*txnError](err); ok {
		age = txn.age
		if l.p.cfg.Hooks.Aborted != nil {
			l.p.cfg.Hooks.Aborted(abortReason(err))
		}
	}
	l.p.producer.open.Store(nil)
	if l.p.sabotaged("keep the client after a failure") && l.m != nil && errors.Is(err, errNotCommitted) {
		for _, tb := range l.p.generation.Load().tables.all() {
			tb.st.abort()
		}
		l.m.allowRebalance()
		return
	}
	m, g := l.m, l.p.generation.Load()
	l.m = nil
	if m != nil && l.hard.Err() == nil && m.fenced(l.hard, err, age) {
		l.p.fail(l.p.fencedError(err))
	}
	if m != nil {
		m.close()
	}
	switch {
	case isType[*storeError](err):
		l.p.fail(err)
	case errors.Is(err, errBroken) && g != nil:
		l.p.fail(fmt.Errorf("%w: %w", err, g.end()))
	case errors.Is(err, kerr.UnknownTopicID):
		// The next member would wait for an assignment that never comes if no input is left.
		if err := l.p.sameTopics(l.stop); errors.Is(err, ErrRefused) {
			l.p.fail(err)
		}
	}
	if l.stop.Err() != nil {
		return
	}
	wait := l.backoff()
	if m != nil {
		l.p.log.Warn("the group member is replaced; its open transaction is dropped and read again", slog.String("cause", err.Error()))
	} else {
		l.p.log.Warn("no group member can be made, trying again", slog.String("cause", err.Error()), slog.Duration("in", wait))
	}
	_ = pause(l.stop, wait)
}

// backoff is nothing at first, then grows from 100 ms to 10 s.
func (l *loop) backoff() time.Duration {
	l.failures++
	if l.failures == 1 {
		return 0
	}
	return min(100*time.Millisecond<<min(l.failures-2, 8), 10*time.Second)
}

// abortReason names a cause for the metric, with few values.
func abortReason(err error) string {
	switch {
	case errors.Is(err, errNotCommitted):
		return "not_committed"
	case errors.Is(err, errStuck):
		return "stuck"
	case errors.Is(err, errBroken):
		return "defect"
	case isType[*storeError](err):
		return "store"
	default:
		return "produce"
	}
}

// leave closes the member and, unless it is to come back soon or another process has taken its place, leaves the group, so that the others take over at once.
// The client does not: a static member that closes keeps its partitions idle for the session timeout.
func (l *loop) leave() {
	if l.m != nil {
		l.m.close()
		l.m = nil
	}
	if l.p.cfg.RestartWithin > 0 || errors.Is(l.p.failure(), ErrFenced) {
		return
	}
	ctx := l.hard
	if ctx.Err() != nil { // the transaction has taken all the time
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(l.hard), lastWord)
		defer cancel()
	}
	left, err := l.p.adm.LeaveGroup(ctx, kadm.LeaveGroup(l.p.group).InstanceIDs(l.p.instance).Reason("stopped"))
	if err == nil {
		err = left.Error()
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		l.p.log.Warn("leave the group", slog.String("error", err.Error()))
	}
}

// housekeep reports what changes slowly, keeps the tables' positions from looking old while nothing is written, and ends a process whose
// state turned out to be damaged while it had nothing to do: a query or a compaction met it.
func (l *loop) housekeep(g *generation, now time.Time) {
	if now.Sub(l.housekept) >= time.Second {
		l.housekept = now
		l.r.report(now)
		if damage := l.p.dir.damage(l.p.tableTopic); damage != nil {
			l.p.fail(damage)
		}
	}
	if l.p.cfg.Hooks.StoreSize != nil && now.Sub(l.sized) >= 10*time.Second {
		l.sized = now
		l.p.cfg.Hooks.StoreSize(l.p.dir.bytes(l.p.tableTopic))
	}
	if now.Sub(l.refreshed) >= time.Minute {
		l.refreshed = now
		go l.m.confirm(g)
	}
	if err := g.vouch(); err != nil {
		l.p.fail(err)
	}
}
