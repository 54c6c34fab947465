package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"utopia/processors"
	"utopia/schemas"
)

// reached is how far one view is.
type reached struct {
	In      string `json:"in"`
	Version int64  `json:"version"` // 0: no row
	Reached bool   `json:"reached"`
}

// waitFor waits for several views at once and prints how far each has come.
func (s *session) waitFor(ctx context.Context, r processors.Receipt, in []string, timeout time.Duration, out format) error {
	results := make([]reached, len(in))
	var g errgroup.Group
	for i, name := range in {
		g.Go(func() (err error) {
			results[i], err = s.waitIn(ctx, r, name, timeout)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	err := out.print(s.stdout, results, func() {
		for _, v := range results {
			if v.Reached {
				line(s.stdout, "%s  %s has applied version %d", green("✓"), v.In, v.Version)
			} else {
				line(s.stdout, "%s  %s is at version %d", red("✗"), v.In, v.Version)
			}
		}
	})
	if err == nil && slices.ContainsFunc(results, func(v reached) bool { return !v.Reached }) {
		return fmt.Errorf("%s is not reached everywhere within %s", r, timeout)
	}
	return err
}

func (s *session) waitIn(ctx context.Context, r processors.Receipt, name string, timeout time.Duration) (reached, error) {
	switch name {
	case "billing":
		return pollView(ctx, s, r, name, timeout, processors.NewBillingView, func(b *schemas.BillingState) int64 { return b.CustomerVersion })
	case "notification":
		return pollView(ctx, s, r, name, timeout, processors.NewNotificationView, func(n *schemas.NotificationState) int64 { return n.CustomerVersion })
	default:
		return pollView(ctx, s, r, name, timeout, processors.NewCustomerView, func(c *schemas.CustomerState) int64 { return c.Version })
	}
}

// applied says whether a row has reached the receipt. Of an erased customer the state is gone, but a listener keeps its row:
// one that has none has heard of nothing yet.
func applied(r processors.Receipt, in string, found bool, version int64) bool {
	if in == "customer" {
		return r.Reached(version)
	}
	return found && version >= r.Version
}

// pollView asks a view again and again: a listener's row carries the customer's
// version in a field of its own, which no receipt is about.
func pollView[T schemas.Record](
	ctx context.Context, s *session, r processors.Receipt, name string, timeout time.Duration,
	open func(processors.ViewOptions) (*processors.View[T], error), version func(T) int64,
) (reached, error) {
	got := reached{In: name}
	err := withView(ctx, s, open, func(ctx context.Context, v *processors.View[T]) error {
		limit := time.NewTimer(timeout)
		defer limit.Stop()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			row, err := v.Get(r.Key)
			found := !errors.Is(err, processors.ErrNotFound)
			switch {
			case !found:
				got.Version = 0
			case err != nil:
				return err
			default:
				got.Version = version(row)
			}
			if got.Reached = applied(r, name, found, got.Version); got.Reached {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-limit.C:
				return nil
			case <-tick.C:
			}
		}
	})
	return got, err
}
