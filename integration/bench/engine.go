package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
)

// ours is the engine of this module with the same callback as stockGoka, exactly once.
type ours struct{}

func (ours) run(ctx context.Context, s spec, handled func()) error {
	graph := goka.DefineGroup(group,
		goka.Input(inputTopic, new(codec.Bytes), func(c goka.Context, message any) {
			row, _ := c.Value().([]byte)
			value, _ := message.([]byte)
			out := counted(row, value)
			c.SetValue(out)
			c.Emit(outputTopic, c.Key(), out)
			handled()
		}),
		goka.Output(outputTopic, new(codec.Bytes)),
		goka.Persist(new(codec.Bytes)),
	)
	p, err := eos.New(eos.Config{
		Client:         []kgo.Opt{kgo.SeedBrokers(s.Broker), kgo.ProducerBatchCompression(kgo.NoCompression())},
		Graph:          graph,
		Dir:            s.Dir,
		Dev:            true,
		CommitInterval: s.Commit,
		Inputs:         map[string]eos.Input{inputTopic: {DeadLetters: deadTopic}},
		Logger:         slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return fmt.Errorf("make the processor: %w", err)
	}
	return p.Run(ctx)
}

func (ours) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	n, err := committed(ctx, admin, group, inputTopic)
	return n >= records, err
}
