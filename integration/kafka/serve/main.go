// Command serve runs a Kafka cluster and a schema registry on loopback until it is interrupted, for people who want to
// point the binaries at the real thing: make kafka. It keeps nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"utopia/integration/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o := kafka.Options{Warm: true}
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Nodes, "nodes", 1, "how many nodes: 1 or 3")
	flags.IntVar(&o.Transactions, "transactions", 2, "protocol version of transactions: 1 or 2")
	flags.StringVar(&o.Heap, "heap", "512m", "largest heap of each node")
	registry := flags.Bool("registry", true, "start a schema registry too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kafka-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cluster, err := kafka.Run(ctx, dir, o)
	if err != nil {
		return err
	}
	defer cluster.Close()
	variables := "export UTOPIA_BROKERS=" + cluster.Brokers()
	if *registry {
		r, err := kafka.RunRegistry(ctx, filepath.Join(dir, "registry"))
		if err != nil {
			return err
		}
		defer r.Close()
		variables += " UTOPIA_REGISTRY=" + r.URL()
	}
	if _, err := fmt.Fprintf(stdout, `Its logs are in %s. Interrupt ends it and removes everything.
Point the binaries and the command line at it:

  %s

Then, once: utopia topics apply --partitions 4 --replicas %d --min-in-sync %d && utopia schemas register
`, cluster.Dir(), variables, o.Nodes, min(2, o.Nodes)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
