package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// request is one command that a person asks for.
type request struct {
	api.Request
	next string // what happens now, if it is accepted; for people
}

// flagged says which flag an error is about. An address's own errors name its part.
func flagged(err error) error {
	var f *api.FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f) && f.Field != "address":
		return run.Usagef("--%s: %w", f.Field, f.Err)
	case f != nil:
		return run.Usage(f.Err)
	}
	return run.Usage(err)
}

// sendFlags are the flags of every command that asks for something.
type sendFlags struct {
	id, correlation string
	expected        int64
	noWait          bool
	timeout         time.Duration
}

func (f *sendFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.id, "id", "", "command `id`; the same id again gets the first answer again; default: a new UUIDv7")
	fs.StringVar(&f.correlation, "correlation-id", "", "`id` of the conversation that this belongs to")
	fs.Int64Var(&f.expected, "expected-version", 0, "refuse if the customer is at another version; 0: any")
	fs.BoolVar(&f.noWait, "no-wait", false, "store the command and do not wait for its outcome")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "how long to wait for the outcome")
}

// check fills the metadata of a request in.
func (f *sendFlags) check(r request) error {
	if !topics.ValidID(r.Key) {
		return run.Usagef("%q is not an id: 1 to 64 of A-Z a-z 0-9 . _ ~ -", r.Key)
	}
	if f.id != "" && !topics.ValidID(f.id) {
		return run.Usagef("--id %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", f.id)
	}
	if f.correlation != "" && !topics.ValidDerivedID(f.correlation) {
		return run.Usagef("--correlation-id %q: up to 160 of A-Z a-z 0-9 . _ ~ - /", f.correlation)
	}
	if f.expected < 0 {
		return run.Usagef("--expected-version %d: versions begin at 1", f.expected)
	}
	meta := r.Command.Metadata()
	meta.CommandID, meta.CorrelationID, meta.ExpectedVersion = f.id, f.correlation, f.expected
	if meta.CommandID == "" {
		meta.CommandID = uuid.Must(uuid.NewV7()).String()
	}
	return nil
}

// asks makes cmd a command that sends what build returns, and prints the
// outcome. Everything that can be checked here is checked before it connects.
func (a *app) asks(cmd *cobra.Command, extra config.Set, build func(cfg *config.Config, args []string) (request, error)) *cobra.Command {
	var f sendFlags
	f.register(cmd)
	out := output(cmd)
	cfg := a.configured(cmd, config.Kafka|config.Registry|extra)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd, cfg)
		if err != nil {
			return err
		}
		r, err := build(cfg, args)
		if err != nil {
			return err
		}
		if err := f.check(r); err != nil {
			return err
		}
		if err := s.reach(cmd.Context()); err != nil {
			return err
		}
		return s.send(cmd.Context(), r, f, *out)
	}
	return cmd
}

func (s *session) asker(ctx context.Context, to api.Service) (*ask.Client, error) {
	registry, err := s.registry()
	if err != nil {
		return nil, err
	}
	return ask.New(ctx, ask.Config{Client: s.opts, IDs: registry, Commands: to.Commands, Replies: to.Replies})
}

func (s *session) send(ctx context.Context, r request, f sendFlags, out format) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	client, err := s.asker(ctx, r.To)
	if err != nil {
		return err
	}
	defer client.Close()
	id := r.Command.Metadata().CommandID
	if f.noWait {
		if err := client.Send(ctx, r.Key, r.Command); err != nil {
			return err
		}
		return s.printOutcome(api.Outcome{Outcome: "sent", CommandID: id, Key: r.Key}, "", out)
	}
	reply, err := client.Ask(ctx, r.Key, r.Command)
	if errors.Is(err, ask.ErrNoReply) {
		return fmt.Errorf("no reply within %s. The command may still be handled; asking again with --id %s is safe and gets its outcome: %w", f.timeout, id, err)
	}
	if err != nil {
		return err
	}
	o, next := api.OutcomeOf(reply, r.To, r.Gone), ""
	if o.Outcome == schemas.OutcomeAccepted {
		next = r.next
	}
	if err := s.printOutcome(o, next, out); err != nil {
		return err
	}
	if o.Outcome != schemas.OutcomeAccepted {
		return errors.New(o.Message)
	}
	return nil
}

func (a *app) printOutcome(o api.Outcome, next string, out format) error {
	return out.print(a.stdout, o, func() {
		head := green(o.Outcome)
		if o.Outcome == schemas.OutcomeRefused {
			head = red(o.Outcome) + " " + o.Refusal
		}
		if o.Repeat {
			head += " (as before: this command id was answered already)"
		}
		fields(a.stdout, "outcome", head, "receipt", o.Receipt, "command", o.CommandID, "input", o.Input, "next", next)
	})
}
