package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// positions are those of the partitions that are ours. They are written behind, at least every saveEvery and before a partition
// is given back: a process that is killed tells again what it told since.
type positions struct {
	mu    sync.Mutex
	known map[place]schemas.WebhookPosition
	dirty map[place]bool
}

type place struct {
	hook string
	part int32
}

const saveEvery = time.Second

func newPositions() *positions {
	return &positions{known: map[place]schemas.WebhookPosition{}, dirty: map[place]bool{}}
}

func (p *positions) save(pos schemas.WebhookPosition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{pos.WebhookID, pos.Partition}
	if p.known[at] != pos {
		p.known[at] = pos
		p.dirty[at] = true
	}
}

// of returns the position of a webhook; false if it has none, or that of an earlier one with the same id.
func (p *positions) of(w *schemas.WebhookState, part int32) (schemas.WebhookPosition, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pos, ok := p.known[place{w.WebhookID, part}]
	return pos, ok && pos.RegisteredAt == w.RegisteredAt
}

// forget drops what is known of a partition that is no longer ours.
func (p *positions) forget(part int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := range p.known {
		if at.part == part {
			delete(p.known, at)
			delete(p.dirty, at)
		}
	}
}

// drop removes the positions of webhooks that are gone, and says which they were.
func (p *positions) drop(exists func(hook string) bool) []place {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []place
	for at := range p.known {
		if !exists(at.hook) {
			gone = append(gone, at)
			delete(p.known, at)
			delete(p.dirty, at)
		}
	}
	return gone
}

// take returns what is to be written.
func (p *positions) take() []schemas.WebhookPosition {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []schemas.WebhookPosition
	for at := range p.dirty {
		all = append(all, p.known[at])
	}
	clear(p.dirty)
	return all
}

// again marks what could not be written.
func (p *positions) again(all []schemas.WebhookPosition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pos := range all {
		at := place{pos.WebhookID, pos.Partition}
		if _, ok := p.known[at]; ok {
			p.dirty[at] = true
		}
	}
}

// cutOff is a position in a log of which it is known that it went no further than end. Records were lost in an unclean election, or the
// topic was made again: what comes next has offsets that the position takes for told, and is told.
func cutOff(log *slog.Logger, pos schemas.WebhookPosition, end int64) schemas.WebhookPosition {
	if pos.Offset <= end && pos.Until <= end {
		return pos
	}
	log.Error("the log of changes is shorter than it was told: records were lost in an unclean leader election, or the topic was made again; "+
		"going on where it ends, and what was lost cannot be told", slog.String("webhook", pos.WebhookID), slog.Int64("partition", int64(pos.Partition)),
		slog.Int64("position", max(pos.Offset, pos.Until)), slog.Int64("end", end))
	if pos.Offset > end {
		pos.Offset, pos.FailingAt, pos.Attempts = end, 0, 0
	}
	if pos.Until = min(pos.Until, end); pos.Until <= pos.Offset {
		pos.Only, pos.Until = "", 0
	}
	return pos
}

func positionKey(hook string, part int32) []byte { return fmt.Appendf(nil, "%s/%d", hook, part) }

// flush writes what has changed, and waits until it is there.
func (s *Sender) flush(ctx context.Context) error {
	all := s.positions.take()
	if len(all) == 0 {
		return nil
	}
	records := make([]*kgo.Record, 0, len(all))
	for i := range all {
		value, err := schemas.AppendPrivate(nil, &all[i])
		if err != nil {
			return fmt.Errorf("position: %w", err)
		}
		records = append(records, &kgo.Record{
			Topic: topics.WebhookPositions.Name, Partition: all[i].Partition, Key: positionKey(all[i].WebhookID, all[i].Partition), Value: value,
		})
	}
	err := s.produce(ctx, records...)
	if err != nil {
		s.positions.again(all)
	}
	return err
}

// produce waits for the acknowledgement or ctx's end. Not ProduceSync: it may outlive ctx when the broker is gone.
func (s *Sender) produce(ctx context.Context, records ...*kgo.Record) error {
	acked := make(chan error, len(records))
	for _, r := range records {
		s.client.Produce(ctx, r, func(_ *kgo.Record, err error) { acked <- err })
	}
	var failed error
	for range records {
		select {
		case err := <-acked:
			failed = errors.Join(failed, err)
		case <-ctx.Done():
			return errors.Join(failed, ctx.Err())
		}
	}
	return failed
}

// load reads the positions of partitions, from the beginning of the topic to where it is now.
func (s *Sender) load(ctx context.Context, parts []int32) error {
	ends, err := s.adm.ListEndOffsets(ctx, topics.WebhookPositions.Name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("positions: %w", err)
	}
	starts, from := map[int32]int64{}, map[int32]kgo.Offset{}
	for _, part := range parts {
		end, ok := ends.Lookup(topics.WebhookPositions.Name, part)
		if ok && end.Offset > 0 {
			starts[part], from[part] = end.Offset, kgo.NewOffset().AtStart()
		}
	}
	if len(from) == 0 {
		return nil
	}
	cl, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, s.cfg.Client...), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topics.WebhookPositions.Name: from}))...)
	if err != nil {
		return fmt.Errorf("positions: %w", err)
	}
	defer cl.Close()
	for len(starts) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("positions: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			s.recall(r)
			if r.Offset+1 >= starts[r.Partition] {
				delete(starts, r.Partition)
			}
		})
	}
	return nil
}

// recall takes up one record of the topic.
func (s *Sender) recall(r *kgo.Record) {
	p := s.positions
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Value == nil {
		hook, _, _ := strings.Cut(string(r.Key), "/")
		delete(p.known, place{hook, r.Partition})
		return
	}
	rec, err := schemas.DecodePrivate(r.Value)
	pos, ok := rec.(*schemas.WebhookPosition)
	if err != nil || !ok || pos.Partition != r.Partition {
		s.log.Error("a position cannot be read", slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset))
		return
	}
	p.known[place{pos.WebhookID, r.Partition}] = *pos
}
