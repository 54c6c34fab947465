package main

import (
	"context"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions is the number of partitions of every topic in a benchmark on the embedded broker.
const partitions = 8

// runBroker is the role of the broker: it prints its address and serves until its input ends.
func runBroker(stdin io.Reader, stdout io.Writer) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(4), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0",
	}))
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	defer cluster.Close()
	if _, err := fmt.Fprintln(stdout, cluster.ListenAddrs()[0]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// broker is a broker process and a client of it.
type broker struct {
	process    *process // nil: not ours to stop
	address    string
	client     *kgo.Client
	admin      *kadm.Client
	partitions int32 // of every topic that is created
}

// startBroker starts a fresh one: an embedded broker keeps all it was given, so an old one would slow the next trial.
func startBroker(ctx context.Context) (*broker, error) {
	p, err := start(ctx, "broker")
	if err != nil {
		return nil, err
	}
	address, err := p.line()
	if err != nil {
		return nil, fmt.Errorf("the broker did not start: %w", err)
	}
	b, err := dial(address)
	if err != nil {
		return nil, err
	}
	b.process = p
	return b, nil
}

// dial connects to a broker that runs.
func dial(address string) (*broker, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(address), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(100_000), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return &broker{address: address, client: client, admin: kadm.NewClient(client), partitions: partitions}, nil
}

func (b *broker) stop() {
	b.client.Close()
	if b.process != nil {
		b.process.stop()
	}
}

// create makes topics with the given settings; the time stamp is the broker's, as everywhere in the system.
func (b *broker) create(ctx context.Context, cleanup string, topics ...string) error {
	stamp, segment := "LogAppendTime", "1073741824"
	responses, err := b.admin.CreateTopics(ctx, b.partitions, 1, map[string]*string{
		"message.timestamp.type": &stamp, "cleanup.policy": &cleanup, "segment.bytes": &segment,
	}, topics...)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, r := range responses {
		if r.Err != nil {
			return fmt.Errorf("create topic %s: %w", r.Topic, r.Err)
		}
	}
	return nil
}
