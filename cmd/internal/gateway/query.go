package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
)

// QueryHeaders are the headers of every query.
type QueryHeaders struct {
	After  string `header:"Utopia-After" maxLength:"400" doc:"Answer at least as fresh as this receipt; one of the customer also waits until billing or notification has applied that version"`
	Prefer string `header:"Prefer" maxLength:"200" doc:"wait=SECONDS: how long to wait for Utopia-After, 5 if not given, at most 30"`
}

// State is a row of a view.
type State[T any] struct {
	ETag    string `header:"ETag" doc:"The version of what is answered"`
	Receipt string `header:"Utopia-Receipt" doc:"How far what is answered has come"`
	Age     string `header:"Utopia-Age" doc:"For how many seconds what is answered may have missed something that was committed"`
	Body    T
}

// reading is how one view is asked.
type reading[R schemas.Record] struct {
	name    string // of the view and of its receipts
	view    *processors.View[R]
	version func(R) int64
	applied func(R) int64 // the customer's version that a listener has applied; nil: it is not one
}

// read returns the row of key, as fresh as the headers want. The error is a *Problem.
func read[R schemas.Record](ctx context.Context, g *Gateway, from reading[R], key string, h QueryHeaders) (row R, err error) {
	if h.After == "" {
		if row, err = from.view.Get(key); err != nil {
			return row, unread(err)
		}
		return row, nil
	}
	r, err := processors.ParseReceipt(h.After)
	about := r.Aggregate == from.name || from.applied != nil && r.Aggregate == "customer"
	switch {
	case err != nil:
		return row, fault("header.Utopia-After", "is not a receipt like customer/c-17@4")
	case !about || r.Key != key:
		return row, fault("header.Utopia-After", "is not a receipt of what is asked for")
	}
	patience, _ := wait(h.Prefer)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(g.hurry, cancel)() //nolint:contextcheck // the gateway's end is the waiting's, too
	var at int64
	row, err = from.view.Until(waiting, key, func(row R, found bool) bool {
		if r.Aggregate != from.name { // a listener keeps its row of an erased customer: one that has none has heard of nothing yet
			if at = 0; found {
				at = from.applied(row)
			}
			return found && at >= r.Version
		}
		if at = 0; found {
			at = from.version(row)
		}
		return r.Reached(at)
	})
	if err != nil && waiting.Err() != nil && errors.Is(err, waiting.Err()) {
		p := problem(codeNotReached).because(fmt.Sprintf("waited %s", patience)).with("Retry-After", "1")
		p.Version = at
		return row, p
	}
	if err != nil {
		return row, unread(err)
	}
	return row, nil
}

// unread is the problem with a row that a view has not given.
func unread(err error) *Problem {
	var notReady *eos.NotReadyError
	switch {
	case errors.Is(err, processors.ErrNotFound):
		return problem(codeNotFound)
	case errors.As(err, &notReady):
		return problem(codeNotReady).because(fmt.Sprintf("%d of %d records read", notReady.Records, notReady.Of)).with("Retry-After", "1")
	case errors.Is(err, eos.ErrViewStopped):
		return problem(codeNotReady).because("stopping").with("Retry-After", "1")
	}
	return problem(codeInternal)
}

// age is how old what a view says may be, in seconds; empty while nobody knows.
func (g *Gateway) age(view string) string {
	age, known := g.fresh.age(view, g.now())
	if !known {
		return ""
	}
	return strconv.FormatFloat(age.Round(time.Millisecond).Seconds(), 'f', -1, 64)
}
