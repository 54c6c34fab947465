package eos

import (
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// messageBuffer is the room in front of Goka's loop: enough that neither side sleeps for every message.
const messageBuffer = 256

// delivery is what one fetch brought for a partition: records, or why there are no more.
type delivery struct {
	records []*kgo.Record
	err     error
}

// partitionReader is one partition of a changelog, from ConsumePartition to AsyncClose.
type partitionReader struct {
	c  *changelog
	tp topicPartition

	queue    chan delivery
	messages chan *sarama.ConsumerMessage
	errors   chan *sarama.ConsumerError
	done     chan struct{}
	once     sync.Once
	slow     atomic.Bool // deliveries are held back until this reader asks
	paused   atomic.Bool

	held []delivery // the loop's
}

var _ sarama.PartitionConsumer = (*partitionReader)(nil)

func newPartitionReader(c *changelog, tp topicPartition) *partitionReader {
	return &partitionReader{
		c:        c,
		tp:       tp,
		queue:    make(chan delivery, 1),
		messages: make(chan *sarama.ConsumerMessage, messageBuffer),
		errors:   make(chan *sarama.ConsumerError, 1),
		done:     make(chan struct{}),
	}
}

// run passes on what the loop delivers, until AsyncClose.
func (r *partitionReader) run() {
	defer close(r.errors)
	defer close(r.messages)
	for {
		d, ok := r.receive()
		if !ok {
			return
		}
		if d.err != nil {
			select {
			case r.errors <- &sarama.ConsumerError{Topic: r.tp.topic, Partition: r.tp.partition, Err: d.err}:
				continue
			case <-r.done:
				return
			}
		}
		messages := make([]sarama.ConsumerMessage, len(d.records))
		for i, rec := range d.records {
			fillMessage(&messages[i], rec)
			select {
			case r.messages <- &messages[i]:
			case <-r.done:
				return
			}
		}
	}
}

// receive returns the next delivery. A reader that was too slow asks for more only when it has nothing left, so that a slow one is paused for long
// rather than often.
func (r *partitionReader) receive() (delivery, bool) {
	select {
	case d := <-r.queue:
		return d, true
	default:
	}
	if r.slow.CompareAndSwap(true, false) {
		r.c.mu.Lock()
		r.c.ask(func() { r.c.refill(r) })
		r.c.mu.Unlock()
	}
	select {
	case d := <-r.queue:
		return d, true
	case <-r.done:
		return delivery{}, false
	}
}

// fillMessage makes rec the message that Goka sees.
func fillMessage(m *sarama.ConsumerMessage, rec *kgo.Record) {
	m.Topic, m.Partition, m.Offset, m.Timestamp = rec.Topic, rec.Partition, rec.Offset, rec.Timestamp
	if rec.Attrs.IsControl() {
		m.Key = []byte(markerKey)
		return
	}
	m.Key, m.Value = rec.Key, rec.Value
	for i := range rec.Headers {
		h := &rec.Headers[i]
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
}

// AsyncClose ends the reading. Messages and Errors are closed soon after.
func (r *partitionReader) AsyncClose() {
	r.once.Do(func() {
		close(r.done)
		r.c.release(r)
	})
}

// Close ends the reading and waits for it. It returns the errors that nobody has taken.
func (r *partitionReader) Close() error {
	r.AsyncClose()
	for range r.messages {
	}
	var errs sarama.ConsumerErrors
	for err := range r.errors {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// Messages returns the channel of records and markers, in the order of offsets.
func (r *partitionReader) Messages() <-chan *sarama.ConsumerMessage { return r.messages }

// Errors returns the channel of errors. After one there are no more messages.
func (r *partitionReader) Errors() <-chan *sarama.ConsumerError { return r.errors }

// HighWaterMarkOffset returns what the last fetch said.
func (r *partitionReader) HighWaterMarkOffset() int64 { return r.c.highWaterMark(r.tp) }

// Pause stops the fetching of this partition.
func (r *partitionReader) Pause() {
	r.paused.Store(true)
	r.c.Pause(r.tp.asMap())
}

// Resume undoes Pause.
func (r *partitionReader) Resume() {
	r.paused.Store(false)
	r.c.Resume(r.tp.asMap())
}

// IsPaused reports whether Pause was the last of the two.
func (r *partitionReader) IsPaused() bool { return r.paused.Load() }

// asMap is how sarama and franz-go want partitions to be named.
func (tp topicPartition) asMap() map[string][]int32 {
	return map[string][]int32{tp.topic: {tp.partition}}
}
