package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
)

// app is what every command is given: where to read and write, and the clock.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time
}

// execute runs the command line. Errors are printed on stderr before it returns
// them.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	a := &app{stdin: os.Stdin, stdout: stdout, stderr: stderr, environ: os.Environ(), now: time.Now}
	return cli.Execute(ctx, newRoot(a), args, stdout, stderr) //nolint:contextcheck // cobra hands ctx on
}

// newRoot builds the whole tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "utopia",
		Short: "Customers change their address, and everybody who must know learns it, once",
		Long: `utopia is a Kafka-native customer system. Ask for a change of address, and every
service that must know learns it from the log, exactly once.

Begin with 'utopia up --demo', which runs everything in one process. All other
commands then find it without any flag; --brokers and --registry (or
UTOPIA_BROKERS and UTOPIA_REGISTRY) point them at another cluster.`,
		Example: `# Everything in one process, with two thousand people who move.
utopia up --demo

# Register somebody, ask for a move, see what became of it.
utopia customer register c-17 --name 'Ada Lovelace' \
  --email ada@example.org \
  --country NL --postcode '2801 EM' --city Gouda --street 'Markt 1'
utopia customer move c-17 \
  --country DE --postcode 10115 --city Berlin --street 'Invalidenstr. 117'
utopia customer get c-17

# What flows where, and does the cluster agree?
utopia topics graph
utopia doctor`,
	}
	root.AddGroup(
		&cobra.Group{ID: groupPeople, Title: "customers and what follows from them"},
		&cobra.Group{ID: groupRecords, Title: "records"},
		&cobra.Group{ID: groupCluster, Title: "cluster"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupPeople, a.customerCommand(), a.billingCommand(), a.notificationsCommand(), a.crmCommand(), a.webhookCommand())
	add(groupRecords, a.produceCommand(), a.consumeCommand(), a.encodeCommand(), a.schemasCommand())
	add(groupCluster, a.topicsCommand(), a.aclCommand(), a.doctorCommand(), a.offsetsCommand(), a.dlqCommand(), a.stateCommand(), a.configCommand())
	root.AddCommand(newUpCommand(a), newBrokerCommand(a))
	return root
}

const (
	groupPeople  = "people"
	groupRecords = "records"
	groupCluster = "cluster"
)
