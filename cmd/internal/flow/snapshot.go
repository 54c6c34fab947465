package flow

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

// Snapshot is the graph with what was measured.
type Snapshot struct {
	Graph
	At string `json:"at,omitempty" doc:"When it was measured; none, and no number, while the cluster does not answer"`

	event []byte
}

// Event is the snapshot as a server-sent event, made once for all listeners.
func (s Snapshot) Event() []byte { return s.event }

func (s Snapshot) encoded() Snapshot {
	data, err := json.Marshal(s)
	if err != nil {
		data = []byte("{}") // numbers and strings can be written
	}
	s.event = slices.Concat([]byte("event: flow\ndata: "), data, []byte("\n\n"))
	return s
}

// measured is the graph with the numbers of a sample; rates are since the one before.
func (g Graph) measured(before, now sample) Snapshot {
	s := Snapshot{Graph: Graph{Nodes: slices.Clone(g.Nodes), Edges: slices.Clone(g.Edges)}, At: now.at.UTC().Format(time.RFC3339Nano)}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Kind != TopicNode {
			continue
		}
		n.Rate = rate(before, now, n.ID)
		t, _ := topics.ByName(n.ID)
		if c, ok := now.topics[t.DLQ().Name]; ok && n.input {
			dead := held(c)
			n.Dead = &dead
		}
	}
	for i := range s.Edges {
		e := &s.Edges[i]
		if n, ok := now.lagOf(*e); ok {
			e.Lag = &n
		}
		if e.group {
			e.Rate = perSecond(before, now, func(s sample) (int64, bool) { return s.readBy(*e) })
		} else if g.alone(*e) {
			e.Rate = rate(before, now, e.To)
		}
	}
	return s.encoded()
}

// lagOf is how far the reader at the end of an edge is behind.
func (s sample) lagOf(e Edge) (n int64, ok bool) {
	kind, name, _ := strings.Cut(e.To, "/")
	switch kind {
	case View:
		n, ok = s.behind[e.From]
	case Processor, Worker:
		n, ok = s.lag[name][e.From]
	}
	return n, ok
}

// readBy is how far that reader has come.
func (s sample) readBy(e Edge) (at int64, ok bool) {
	behind, ok := s.lagOf(e)
	return s.topics[e.From].End - behind, ok
}

func held(c catalogue.Count) int64 { return c.End - c.Start }

// rate is how many offsets a second a topic has got.
func rate(before, now sample, topic string) *float64 {
	return perSecond(before, now, func(s sample) (int64, bool) { c, ok := s.topics[topic]; return c.End, ok })
}

// perSecond is how fast a position moves; nil if there is nothing to compare with. What has gone back, as that of a topic that was made
// anew, has not moved.
func perSecond(before, now sample, position func(sample) (int64, bool)) *float64 {
	a, had := position(before)
	b, has := position(now)
	took := now.at.Sub(before.at).Seconds()
	if !had || !has || took <= 0 {
		return nil
	}
	r := math.Round(max(float64(b-a), 0)/took*10) / 10
	return &r
}
