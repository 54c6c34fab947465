package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
)

// viewWithin is how long a view may take to read the whole topic.
const viewWithin = 2 * time.Minute

// withView runs a view in memory until it has read everything that was
// committed when it started, calls f, and ends it.
func withView[T schemas.Record](
	ctx context.Context, s *session, open func(processors.ViewOptions) (*processors.View[T], error),
	f func(ctx context.Context, v *processors.View[T]) error,
) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	v, err := open(processors.ViewOptions{Client: s.opts, IDs: registry, Logger: s.log})
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ended)
	g.Go(func() error { return v.Run(gctx) })
	g.Go(func() error {
		defer cancel()
		if err := untilReady(gctx, v.View); err != nil {
			return err
		}
		return f(gctx, v)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err() // nil unless the person interrupted
}

func untilReady(ctx context.Context, v *eos.View) error {
	limit := time.NewTimer(viewWithin)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !v.Ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			p := v.Progress()
			return fmt.Errorf("the view has read %d of %d records after %s", p.Records, p.Of, viewWithin)
		case <-tick.C:
		}
	}
	return nil
}

// afterFlags say how fresh an answer must be.
type afterFlags struct {
	receipt string
	timeout time.Duration
}

func (f *afterFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.receipt, "after", "", "answer at least as fresh as this `receipt`, as a reply printed it")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for --after")
}

// parse returns nil for no receipt. The receipt must be about the key asked for.
func (f *afterFlags) parse(aggregate, key string) (*processors.Receipt, error) {
	if f.receipt == "" {
		return nil, nil //nolint:nilnil // no receipt is no error
	}
	r, err := processors.ParseReceipt(f.receipt)
	if err != nil {
		return nil, run.Usagef("--after: %w", err)
	}
	if r.Aggregate != aggregate || r.Key != key {
		return nil, run.Usagef("--after %s is not a receipt for %s/%s", f.receipt, aggregate, key)
	}
	return &r, nil
}

// row returns the row of key, at least as fresh as the receipt if there is one.
func row[T schemas.Record](ctx context.Context, v *processors.View[T], key string, after *processors.Receipt, timeout time.Duration) (T, error) {
	if after == nil {
		return v.Get(key)
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, err := v.After(wait, *after)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%s is not reached within %s", after, timeout)
	}
	return got, err
}

// reads makes cmd a command that shows one row of a view.
func reads[T schemas.Record](
	a *app, cmd *cobra.Command, aggregate string, open func(processors.ViewOptions) (*processors.View[T], error),
	show func(row T, out format) error,
) *cobra.Command {
	var after afterFlags
	after.register(cmd)
	out := output(cmd)
	check := func(args []string) error {
		_, err := after.parse(aggregate, args[0])
		return err
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		receipt, err := after.parse(aggregate, args[0])
		if err != nil {
			return err
		}
		return withView(ctx, s, open, func(ctx context.Context, v *processors.View[T]) error {
			got, err := row(ctx, v, args[0], receipt, after.timeout)
			if err != nil {
				return err
			}
			return show(got, *out)
		})
	})
}
