package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errNoAnswer means that the group did not tell the offset of an assigned partition. The client reports why.
var errNoAnswer = errors.New("the group did not answer with the committed offset")

// initialOffsets looks at the assigned partitions that have no committed offset. With an empty changelog the group is new there: the beginning of the log
// is returned, and is committed before the first record is handled, so that from then on a missing offset means a lost one. With a changelog the offsets
// were lost (Kafka forgets those of a group that was empty for seven days), and starting at the beginning would handle everything again: the error wraps
// ErrRefused. An input partition that never held a record begins at its beginning in any case.
func (p *Processor) initialOffsets(ctx context.Context, assigned map[string][]int32, offsets map[string]map[int32]kgo.Offset) (map[topicPartition]int64, error) {
	var missing []topicPartition
	for topic, partitions := range assigned {
		for _, partition := range partitions {
			at, ok := offsets[topic][partition]
			if !ok {
				return nil, fmt.Errorf("%s/%d: %w", topic, partition, errNoAnswer)
			}
			if partition >= p.facts.partitions {
				return nil, fmt.Errorf("%w: topic %s has a partition %d, but had %d partitions when this process started: a partition count is never changed in place, because keys would lose their rows",
					ErrRefused, topic, partition, p.facts.partitions)
			}
			if at.EpochOffset().Offset < 0 {
				missing = append(missing, topicPartition{topic, partition})
			}
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return p.decideInitial(ctx, missing)
}

func (p *Processor) decideInitial(ctx context.Context, missing []topicPartition) (map[topicPartition]int64, error) {
	var starts, ends, logs kadm.ListedOffsets
	err := p.retry(ctx, "list the offsets of the inputs", func(ctx context.Context) (err error) {
		if starts, err = listed(p.adm.ListStartOffsets(ctx, p.inputs...)); err != nil {
			return err
		}
		if ends, err = listed(p.adm.ListEndOffsets(ctx, p.inputs...)); err != nil || p.tableTopic == "" {
			return err
		}
		logs, err = listed(p.adm.ListEndOffsets(ctx, p.tableTopic))
		return err
	})
	if err != nil {
		return nil, err
	}
	initial := make(map[topicPartition]int64)
	for _, tp := range missing {
		start, _ := starts.Lookup(tp.topic, tp.partition)
		end, _ := ends.Lookup(tp.topic, tp.partition)
		if log, ok := logs.Lookup(p.tableTopic, tp.partition); ok && log.Offset > 0 && end.Offset > 0 {
			return nil, fmt.Errorf("%w: group %s has no committed offset for %s/%d, but its table %s/%d is not empty: starting at the beginning would handle every record again. Say where to go on with \"utopia offsets set\", or reset the table",
				ErrRefused, p.group, tp.topic, tp.partition, p.tableTopic, tp.partition)
		}
		initial[tp] = start.Offset
	}
	return initial, nil
}

func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err != nil {
		return nil, err
	}
	return offsets, offsets.Error()
}

// retry calls f until it succeeds or ctx ends. A topic that was just made answers NOT_LEADER for a moment; a cluster that is away comes back.
func (p *Processor) retry(ctx context.Context, what string, f func(context.Context) error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		p.log.Warn("the cluster does not answer, trying again", slog.String("what", what), slog.Duration("in", wait),
			slog.String("error", err.Error()))
		if serr := pause(ctx, wait); serr != nil {
			return serr
		}
	}
}
