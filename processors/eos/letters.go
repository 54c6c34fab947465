package eos

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deadLetter copies an input record to its topic's dead letters: key, value and headers as received, the reason and the origin in further headers,
// in the partition of the same number. A record that is too large for any topic stays where it is: the dead letter only says where that is.
func deadLetter(r *kgo.Record, topic, reason, detail string) *kgo.Record {
	d := newRecord()
	d.Topic, d.Partition = topic, r.Partition
	if reason != ReasonTooLarge {
		d.Key, d.Value, d.Headers = r.Key, r.Value, slices.Clip(r.Headers)
	}
	d.Headers = append(d.Headers,
		kgo.RecordHeader{Key: HeaderReason, Value: []byte(reason)},
		kgo.RecordHeader{Key: HeaderTopic, Value: []byte(r.Topic)},
		kgo.RecordHeader{Key: HeaderPartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		kgo.RecordHeader{Key: HeaderOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
	)
	if detail != "" {
		d.Headers = append(d.Headers, kgo.RecordHeader{Key: HeaderDetail, Value: []byte(detail)})
	}
	return d
}

// moved copies a record that was found in the wrong partition, for the right one of the same topic. The header keeps it from being moved again.
func moved(r *kgo.Record) *kgo.Record {
	m := newRecord()
	m.Topic, m.Partition, m.Key, m.Value = r.Topic, byKey, r.Key, r.Value
	from := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	m.Headers = append(slices.Clip(r.Headers), kgo.RecordHeader{Key: HeaderMovedFrom, Value: []byte(from)})
	return m
}

// DeadLetter sends the input record that ctx handles to its topic's dead letters, byte for byte as received, in the same transaction. Call it only
// from the callback that ctx was given to. Neither reason nor detail may hold personal data.
func (p *Processor) DeadLetter(ctx goka.Context, reason, detail string) {
	topic, partition, offset := string(ctx.Topic()), ctx.Partition(), ctx.Offset()
	gen, box := p.generation.Load(), p.producer.open.Load()
	if gen == nil || box == nil {
		return // the transaction was given up, the input comes again
	}
	r := gen.inFlight(topic, partition, offset)
	if r == nil {
		p.fail(fmt.Errorf("dead letter for %s/%d/%d, which is not being handled", topic, partition, offset))
		return
	}
	box.produce(deadLetter(r, p.cfg.Inputs[topic].DeadLetters, reason, detail))
	if p.cfg.Hooks.DeadLetter != nil {
		box.note(func() { p.cfg.Hooks.DeadLetter(topic, reason) })
	}
}
