// Package flow measures how much is in the topics: one question to the cluster a second at most, whoever looks and however many.
// It reads no record and needs no right but to describe topics.
package flow

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

const (
	// every is how often the cluster is asked while somebody looks.
	every = time.Second
	// quiet is how often it is asked while nobody does, so that the first who looks need not wait.
	quiet = 10 * time.Second
	// looked is for how long somebody counts as looking.
	looked = 30 * time.Second
	// answerWithin is how long the cluster may take.
	answerWithin = 2 * time.Second
	// old is when what was measured is not said any more.
	old = quiet + 5*time.Second
)

// sample is one look at the cluster.
type sample struct {
	at     time.Time
	topics map[string]catalogue.Count
}

// Meter measures while it runs, and tells what it has measured last.
type Meter struct {
	client []kgo.Opt
	log    *slog.Logger
	now    func() time.Time
	look   func(context.Context) (sample, error) // nil: asks the cluster

	lastLook atomic.Int64 // Unix nanoseconds
	mu       sync.Mutex
	last     sample
}

// Config is what a meter needs.
type Config struct {
	Client []kgo.Opt // seeds, TLS, SASL
	Logger *slog.Logger
	Now    func() time.Time
}

// New makes a meter; nothing is connected before Run.
func New(cfg Config) *Meter {
	return &Meter{client: cfg.Client, log: cfg.Logger, now: cfg.Now}
}

// Run measures until ctx ends. A cluster that does not answer is asked again.
func (m *Meter) Run(ctx context.Context) error {
	look := m.look
	if look == nil {
		cl, err := kgo.NewClient(m.client...)
		if err != nil {
			return fmt.Errorf("kafka client: %w", err)
		}
		defer cl.Close()
		adm := kadm.NewClient(cl)
		look = func(ctx context.Context) (sample, error) { return ask(ctx, adm) }
	}
	beat := time.NewTicker(every)
	defer beat.Stop()
	silent := false
	for {
		if m.due() {
			if err := m.measure(ctx, look); (err != nil) != silent && ctx.Err() == nil {
				silent = err != nil
				if silent {
					m.log.Warn("how much is in the topics cannot be measured", slog.Any("error", err))
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
	}
}

func (m *Meter) due() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	return now.UnixNano()-m.lastLook.Load() < int64(looked) || now.Sub(m.last.at) >= quiet
}

func (m *Meter) measure(ctx context.Context, look func(context.Context) (sample, error)) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := look(ctx)
	if err != nil {
		return err
	}
	s.at = m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = s
	return nil
}

// Count implements catalogue.Live.
func (m *Meter) Count(topic string) (c catalogue.Count, at time.Time, ok bool) {
	now := m.now()
	m.lastLook.Store(now.UnixNano())
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.last.at) > old {
		return c, at, false
	}
	c, ok = m.last.topics[topic]
	return c, m.last.at, ok
}

// ask asks the cluster. A topic that it has not, or does not tell of, is left out.
func ask(ctx context.Context, adm *kadm.Client) (sample, error) {
	var names []string
	for _, t := range topics.All() {
		names = append(names, t.Name)
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return sample{}, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return sample{}, fmt.Errorf("list end offsets: %w", err)
	}
	s := sample{topics: map[string]catalogue.Count{}}
	for _, name := range names {
		if c, ok := sum(starts[name], ends[name]); ok {
			s.topics[name] = c
		}
	}
	return s, nil
}

func sum(starts, ends map[int32]kadm.ListedOffset) (c catalogue.Count, ok bool) {
	for p, end := range ends {
		start, known := starts[p]
		if !known || start.Err != nil || end.Err != nil {
			return c, false
		}
		c.Partitions++
		c.Start += start.Offset
		c.End += max(end.Offset, start.Offset) // the log may have moved on in between
	}
	return c, c.Partitions > 0
}
