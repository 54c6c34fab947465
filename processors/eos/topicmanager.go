package eos

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// topicManager is Goka's view of the cluster. It creates nothing: topics are made by "utopia topics apply", and the guard has refused to start
// without them.
type topicManager struct{ p *Processor }

var _ goka.TopicManager = topicManager{}

// Partitions implements goka.TopicManager.
func (m topicManager) Partitions(topic string) ([]int32, error) {
	facts, ok := m.p.facts.topics[topic]
	if !ok {
		return nil, fmt.Errorf("topic %s is not part of the group", topic)
	}
	all := make([]int32, facts.partitions)
	for i := range all {
		all[i] = int32(i) //nolint:gosec // Kafka numbers partitions by int32.
	}
	return all, nil
}

// EnsureTableExists implements goka.TopicManager.
func (m topicManager) EnsureTableExists(topic string, partitions int) error {
	return m.ensure(topic, partitions)
}

// EnsureStreamExists implements goka.TopicManager.
func (m topicManager) EnsureStreamExists(topic string, partitions int) error {
	return m.ensure(topic, partitions)
}

// EnsureTopicExists implements goka.TopicManager.
func (m topicManager) EnsureTopicExists(topic string, partitions, _ int, _ map[string]string) error {
	return m.ensure(topic, partitions)
}

func (m topicManager) ensure(topic string, partitions int) error {
	got, err := m.Partitions(topic)
	if err == nil && len(got) != partitions {
		err = fmt.Errorf("topic %s has %d partitions, not %d", topic, len(got), partitions)
	}
	return err
}

// GetOffset implements goka.TopicManager. The newest offset is the high-water mark, given out when the last stable offset has reached it: a
// transaction whose offsets the group already shows may have markers under way to this partition, and its rows must not be missed.
func (m topicManager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	g := m.p.generation.Load()
	if g == nil {
		return 0, context.Canceled
	}
	tb := g.tables.get(partition)
	switch {
	case tb == nil:
		return 0, fmt.Errorf("partition %d of %s is not open", partition, topic)
	case at == sarama.OffsetOldest:
		oldest := tb.st.oldest()
		tb.from.Store(max(oldest, tb.from.Load()))
		return oldest, nil
	case at == sarama.OffsetNewest:
		end, err := m.p.logs.end(g.ctx, topic, partition)
		if err == nil {
			tb.end.Store(end)
		}
		return end, err
	default:
		return 0, errors.New("offsets by time are not supported")
	}
}

// Close implements goka.TopicManager. The connection belongs to the processor.
func (topicManager) Close() error { return nil }
