// Package flow is a live picture of how records flow: topics, processors, and the copies that answer queries, as a graph that follows
// from the catalogue, with rates, lag and dead letters. One question to the cluster a second at most, whoever looks and however many.
//
// It reads no record and needs no right but to describe topics and groups.
package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/catalogue"
	"utopia/processors/kafkaclient"
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
	lag    map[string]map[string]int64 // by group and topic
	behind map[string]int64            // by topic: of the copy that this process has
}

// Config is what a meter needs.
type Config struct {
	Client []kgo.Opt // seeds, TLS, SASL
	Logger *slog.Logger
	Now    func() time.Time
	// Copies are what copies of topics that this process has read next, by topic; nil of one that does not read yet.
	Copies map[string]func() map[int32]int64
}

// Meter measures while it runs, and tells what it has measured last.
type Meter struct {
	cfg     Config
	look    func(context.Context) (sample, error) // nil: asks the cluster
	graph   Graph
	nothing Snapshot // the graph, while no number is known

	running  atomic.Bool
	lastLook atomic.Int64 // Unix nanoseconds

	mu      sync.Mutex
	last    sample
	flow    Snapshot      // of last
	changed chan struct{} // closed when there is something newer
}

// New makes a meter; nothing is connected before Run.
func New(cfg Config) *Meter {
	graph := NewGraph()
	return &Meter{cfg: cfg, graph: graph, nothing: Snapshot{Graph: graph}.encoded(), changed: make(chan struct{})}
}

// Run measures until ctx ends. A cluster that does not answer is asked again.
func (m *Meter) Run(ctx context.Context) error {
	look := m.look
	if look == nil {
		cl, err := kafkaclient.New(ctx, m.cfg.Client...)
		if err != nil {
			return err
		}
		defer cl.Close()
		adm := kadm.NewClient(cl.Client)
		look = func(ctx context.Context) (sample, error) { return m.ask(ctx, adm) }
	}
	m.running.Store(true)
	defer m.running.Store(false)
	beat := time.NewTicker(every)
	defer beat.Stop()
	silent := false
	for {
		if m.due() {
			if err := m.measure(ctx, look); (err != nil) != silent && ctx.Err() == nil {
				silent = err != nil
				if silent {
					m.cfg.Logger.Warn("how records flow cannot be measured", slog.Any("error", err))
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

// Running says whether there will be something newer.
func (m *Meter) Running() bool { return m.running.Load() }

func (m *Meter) due() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	return now.UnixNano()-m.lastLook.Load() < int64(looked) || now.Sub(m.last.at) >= quiet
}

func (m *Meter) measure(ctx context.Context, look func(context.Context) (sample, error)) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := look(ctx)
	if err != nil {
		return err
	}
	s.at = m.cfg.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flow = m.graph.measured(m.last, s)
	m.last = s
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// Count implements catalogue.Live.
func (m *Meter) Count(topic string) (c catalogue.Count, at time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known() {
		return c, at, false
	}
	c, ok = m.last.topics[topic]
	return c, m.last.at, ok
}

// known says whether what was measured last may be said. Somebody looks.
func (m *Meter) known() bool {
	now := m.cfg.Now()
	m.lastLook.Store(now.UnixNano())
	return now.Sub(m.last.at) < old
}

// Snapshot is what was measured last; the graph without numbers while that is not known.
func (m *Meter) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known() {
		return m.nothing
	}
	return m.flow
}

// Next waits for a snapshot that is newer than the one before, or for so long that what was measured is not known any more. An error is
// the context's.
func (m *Meter) Next(ctx context.Context, before Snapshot) (Snapshot, error) {
	patience := time.NewTimer(old)
	defer patience.Stop()
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if s := m.Snapshot(); s.At != "" && s.At != before.At {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return Snapshot{}, ctx.Err()
		case <-changed:
		case <-patience.C:
			return m.Snapshot(), nil
		}
	}
}

// ask asks the cluster. A topic or group that it has not, or does not tell of, is left out.
func (m *Meter) ask(ctx context.Context, adm *kadm.Client) (sample, error) {
	var names []string
	for _, t := range topics.All() {
		names = append(names, t.Name)
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return sample{}, fmt.Errorf("list start offsets: %w", err)
	}
	groups := adm.FetchManyOffsets(ctx, topics.Groups()...) // before the ends: what was handled since then is no lag
	copies := map[string]map[int32]int64{}
	for topic, next := range m.cfg.Copies {
		copies[topic] = next()
	}
	ends, err := adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return sample{}, fmt.Errorf("list end offsets: %w", err)
	}
	s := sample{topics: map[string]catalogue.Count{}, lag: map[string]map[string]int64{}, behind: map[string]int64{}}
	for _, name := range names {
		if c, ok := sum(starts[name], ends[name]); ok {
			s.topics[name] = c
			if next := copies[name]; next != nil {
				s.behind[name] = unread(ends[name], next)
			}
		}
	}
	if len(s.topics) == 0 {
		return sample{}, errors.New("the cluster tells of no topic")
	}
	for _, group := range topics.Groups() {
		if one, ok := groups[group]; ok && (one.Err == nil || errors.Is(one.Err, kerr.GroupIDNotFound)) { // not found: it has handled nothing
			s.lag[group] = map[string]int64{}
			for _, t := range topics.Inputs(group) {
				if _, ok := s.topics[t.Name]; ok {
					s.lag[group][t.Name] = lag(starts[t.Name], ends[t.Name], one.Fetched[t.Name])
				}
			}
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

// unread is how many offsets a copy has not read.
func unread(ends map[int32]kadm.ListedOffset, next map[int32]int64) (n int64) {
	for p, end := range ends {
		n += max(end.Offset-next[p], 0)
	}
	return n
}

// lag is how many offsets a group has not handled. Where it has committed nothing, it has handled nothing.
func lag(starts, ends map[int32]kadm.ListedOffset, committed map[int32]kadm.OffsetResponse) int64 {
	var n int64
	for p, end := range ends {
		at := starts[p].Offset
		if c, ok := committed[p]; ok && c.Err == nil {
			at = max(at, c.At)
		}
		n += max(end.Offset-at, 0)
	}
	return n
}
