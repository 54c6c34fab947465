package flow

import (
	"slices"
	"strings"

	"utopia/topics"
)

// Kinds of nodes.
const (
	TopicNode = "topic"
	Processor = "processor" // a Goka group with a table
	Worker    = "worker"    // a group of a service that hands things to the world outside
	View      = "view"      // a copy of a public topic that answers queries
	Sender    = "sender"    // somebody outside of the services who writes
	Hearer    = "hearer"    // the same, as far as they read
)

// Node is where records come from, are kept, or go to.
type Node struct {
	ID   string   `json:"id"`
	Kind string   `json:"kind" enum:"topic,processor,worker,view,sender,hearer" doc:"A worker hands things to the world outside; senders and hearers are those outside of the services, as far as they write and read"`
	Name string   `json:"name"`
	Who  string   `json:"who" doc:"The principal; of a topic its owner"`
	Rate *float64 `json:"rate,omitempty" doc:"Of a topic: offsets a second that were committed. Ends of transactions take offsets, too"`
	Dead *int64   `json:"deadLetters,omitempty" doc:"Of a topic that a processor reads: at most so many dead letters are kept"`

	input bool // a topic that a processor reads
	// within is the node that alone reads and writes a topic; empty: others do, too.
	within string
}

// Edge is a way that records take.
type Edge struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Rate *float64 `json:"rate,omitempty" doc:"Offsets a second: of a topic to a consumer group, or to a copy that this gateway has, what was read; to a topic that nobody else writes, what was committed"`
	Lag  *int64   `json:"lag,omitempty" doc:"Of a topic to a consumer group, or to a copy that this gateway has: how many offsets it is behind"`

	group bool // its reader is a consumer group, or a copy
	back  bool // an answer, or what a service sends to itself: against the way
}

// Reads says whether a processor reads the topic: only then there can be dead letters.
func (n Node) Reads() bool { return n.input }

// Measured says whether there can be a lag.
func (e Edge) Measured() bool { return e.group }

// Graph is who writes and reads what.
type Graph struct {
	Nodes []Node `json:"nodes" nullable:"false" doc:"In the order of the catalogue"`
	Edges []Edge `json:"edges" nullable:"false"`
}

// NewGraph follows from the catalogue of topics. Dead letters are told with the topic that they come from.
func NewGraph() Graph {
	var g Graph
	for _, t := range topics.All() {
		if t.Kind == topics.DeadLetters {
			continue
		}
		topic := g.node(Node{ID: t.Name, Kind: TopicNode, Name: t.Name, Who: t.Owner, input: t.Input()})
		for _, who := range t.Writers {
			for _, from := range g.writers(who, t) {
				g.edge(Edge{From: from, To: topic, back: t.Kind == topics.Command && who == t.Owner})
			}
		}
		for _, who := range t.Readers {
			for _, to := range g.readers(who, t) {
				g.edge(Edge{From: topic, To: to, group: inputOf(to, t) || strings.HasPrefix(to, View+"/"), back: t.Kind == topics.Reply && slices.Contains(topics.Services(), who)})
			}
		}
	}
	g.keep()
	return g
}

// alone says whether nobody else writes where an edge leads to.
func (g Graph) alone(e Edge) bool {
	return !slices.ContainsFunc(g.Edges, func(other Edge) bool { return other.To == e.To && other.From != e.From })
}

// node adds a node that is not there yet.
func (g *Graph) node(n Node) string {
	if !slices.ContainsFunc(g.Nodes, func(other Node) bool { return other.ID == n.ID }) {
		g.Nodes = append(g.Nodes, n)
	}
	return n.ID
}

func (g *Graph) edge(e Edge) {
	if !slices.ContainsFunc(g.Edges, func(other Edge) bool { return other.From == e.From && other.To == e.To }) {
		g.Edges = append(g.Edges, e)
	}
}

// writers are the nodes by which a principal writes a topic. A worker tells its service by a command how it went.
func (g *Graph) writers(who string, t topics.Topic) []string {
	if !slices.Contains(topics.Services(), who) {
		return []string{g.node(Node{ID: Sender + "/" + who, Kind: Sender, Name: outsider(who), Who: who})}
	}
	worker, has := workerOf(who)
	switch {
	case has && t.Kind == topics.Positions:
		return []string{g.group(worker)}
	case has && t.Kind == topics.Command && t.Owner == who:
		return []string{g.group(who), g.group(worker)}
	}
	return []string{g.group(who)}
}

// readers are the nodes by which a principal reads a topic: consumer groups, and copies.
func (g *Graph) readers(who string, t topics.Topic) []string {
	switch {
	case who == topics.Gateway && t.Kind == topics.State:
		return []string{g.node(Node{ID: View + "/" + t.Name, Kind: View, Name: t.Owner + " view", Who: who})}
	case who == topics.Gateway && t.Kind == topics.Change:
		return []string{g.node(Node{ID: View + "/" + t.Name, Kind: View, Name: "feed", Who: who})}
	case !slices.Contains(topics.Services(), who):
		return []string{g.node(Node{ID: Hearer + "/" + who, Kind: Hearer, Name: outsider(who), Who: who})}
	}
	var all []string
	worker, has := workerOf(who)
	for _, group := range []string{who, worker} {
		if inputOf(Processor+"/"+group, t) {
			all = append(all, g.group(group))
		}
	}
	if len(all) == 0 && has && t.Kind != topics.Event && t.Kind != topics.Table {
		return []string{g.group(worker)}
	}
	if len(all) == 0 {
		return []string{g.group(who)}
	}
	return all
}

// inputOf says whether a node is a consumer group that reads the topic.
func inputOf(node string, t topics.Topic) bool {
	kind, group, _ := strings.Cut(node, "/")
	return (kind == Processor || kind == Worker) && slices.ContainsFunc(topics.Inputs(group), func(in topics.Topic) bool { return in.Name == t.Name })
}

// group adds a consumer group: its id is its kind and name.
func (g *Graph) group(name string) string {
	for _, service := range topics.Services() {
		if worker, has := workerOf(service); has && worker == name {
			return g.node(Node{ID: Worker + "/" + name, Kind: Worker, Name: name, Who: service})
		}
	}
	return g.node(Node{ID: Processor + "/" + name, Kind: Processor, Name: name, Who: name})
}

// workerOf is the other consumer group of a service.
func workerOf(service string) (string, bool) {
	for _, group := range topics.Groups() {
		if strings.HasPrefix(group, service+"-") {
			return group, true
		}
	}
	return "", false
}

func outsider(who string) string {
	if who == topics.Gateway {
		return "HTTP API"
	}
	return who
}

// keep finds the topics that only one node reads and writes.
func (g *Graph) keep() {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.Kind != TopicNode {
			continue
		}
		around := map[string]bool{}
		for _, e := range g.Edges {
			if e.From == n.ID {
				around[e.To] = true
			}
			if e.To == n.ID {
				around[e.From] = true
			}
		}
		if len(around) == 1 {
			for within := range around {
				n.within = within
			}
		}
	}
}
