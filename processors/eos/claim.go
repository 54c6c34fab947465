package eos

import (
	"sort"
	"sync"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// claim is one assigned input partition. To Goka it is a sarama.ConsumerGroupClaim.
type claim struct {
	g         *generation
	topic     string
	partition int32
	messages  chan *sarama.ConsumerMessage

	// What messages are made of. Goka copies what it needs of a message, so that those of an ended transaction are used again.
	slab []sarama.ConsumerMessage
	used int

	mu    sync.Mutex
	taken [][]*kgo.Record // of the open transaction, in order: what dead letters are copied from
}

func newClaim(g *generation, topic string, partition int32) *claim {
	return &claim{g: g, topic: topic, partition: partition, messages: make(chan *sarama.ConsumerMessage, g.p.cfg.MaxRecords)}
}

// put hands records to Goka. They count as in flight already.
func (c *claim) put(records []*kgo.Record) {
	c.mu.Lock()
	c.taken = append(c.taken, records)
	c.mu.Unlock()
	messages := c.take(len(records))
	for i, r := range records {
		m := &messages[i]
		m.Topic, m.Partition, m.Offset, m.Timestamp = c.topic, c.partition, r.Offset, r.Timestamp
		m.Key, m.Value, m.Headers = r.Key, r.Value, saramaHeaders(r.Headers)
		select {
		case c.messages <- m:
			continue
		default: // never full in practice: it has room for all that may be in flight
		}
		select {
		case c.messages <- m:
		case <-c.g.ctx.Done():
			return
		}
	}
}

// take returns n messages that nobody uses.
func (c *claim) take(n int) []sarama.ConsumerMessage {
	if len(c.slab)-c.used < n {
		c.slab, c.used = make([]sarama.ConsumerMessage, max(n, min(2*len(c.slab), c.g.p.cfg.MaxRecords))), 0
	}
	taken := c.slab[c.used : c.used+n]
	c.used += n
	return taken
}

// forget drops what the ended transaction took. All of it is handled.
func (c *claim) forget() {
	clear(c.slab[:c.used])
	c.used = 0
	c.mu.Lock()
	clear(c.taken)
	c.taken = c.taken[:0]
	c.mu.Unlock()
}

// find returns the record of the open transaction at offset, nil if there is none.
func (c *claim) find(offset int64) *kgo.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, run := range c.taken {
		i := sort.Search(len(run), func(i int) bool { return run[i].Offset >= offset })
		if i < len(run) && run[i].Offset == offset {
			return run[i]
		}
	}
	return nil
}

// inFlight returns an input record of the open transaction, nil if it is not part of it.
func (g *generation) inFlight(topic string, partition int32, offset int64) *kgo.Record {
	if c := g.claims[topicPartition{topic, partition}]; c != nil {
		return c.find(offset)
	}
	return nil
}

func saramaHeaders(headers []kgo.RecordHeader) []*sarama.RecordHeader {
	if len(headers) == 0 {
		return nil
	}
	all := make([]sarama.RecordHeader, len(headers))
	out := make([]*sarama.RecordHeader, len(headers))
	for i, h := range headers {
		all[i] = sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value}
		out[i] = &all[i]
	}
	return out
}

// Topic implements sarama.ConsumerGroupClaim.
func (c *claim) Topic() string { return c.topic }

// Partition implements sarama.ConsumerGroupClaim.
func (c *claim) Partition() int32 { return c.partition }

// InitialOffset implements sarama.ConsumerGroupClaim. Goka only logs it.
func (c *claim) InitialOffset() int64 { return sarama.OffsetOldest }

// HighWaterMarkOffset implements sarama.ConsumerGroupClaim. Goka does not ask.
func (c *claim) HighWaterMarkOffset() int64 { return 0 }

// Messages implements sarama.ConsumerGroupClaim.
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }
