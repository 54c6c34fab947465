package eos

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// producer is the goka.Producer of a processor: a handle to the transaction that is open. Goka builds it once, before there is a client, and keeps it
// across clients.
//
// Every emit is answered with one shared promise that is finished already: Goka then calls nothing back later, "in flight" means handled rather than
// acknowledged, and a produce error is a flag of the outbox that is looked at after the flush, before the transaction may commit.
type producer struct {
	open     atomic.Pointer[outbox] // nil between transactions
	finished *goka.Promise
}

func newProducer() *producer {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, nil)
	return &producer{finished: promise}
}

// Emit implements goka.Producer.
func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders implements goka.Producer. A callback that still runs after its transaction was given up emits into nothing: its generation is dead,
// and the input comes again.
func (p *producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	if o := p.open.Load(); o != nil {
		if o.sabotaged("skip a changelog write") && topic == o.table {
			return p.finished
		}
		r := newRecord()
		r.Topic, r.Key, r.Value, r.Partition = topic, keyBytes(key), value, byKey
		if topic == o.table {
			// That of its input, also if somebody gives the changelog more partitions meanwhile: no restart would find the row elsewhere.
			r.Partition = topics.Partition(key, int32(len(o.written))) //nolint:gosec // Kafka numbers partitions by int32.
		}
		for k, v := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: v})
		}
		o.produce(r)
	}
	return p.finished
}

// Close implements goka.Producer. The client belongs to the member.
func (p *producer) Close() error { return nil }

// outbox is what one generation produces into. It is reset at each begin.
type outbox struct {
	cl    *kgo.Client
	ctx   context.Context // of the generation: unblocks a Produce that waits for room
	table string
	acked func(*kgo.Record, error)
	fired *kgo.Record // the last command for a deadline since the reset; all there is, perhaps, in a transaction without offsets

	sabotaged func(mistake string) bool

	stamp   time.Time                  // of the transaction: the records' CreateTime, so that no record needs the clock
	err     atomic.Pointer[produceErr] // the first failure since the reset
	written []atomic.Int64             // per partition, the offset of the last changelog record, -1 if there is none

	mu    sync.Mutex // guards notes: callbacks of several partitions send dead letters
	notes []func()   // for the hooks, if the transaction commits
}

type produceErr struct {
	topic string
	err   error
}

func newOutbox(g *generation, cl *kgo.Client) *outbox {
	p := g.p
	o := &outbox{ctx: g.ctx, cl: cl, table: p.tableTopic, sabotaged: p.sabotaged, written: make([]atomic.Int64, p.facts.partitions)}
	o.acked = o.onAcked
	o.reset(time.Time{})
	return o
}

func (o *outbox) reset(now time.Time) {
	o.stamp, o.fired = now, nil
	o.err.Store(nil)
	for i := range o.written {
		o.written[i].Store(-1)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.notes)
	o.notes = o.notes[:0]
}

// note keeps what a hook is to be told once the transaction is committed: what is aborted happens again, and counts once.
func (o *outbox) note(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notes = append(o.notes, f)
}

// tell calls the hooks.
func (o *outbox) tell() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.notes {
		f()
	}
}

// produce sends r in the open transaction. The outcome is seen after the flush.
func (o *outbox) produce(r *kgo.Record) {
	r.Timestamp = o.stamp
	o.cl.Produce(o.ctx, r, o.acked)
}

// onAcked runs on the client's goroutine, once per record.
func (o *outbox) onAcked(r *kgo.Record, err error) {
	switch {
	case err != nil:
		o.err.CompareAndSwap(nil, &produceErr{r.Topic, err})
	case r.Topic == o.table:
		o.written[r.Partition].Store(r.Offset) // acknowledged in order of offset, per partition
	}
}

// byKey as a record's partition means: where its key belongs. Any other value is the partition itself.
const byKey int32 = -1

// partitioner is topics.Partition for the client, but for records that name their partition (dead letters keep that of the input).
func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			if r.Partition != byKey {
				return int(r.Partition) % n
			}
			return int(topics.Partition(keyString(r.Key), int32(n))) //nolint:gosec // Kafka numbers partitions by int32.
		}
	})
}

// recordSlab saves an allocation per record: records are taken one by one from an array.
type recordSlab struct {
	records [64]kgo.Record
	used    int
}

//nolint:gochecknoglobals // A pool of memory, without state.
var recordSlabs = sync.Pool{New: func() any { return new(recordSlab) }}

func newRecord() *kgo.Record {
	s, _ := recordSlabs.Get().(*recordSlab)
	r := &s.records[s.used]
	if s.used++; s.used < len(s.records) {
		recordSlabs.Put(s)
	}
	return r
}

// keyBytes and keyString share memory with their argument. The client, and topics.Partition, only read it.
func keyBytes(s string) []byte  { return unsafe.Slice(unsafe.StringData(s), len(s)) }
func keyString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
