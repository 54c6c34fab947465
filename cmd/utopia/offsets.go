package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/topics"
)

func (a *app) offsetsCommand() *cobra.Command {
	return cli.Group("offsets", "Where each group stands in its input topics",
		`A group's offsets say what it has handled. The groups are the processors customer,
billing, mail and notification, and mail-mailer, which hands mails to the mail server:
its lag is the mails that wait.

Processors keep offsets exactly; set them by hand only where Kafka has forgotten them
(after 7 idle days by default), which a processor refuses to start with.`,
		a.offsetsShowCommand(), a.offsetsSetCommand())
}

func completeGroups(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return topics.Groups(), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) offsetsShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show GROUP", Short: "Show committed offsets and lag of a group, by partition",
		Example: "utopia offsets show customer\nutopia offsets show mail-mailer -o json", Args: cli.Args("GROUP"), ValidArgsFunction: completeGroups,
	}
	out := output(cmd)
	return a.connected(cmd, config.Kafka, nil, func(ctx context.Context, s *session, args []string) error {
		var offsets []cluster.PartitionOffset
		err := s.admin(ctx, func(adm *kadm.Client) (err error) {
			offsets, err = cluster.Offsets(ctx, adm, args[0])
			return err
		})
		if err != nil {
			return usageIfUnknownGroup(err)
		}
		return out.print(a.stdout, offsets, func() {
			var rows [][]string
			for _, o := range offsets {
				rows = append(rows, []string{o.Topic, number(o.Partition), number(o.Start), orDash(o.Committed), number(o.End), number(o.Lag)})
			}
			table(a.stdout, []string{"TOPIC", "PARTITION", "START", "COMMITTED", "END", "LAG"}, rows)
		})
	})
}

func (a *app) offsetsSetCommand() *cobra.Command {
	var topic, to string
	var partition int32
	var yes bool
	cmd := &cobra.Command{
		Use: "set GROUP", Short: "Move a stopped group to another place in its input",
		Long: `Sets the offsets of a group whose instances are all stopped. --to is start, end, an
offset, or a time. Without --yes it only shows what would change.

Going back handles records again: a command is recognised by its id as long as the row
remembers it (the last 32). Going forward skips commands, which then have no outcome.`,
		Example: `# Kafka forgot the offsets of an idle group: read everything again.
utopia offsets set customer --to start
utopia offsets set customer --to start --yes
utopia offsets set billing --topic billing.commands.v1 \
  --partition 3 --to 1042 --yes`,
		Args: cli.Args("GROUP"), ValidArgsFunction: completeGroups,
	}
	fs := cmd.Flags()
	fs.StringVar(&topic, "topic", "", "only this input `topic`; default: all of the group's")
	fs.Int32Var(&partition, "partition", -1, "only this partition; default: all")
	fs.StringVar(&to, "to", "", "`where`: start, end, an offset, or a time like 2026-01-31T12:00:00Z")
	fs.BoolVar(&yes, "yes", false, "do it")
	_ = cmd.MarkFlagRequired("to")
	complete(cmd, "to", "start", "end")
	out := output(cmd)
	return a.connected(cmd, config.Kafka, nil, func(ctx context.Context, s *session, args []string) error {
		return s.admin(ctx, func(adm *kadm.Client) error {
			moves, err := cluster.PlanMoves(ctx, adm, args[0], topic, partition, to)
			if err != nil {
				return usageIfUnknownGroup(err)
			}
			if yes && len(moves) > 0 {
				if err := cluster.SetOffsets(ctx, adm, args[0], moves); err != nil {
					return err
				}
			}
			return out.print(a.stdout, moves, func() { a.printMoves(moves, yes) })
		})
	})
}

func (a *app) printMoves(moves []cluster.Move, done bool) {
	if len(moves) == 0 {
		line(a.stdout, "the group stands there already")
		return
	}
	var rows [][]string
	for _, m := range moves {
		rows = append(rows, []string{m.Topic, number(m.Partition), orDash(m.From), number(m.To)})
	}
	table(a.stdout, []string{"TOPIC", "PARTITION", "FROM", "TO"}, rows)
	if done {
		line(a.stdout, "%d offset(s) set", len(moves))
		return
	}
	line(a.stdout, "nothing changed yet; add --yes to set %d offset(s)", len(moves))
}

func usageIfUnknownGroup(err error) error {
	if isUnknownGroup(err) {
		return run.Usage(err)
	}
	return err
}

func number[N ~int | ~int32 | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// orDash shows an absent offset as a dash.
func orDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
