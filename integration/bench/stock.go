package main

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/topics"
)

// stockGoka is the library as it comes, on Sarama and LevelDB, at least once. Changed are only what it needs to do the
// same work: it starts at the oldest record, places keys like the others, and compresses nothing.
type stockGoka struct{}

func (stockGoka) run(ctx context.Context, s spec, tell signals) error {
	graph := goka.DefineGroup(group,
		goka.Input(inputTopic, new(codec.Bytes), func(c goka.Context, message any) {
			row, _ := c.Value().([]byte)
			value, _ := message.([]byte)
			out := counted(row, value)
			c.SetValue(out)
			c.Emit(outputTopic, c.Key(), out)
			tell.handled()
		}),
		goka.Output(outputTopic, new(codec.Bytes)),
		goka.Persist(new(codec.Bytes)),
	)
	config := goka.DefaultConfig() //nolint:forbidigo // the library's own configuration is what is measured
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Producer.Compression = sarama.CompressionNone
	manager := goka.NewTopicManagerConfig()
	manager.Table.Replication = 1
	p, err := goka.NewProcessor([]string{s.Broker}, graph,
		goka.WithHasher(topics.Hasher),
		goka.WithStorageBuilder(storage.DefaultBuilder(s.Dir)),
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(config)),
		goka.WithProducerBuilder(goka.ProducerBuilderWithConfig(config)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(config, manager)),
		goka.WithLogger(log.New(io.Discard, "", 0)),
	)
	if err != nil {
		return fmt.Errorf("make the processor: %w", err)
	}
	return p.Run(ctx)
}

// done asks for the ends of both outputs: Goka writes no transactions, and Sarama commits offsets once a second.
func (stockGoka) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	ends, err := admin.ListEndOffsets(ctx, outputTopic, tableTopic)
	if err != nil {
		return false, fmt.Errorf("list end offsets: %w", err)
	}
	sums := map[string]int64{}
	ends.Each(func(o kadm.ListedOffset) { sums[o.Topic] += o.Offset })
	return sums[outputTopic] >= records && sums[tableTopic] >= records, nil
}
