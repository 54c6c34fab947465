package webhooks

import (
	"context"
	"errors"
	"testing"

	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// copyOf is a copy of the customers that reads on when somebody waits for it.
type copyOf struct {
	customers map[string]int64
	next      map[string]int64 // what it has not read yet
}

func (c *copyOf) Get(key string) (*schemas.CustomerState, error) {
	version, ok := c.customers[key]
	if !ok {
		return nil, processors.ErrNotFound
	}
	return &schemas.CustomerState{CustomerID: key, Version: version}, nil
}

func (c *copyOf) After(_ context.Context, r processors.Receipt) (*schemas.CustomerState, error) {
	if c.next[r.Key] < r.Version {
		return nil, context.DeadlineExceeded // it would wait for ever
	}
	c.customers = c.next
	return c.Get(r.Key)
}

func (c *copyOf) caughtUp(context.Context, string) error {
	c.customers = c.next
	return nil
}

// A state is never older than the change; one that is gone is told as such, at once, and one that has not been read yet is waited for.
func TestTheStateIsThatOfTheChangeOrLater(t *testing.T) {
	type versions = map[string]int64
	for name, one := range map[string]struct {
		now, next versions
		want      int64 // 0: no state
	}{
		"as told":             {versions{"c": 2}, nil, 2},
		"later":               {versions{"c": 3}, nil, 3},
		"not read yet":        {versions{"c": 1}, versions{"c": 2}, 2},
		"a new customer":      {versions{}, versions{"c": 2}, 2},
		"erased since":        {versions{}, versions{}, 0},
		"erased, not heard":   {versions{"c": 3}, versions{}, 3},
		"erased, old state":   {versions{"c": 1}, versions{}, -1}, // tried again, when it is known to be erased
		"new and older state": {versions{}, versions{"c": 1}, -1},
	} {
		customers := &copyOf{customers: one.now, next: one.next}
		c := &composer{customers: customers, caughtUp: customers.caughtUp}
		s, err := c.state(t.Context(), processors.Receipt{Aggregate: topics.Customer, Key: "c", Version: 2})
		got := int64(0)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			got = -1
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case s != nil:
			got = s.Version
		}
		if got != one.want {
			t.Errorf("%s: %d, want %d", name, got, one.want)
		}
	}
}
