package eos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/processors/kafkaclient"
)

// transaction is an open Kafka transaction of one generation. The loop sees it as three steps (begin, produce, end with these offsets), so that
// transactions of more than one producer could overlap without another loop.
type transaction struct {
	p       *Processor
	m       *member
	g       *generation
	box     *outbox
	began   time.Time
	next    map[topicPartition]inputOffset // offsets to commit: everything before them is handled when the transaction ends
	claims  map[*claim]struct{}            // that took records
	records int
	bytes   int

	perTopic map[string]int // records, kept for the metric only
}

// errNotCommitted means that the transaction may or may not be committed; only the group knows.
var errNotCommitted = errors.New("the transaction was not committed")

// open begins a transaction for g.
func (m *member) open(g *generation, box *outbox) (*transaction, error) {
	if err := m.sess.Begin(); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	m.p.at("begin")
	t := &transaction{
		p: m.p, m: m, g: g, box: box, began: time.Now(),
		next: make(map[topicPartition]inputOffset), claims: make(map[*claim]struct{}), perTopic: make(map[string]int),
	}
	box.reset(t.began)
	m.p.producer.open.Store(box)
	return t, nil
}

// take makes the intake part of the transaction: refused and misplaced records are sent where they belong, admitted ones handed to Goka.
func (t *transaction) take(in *intake) {
	hooks := &t.p.cfg.Hooks
	for _, l := range in.letters {
		if t.p.sabotaged("drop a dead letter") {
			continue
		}
		t.perTopic[l.r.Topic]++
		t.box.produce(deadLetter(l.r, t.p.cfg.Inputs[l.r.Topic].DeadLetters, l.why.Reason, l.why.Detail))
		if hooks.DeadLetter != nil {
			t.box.note(func() { hooks.DeadLetter(l.r.Topic, l.why.Reason) })
		}
	}
	for _, r := range in.moved {
		t.perTopic[r.Topic]++
		t.box.produce(moved(r))
		if hooks.Moved != nil {
			t.box.note(func() { hooks.Moved(r.Topic) })
		}
	}
	t.g.inflight.Add(int64(in.admitted))
	for _, run := range in.runs {
		t.claims[run.claim] = struct{}{}
		t.perTopic[run.claim.topic] += len(run.records)
		run.claim.put(run.records)
	}
	for tp, at := range in.next {
		t.next[tp] = at
	}
	clear(in.next)
	t.records += in.admitted + len(in.letters) + len(in.moved)
	t.bytes += in.bytes
	in.reset()
}

// dirty is how many bytes the transaction has written to the tables.
func (t *transaction) dirty() (n int) {
	for _, tb := range t.g.tables.all() {
		n += tb.st.dirty()
	}
	return n
}

// flush waits until all that the transaction produced is acknowledged. Nothing may be in flight. Offsets must not be added while produces are under way, and
// a failed produce must not be committed around: the client would do both.
func (t *transaction) flush(ctx context.Context) error {
	ctx, done := t.bounded(ctx)
	defer done()
	t.p.at("flush")
	if err := t.m.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	perr := t.box.err.Load()
	if perr != nil && !t.p.sabotaged("ignore failed produces") {
		return fmt.Errorf("produce to %s: %w", perr.topic, perr.err)
	}
	if r := t.box.fired; r != nil && len(t.next) == 0 && perr == nil {
		return kafkaclient.AwaitNoted(ctx, t.m.cl, r)
	}
	return nil
}

// bounded limits a step of the transaction's end to the transaction timeout, and lets a rebalance that waits for it give it up earlier.
func (t *transaction) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, t.p.cfg.TransactionTimeout)
	t.m.ending.Store(&ending{time.Now(), cancel})
	return ctx, func() {
		t.m.ending.Store(nil)
		cancel()
	}
}

// end commits what was flushed. On success the tables hold what Kafka holds; on any error the outcome is open, and the member must be replaced.
func (t *transaction) end(ctx context.Context) error {
	ctx, done := t.bounded(ctx)
	defer done()
	t.p.producer.open.Store(nil)
	// If the client believes that there are offsets to commit, it asks for a heartbeat between adding them and EndTxn: a round trip, and one for which it
	// may wait for ever when the group has thrown it out. It guards against a rebalance that hands out the old offsets before EndTxn is through, which the
	// brokers themselves prevent since KIP-447. So it is told that they are committed, and offsets adds the real ones.
	t.m.cl.SetOffsets(t.m.cl.UncommittedOffsets())
	if t.p.sabotaged("flush the store before the commit") {
		_ = t.apply()
	}
	if t.p.sabotaged("commit offsets outside the transaction") {
		t.commitOutside(ctx)
	}
	committed, err := t.m.sess.End(kgo.PreTxnCommitFnContext(ctx, t.offsets), kgo.TryCommit)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotCommitted, err)
	}
	if !committed && !t.p.sabotaged("take any end for a commit") {
		return errNotCommitted
	}
	return t.apply()
}

// offsets replaces the offsets that the client would commit, which are all that were polled, by those that are handled.
func (t *transaction) offsets(req *kmsg.TxnOffsetCommitRequest) error {
	req.Topics = req.Topics[:0]
	index := make(map[string]int)
	for tp, at := range t.next {
		i, ok := index[tp.topic]
		if !ok {
			i = len(req.Topics)
			index[tp.topic] = i
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = tp.topic, t.p.facts.topics[tp.topic].id
			req.Topics = append(req.Topics, topic)
		}
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset, partition.LeaderEpoch = tp.partition, at.offset, at.epoch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, partition)
	}
	return nil
}

// commitOutside is a mistake, for the test of the simulation.
func (t *transaction) commitOutside(ctx context.Context) {
	at := make(map[string]map[int32]kgo.EpochOffset)
	for tp, next := range t.next {
		if at[tp.topic] == nil {
			at[tp.topic] = make(map[int32]kgo.EpochOffset)
		}
		at[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: next.epoch, Offset: next.offset}
	}
	t.m.cl.CommitOffsetsSync(ctx, at, nil)
}

// apply makes the tables' open rows the committed ones. They are complete as of when the transaction began: the group has taken its offsets since then, and so the
// partitions were this member's until then. Whether they are still, it has not said; this process may have stood still in between.
func (t *transaction) apply() error {
	for _, tb := range t.g.tables.all() {
		offset := t.box.written[tb.partition].Load()
		if offset < 0 && tb.st.dirty() == 0 {
			continue
		}
		if t.p.sabotaged("store an offset too far") {
			offset += 2 // the next one is the commit marker's: reading on after it would do no harm
		}
		if err := tb.st.commitAsOf(offset, t.began); err != nil {
			return &storeError{fmt.Errorf("keep the committed rows of partition %d: %w", tb.partition, err)}
		}
	}
	t.p.at("store_applied")
	for c := range t.claims {
		c.forget()
	}
	return nil
}

// storeError is a failure of the local state. Kafka has committed; the changelog brings the rows back.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }
