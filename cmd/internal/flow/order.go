package flow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// sweeps is how often layers are put in order, and spread: more changes nothing any more.
const sweeps = 24

// order sorts each layer by where its neighbours are, again and again, so that few lines cross, and keeps the best.
func (d *drawing) order() {
	best, least := d.copied(), d.crossings()
	for sweep := range sweeps {
		for i := range d.layers {
			layer, towards := d.layers[i], func(p *place) []*place { return p.above }
			if sweep%2 == 1 {
				layer, towards = d.layers[len(d.layers)-1-i], func(p *place) []*place { return p.below }
			}
			d.index()
			for at, p := range layer {
				p.barycenter = float64(at)
				if near := towards(p); len(near) > 0 {
					p.barycenter = 0
					for _, n := range near {
						p.barycenter += n.x / float64(len(near))
					}
				}
			}
			slices.SortStableFunc(layer, func(a, b *place) int { return cmp.Compare(a.barycenter, b.barycenter) })
		}
		if n := d.crossings(); n < least {
			best, least = d.copied(), n
		}
	}
	d.layers = best
}

func (d *drawing) copied() [][]*place {
	var all [][]*place
	for _, layer := range d.layers {
		all = append(all, slices.Clone(layer))
	}
	return all
}

// index lets x be the place in the layer, as a part of it.
func (d *drawing) index() {
	for _, layer := range d.layers {
		for i, p := range layer {
			p.x = (float64(i) + .5) / float64(len(layer))
		}
	}
}

// crossings counts the lines that cross.
func (d *drawing) crossings() int {
	d.index()
	n := 0
	for _, layer := range d.layers {
		for i, a := range layer {
			for _, b := range layer[i+1:] {
				for _, under := range a.below {
					for _, other := range b.below {
						if under.x > other.x {
							n++
						}
					}
				}
			}
		}
	}
	return n
}

// spread moves everything towards its neighbours as far as the order and the boxes allow.
func (d *drawing) spread() {
	for _, layer := range d.layers {
		at := 0.0
		for i, p := range layer {
			if i > 0 {
				at += gap(layer[i-1], p)
			}
			p.x = at
		}
		for _, p := range layer {
			p.x -= at / 2
		}
	}
	for sweep := range sweeps {
		for i := range d.layers {
			layer := d.layers[i]
			if sweep%2 == 1 {
				layer = d.layers[len(d.layers)-1-i]
			}
			want := make([]float64, len(layer))
			for k, p := range layer {
				want[k] = p.x
				if near := append(slices.Clone(p.above), p.below...); len(near) > 0 {
					want[k] = 0
					for _, n := range near {
						want[k] += n.x / float64(len(near))
					}
				}
			}
			settle(layer, want)
		}
	}
}

// gap is how far the middles of two neighbours are apart at least.
func gap(a, b *place) float64 { return (a.width+b.width)/2 + apart }

// settle places a layer as near to what is wanted as the gaps allow, in the sense of least squares: neighbours that want to be
// nearer than that move as one, to the middle of what they want.
func settle(layer []*place, want []float64) {
	type block struct {
		sum   float64 // of what its places want of the first
		count int
	}
	var blocks []block
	offset := make([]float64, len(layer)) // from the first of the layer
	for i := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + gap(layer[i-1], layer[i])
		}
		blocks = append(blocks, block{want[i] - offset[i], 1})
		for n := len(blocks); n > 1 && blocks[n-2].sum/float64(blocks[n-2].count) > blocks[n-1].sum/float64(blocks[n-1].count); n = len(blocks) {
			blocks[n-2].sum += blocks[n-1].sum
			blocks[n-2].count += blocks[n-1].count
			blocks = blocks[:n-1]
		}
	}
	i := 0
	for _, b := range blocks {
		for range b.count {
			layer[i].x = b.sum/float64(b.count) + offset[i]
			i++
		}
	}
}

// finish says where everything is.
func (d *drawing) finish() Picture {
	left, right := 0.0, 0.0
	for _, layer := range d.layers {
		for _, p := range layer {
			left, right = min(left, p.x-p.width/2), max(right, p.x+p.width/2)
		}
	}
	pic := Picture{Width: right - left + 2*margin}
	y := float64(margin)
	for _, layer := range d.layers {
		tall := 0.0
		for _, p := range layer {
			p.x += margin - left
			if p.box != nil {
				tall = max(tall, p.box.Height)
			}
		}
		d.tops, d.height = append(d.tops, y), append(d.height, tall)
		for _, p := range layer {
			if b := p.box; b != nil {
				b.X, b.Y = p.x-b.Width/2, y+(tall-b.Height)/2
				for i := range b.Kept {
					b.Kept[i].Y = b.Y + boxPad + rowHeight*(float64(i)+1.75)
				}
			}
		}
		y += tall + between
	}
	pic.Height = y - between + margin
	for _, n := range d.graph.Nodes {
		if b := d.boxes[n.ID]; b != nil {
			pic.Boxes = append(pic.Boxes, *b)
		}
	}
	ports := d.ports()
	for _, e := range d.drawn() {
		pic.Lines = append(pic.Lines, d.line(e, ports))
	}
	return pic
}

// port is where a line touches a box: at the upper or lower side, of its own end, or of all lines that begin there.
type port struct {
	box   string
	above bool
	other string // the source of a line that ends here; empty: lines that begin here
}

// ports spreads the lines of each side of a box over it, in the order in which they come.
func (d *drawing) ports() map[port]float64 {
	type touch struct {
		port
		towards float64
	}
	sides := map[port][]touch{} // by box and side
	add := func(p port, towards float64) {
		side := port{box: p.box, above: p.above}
		if !slices.ContainsFunc(sides[side], func(t touch) bool { return t.port == p }) {
			sides[side] = append(sides[side], touch{p, towards})
		}
	}
	for _, e := range d.drawn() {
		way := d.way(e)
		up := way[0].layer > way[1].layer
		add(port{e.From, up, ""}, way[1].x)
		add(port{e.To, !up, e.From}, way[len(way)-2].x)
	}
	at := map[port]float64{}
	for _, touches := range sides {
		slices.SortStableFunc(touches, func(a, b touch) int { return cmp.Compare(a.towards, b.towards) })
		b := d.boxes[touches[0].box]
		for i, t := range touches {
			at[t.port] = b.X + b.Width*float64(i+1)/float64(len(touches)+1)
		}
	}
	return at
}

// line draws an edge: smoothly from layer to layer, straight across a layer.
func (d *drawing) line(e Edge, ports map[port]float64) Line {
	way := d.way(e)
	up := way[0].layer > way[1].layer
	from, to := d.boxes[e.From], d.boxes[e.To]
	x, y := ports[port{e.From, up, ""}], from.Y+from.Height
	endX, endY := ports[port{e.To, !up, e.From}], to.Y
	if up {
		y, endY = from.Y, to.Y+to.Height
	}
	var path strings.Builder
	fmt.Fprintf(&path, "M%.1f %.1f", x, y)
	curve := func(toX, toY float64) {
		middle := (y + toY) / 2
		fmt.Fprintf(&path, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, middle, toX, middle, toX, toY)
		x, y = toX, toY
	}
	for _, p := range way[1 : len(way)-1] {
		enter, leave := d.tops[p.layer], d.tops[p.layer]+d.height[p.layer]
		if up {
			enter, leave = leave, enter
		}
		curve(p.x, enter)
		fmt.Fprintf(&path, "V%.1f", leave)
		y = leave
	}
	curve(endX, endY)
	label := endY - 9
	if up {
		label = endY + 17 + labelHeight
	}
	return Line{Edge: e, Path: path.String(), Topic: d.carries(e), Back: up, LabelX: endX, LabelY: label}
}

// carries is the topic whose rate an edge has.
func (d *drawing) carries(e Edge) string {
	if d.boxes[e.From].Kind == TopicNode {
		return e.From
	}
	if !d.graph.alone(e) {
		return ""
	}
	return e.To
}
