package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	partitionBytes = 64 << 10 // of a partition in one response; a larger batch is sent all the same
	responseBytes  = 4 << 20
	fetchWithin    = 5 * time.Second
	// settledAfter is when no record can come any more that the log stamps earlier: more than the clocks of brokers differ.
	settledAfter = 10 * time.Second
)

// piece is a bounded part of the log: of each partition the records from one offset to another, in the order of the log's time.
type piece struct {
	records []*kgo.Record
	next    Position // after them
	full    bool     // there were as many as asked for
	settled bool     // reading it again gives the same
}

// cursor reads one partition.
type cursor struct {
	partition int32
	next      int64 // to ask for
	bound     int64 // not beyond; -1 until the log has said how far it is committed
	buffer    []*kgo.Record
	open      bool // a transaction is under way
}

func (c *cursor) done() bool { return c.bound >= 0 && c.next >= c.bound }

// at is the offset of what has not been taken.
func (c *cursor) at() int64 {
	if len(c.buffer) > 0 {
		return c.buffer[0].Offset
	}
	return c.next
}

// errOutOfRange says that a partition does not have an offset.
var errOutOfRange = errors.New("offset out of range")

// read returns the first records after from, at most limit and not beyond until; without until, not beyond what is committed.
// They are taken in the order of the log's time stamps, then of partitions. ErrAway; errOutOfRange.
func (s *source) read(ctx context.Context, f facts, from, until Position, limit int, now time.Time) (piece, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return piece{}, ctx.Err()
	}
	cursors := make([]*cursor, len(from))
	for i := range cursors {
		cursors[i] = &cursor{partition: int32(i), next: from[i], bound: -1} //nolint:gosec // partitions are few
		if until != nil {
			cursors[i].bound = until[i]
		}
	}
	var p piece
	for len(p.records) < limit {
		if err := s.fill(ctx, f, cursors); err != nil {
			return piece{}, err
		}
		first := earliest(cursors)
		if first == nil {
			break
		}
		p.records = append(p.records, first.buffer[0])
		first.buffer = first.buffer[1:]
	}
	p.next, p.full = make(Position, len(from)), len(p.records) == limit
	for i, c := range cursors {
		p.next[i] = c.at()
	}
	p.settled = until != nil || settled(cursors, p.records, now)
	return p, nil
}

// settled says whether no record can come any more that would have been taken before the last one.
func settled(cursors []*cursor, taken []*kgo.Record, now time.Time) bool {
	if len(taken) == 0 || taken[len(taken)-1].Timestamp.After(now.Add(-settledAfter)) {
		return false
	}
	for _, c := range cursors {
		if len(c.buffer) == 0 && c.open {
			return false
		}
	}
	return true
}

// earliest is the cursor whose record is the next one; nil if there is none.
func earliest(cursors []*cursor) *cursor {
	var first *cursor
	for _, c := range cursors {
		if len(c.buffer) > 0 && (first == nil || c.buffer[0].Timestamp.Before(first.buffer[0].Timestamp)) {
			first = c
		}
	}
	return first
}

// fill asks for more of each partition of which nothing is there, until there is something or nothing more is to come.
func (s *source) fill(ctx context.Context, f facts, cursors []*cursor) error {
	for idle := 0; ; {
		byLeader := map[int32][]*cursor{}
		for _, c := range cursors {
			if len(c.buffer) == 0 && !c.done() {
				byLeader[f.leaders[c.partition]] = append(byLeader[f.leaders[c.partition]], c)
			}
		}
		if len(byLeader) == 0 {
			return nil
		}
		progress := false
		for leader, wanted := range byLeader {
			got, err := s.fetch(ctx, f, leader, wanted)
			if err != nil {
				return err
			}
			progress = progress || got
		}
		if progress {
			idle = 0
			continue
		}
		if idle++; idle > 20 {
			return fmt.Errorf("%w: its leaders give nothing", ErrAway)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fetch asks one broker. It says whether anything has come of it.
func (s *source) fetch(ctx context.Context, f facts, leader int32, wanted []*cursor) (progress bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 0, 0, responseBytes, 1 // committed records only
	req.SessionEpoch = -1                                                                      // no session: the next question is about something else
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = s.topic, f.id
	by := map[int32]*cursor{}
	for _, c := range wanted {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = c.partition, c.next, partitionBytes, -1
		topic.Partitions = append(topic.Partitions, p)
		by[c.partition] = c
	}
	req.Topics = append(req.Topics, topic)
	client, err := s.kafka()
	if err != nil {
		return false, err
	}
	answer, err := client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		s.forget()
		return false, fmt.Errorf("%w: %w", ErrAway, err)
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok || kerr.ErrorForCode(resp.ErrorCode) != nil {
		s.forget()
		return false, fmt.Errorf("%w: %w", ErrAway, kerr.ErrorForCode(resp.ErrorCode))
	}
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			c := by[t.Partitions[i].Partition]
			if c == nil {
				continue
			}
			got, err := s.take(c, &t.Partitions[i])
			if err != nil {
				return progress, err
			}
			progress = progress || got
		}
	}
	return progress, nil
}

// take puts what came of a partition into its cursor.
func (s *source) take(c *cursor, p *kmsg.FetchResponseTopicPartition) (progress bool, err error) {
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		return false, errOutOfRange
	default: // the leader has moved, or the topic was made anew
		s.forget()
		return false, fmt.Errorf("%w: partition %d: %w", ErrAway, c.partition, err)
	}
	if c.bound < 0 {
		c.bound = p.LastStableOffset
		progress = true
	}
	c.open = p.LastStableOffset < p.HighWatermark
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: c.next, IsolationLevel: kgo.ReadCommitted(), Topic: s.topic, Partition: c.partition,
	}, p, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return false, fmt.Errorf("%w: partition %d: %w", ErrAway, c.partition, got.Err)
	}
	for _, r := range got.Records {
		if r.Offset < c.bound {
			c.buffer = append(c.buffer, r)
		}
	}
	progress = progress || next > c.next
	c.next = max(c.next, min(next, c.bound))
	return progress, nil
}

// forget makes the next read ask anew who leads.
func (s *source) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.known = false
}
