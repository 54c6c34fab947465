// Command check is the independent checker: it reads every topic with a plain Kafka client, decodes with goavro from the
// schema files on disk, folds the events with a few lines of its own, and says where the log contradicts itself. It
// shares no code with the system, so that the two cannot be wrong together. It changes nothing.
//
//	go run ./integration/check --brokers 127.0.0.1:9092 --registry http://127.0.0.1:8081
//
// Run it when the system is at rest: what is still under way counts as missing. It exits with 1 if it finds a violation.
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
	"strings"
	"syscall"

	"utopia/integration/check/audit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// errViolated is the end of a check that found something; what it found is printed before.
var errViolated = errors.New("the log contradicts itself")

// list is a flag that may be given several times or hold several values separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(s string) error {
	*l = append(*l, strings.Split(s, ",")...)
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c audit.Config
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Var((*list)(&c.Brokers), "brokers", "seed brokers, separated by commas")
	flags.StringVar(&c.Schemas, "schemas", "schemas", "directory with the schema files, <topic>/<Record>.<revision>.avsc")
	flags.StringVar(&c.Registry, "registry", "", "URL of the schema registry, for topics in Confluent framing")
	flags.Var((*list)(&c.Canaries), "canary", "text that must not be where no personal data may be; may be repeated")
	flags.Var((*list)(&c.Logs), "logs", "log file to search for the canaries; may be repeated")
	flags.BoolVar(&c.WantAborts, "want-aborts", false, "fail if no aborted transaction is in the log: a fault run without one tested nothing")
	most := flags.Int("most", 20, "how many violations to print")
	output := flags.String("o", "text", "output format: text or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(c.Brokers) == 0 {
		return errors.New("--brokers is missing")
	}
	report, err := audit.Run(ctx, c)
	if err != nil {
		return err
	}
	switch *output {
	case "json":
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	case "text":
		err = report.Print(stdout, *most)
	default:
		err = fmt.Errorf("-o %s: want text or json", *output)
	}
	if err == nil && len(report.Violations) > 0 {
		err = fmt.Errorf("%w: %d violations", errViolated, len(report.Violations))
	}
	return err
}
