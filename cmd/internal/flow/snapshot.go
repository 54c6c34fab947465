package flow

import (
	"encoding/json"
	"math"
	"slices"
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
		if n, ok := now.behind[e.From]; ok && e.To == View+"/"+e.From {
			e.Lag = &n
		}
		for _, group := range topics.Groups() {
			if n, ok := now.lag[group][e.From]; ok && (e.To == Processor+"/"+group || e.To == Worker+"/"+group) {
				e.Lag = &n
			}
		}
	}
	return s.encoded()
}

func held(c catalogue.Count) int64 { return c.End - c.Start }

// rate is how many offsets a second a topic has got; nil if there is nothing to compare with. A topic that was made anew has got none.
func rate(before, now sample, topic string) *float64 {
	a, had := before.topics[topic]
	b, has := now.topics[topic]
	took := now.at.Sub(before.at).Seconds()
	if !had || !has || took <= 0 {
		return nil
	}
	r := math.Round(max(float64(b.End-a.End), 0)/took*10) / 10
	return &r
}
