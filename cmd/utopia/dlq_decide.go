package main

import (
	"context"
	"errors"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/operator"
	"utopia/cmd/internal/run"
)

// decision is what was decided about a dead letter, as -o json shows it.
type decision struct {
	Ref    string    `json:"ref"`
	Action string    `json:"action"`
	By     string    `json:"by"`
	Role   string    `json:"role"`
	At     time.Time `json:"at"`
	Why    string    `json:"why"`
	SentAs string    `json:"sentAs,omitempty"` // where it is now
	Repeat bool      `json:"repeat,omitempty"` // it had been decided before
}

func viewDecision(a operator.Action) *decision {
	return &decision{Ref: a.Target, Action: a.Action, By: a.Caller, Role: a.Role, At: a.At.UTC(), Why: a.Reason, SentAs: a.Result, Repeat: a.Repeat}
}

// desk is where this session decides.
func (s *session) desk() (operator.Config, *operator.Desk, error) {
	registry, err := s.registry()
	if err != nil {
		return operator.Config{}, nil, err
	}
	cfg := operator.Config{Client: s.opts, IDs: registry}
	d, err := operator.New(cfg)
	return cfg, d, err
}

// decisions is what was decided, by the dead letter.
func (s *session) decisions(ctx context.Context) (map[string]operator.Action, error) {
	cfg, _, err := s.desk()
	if err != nil {
		return nil, err
	}
	return operator.Decisions(ctx, cfg, s.now())
}

// whoAmI is how the operating system names who runs the command. Nothing proves it: the cluster knows the principal, which may be many people's.
func whoAmI() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

type decide func(*operator.Desk, context.Context, cluster.Ref, operator.Who) (operator.Action, error)

// deciding makes a command that decides about dead letters. said prints one.
func (a *app) deciding(cmd *cobra.Command, do decide, said func(decision)) *cobra.Command {
	cmd.Args = cli.Args("REF...")
	reason, by := "", ""
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, in one line without anything personal; it is kept with who did it")
	cmd.Flags().StringVar(&by, "by", whoAmI(), "`who` decides")
	out := output(cmd)
	check := func(args []string) error {
		var err error
		if reason, err = operator.ParseReason(reason); err != nil {
			return run.Usagef("--reason: %w", err)
		}
		if by, err = operator.ParseReason(by); err != nil {
			return run.Usagef("--by: a name is a line of text")
		}
		return checkRefs(args)
	}
	return a.connected(cmd, config.Kafka|config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		_, desk, err := s.desk()
		if err != nil {
			return err
		}
		for _, ref := range args { // all of them are found before the first is decided
			if _, err := s.deadLetter(ctx, ref); err != nil {
				return err
			}
		}
		done := []decision{}
		for _, text := range args {
			ref, _ := cluster.ParseRef(text) // checked
			var one operator.Action
			if one, err = do(desk, ctx, ref, operator.Who{Name: by, Role: "command line", Reason: reason}); err != nil {
				break
			}
			done = append(done, *viewDecision(one))
		}
		printed := out.print(a.stdout, done, func() {
			for _, d := range done {
				said(d)
			}
		})
		return errors.Join(err, printed)
	})
}

func (a *app) dlqRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry REF... --reason WHY", Short: "Send dead letters again to the topic they came from, each once",
		Long: `Produces the record again, key and value byte for byte as received, with the header
utopia-retry-of, and notes in operator.actions.v1 who did it and why: both in one
transaction, so both or neither. Do it once the code can handle it.

A dead letter is decided once. One that was sent again before is not sent again: the
answer is what was done then. One that was dropped, and a state that a later one has
replaced, are not sent again either. What still cannot be handled becomes another
dead letter, which is open again.`,
		Example: "utopia dlq retry customer.commands.v1.dlq/3/0 --reason 'fixed'",
	}
	return a.deciding(cmd, (*operator.Desk).Retry, func(d decision) {
		if d.Repeat {
			line(a.stdout, "%s was sent again as %s by %s at %s", d.Ref, d.SentAs, d.By, stamp(d.At))
			return
		}
		line(a.stdout, "%s sent again as %s", d.Ref, d.SentAs)
	})
}

func (a *app) dlqDropCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop REF... --reason WHY", Short: "Note that nothing is to be done about dead letters",
		Long: `Notes in operator.actions.v1 that nothing is to be done about a dead letter, who says so
and why. The letter stays where it is until its retention ends; it is not open any more,
and is not sent again: a decision is final.`,
		Example: "utopia dlq drop customer.commands.v1.dlq/3/0 --reason 'a test'",
	}
	return a.deciding(cmd, (*operator.Desk).Drop, func(d decision) {
		if d.Repeat {
			line(a.stdout, "%s was dropped by %s at %s", d.Ref, d.By, stamp(d.At))
			return
		}
		line(a.stdout, "%s dropped", d.Ref)
	})
}
