package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
)

const (
	// What one answer of a broker may hold. A partition buffers at most four parts of changelogPartitionBytes: one being handled, one waiting, one
	// that found no room, and one in the client.
	changelogFetchBytes     = 8 << 20
	changelogPartitionBytes = 512 << 10

	// slowAfter is how long the reader waits for room before it stops fetching a partition and serves the others.
	slowAfter = 25 * time.Millisecond
)

// markerKey marks the message that stands for a transaction marker. No key of a table begins with a zero byte.
const markerKey = "\x00utopia\x00marker"

var errReaderClosed = errors.New("eos: the changelog reader is closed")

// changelogOptions tune the reader of a table's log.
type changelogOptions struct {
	client []kgo.Opt // seeds, TLS, SASL, dialer
	logger *slog.Logger

	uncommitted bool // a mistake, for the test of the simulation
}

// changelogConsumer returns the builder of the consumer that Goka recovers tables with. It waits for no broker any more when stop has ended for as long as
// leaving may take.
func changelogConsumer(stop context.Context, o changelogOptions) goka.SaramaConsumerBuilder {
	return func([]string, string) (sarama.Consumer, error) {
		c, err := newChangelog(context.WithoutCancel(stop), o) // Goka closes it
		if err != nil {
			return nil, err
		}
		c.client.EndAfter(stop, leaveTime+lastWord)
		return c, nil
	}
}

// skipMarkers is the update callback of every table. It ignores the messages that stand for transaction markers: those only move the offset.
func skipMarkers(_ goka.UpdateContext, s storage.Storage, key string, value []byte) error {
	switch {
	case key == markerKey:
		return nil
	case value == nil:
		return s.Delete(key)
	default:
		return s.Set(key, value)
	}
}

// changelog reads partitions of compacted topics: committed records only, in order, each partition from the offset it is asked for.
//
// Goka's recovery waits for the message at high-water mark - 1. In a topic written by transactions that is a commit marker, which carries no record
// and which clients drop. So markers are kept, and passed on as messages with the key markerKey.
//
// One client reads all partitions, and one goroutine owns its assignment, so that nothing polled before a partition was removed can reach who reads
// it next. A partition whose reader is slow is paused; the others go on.
type changelog struct {
	client *kafkaclient.Client
	logger *slog.Logger
	stop   context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	readers  map[topicPartition]*partitionReader
	requests []func()
	wake     context.CancelFunc // ends the poll that is under way
	marks    map[topicPartition]int64
	closed   bool

	active     map[topicPartition]*partitionReader // the loop's
	complained time.Time                           // the loop's
}

var _ sarama.Consumer = (*changelog)(nil)

// newChangelog starts a reader, which ends with ctx or Close.
func newChangelog(ctx context.Context, o changelogOptions) (*changelog, error) {
	opts := append(o.client[:len(o.client):len(o.client)],
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a position that the log no longer has is an error, not a silent jump
		kgo.FetchMaxBytes(changelogFetchBytes),
		kgo.FetchMaxPartitionBytes(changelogPartitionBytes),
		kgo.FetchMaxWait(time.Second),
		kgo.MaxConcurrentFetches(2),
	)
	if o.uncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	}
	client, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("changelog: %w", err)
	}
	c := &changelog{
		client:  client,
		logger:  o.logger,
		ended:   make(chan struct{}),
		readers: make(map[topicPartition]*partitionReader),
		marks:   make(map[topicPartition]int64),
		active:  make(map[topicPartition]*partitionReader),
		wake:    func() {},
	}
	ctx, c.stop = context.WithCancel(ctx)
	go c.run(ctx)
	return c, nil
}

// ConsumePartition starts to read a partition at offset, which must be an exact one. A partition has one reader at a time.
func (c *changelog) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	if offset < 0 {
		return nil, fmt.Errorf("read %s/%d: offset %d is not exact", topic, partition, offset)
	}
	tp := topicPartition{topic, partition}
	r := newPartitionReader(c, tp)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errReaderClosed
	}
	if c.readers[tp] != nil {
		return nil, fmt.Errorf("%s/%d is being read already", topic, partition)
	}
	c.readers[tp] = r
	c.ask(func() {
		c.active[tp] = r
		c.client.ResumeFetchPartitions(tp.asMap())
		c.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}})
	})
	go r.run()
	return r, nil
}

// release ends the reading of a partition.
func (c *changelog) release(r *partitionReader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readers[r.tp] == r {
		delete(c.readers, r.tp)
	}
	c.ask(func() { c.remove(r) })
}

// remove takes a partition out of the client, in the loop.
func (c *changelog) remove(r *partitionReader) {
	if c.active[r.tp] == r {
		delete(c.active, r.tp)
		c.client.RemoveConsumePartitions(r.tp.asMap())
	}
}

// ask lets the loop do something before its next poll. The caller holds mu.
func (c *changelog) ask(request func()) {
	c.requests = append(c.requests, request)
	c.wake()
}

// run is the loop that owns the client's assignment. It ends with ctx.
func (c *changelog) run(ctx context.Context) {
	defer close(c.ended)
	poll, wake := context.WithCancel(ctx)
	for ctx.Err() == nil && c.client.Context().Err() == nil { // a client that has ended answers every poll at once
		c.mu.Lock()
		requests := c.requests
		c.requests = nil
		if poll.Err() != nil {
			poll, wake = context.WithCancel(ctx)
		}
		c.wake = wake
		c.mu.Unlock()
		for _, request := range requests {
			request()
		}
		c.dispatch(ctx, c.client.PollFetches(poll))
	}
	wake()
}

func (c *changelog) dispatch(ctx context.Context, fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		tp := topicPartition{p.Topic, p.Partition}
		r := c.active[tp]
		if r == nil {
			return // the error of a poll that was woken, or the end of the client
		}
		c.mu.Lock()
		c.marks[tp] = p.HighWatermark
		c.mu.Unlock()
		if len(p.Records) > 0 {
			c.deliver(ctx, r, delivery{records: p.Records})
		}
		switch {
		case p.Err == nil:
		case errors.Is(p.Err, kerr.UnknownServerError): // whatever went wrong in a broker, once or always: the client asks again
			c.complain(tp, p.Err)
			_ = pause(ctx, logsBackoff)
		default:
			c.remove(r)
			c.deliver(ctx, r, delivery{err: fmt.Errorf("read %s/%d: %w", tp.topic, tp.partition, p.Err)})
		}
	})
}

// complain logs an error that may pass, not every time.
func (c *changelog) complain(tp topicPartition, err error) {
	if now := time.Now(); now.Sub(c.complained) > 5*time.Second {
		c.complained = now
		c.logger.Warn("a log cannot be read; trying again", slog.String("topic", tp.topic), slog.Int("partition", int(tp.partition)),
			slog.String("error", err.Error()))
	}
}

// deliver hands records to their reader. One that has no room for slowAfter is paused, and gets them when it asks for more.
func (c *changelog) deliver(ctx context.Context, r *partitionReader, d delivery) {
	if len(r.held) == 0 {
		select {
		case r.queue <- d:
			return
		case <-r.done:
			return
		default:
		}
		t := time.NewTimer(slowAfter)
		defer t.Stop()
		select {
		case r.queue <- d:
			return
		case <-r.done:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		c.client.PauseFetchPartitions(r.tp.asMap())
	}
	r.held = append(r.held, d)
	c.await(r)
}

// await lets the reader ask for what is held back. One that has run dry already would not: it gets it at once.
func (c *changelog) await(r *partitionReader) {
	r.slow.Store(true)
	if len(r.queue) == 0 && r.slow.CompareAndSwap(true, false) {
		c.refill(r)
	}
}

// refill gives a reader that has run dry what was held back, in the loop. It asks again when it runs dry again.
func (c *changelog) refill(r *partitionReader) {
	if c.active[r.tp] != r && len(r.held) == 0 {
		return
	}
	for len(r.held) > 0 {
		select {
		case r.queue <- r.held[0]:
			r.held = r.held[1:]
			continue
		default:
		}
		c.await(r)
		return
	}
	r.held = nil
	c.client.ResumeFetchPartitions(r.tp.asMap())
}

// HighWaterMarks returns what the last fetch of each partition said.
func (c *changelog) HighWaterMarks() map[string]map[int32]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks := make(map[string]map[int32]int64)
	for tp, mark := range c.marks {
		if marks[tp.topic] == nil {
			marks[tp.topic] = make(map[int32]int64)
		}
		marks[tp.topic][tp.partition] = mark
	}
	return marks
}

func (c *changelog) highWaterMark(tp topicPartition) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks[tp]
}

// Close ends all reading and the client.
func (c *changelog) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	readers := make([]*partitionReader, 0, len(c.readers))
	for _, r := range c.readers {
		readers = append(readers, r)
	}
	c.mu.Unlock()
	for _, r := range readers {
		r.AsyncClose()
	}
	c.stop()
	<-c.ended
	for _, r := range c.active { // the client may still begin to read what it was told shortly before, also while it closes
		c.client.RemoveConsumePartitions(r.tp.asMap())
	}
	c.client.Close()
	return nil
}

// Topics is not needed by Goka.
func (*changelog) Topics() ([]string, error) { return nil, errors.ErrUnsupported }

// Partitions is not needed by Goka, which asks the topic manager.
func (*changelog) Partitions(string) ([]int32, error) { return nil, errors.ErrUnsupported }

// Pause stops the fetching of partitions.
func (c *changelog) Pause(partitions map[string][]int32) { c.client.PauseFetchPartitions(partitions) }

// Resume undoes Pause.
func (c *changelog) Resume(partitions map[string][]int32) {
	c.client.ResumeFetchPartitions(partitions)
}

// PauseAll stops the fetching of all partitions.
func (c *changelog) PauseAll() { c.client.PauseFetchPartitions(c.all()) }

// ResumeAll undoes Pause and PauseAll.
func (c *changelog) ResumeAll() { c.client.ResumeFetchPartitions(c.all()) }

func (c *changelog) all() map[string][]int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string][]int32)
	for tp := range c.readers {
		all[tp.topic] = append(all[tp.topic], tp.partition)
	}
	return all
}
