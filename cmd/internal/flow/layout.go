package flow

import (
	"cmp"
	"maps"
	"slices"
)

// Sizes of the picture, in its own units, which are pixels on a wide screen.
const (
	leastWidth  = 96
	letterWidth = 8   // of a name, on average, at most
	rateWidth   = 132 // of a topic in a box with its rate
	labelWidth  = 34  // of a number at an arrow
	rowHeight   = 15  // of a line of text in a box
	labelHeight = 11  // of one at an arrow
	boxPad      = 7
	apart       = 14 // boxes of a layer
	between     = 46 // layers
	trunkWidth  = 8
	margin      = 14
)

// Box is a node with its place in the picture.
type Box struct {
	Node
	X, Y, Width, Height float64 // X and Y of its upper left corner
	Kept                []Row   // topics that are the node's alone
}

// Left is where the text of a row begins.
func (b Box) Left() float64 { return b.X + boxPad }

// Right is where it ends.
func (b Box) Right() float64 { return b.X + b.Width - boxPad }

// FirstLine is where text stands in the box.
func (b Box) FirstLine() float64 { return b.Y + boxPad + rowHeight*.75 }

// SecondLine is below the first.
func (b Box) SecondLine() float64 { return b.FirstLine() + rowHeight }

// Row is a topic inside a box, at its line.
type Row struct {
	Node
	Y float64
}

// Label is the topic's name without its owner, whose box it is in.
func (r Row) Label() string { return r.Name[len(r.Who)+1:] }

// Middle is the middle of the box from left to right.
func (b Box) Middle() float64 { return b.X + b.Width/2 }

// Line is an edge with its way through the picture.
type Line struct {
	Edge
	Path           string // as SVG has it
	Topic          string // whose rate it has: what it reads, or alone writes; empty: nobody knows how much goes this way
	Back           bool
	LabelX, LabelY float64 // where the lag is said, and above it the rate
}

// RateY is where the rate is said.
func (l Line) RateY() float64 { return l.LabelY - labelHeight }

// Picture is a graph with a place for everything: layers from above by the way of a record, each node below those it has records
// from. The same graph always makes the same picture.
type Picture struct {
	Width, Height float64
	Boxes         []Box
	Lines         []Line
}

// With is the picture with the numbers of a snapshot.
func (p Picture) With(s Snapshot) Picture {
	numbers := map[string]Node{}
	for _, n := range s.Nodes {
		numbers[n.ID] = n
	}
	p.Boxes, p.Lines = slices.Clone(p.Boxes), slices.Clone(p.Lines)
	for i := range p.Boxes {
		b := &p.Boxes[i]
		b.Node, b.Kept = numbers[b.ID], slices.Clone(b.Kept)
		for k := range b.Kept {
			b.Kept[k].Node = numbers[b.Kept[k].ID]
		}
	}
	for i := range p.Lines {
		l := &p.Lines[i]
		for _, e := range s.Edges {
			if e.From == l.From && e.To == l.To {
				l.Edge = e
			}
		}
	}
	return p
}

// place is a box, or a point that a long line goes through on its way across a layer.
type place struct {
	box        *Box // nil: a point
	width, x   float64
	from       string // of a point: where its line comes from
	layer      int
	above      []*place
	below      []*place
	barycenter float64
}

// drawing is a picture in the making.
type drawing struct {
	graph  Graph
	boxes  map[string]*Box
	rank   map[string]int
	layers [][]*place
	places map[string]*place
	points map[string]map[int]*place // by source and layer: lines from one node share them
	tops   []float64                 // y of each layer
	height []float64
}

// Draw finds a place for everything.
func (g Graph) Draw() Picture {
	d := &drawing{graph: g, boxes: map[string]*Box{}, places: map[string]*place{}, points: map[string]map[int]*place{}}
	d.makeBoxes()
	d.findLayers()
	d.fillLayers()
	d.order()
	d.spread()
	return d.finish()
}

func (d *drawing) makeBoxes() {
	for _, n := range d.graph.Nodes {
		if n.within != "" {
			continue
		}
		b := &Box{Node: n, Width: max(leastWidth, letterWidth*float64(len(n.Name))+2*boxPad), Height: rowHeight + 2*boxPad}
		if n.Kind == TopicNode {
			b.Height += rowHeight
		}
		b.Width = max(b.Width, labelWidth*float64(d.atTheTop(n)+1))
		for _, kept := range d.graph.Nodes {
			if kept.within == n.ID {
				b.Height += rowHeight
				b.Width = max(b.Width, rateWidth)
				b.Kept = append(b.Kept, Row{Node: kept})
			}
		}
		d.boxes[n.ID] = b
	}
}

// atTheTop is how many lines share the upper side of a box, if numbers stand at one of them.
func (d *drawing) atTheTop(n Node) int {
	lines, numbers := 0, false
	for _, e := range d.graph.Edges {
		if e.To == n.ID && !e.back || e.From == n.ID && e.back {
			lines++
			numbers = numbers || e.group
		}
	}
	if !numbers {
		return 0
	}
	return lines
}

// drawn are the edges between boxes.
func (d *drawing) drawn() []Edge {
	return slices.DeleteFunc(slices.Clone(d.graph.Edges), func(e Edge) bool { return d.boxes[e.From] == nil || d.boxes[e.To] == nil })
}

// findLayers gives each box the layer after the last of those it has records from, and then moves what has no reason to be so far
// above down to where it is needed. What goes against the way counts for nothing.
func (d *drawing) findLayers() {
	d.rank = map[string]int{}
	into, out := map[string][]string{}, map[string][]string{}
	for _, e := range d.drawn() {
		if !e.back {
			into[e.To] = append(into[e.To], e.From)
			out[e.From] = append(out[e.From], e.To)
		}
	}
	open := map[string]bool{}
	var deep func(string) int
	deep = func(id string) int {
		if r, ok := d.rank[id]; ok || open[id] { // open: a circle, which is broken here
			return r
		}
		open[id] = true
		r := 0
		for _, from := range into[id] {
			r = max(r, deep(from)+1)
		}
		d.rank[id] = r
		return r
	}
	for _, n := range d.graph.Nodes {
		if d.boxes[n.ID] != nil {
			deep(n.ID)
		}
	}
	byDepth := slices.SortedFunc(maps.Keys(d.rank), func(a, b string) int { return cmp.Or(d.rank[b]-d.rank[a], cmp.Compare(a, b)) })
	for _, id := range byDepth {
		lowest := -1
		for _, to := range out[id] {
			if lowest < 0 || d.rank[to]-1 < lowest {
				lowest = d.rank[to] - 1
			}
		}
		d.rank[id] = max(d.rank[id], lowest)
	}
}

// fillLayers puts the boxes into their layers, and points where lines cross a layer.
func (d *drawing) fillLayers() {
	d.layers = make([][]*place, slices.Max(slices.Collect(maps.Values(d.rank)))+1)
	for _, n := range d.graph.Nodes {
		if b := d.boxes[n.ID]; b != nil {
			p := &place{box: b, width: b.Width, layer: d.rank[n.ID]}
			d.places[n.ID] = p
			d.layers[p.layer] = append(d.layers[p.layer], p)
		}
	}
	for _, e := range d.drawn() {
		way := d.way(e)
		for i := 1; i < len(way); i++ {
			a, b := way[i-1], way[i]
			if a.layer > b.layer {
				a, b = b, a
			}
			if !slices.Contains(a.below, b) {
				a.below, b.above = append(a.below, b), append(b.above, a)
			}
		}
	}
}

// way is where the line of an edge goes: from its source, through a point in each layer between, to its end.
func (d *drawing) way(e Edge) []*place {
	from, to := d.places[e.From], d.places[e.To]
	step := 1
	if to.layer < from.layer {
		step = -1
	}
	way := []*place{from}
	for layer := from.layer + step; (to.layer-layer)*step > 0; layer += step {
		p := d.points[e.From][layer]
		if p == nil {
			p = &place{width: trunkWidth, from: e.From, layer: layer}
			if d.points[e.From] == nil {
				d.points[e.From] = map[int]*place{}
			}
			d.points[e.From][layer] = p
			d.layers[layer] = append(d.layers[layer], p)
		}
		way = append(way, p)
	}
	return append(way, to)
}
