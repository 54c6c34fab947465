package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
)

func (a *app) doctorCommand() *cobra.Command {
	var dev bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Ask the cluster everything that decides whether the system works on it",
		Long: `Looks at brokers and their versions, topics and whose clock stamps them, broker
settings that cost latency, transactions that nobody will end, how far each group is
behind and whether its oldest record will be deleted before it is handled, and dead
letters. Exits 1 if something must be done, and says what.

--dev is for a development cluster, as that of utopia up: missing replicas are a warning,
and the topics may have any number of partitions, all the same.`,
		Example: "utopia doctor --brokers kafka-1:9092\n# The embedded broker of utopia up.\nutopia doctor --dev",
		Args:    cli.Args(),
	}
	out, sizes := output(cmd), sizeFlags(cmd)
	cmd.Flags().BoolVar(&dev, "dev", false, "a development cluster: missing replicas are a warning, and its own sizes are right")
	return a.connected(cmd, config.Kafka, checkSizes(sizes), func(ctx context.Context, s *session, _ []string) error {
		fs := cmd.Flags()
		sized := fs.Changed("partitions") || fs.Changed("replicas") || fs.Changed("min-in-sync")
		d := cluster.Doctor{Client: s.opts, Sizes: *sizes, Dev: dev, AsFound: dev && !sized, Now: a.now}
		findings, err := d.Examine(ctx)
		if err != nil {
			return err
		}
		err = out.print(a.stdout, findings, func() {
			var rows [][]string
			for _, f := range findings {
				rows = append(rows, []string{colourLevel(f.Level), f.Check, f.Result})
				if f.Do != "" {
					rows = append(rows, []string{"", "", "→ " + f.Do})
				}
			}
			table(a.stdout, []string{"", "CHECK", "FINDING"}, rows)
		})
		if err == nil && cluster.Failed(findings) {
			return run.Quiet(errors.New("the doctor found something to do"))
		}
		return err
	})
}

func colourLevel(l cluster.Level) string {
	switch l {
	case cluster.OK:
		return green(string(l))
	case cluster.Warn, cluster.Unknown:
		return yellow(string(l))
	case cluster.Fail:
		return red(string(l))
	}
	return string(l)
}
