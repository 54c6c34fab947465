package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"utopia/topics"
)

// ErrGroupActive is returned when offsets are to be set while the group has
// members: they would overwrite them, or skip what is in flight.
var ErrGroupActive = errors.New("the group has members; stop all its instances first")

// ErrUnknownGroup is returned for a name that is no consumer group of ours.
var ErrUnknownGroup = errors.New("there is no such group")

// ErrTopicsMissing is returned for a group whose input topics are not all there.
var ErrTopicsMissing = errors.New("input topics of the group do not exist; see utopia topics plan")

// PartitionOffset is where a group stands in one input partition.
type PartitionOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`     // the oldest record that is kept
	Committed int64  `json:"committed"` // the next one to handle; -1 without a commit
	End       int64  `json:"end"`       // behind the newest committed record
	Lag       int64  `json:"lag"`
}

// inputsOf returns the input topics of a group.
func inputsOf(group string) ([]string, error) {
	if !slices.Contains(topics.Groups(), group) {
		return nil, fmt.Errorf("%w: %q is none of %s", ErrUnknownGroup, group, strings.Join(topics.Groups(), ", "))
	}
	var names []string
	for _, t := range topics.Inputs(group) {
		names = append(names, t.Name)
	}
	return names, nil
}

// Offsets returns where a group stands in each partition of its input topics.
// Lag counts up to the last stable offset, markers included.
func Offsets(ctx context.Context, adm *kadm.Client, group string) ([]PartitionOffset, error) {
	names, err := inputsOf(group)
	if err != nil {
		return nil, err
	}
	starts, err := listed(adm.ListStartOffsets(ctx, names...))
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("group %s: %w", group, ErrTopicsMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := listed(adm.ListCommittedOffsets(ctx, names...))
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	var out []PartitionOffset
	for _, topic := range names {
		for p, end := range ends[topic] {
			o := PartitionOffset{Topic: topic, Partition: p, Start: starts[topic][p].Offset, Committed: -1, End: end.Offset}
			if c, ok := committed.Lookup(topic, p); ok && c.Err == nil {
				o.Committed = c.At
			}
			o.Lag = max(o.End-max(o.Committed, o.Start), 0)
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b PartitionOffset) int {
		if a.Topic != b.Topic {
			return slices.Index(names, a.Topic) - slices.Index(names, b.Topic)
		}
		return int(a.Partition - b.Partition)
	})
	return out, nil
}

// Move is one offset that SetOffsets changes.
type Move struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1 without a commit
	To        int64  `json:"to"`
}

// PlanMoves says which offsets change when a group is to stand at position to:
// "start", "end", an offset, or a time (RFC 3339). An empty topic means all
// inputs, a negative partition all partitions. An offset outside of what is kept
// is refused.
func PlanMoves(ctx context.Context, adm *kadm.Client, group, topic string, partition int32, to string) ([]Move, error) {
	current, err := Offsets(ctx, adm, group)
	if err != nil {
		return nil, err
	}
	var moves []Move
	for _, o := range current {
		if topic != "" && o.Topic != topic || partition >= 0 && o.Partition != partition {
			continue
		}
		target, err := position(ctx, adm, o, to)
		if err != nil {
			return nil, err
		}
		if target != o.Committed {
			moves = append(moves, Move{Topic: o.Topic, Partition: o.Partition, From: o.Committed, To: target})
		}
	}
	if topic != "" && !slices.ContainsFunc(current, func(o PartitionOffset) bool { return o.Topic == topic }) {
		return nil, fmt.Errorf("group %s does not read %q", group, topic)
	}
	return moves, nil
}

func position(ctx context.Context, adm *kadm.Client, o PartitionOffset, to string) (int64, error) {
	switch to {
	case "start":
		return o.Start, nil
	case "end":
		return o.End, nil
	}
	if n, err := strconv.ParseInt(to, 10, 64); err == nil {
		if n < o.Start || n > o.End {
			return 0, fmt.Errorf("offset %d is outside of %s/%d, which holds %d to %d", n, o.Topic, o.Partition, o.Start, o.End)
		}
		return n, nil
	}
	at, err := time.Parse(time.RFC3339, to)
	if err != nil {
		return 0, fmt.Errorf("%q is neither start, end, an offset, nor a time like 2026-01-31T12:00:00Z", to)
	}
	l, err := OffsetsSince(ctx, adm, o.Topic, at)
	if err != nil {
		return 0, fmt.Errorf("offsets of %s at %s: %w", o.Topic, to, err)
	}
	if found, ok := l.Lookup(o.Topic, o.Partition); ok && found.Offset >= 0 {
		return min(found.Offset, o.End), nil
	}
	return o.End, nil
}

// SetOffsets commits the moves for a group without members, else ErrGroupActive.
func SetOffsets(ctx context.Context, adm *kadm.Client, group string, moves []Move) error {
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, err)
	}
	if g := described[group]; len(g.Members) > 0 {
		return fmt.Errorf("group %s, %d member(s): %w", group, len(g.Members), ErrGroupActive)
	}
	offsets := kadm.Offsets{}
	for _, m := range moves {
		offsets.AddOffset(m.Topic, m.Partition, m.To, -1)
	}
	if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("commit offsets of group %s: %w", group, err)
	}
	return nil
}
