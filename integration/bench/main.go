// Command bench measures what one record costs: our engine next to a raw franz-go transaction loop and next to stock
// Goka, on the same embedded broker, interleaved in one run.
//
//	go run ./integration/bench -quick            # under 50 seconds
//	go run ./integration/bench -quick -o json    # one object
//	go run ./integration/bench                   # also memory, recovery, growth, open-loop latency
//	go run ./integration/bench -parts gateway    # the HTTP gateway alone: commands, queries, a thousand streams
//	go run ./integration/bench -kafka            # the customer service on a real Kafka, next to its Kafka Streams twin
//
// The broker, and each contender, is a process of its own (this program again), so CPU is that of the contender alone
// (getrusage, between a warm-up and the last commit). Rates vary with what else the machine does; CPU per record,
// allocations and ratios within a run do not, so judge by those. Outputs are checked, count and hash, in every trial: a
// fast wrong run is void.
//
// # On a real Kafka
//
// With -kafka a Kafka is started from Maven (or -brokers names one that runs) and everybody handles the same log of
// customer commands:
//
//   - customer: the real service. customer@2s commits at most every two seconds under a backlog instead of every 100 ms:
//     what is left of the price of transactions when they are rare;
//   - rawService: the raw transaction loop that writes as many records of the same mean size to the same topics, decodes
//     nothing and decides nothing; plainService is the same without transactions, which prices them;
//   - stockService: stock Goka, at least once, with a row read and written and the same canned outputs;
//   - streams: a Kafka Streams application with exactly_once_v2 that does the same work (streams/). What it writes is
//     compared byte for byte, by a hash of each topic, with what ours wrote. streamsCached has a record cache before
//     RocksDB, as large as ours; streamsAtLeastOnce has no transactions; streams@10ms commits every 10 ms.
//
// CPU is read from /proc for Go and Java alike, over the last three tenths of the log, when a JVM has had the longest
// time to warm up; the tenths are in the JSON report, so that anybody can see whether it had. Latency is from the intended
// time of sending to the reply, next to "plain", a consumer of the commands themselves; a measurement whose generator was
// more than 1 ms late (p99) is marked as not valid: the machine was too busy.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is main with its surroundings as arguments. The first argument `broker` or `worker` makes this process a part of
// another one's run; both end when their standard input does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "broker":
			return runBroker(stdin, stdout)
		case "worker":
			return runWorker(ctx, args[1:], stdin, stdout)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "utopia-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for state: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, profiles: o.profiles, seed: o.seed, quick: o.quick, progress: stderr, began: time.Now()}
	if o.onKafka {
		report, err := b.kafka(ctx, o.kafka)
		if report == nil {
			return err
		}
		return errors.Join(err, write(stdout, o.output, report)) // what was measured before an error is still true
	}
	if o.kafka.parts == "gateway" {
		report, err := b.gateway(ctx)
		if err != nil {
			return err
		}
		return write(stdout, o.output, report)
	}
	report, err := b.run(ctx)
	if err != nil {
		return err
	}
	return write(stdout, o.output, report)
}

// options are the command line.
type options struct {
	quick, onKafka   bool
	output, profiles string
	seed             uint64
	kafka            kafka
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "CPU, allocations and latency only, in under 50 seconds")
	flags.StringVar(&o.output, "o", "table", "output format: table or json")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of keys and values; the same seed makes the same records")
	flags.StringVar(&o.profiles, "profiles", "", "directory to write a CPU profile of every trial to; profiling costs a little itself")
	flags.BoolVar(&o.onKafka, "kafka", false, "on a real Kafka, next to the Kafka Streams twin: see the command's documentation")
	k := &o.kafka
	flags.StringVar(&k.brokers, "brokers", "", "with -kafka: a cluster of one broker that runs; empty: start one")
	flags.IntVar(&k.brokerPID, "broker-pid", 0, "with -brokers: the broker's process, to measure its CPU")
	flags.IntVar(&k.commands, "commands", 800_000, "with -kafka: commands on the log")
	flags.IntVar(&k.customers, "customers", hotKeys, "with -kafka: customers who are registered before")
	flags.StringVar(&k.parts, "parts", "drain,latency,recovery,rescale,scale", "with -kafka: what to measure; without, gateway alone is one, too")
	flags.IntVar(&k.seconds, "seconds", 20, "with -kafka: of each measurement of latency")
	flags.IntVar(&k.backlog, "backlog", 100_000, "with -kafka: commands to warm up with before latency is measured")
	flags.IntVar(&k.table, "table", 1_000_000, "with -kafka: customers of the recovery")
	flags.IntVar(&k.rounds, "rounds", 2, "with -kafka: how often every contender is measured there and back")
	flags.StringVar(&k.only, "only", "", "with -kafka: measure only these contenders, separated by commas, beside ours")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if o.output != "table" && o.output != "json" {
		return options{}, fmt.Errorf("-o %s: want table or json", o.output)
	}
	return o, nil
}

// tabular is a report for people and for programs.
type tabular interface{ table(out io.Writer) error }

func write(out io.Writer, format string, r tabular) error {
	if format == "table" {
		return r.table(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// surroundings are what a reader must know to compare two reports.
type surroundings struct {
	Go         string `json:"go"`
	CPUs       int    `json:"cpus"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	GOGC       string `json:"gogc"`
	Broker     string `json:"broker"`
	Partitions int    `json:"partitions"`
	Bytes      int    `json:"recordBytes"`
}

func here() surroundings {
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		gogc = "100"
	}
	return surroundings{
		Go: runtime.Version(), CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOGC: gogc,
		Broker: "kfake in a process of its own", Partitions: partitions, Bytes: keyBytes + valueBytes,
	}
}
