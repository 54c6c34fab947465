package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// canned says what the customer service writes, without the service: for each command as many records as it leads to, of
// the mean size, to the same topics. Who writes them decodes nothing and decides nothing, so it is the least that this
// traffic can cost.
type canned struct {
	Sizes map[string]int `json:"sizes"` // mean size of a value, by topic

	blobs map[string][]byte
	kinds map[int]string // record type, by schema id
}

// serviceOutputs are the topics that the service writes for the commands of a life, its table last.
func serviceOutputs() []string {
	return []string{
		topics.CustomerEvents.Name, topics.CustomerState.Name, topics.CustomerChanges.Name, topics.MailCommands.Name,
		topics.CustomerReplies.Name, topics.CustomerTable.Name,
	}
}

func (c *canned) prepare() {
	c.kinds = map[int]string{}
	c.blobs = map[string][]byte{}
	for topic, size := range c.Sizes {
		c.blobs[topic] = bytes.Repeat([]byte{'x'}, size)
	}
}

// outputs calls emit for every record that a command leads to.
func (c *canned) outputs(ids schemas.IDs, command []byte, emit func(topic string, value []byte)) error {
	id, body, err := schemas.SchemaID(command)
	if err != nil {
		return err
	}
	kind, ok := c.kinds[id]
	if !ok {
		subject, _, err := ids.ByID(id)
		if err != nil {
			return err
		}
		kind = subject[strings.LastIndexByte(subject, '.')+1:]
		c.kinds[id] = kind
	}
	give := func(topic string) { emit(topic, c.blobs[topic]) }
	give(topics.CustomerReplies.Name)
	give(topics.CustomerTable.Name)
	if bytes.Contains(body, []byte(neverAsked)) {
		return nil
	}
	give(topics.CustomerEvents.Name)
	give(topics.CustomerState.Name)
	switch kind {
	case "RegisterCustomer", "ConfirmAddressChange":
		give(topics.CustomerChanges.Name)
	case "RequestAddressChange":
		give(topics.MailCommands.Name)
	}
	return nil
}

// The groups of the contenders that only write canned records.
const (
	rawServiceGroup   = "bench-raw"
	stockServiceGroup = "bench-stock"
	stockServiceTable = stockServiceGroup + "-table"
)

// rawService is the raw transaction loop with the records of the customer service; without transactions, if it is to
// price them: then it commits offsets at the same interval.
type rawService struct{ plain bool }

func (c rawService) run(ctx context.Context, s spec, tell signals) error {
	can := &canned{Sizes: s.Sizes}
	can.prepare()
	ids := schemas.NewMemoryIDs()
	each := func(r *kgo.Record, produce func(*kgo.Record)) error {
		return can.outputs(ids, r.Value, func(topic string, value []byte) {
			produce(&kgo.Record{Topic: topic, Key: r.Key, Value: value})
		})
	}
	opts := rawOptions(s.Broker, rawServiceGroup, topics.CustomerCommands.Name)
	if c.plain {
		return plainLoop(ctx, opts, s.Commit, tell, each)
	}
	return rawTransactions(ctx, append(opts, kgo.TransactionalID(rawServiceGroup+"-"+s.instance())), s.Commit, tell, each)
}

func (rawService) done(context.Context, *kadm.Client, int64) (bool, error) {
	return false, errors.New("a contender of the service is watched from outside")
}

// plainLoop consumes, produces and commits, at least once.
func plainLoop(ctx context.Context, opts []kgo.Opt, interval time.Duration, tell signals, each func(*kgo.Record, func(*kgo.Record)) error) error {
	client, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...)
	if err != nil {
		return fmt.Errorf("open a client: %w", err)
	}
	defer func() { client.Close() }()
	tell.ready()
	failed := make(chan error, 1)
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	last := time.Now()
	for ctx.Err() == nil {
		soon, cancel := context.WithTimeout(ctx, interval)
		fetches := client.PollRecords(soon, 2000)
		cancel()
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			bad = errors.Join(bad, each(r, func(out *kgo.Record) { client.Produce(ctx, out, promise) }))
		})
		if bad != nil {
			return bad
		}
		if time.Since(last) < interval {
			continue
		}
		last = time.Now()
		if err := errors.Join(client.Flush(ctx), client.CommitUncommittedOffsets(ctx)); err != nil {
			return fmt.Errorf("flush and commit: %w", err)
		}
		select {
		case err := <-failed:
			return err
		default:
		}
	}
	return ctx.Err()
}

// stockService is stock Goka with the records of the customer service: the row is read and written, and the outputs are
// canned. It decodes nothing and decides nothing, which is less work than ours.
type stockService struct{}

func (stockService) run(ctx context.Context, s spec, tell signals) error {
	can := &canned{Sizes: s.Sizes}
	can.prepare()
	ids := schemas.NewMemoryIDs()
	callback := func(c goka.Context, message any) {
		_ = c.Value()
		value, _ := message.([]byte)
		err := can.outputs(ids, value, func(topic string, out []byte) {
			if topic == topics.CustomerTable.Name {
				c.SetValue(out)
				return
			}
			c.Emit(goka.Stream(topic), c.Key(), out)
		})
		if err != nil {
			c.Fail(err)
		}
	}
	edges := []goka.Edge{goka.Input(goka.Stream(topics.CustomerCommands.Name), new(codec.Bytes), callback), goka.Persist(new(codec.Bytes))}
	for _, topic := range serviceOutputs() {
		if topic != topics.CustomerTable.Name {
			edges = append(edges, goka.Output(goka.Stream(topic), new(codec.Bytes)))
		}
	}
	p, err := newStock(s, goka.DefineGroup(stockServiceGroup, edges...))
	if err != nil {
		return err
	}
	go tellWhen(ctx, p.Recovered, tell.ready)
	return p.Run(ctx)
}

func (stockService) done(context.Context, *kadm.Client, int64) (bool, error) {
	return false, errors.New("a contender of the service is watched from outside")
}

// newStock makes a stock processor. Changed are only what it needs to do the same work: it starts at the oldest record,
// places keys like the others, and compresses nothing.
func newStock(s spec, graph *goka.GroupGraph) (*goka.Processor, error) {
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
		return nil, fmt.Errorf("make the processor: %w", err)
	}
	return p, nil
}
