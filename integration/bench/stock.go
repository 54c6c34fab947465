package main

import (
	"context"
	"fmt"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
)

// stockGoka is the library as it comes, on Sarama and LevelDB, at least once.
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
	p, err := newStock(s, graph)
	if err != nil {
		return err
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
