package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
)

// ours is the engine of this module with the same callback as stockGoka, exactly once.
type ours struct{}

func (ours) run(ctx context.Context, s spec, tell signals) error {
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
	p, err := eos.New(eos.Config{
		Client:         []kgo.Opt{kgo.SeedBrokers(s.Broker), kgo.ProducerBatchCompression(kgo.NoCompression())},
		Graph:          graph,
		Dir:            s.Dir,
		Dev:            true,
		CommitInterval: s.Commit, TransactionTimeout: 10 * time.Second,
		Inputs: map[string]eos.Input{inputTopic: {DeadLetters: deadTopic}},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return fmt.Errorf("make the processor: %w", err)
	}
	go tellWhen(ctx, p.Ready, tell.ready)
	return p.Run(ctx)
}

// tellWhen polls until a processor is ready.
func tellWhen(ctx context.Context, ready func() bool, tell func()) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	tell()
}

func (ours) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	n, err := committed(ctx, admin, group, inputTopic)
	return n >= records, err
}
