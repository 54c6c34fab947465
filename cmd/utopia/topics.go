package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/topics"
)

func (a *app) topicsCommand() *cobra.Command {
	return cli.Group("topics", "The catalogue of topics, and how a cluster differs from it",
		`The catalogue says of every topic what it is for, who owns, writes and reads it, how
its records are keyed, kept and stamped. 'list' and 'graph' read the catalogue and
need no cluster; 'plan', 'apply' and 'check' compare a cluster with it.`,
		a.topicsListCommand(), a.topicsGraphCommand(), a.topicsPlanCommand(), a.topicsApplyCommand(), a.topicsCheckCommand())
}

func (a *app) topicsListCommand() *cobra.Command {
	var dead bool
	cmd := &cobra.Command{
		Use: "list [TOPIC...]", Short: "Show what each topic is for, who owns it and how it is kept",
		Example: `utopia topics list
utopia topics list customer.changes.v1 -o yaml`,
		ValidArgsFunction: completeTopics(func(topics.Topic) bool { return true }),
	}
	out := output(cmd)
	cmd.Flags().BoolVar(&dead, "dead-letters", false, "list the dead-letter topics too")
	cmd.RunE = func(_ *cobra.Command, names []string) error {
		var list []catalogue.Topic
		for _, t := range topics.All() {
			if len(names) == 0 && t.Kind == topics.DeadLetters && !dead || len(names) > 0 && !slices.Contains(names, t.Name) {
				continue
			}
			list = append(list, catalogue.TopicOf(t))
		}
		for _, n := range names {
			if _, ok := topics.ByName(n); !ok {
				return run.Usagef("%q is not in the catalogue; see utopia topics list", n)
			}
		}
		return out.print(a.stdout, list, func() {
			var rows [][]string
			for _, t := range list {
				kept := t.Cleanup
				if t.Retention != "" {
					kept += " " + t.Retention
				}
				rows = append(rows, []string{t.Name, t.Audience, t.Pattern, kept, t.Timestamp, t.Key, t.Doc})
			}
			table(a.stdout, []string{"TOPIC", "AUDIENCE", "CARRIES", "KEPT", "CLOCK", "KEY", "WHAT"}, rows)
		})
	}
	return cmd
}

// completeTopics offers topic names to the shell.
func completeTopics(want func(topics.Topic) bool) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		for _, t := range topics.All() {
			if want(t) {
				names = append(names, cobra.CompletionWithDesc(t.Name, t.Doc))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// edge is one dependency as -o json shows it.
type edge struct {
	Who   string `json:"who"`
	Why   string `json:"why"`
	On    string `json:"on"`
	Topic string `json:"topic"`
}

func (a *app) topicsGraphCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "graph", Short: "Show who depends on whom, and through which topic",
		Long: `Shows who cannot be built or changed without knowing the language of whom. Who sends
a command knows its recipient; who reads a fact knows whose fact it is; nobody knows
its listeners. Private topics are not shown: only their owner reads them.`,
		Example: "utopia topics graph",
		Args:    cli.Args(),
	}
	out := output(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		var edges []edge
		for _, d := range topics.Graph() {
			edges = append(edges, edge{Who: d.Who, Why: d.Why, On: d.On, Topic: d.Topic})
		}
		return out.print(a.stdout, edges, func() {
			var rows [][]string
			for _, e := range edges {
				rows = append(rows, []string{e.Who, e.Why, e.On, e.Topic})
			}
			table(a.stdout, []string{"WHO", "WHY", "ON", "TOPIC"}, rows)
		})
	}
	return cmd
}

// sizeFlags adds the flags that the catalogue leaves to the cluster.
func sizeFlags(cmd *cobra.Command) *cluster.Sizes {
	s := cluster.ReplicatedSizes()
	cmd.Flags().Int32Var(&s.Partitions, "partitions", s.Partitions, "partitions of every topic; chosen once, all alike")
	cmd.Flags().Int16Var(&s.Replication, "replicas", s.Replication, "replicas of every partition")
	cmd.Flags().IntVar(&s.MinInSync, "min-in-sync", s.MinInSync, "replicas that must have a record before it counts as written")
	return &s
}

func checkSizes(s *cluster.Sizes) func([]string) error {
	return func([]string) error { return run.Usage(s.Check()) }
}

// embeddedNote tells which sizes `utopia up` has.
func embeddedNote() string { return cluster.EmbeddedSizes().Flags() }

func (a *app) topicsPlanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what apply would do, like a diff",
		Long: `Shows the difference between the catalogue and the cluster: '+' is created or set,
'-' is what it replaces, '!' is a difference that apply never touches. Changes nothing.`,
		Example: "utopia topics plan --brokers kafka-1:9092\n# The embedded broker of utopia up has other sizes.\nutopia topics plan " + embeddedNote(),
		Args:    cli.Args(),
	}
	out, sizes := output(cmd), sizeFlags(cmd)
	return a.connected(cmd, config.Kafka, checkSizes(sizes), func(ctx context.Context, s *session, _ []string) error {
		plan, err := s.plan(ctx, *sizes)
		if err != nil {
			return err
		}
		return out.print(a.stdout, plan, func() { a.printPlan(plan) })
	})
}

func (s *session) plan(ctx context.Context, sizes cluster.Sizes) (plan cluster.Plan, err error) {
	err = s.admin(ctx, func(adm *kadm.Client) error {
		plan, err = cluster.Compare(ctx, adm, topics.All(), sizes)
		return err
	})
	return plan, err
}

// printPlan colours a plan by the sign in front of each line.
func (a *app) printPlan(p cluster.Plan) {
	for _, l := range p.Lines() {
		switch {
		case strings.HasPrefix(l, "+"):
			l = green(l)
		case strings.HasPrefix(l, "-"):
			l = red(l)
		case strings.HasPrefix(l, "!"):
			l = yellow(l)
		}
		line(a.stdout, "%s", l)
	}
}

func (a *app) topicsApplyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply", Short: "Create missing topics and set what differs",
		Long: `Creates the topics that are missing and sets the settings that differ from the
catalogue. It never deletes a topic and never changes a partition count or where
replicas are; 'plan' shows such differences.`,
		Example: "utopia topics plan && utopia topics apply",
		Args:    cli.Args(),
	}
	sizes := sizeFlags(cmd)
	return a.connected(cmd, config.Kafka, checkSizes(sizes), func(ctx context.Context, s *session, _ []string) error {
		plan, err := s.plan(ctx, *sizes)
		if err != nil {
			return err
		}
		a.printPlan(plan)
		return s.admin(ctx, func(adm *kadm.Client) error {
			done := 0
			err := plan.Apply(ctx, adm, func(cluster.Change) { done++ })
			if plan.Drifted() {
				line(a.stdout, "%d applied", done)
			}
			return err
		})
	})
}

func (a *app) topicsCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Exit 1 if the cluster differs from the catalogue",
		Long: `Compares partitions, replicas, cleanup, retention, timestamp type, max.message.bytes
and min.insync.replicas of every topic with the catalogue. Prints the differences and
exits 1 if there are any: for a pipeline that must notice drift.`,
		Example: "utopia topics check || echo 'somebody changed a topic by hand'",
		Args:    cli.Args(),
	}
	out, sizes := output(cmd), sizeFlags(cmd)
	return a.connected(cmd, config.Kafka, checkSizes(sizes), func(ctx context.Context, s *session, _ []string) error {
		plan, err := s.plan(ctx, *sizes)
		if err != nil {
			return err
		}
		if err := out.print(a.stdout, plan, func() { a.printPlan(plan) }); err != nil {
			return err
		}
		if plan.Drifted() {
			return run.Quiet(errors.New("the cluster differs from the catalogue"))
		}
		return nil
	})
}
