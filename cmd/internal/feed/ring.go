package feed

import (
	"strings"
	"sync"
)

// span is where one event's frame is in a slab: from its id to its end; rest is where what follows the id line begins.
type span struct {
	start, rest, end int
	partition        int32
	offset           int64
	name, customer   string
}

// slab is a run of frames, written once for all who read it.
type slab struct {
	bytes []byte
	spans []span
}

// eventOverhead is about what an event takes in memory beside its frames.
const eventOverhead = 200

// chunk is what came within a moment. It is never changed.
type chunk struct {
	number        int64
	before, after Position
	id            string // of after
	whole         slab
	frames        [][]byte // of the masked variant, without ids
	size          int
	masked        func() slab // made when the first reader needs it
}

// newChunk makes a chunk of events, of which each has its id as of where it stands.
func newChunk(before, after Position, t tag, events []Event) (*chunk, error) {
	c := &chunk{before: before, after: after, id: after.encode(t)}
	at := append(Position{}, before...)
	ids, frames := make([]string, len(events)), make([][]byte, len(events))
	for i, e := range events {
		at[e.Partition] = e.Offset + 1
		ids[i] = at.encode(t)
		var err error
		if frames[i], err = e.frame(whole); err != nil {
			return nil, err
		}
		hidden, err := e.frame(masked)
		if err != nil {
			return nil, err
		}
		c.frames = append(c.frames, hidden)
		c.size += len(hidden)
	}
	c.whole = newSlab(ids, frames)
	for i, e := range events {
		sp := &c.whole.spans[i]
		sp.partition, sp.offset, sp.name, sp.customer = e.Partition, e.Offset, e.Change.ShortType(), strings.Clone(e.Change.Subject)
	}
	c.size += len(c.whole.bytes) + len(events)*eventOverhead
	c.masked = sync.OnceValue(c.mask)
	return c, nil
}

// newSlab writes frames one after another.
func newSlab(ids []string, frames [][]byte) slab {
	size := 0
	for i, frame := range frames {
		size += len(ids[i]) + len("id: \n") + len(frame)
	}
	s := slab{bytes: make([]byte, 0, size), spans: make([]span, 0, len(frames))}
	for i, frame := range frames {
		sp := span{start: len(s.bytes)}
		s.bytes = appendID(s.bytes, ids[i])
		sp.rest = len(s.bytes)
		s.bytes = append(s.bytes, frame...)
		sp.end = len(s.bytes)
		s.spans = append(s.spans, sp)
	}
	return s
}

// mask writes the same frames for those who need not know who the customers are.
func (c *chunk) mask() slab {
	ids := make([]string, len(c.frames))
	for i, sp := range c.whole.spans {
		ids[i] = string(c.whole.bytes[sp.start+len("id: ") : sp.rest-1])
	}
	s := newSlab(ids, c.frames)
	for i, sp := range c.whole.spans {
		own := &s.spans[i]
		own.partition, own.offset, own.name, own.customer = sp.partition, sp.offset, sp.name, sp.customer
	}
	return s
}

func appendID(b []byte, id string) []byte {
	b = append(b, "id: "...)
	b = append(b, id...)
	return append(b, '\n')
}

func (c *chunk) slab(v variant) slab {
	if v == masked {
		return c.masked()
	}
	return c.whole
}

// ring keeps the newest chunks, up to a number of bytes.
type ring struct {
	most int

	mu      sync.Mutex
	live    bool // the tail reads, and is at the end of the log
	facts   facts
	chunks  []*chunk // oldest first
	size    int
	numbers int64
	first   Position      // before the oldest chunk
	last    Position      // after the newest
	changed chan struct{} // closed when something has come
}

func newRing(most int) *ring { return &ring{most: most, changed: make(chan struct{})} }

// begin empties the ring and lets it go on from a position. Numbers make a leap, so that nobody takes what comes for what
// follows on what they have.
func (r *ring) begin(f facts, at Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live, r.facts, r.chunks, r.size, r.first, r.last = false, f, nil, 0, at, at
	r.numbers += 2
	r.wake()
}

// lively says whether somebody reads on, and has come to the end of the log.
func (r *ring) lively(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = is
	r.wake()
}

func (r *ring) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *ring) push(c *chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbers++
	c.number = r.numbers
	r.chunks = append(r.chunks, c)
	r.size += c.size
	r.last = c.after
	for r.size > r.most && len(r.chunks) > 1 {
		oldest := r.chunks[0]
		r.chunks[0] = nil // the slice moves on; what it leaves behind must not be kept alive
		r.chunks = r.chunks[1:]
		r.size -= oldest.size
		r.first = oldest.after
	}
	r.wake()
}

// look is what the ring has at a moment.
type look struct {
	live        bool
	facts       facts
	chunks      []*chunk
	first, last Position
	changed     <-chan struct{}
}

// after returns what came after a chunk; of 0 all that is kept. Chunks that are gone already are not among it.
func (r *ring) after(number int64) look {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := look{live: r.live, facts: r.facts, first: r.first, last: r.last, changed: r.changed}
	if len(r.chunks) > 0 {
		skip := max(0, min(int(number-r.chunks[0].number)+1, len(r.chunks)))
		l.chunks = r.chunks[skip:len(r.chunks):len(r.chunks)]
	}
	return l
}
