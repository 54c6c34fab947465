package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrSlow says that a reader was so slow that the events it needs next are no longer in memory. It goes on with its position.
var ErrSlow = errors.New("the reader is too slow")

// Filter chooses events.
type Filter struct {
	Types    []string // of api.ChangeTypes; none: all
	Customer string   // empty: all
	Masked   bool     // without what says who a customer is
}

func (f Filter) all() bool { return len(f.Types) == 0 && f.Customer == "" }

func (f Filter) wants(name, customer string) bool {
	return (f.Customer == "" || f.Customer == customer) && (len(f.Types) == 0 || slices.Contains(f.Types, name))
}

// historyPage is how many records a reader gets from the log at a time.
const historyPage = 500

// Reader is one reader's way through the feed. It is not safe for concurrent use.
type Reader struct {
	feed   *Feed
	filter Filter
	facts  facts
	at     Position
	number int64 // of the last chunk that it has; 0: it reads the log
	joined bool
	id     string // of at
}

// Follow begins after a position; without one it begins with what comes from now on, or, if oldest, with all that is kept.
// ErrPosition, *GoneError, ErrAway.
func (f *Feed) Follow(ctx context.Context, position string, oldest bool, filter Filter) (*Reader, error) {
	l := f.ring.after(0)
	if !l.live {
		return nil, ErrAway
	}
	r := &Reader{feed: f, filter: filter, facts: l.facts, at: l.last}
	switch {
	case position != "":
		at, facts, err := f.source.parse(ctx, position)
		if err != nil {
			return nil, err
		}
		if facts.id != l.facts.id || len(at) != len(l.last) {
			return nil, ErrAway // the tail is about to notice
		}
		r.at, r.facts = at, facts
		if !at.covers(l.first) || !l.last.covers(at) {
			if err := f.source.check(ctx, at, facts); err != nil {
				return nil, err
			}
		}
	case oldest:
		at, err := f.source.oldest(ctx, len(l.last))
		if err != nil {
			return nil, err
		}
		r.at = at
	}
	r.id = r.at.encode(r.facts.tag())
	return r, nil
}

// Position is the id of how far the reader has come.
func (r *Reader) Position() string { return r.id }

// Next waits for what comes next: bytes to be written in their order, which are shared with others and must not be changed. None
// at all means that ctx has ended, or that the position has moved on without anything for this reader. ErrSlow; ErrAway: the log
// cannot be followed now; *GoneError.
func (r *Reader) Next(ctx context.Context) ([][]byte, error) {
	for {
		l := r.feed.ring.after(r.number)
		switch {
		case !l.live || l.facts.id != r.facts.id || len(l.last) != len(r.at):
			return nil, ErrAway
		case !r.joined && !r.at.covers(l.first):
			return r.history(ctx)
		case r.joined && len(l.chunks) > 0 && r.number+1 != l.chunks[0].number:
			return nil, ErrSlow
		}
		if len(l.chunks) == 0 {
			select {
			case <-ctx.Done():
				return nil, nil // nothing has come in time
			case <-l.changed:
				continue
			}
		}
		r.joined = true
		out := r.take(l.chunks)
		if len(out) > 0 {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, nil //nolint:nilerr // time is up, and the position has moved on
		}
	}
}

// mostAtOnce is how many bytes a reader that is behind is given at a time.
const mostAtOnce = 1 << 20

// take is what a reader gets of chunks.
func (r *Reader) take(chunks []*chunk) [][]byte {
	var out [][]byte
	size := 0
	for _, c := range chunks {
		if size > mostAtOnce {
			break
		}
		r.number = c.number
		if r.at.covers(c.after) {
			continue // another instance has told it all
		}
		s := c.slab(variantOf(r.filter.Masked))
		switch {
		case !c.before.covers(r.at): // it is ahead of this instance somewhere: its ids are its own for now
			out = append(out, r.own(s))
			r.at = r.at.further(c.after)
			r.id = r.at.encode(r.facts.tag())
			continue
		case r.filter.all():
			out = append(out, s.bytes)
		default:
			out = r.chosen(out, s)
		}
		r.at, r.id = c.after, c.id
		size += len(s.bytes)
	}
	return slices.DeleteFunc(out, func(b []byte) bool { return len(b) == 0 })
}

// chosen appends the frames that the filter lets through.
func (r *Reader) chosen(out [][]byte, s slab) [][]byte {
	for _, sp := range s.spans {
		if r.filter.wants(sp.name, sp.customer) {
			out = append(out, s.bytes[sp.start:sp.end])
		}
	}
	return out
}

// own writes the frames that the reader does not have yet, with the ids of its own position.
func (r *Reader) own(s slab) []byte {
	var out []byte
	for _, sp := range s.spans {
		if sp.offset < r.at[sp.partition] {
			continue
		}
		r.at = r.at.with(sp.partition, sp.offset)
		if r.filter.wants(sp.name, sp.customer) {
			out = append(appendID(out, r.at.encode(r.facts.tag())), s.bytes[sp.rest:sp.end]...)
		}
	}
	return out
}

// history reads on in the log.
func (r *Reader) history(ctx context.Context) ([][]byte, error) {
	p, err := r.feed.piece(ctx, r.facts, r.at, nil, historyPage)
	if err != nil {
		return nil, err
	}
	var out []byte
	at := r.at
	for _, e := range p.events {
		at = at.with(e.Partition, e.Offset)
		if !r.filter.wants(e.Change.ShortType(), e.Change.Subject) {
			continue
		}
		frame, err := e.frame(variantOf(r.filter.Masked))
		if err != nil {
			return nil, err
		}
		out = append(appendID(out, at.encode(r.facts.tag())), frame...)
	}
	r.at = p.next
	r.id = r.at.encode(r.facts.tag())
	if len(out) == 0 {
		return nil, nil
	}
	return [][]byte{out}, nil
}

// events is a piece of the log as events.
type events struct {
	piece
	events []Event
}

// piece reads a bounded part of the log. ErrPosition, *GoneError, ErrAway.
func (f *Feed) piece(ctx context.Context, facts facts, from, until Position, limit int) (events, error) {
	var p piece
	var err error
	for try := range 3 {
		if p, err = f.source.read(ctx, facts, from, until, limit, f.now()); err == nil || !errors.Is(err, ErrAway) {
			break
		}
		select { // a leader has moved, mostly
		case <-ctx.Done():
			return events{}, err
		case <-time.After(time.Duration(try+1) * 50 * time.Millisecond):
		}
		now, again := f.source.current(ctx)
		if again != nil || now.id != facts.id {
			return events{}, err
		}
		facts = now
	}
	if errors.Is(err, errOutOfRange) {
		if checked := f.source.check(ctx, from, facts); checked != nil {
			return events{}, checked
		}
		return events{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if err != nil {
		return events{}, err
	}
	out := events{piece: p}
	for _, rec := range p.records {
		e, err := read(f.source.codec, rec)
		switch {
		case errors.Is(err, errSkipped):
			continue
		case err != nil:
			return events{}, fmt.Errorf("%w: %w", ErrAway, err)
		}
		out.events = append(out.events, e)
	}
	return out, nil
}
