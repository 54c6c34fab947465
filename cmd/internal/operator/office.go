package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cluster"
)

const (
	// findWithin is how long one letter is looked for.
	findWithin = 5 * time.Second
	// seenWithin is how long to wait until the index has what was decided.
	seenWithin = 2 * time.Second
	// maxBytes is how much of a value that cannot be read is given out, maxJSON how much of one that can, maxHeader of a header.
	maxBytes  = 16 << 10
	maxJSON   = 256 << 10
	maxHeader = 1 << 10
	// maxHeaders is how many headers are given out.
	maxHeaders = 100
)

// Office is a desk with an index: what a process needs that serves many operators.
type Office struct {
	*Desk
	index   *Index
	records *api.Records
}

// NewOffice makes an office; nothing is connected before Run.
func NewOffice(cfg Config) (*Office, error) {
	desk, err := New(cfg)
	if err != nil {
		return nil, err
	}
	index, err := NewIndex(cfg)
	return &Office{desk, index, api.NewRecords(cfg.IDs)}, err
}

// Run keeps the index until ctx ends, and returns nil then.
func (o *Office) Run(ctx context.Context) error {
	defer o.Close()
	return o.index.Run(ctx)
}

// Letters returns a page. Errors: ErrCursor, ErrNotReady.
func (o *Office) Letters(q Query) (Page, error) { return o.index.Letters(q) }

// Header of a record, its value as text.
type Header struct{ Name, Value string }

// Content is a letter with what is in it.
type Content struct {
	Letter
	Headers []Header // the first hundred
	Type    string   // of the record; empty: it cannot be read
	JSON    []byte   // the value; nil: it cannot be read, or there is none
	Problem string   // why it cannot be read
	Value   []byte   // of one that cannot be read the beginning
	Cut     bool     // the value is longer than what is given out
}

// Letter returns one letter, read from the log, and what was decided about it. Errors: cluster.ErrNoDeadLetter, ErrNotReady, or why the log cannot
// be read.
func (o *Office) Letter(ctx context.Context, ref cluster.Ref) (Content, error) {
	decision, err := o.index.Decision(ref)
	if err != nil {
		return Content{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	d, err := cluster.FindDeadLetter(ctx, o.cfg.Client, ref)
	if err != nil {
		return Content{}, err
	}
	c := Content{Letter: *letterOf(d)}
	c.Decision = decision
	for _, h := range d.Record.Headers[:min(len(d.Record.Headers), maxHeaders)] {
		c.Headers = append(c.Headers, Header{head(h.Key), cluster.Printable(h.Value[:min(len(h.Value), maxHeader)])})
	}
	if d.Record.Value != nil {
		o.read(&c, d.Record.Value)
	}
	return c, nil
}

// read shows a value by its schema, otherwise as bytes.
func (o *Office) read(c *Content, value []byte) {
	name, text, err := o.records.JSON(c.Origin.Topic, value)
	switch {
	case err != nil:
		c.Problem = err.Error()
	case len(text) > maxJSON:
		c.Type, c.Problem = name, fmt.Sprintf("as text it is %d KiB", len(text)>>10)
	default:
		c.Type, c.JSON = name, text
		return
	}
	c.Value, c.Cut = value[:min(len(value), maxBytes)], len(value) > maxBytes
}

// Masked is a letter for those who need not see persons: what came in may have them in it.
func (c Content) Masked() Content {
	c.Key, c.Headers, c.JSON, c.Value, c.Cut = "", nil, nil, nil, false
	return c
}

// Retry is that of the desk; when it returns, the index knows.
func (o *Office) Retry(ctx context.Context, ref cluster.Ref, who Who) (Action, error) {
	a, err := o.Desk.Retry(ctx, ref, who)
	o.seen(ctx, a, err)
	return a, err
}

// Drop is that of the desk; when it returns, the index knows.
func (o *Office) Drop(ctx context.Context, ref cluster.Ref, who Who) (Action, error) {
	a, err := o.Desk.Drop(ctx, ref, who)
	o.seen(ctx, a, err)
	return a, err
}

func (o *Office) seen(ctx context.Context, a Action, err error) {
	if err != nil && !errors.Is(err, ErrDecided) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, seenWithin)
	defer cancel()
	o.index.Wait(ctx, a)
}
