package feed

import (
	"context"
	"fmt"
	"time"

	"utopia/cmd/internal/api"
	"utopia/topics"
)

// Page is a bounded part of the feed.
type Page struct {
	Changes []api.Change
	At      []time.Time // when the log took each
	After   string      // the position before it
	Next    string      // the position after it
	Older   bool        // there may be something before it
	More    bool        // there is something after it
	Settled bool        // the same question gets the same answer
}

// roundsAPage is how often a page reads on for a filter that lets little through.
const roundsAPage = 50

// Forward is the page after a position; without one the oldest. At most limit changes; a filter may leave fewer of them, and more
// may follow all the same. ErrPosition, *GoneError, ErrAway.
func (f *Feed) Forward(ctx context.Context, position string, limit int, filter Filter) (Page, error) {
	facts, from, err := f.place(ctx, position, f.source.oldest)
	if err != nil {
		return Page{}, err
	}
	until, err := f.until(ctx, from, filter)
	if err != nil {
		return Page{}, err
	}
	page := Page{After: from.encode(facts.tag()), Older: true, Changes: []api.Change{}}
	at := from
	for range roundsAPage {
		p, err := f.piece(ctx, facts, at, until, limit-len(page.Changes))
		if err != nil {
			return Page{}, err
		}
		page.add(p, filter)
		page.More, page.Settled, at = p.full, p.settled && until == nil, p.next
		if !p.full || len(page.Changes) == limit {
			break
		}
	}
	page.Next = at.encode(facts.tag())
	return page, nil
}

// Backward is the page that ends with a position; without one the newest. It has at most limit changes, or as many as there are
// partitions. ErrPosition, *GoneError, ErrAway.
func (f *Feed) Backward(ctx context.Context, position string, limit int, filter Filter) (Page, error) {
	facts, end, err := f.place(ctx, position, f.source.newest)
	if err != nil {
		return Page{}, err
	}
	oldest, err := f.source.oldest(ctx, len(end))
	switch {
	case err != nil:
		return Page{}, err
	case !end.covers(oldest):
		return Page{}, &GoneError{Oldest: oldest.encode(facts.tag())}
	}
	from, older, whole, of := make(Position, len(end)), false, true, int32(-1)
	each := max(1, limit/len(end))
	if filter.Customer != "" {
		of, each = topics.Partition(filter.Customer, int32(len(end))), limit //nolint:gosec // partitions are few
	}
	for i := range from {
		from[i] = end[i]
		if of < 0 || of == int32(i) { //nolint:gosec // partitions are few
			from[i] = max(oldest[i], end[i]-int64(each))
			whole = whole && from[i] == end[i]-int64(each)
			older = older || from[i] > oldest[i]
		}
	}
	p, err := f.piece(ctx, facts, from, end, each*len(end)+1)
	if err != nil {
		return Page{}, err
	}
	page := Page{
		After: from.encode(facts.tag()), Next: end.encode(facts.tag()), Changes: []api.Change{},
		Older: older, More: position != "", Settled: whole && position != "",
	}
	page.add(p, filter)
	return page, nil
}

// place is the position that a caller named, or the one that is meant without.
func (f *Feed) place(ctx context.Context, position string, otherwise func(context.Context, int) (Position, error)) (facts, Position, error) {
	if position != "" {
		p, facts, err := f.source.parse(ctx, position)
		return facts, p, err
	}
	facts, err := f.source.current(ctx)
	if err != nil {
		return facts, nil, err
	}
	p, err := otherwise(ctx, len(facts.leaders))
	return facts, p, err
}

// until leaves out the partitions in which a filter finds nothing.
func (f *Feed) until(ctx context.Context, from Position, filter Filter) (Position, error) {
	if filter.Customer == "" {
		return nil, nil //nolint:nilnil // no bound
	}
	newest, err := f.source.newest(ctx, len(from))
	if err != nil {
		return nil, err
	}
	of := topics.Partition(filter.Customer, int32(len(from))) //nolint:gosec // partitions are few
	until := append(Position{}, from...)
	if until[of] = newest[of]; until[of] < from[of] {
		return nil, fmt.Errorf("%w: the log has not come that far", ErrPosition)
	}
	return until, nil
}

func (p *Page) add(got events, filter Filter) {
	for _, e := range got.events {
		if !filter.wants(e.Change.ShortType(), e.Change.Subject) {
			continue
		}
		c := e.Change
		if filter.Masked {
			c = c.Masked()
		}
		p.Changes = append(p.Changes, c)
		p.At = append(p.At, e.At)
	}
}
