package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
)

func rebuildCommand(s service.Spec, io service.Streams) *cobra.Command {
	var check, apply bool
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Fold all events again and compare with, or replace, the rows",
		Long: `Folds customer.events.v1 from offset 0 and compares the result with the rows of the
customer table. --check only looks, also while the service runs, and exits 1 if something
differs. --apply needs every instance stopped: it replaces the state part of the rows that
differ, keeps the handled command ids of the live rows, and publishes the states. Where no
row is readable, the ids come from the events; commands that were refused may then be
decided anew, and it says for how many customers.

It reads private topics, so it needs the rights of the customer service.`,
		Example: "customer rebuild --check\ncustomer rebuild --apply",
		Args:    cli.Args(),
	}
	cmd.Flags().BoolVar(&check, "check", false, "compare only")
	cmd.Flags().BoolVar(&apply, "apply", false, "replace rows that differ")
	cfg := s.Register(cmd, config.Kafka|config.Registry|config.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if check == apply {
			return run.Usagef("say either --check or --apply")
		}
		if err := cfg.Load(cmd.Flags(), io.Environ); err != nil {
			return err
		}
		e, err := service.Open(s, cfg, cfg.Logger(io.Stderr))
		if err != nil {
			return err
		}
		return rebuild(cmd.Context(), e, apply, io.Stdout)
	}
	return cmd
}

func rebuild(ctx context.Context, e *service.Env, apply bool, w io.Writer) error {
	if err := run.WaitForCluster(ctx, e.Client, e.Log); err != nil {
		return err
	}
	r, err := processors.RebuildCustomer(ctx, processors.RebuildOptions{Client: e.Client, IDs: e.IDs, Apply: apply})
	if r != nil {
		report(w, r, apply)
	}
	switch {
	case err != nil:
		return err
	case !apply && len(r.Findings) > 0:
		return run.Quiet(errors.New("rows differ from the events"))
	}
	return nil
}

func report(w io.Writer, r *processors.RebuildReport, apply bool) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	for _, f := range r.Findings {
		say("%-11s %s", f.What, f.Key)
	}
	say("%d events of %d customers, %d rows, %d as the events say, %d not", r.Events, r.Customers, r.Rows, r.Same, len(r.Findings))
	if apply {
		say("%d rows replaced", r.Replaced)
	}
	if r.IDsFromEvents > 0 {
		say("%d of them had no readable row: their handled command ids come from the events, and a refused command that is sent again may be decided anew", r.IDsFromEvents)
	}
}
