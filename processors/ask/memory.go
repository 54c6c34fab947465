package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unique"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// listen assigns what is to be read: the partition of the reply address from its end, or, with a memory, all of them from
// some time ago.
func (c *Client) listen(ctx context.Context) error {
	adm, name := kadm.NewClient(c.cl.Client), c.cfg.Replies.Name
	ends, err := adm.ListEndOffsets(ctx, name)
	if err != nil {
		return fmt.Errorf("end of %s: %w", name, err)
	}
	n := len(ends[name])
	switch err := ends.Error(); {
	case n == 0 || errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("%w: %s; create it with: utopia topics apply", ErrNoTopic, name)
	case err != nil:
		return fmt.Errorf("end of %s: %w", name, err)
	}
	from := map[int32]kgo.Offset{}
	if c.cfg.Remember <= 0 {
		p := topics.Partition(c.address, int32(n)) //nolint:gosec // a partition count
		end, _ := ends.Lookup(name, p)
		from[p] = kgo.NewOffset().At(end.Offset)
	} else if from, err = c.back(ctx, adm); err != nil {
		return fmt.Errorf("offsets of %s: %w", name, err)
	}
	c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: from})
	return nil
}

// back finds where to begin reading replies of the past, and up to where they are the past.
func (c *Client) back(ctx context.Context, adm *kadm.Client) (map[int32]kgo.Offset, error) {
	name, since := c.cfg.Replies.Name, time.Now().Add(-c.cfg.Back)
	ends, err := adm.ListCommittedOffsets(ctx, name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	starts, err := adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	m := newMemory(c.cfg.Remember, since)
	from := map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		at := end.Offset
		if start, ok := starts.Lookup(name, end.Partition); ok && start.Offset < at {
			at = start.Offset
			m.missing[end.Partition] = end.Offset
		}
		from[end.Partition] = kgo.NewOffset().At(at)
	})
	c.memory = m
	return from, nil
}

// Outcome returns what is remembered of a command id: every answer to a command with it, in the order in which they came, those about the same
// command again and about others that have taken its id included. They are complete for commands sent after since, once all is true: then a
// command without an answer has none yet. Without Config.Remember nothing is remembered.
func (c *Client) Outcome(commandID string) (found []schemas.ReplyFields, since time.Time, all bool) {
	if c.memory == nil {
		return nil, time.Time{}, false
	}
	return c.memory.find(commandID)
}

// memory is a bounded set of answers, the oldest forgotten first.
type memory struct {
	mu      sync.Mutex
	most    int
	byID    map[string][]schemas.ReplyFields // in the order in which they came
	order   []remembered                     // a ring of the entries of byID
	next    int
	since   time.Time       // everything after it is here
	missing map[int32]int64 // partitions that are read back, and up to where
}

type remembered struct {
	id string
	at time.Time
}

func newMemory(most int, since time.Time) *memory {
	return &memory{most: most, byID: map[string][]schemas.ReplyFields{}, since: since, missing: map[int32]int64{}}
}

func (m *memory) add(f schemas.ReplyFields, at time.Time) {
	f.ReplyTo, f.CorrelationID = "", ""
	f.Outcome, f.Refusal, f.Message = unique.Make(f.Outcome).Value(), unique.Make(f.Refusal).Value(), unique.Make(f.Message).Value()
	f.Aggregate = unique.Make(f.Aggregate).Value()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[f.CommandID] = append(m.byID[f.CommandID], f)
	entry := remembered{f.CommandID, at}
	if len(m.order) < m.most {
		m.order = append(m.order, entry)
		return
	}
	m.forget(m.order[m.next])
	m.order[m.next] = entry
	m.next = (m.next + 1) % m.most
}

// forget drops the oldest answer: the first that came with its id.
func (m *memory) forget(r remembered) {
	if left := m.byID[r.id][1:]; len(left) > 0 {
		m.byID[r.id] = left
	} else {
		delete(m.byID, r.id)
	}
	if r.at.After(m.since) {
		m.since = r.at
	}
}

// reached notes how far a partition has been read.
func (m *memory) reached(partition int32, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if end, ok := m.missing[partition]; ok && next >= end {
		delete(m.missing, partition)
	}
}

func (m *memory) find(id string) ([]schemas.ReplyFields, time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]schemas.ReplyFields(nil), m.byID[id]...), m.since, len(m.missing) == 0
}
