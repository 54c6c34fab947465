package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"utopia/cmd/internal/demo"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/metrics"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/system"
	"utopia/processors"
	"utopia/processors/eos"
)

// upFlags are the flags of `utopia up`.
type upFlags struct {
	data                  string
	kafka, registry, http int
	demo, exit            bool
	output                string
	seed                  uint64
	verbose               bool
}

func newUpCommand(a *app) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole system in one process, on an embedded broker, for development",
		Long: `Runs broker, schema registry, all processors, mailer, an inbox that keeps every mail, and views in one process.
Everything listens on loopback only. Without --data it is gone when the process ends; with --data DIR it goes on where it
stopped, also after kill -9. This is for development: one broker, no replication; a power cut may lose what was not yet
written to disk.`,
		Example: `utopia up
utopia up --demo
utopia up --demo --exit -o json
utopia up --data ./data --kafka-port 19092`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.output != "text" && f.output != "json" {
				return run.Usagef("-o %s: want text or json", f.output)
			}
			if (f.exit || f.output == "json") && !f.demo {
				return run.Usagef("--exit and -o json are for --demo")
			}
			return up(cmd.Context(), a, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "`directory` for broker and state; empty: temporary, removed at the end")
	flags.IntVar(&f.kafka, "kafka-port", system.KafkaPort, "loopback `port` of the broker; 0: any free one")
	flags.IntVar(&f.registry, "registry-port", system.RegistryPort, "loopback `port` of the schema registry; 0: any free one")
	flags.IntVar(&f.http, "http-port", system.HTTPPort, "loopback `port` of health, metrics and mails; 0: any free one")
	flags.BoolVar(&f.demo, "demo", false, "register the sample people, let them live, and verify the promise")
	flags.BoolVar(&f.exit, "exit", false, "end after the verification: exit code 1 if the promise did not hold")
	flags.StringVarP(&f.output, "output", "o", "text", "`form` of the demo's report: text or json")
	flags.Uint64Var(&f.seed, "seed", 1, "what happens in the demo")
	flags.BoolVar(&f.verbose, "verbose", false, "log what the parts do, on standard error")
	return cmd
}

// brokerCommand is the hidden command that the broker process runs.
const brokerCommand = "embedded-broker"

// brokerProcess is the command line of the process that keeps the broker's data for `up --data`.
func brokerProcess(dir string, port int) []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, brokerCommand, dir, strconv.Itoa(port)}
}

func newBrokerCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: brokerCommand + " DIR PORT", Hidden: true, Args: cobra.ExactArgs(2),
		Short: "The broker process of utopia up --data; it ends with its standard input",
		RunE: func(cmd *cobra.Command, args []string) error {
			port, err := strconv.Atoi(args[1])
			if err != nil {
				return run.Usagef("PORT: %s is no number", args[1])
			}
			if err := system.ServeBroker(cmd.Context(), args[0], port, a.stdin, a.stdout); err != nil {
				return run.Quiet(err) // said on standard output, to the process that started this one
			}
			return nil
		},
	}
}

func up(ctx context.Context, a *app, f upFlags) error {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	m := metrics.New()
	s, err := system.New(ctx, system.Config{
		Dir: f.data, Kafka: f.kafka, Registry: f.registry, HTTP: f.http,
		Logger:        slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})),
		BrokerProcess: brokerProcess,
		Metrics: func(group string) (eos.Hooks, processors.Counters) {
			return m.Group(group)
		},
		MetricsHandler: m.Handler(),
	})
	if err != nil {
		return err
	}
	out := a.stdout
	if f.output == "json" {
		out = a.stderr // standard output is the report alone
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var parts errgroup.Group
	parts.Go(func() error {
		defer stop() // a part that cannot go on ends the waiting too
		return s.Run(running)
	})
	err = upReady(running, a, f, s, out)
	if err == nil && !f.exit {
		<-running.Done()
		err = nil
	}
	stop()
	return errors.Join(parts.Wait(), ignoreStop(ctx, err))
}

// ignoreStop makes being told to stop no error.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func upReady(ctx context.Context, a *app, f upFlags, s *system.System, out io.Writer) error {
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.WaitReady(ready); err != nil {
		return err
	}
	banner(out, f, s)
	if !f.demo {
		return nil
	}
	report, err := demo.Run(ctx, demo.Config{
		Client: s.Client, IDs: s.IDs, Customers: s.Customers, Billing: s.Billing, Notifications: s.Notifications,
		Confirm: func(customer, email string) (string, time.Time, bool) { return confirmation(s, customer, email) },
		Seed:    f.seed, RunID: strings.ReplaceAll(uuid.NewString(), "-", "")[:8], Out: out, Live: isTerminal(out),
	})
	if err != nil {
		return err
	}
	return printReport(a, f, s, out, report)
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) //nolint:gosec // a file descriptor is a small number
}

func banner(out io.Writer, f upFlags, s *system.System) {
	bold := lipgloss.NewStyle().Bold(true)
	_, _ = lipgloss.Fprintln(out, bold.Render("utopia is up")+" — for development: loopback only, one broker, no replication")
	_, _ = lipgloss.Fprintf(out, "  Kafka      %s\n  registry   %s\n  HTTP       %s  (open it in a browser: customers, and every mail)\n", s.Broker, s.RegistryURL, s.HTTPURL)
	_, _ = lipgloss.Fprintf(out, "  API        %s/docs  (open: whoever reaches this port may do everything)\n", s.HTTPURL)
	data := "temporary; --data DIR keeps it"
	if f.data != "" {
		data = f.data + " (survives kill -9; a power cut may lose the last moments)"
	}
	_, _ = lipgloss.Fprintf(out, "  data       %s\n  link keys  %s\n  webhooks   %s  (keys that their secrets are derived from)\n", data, s.KeyFile, s.WebhookFile)
}

// confirmation opens the newest mail to this address that carries a link and verifies it, as the page behind the link does.
func confirmation(s *system.System, customer, email string) (change string, expiresAt time.Time, ok bool) {
	mail, found := s.Inbox.Last(email, func(m smtpd.Mail) bool { return strings.Contains(m.Text, "#") })
	if !found {
		return "", time.Time{}, false
	}
	for _, field := range strings.Fields(mail.Text) {
		if !strings.Contains(field, "#") {
			continue
		}
		claims, err := links.Verify(s.Keys, links.Token(field), time.Now())
		if err == nil && claims.Purpose == processors.PurposeConfirm && claims.Subject == customer {
			return claims.Change, claims.ExpiresAt, true
		}
	}
	return "", time.Time{}, false
}

func printReport(a *app, f upFlags, s *system.System, out io.Writer, r demo.Report) error {
	if f.output == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	} else {
		textReport(out, f, s, r)
	}
	if !r.OK() && f.exit {
		return run.Quiet(errors.New("the promise did not hold"))
	}
	return nil
}

func textReport(out io.Writer, f upFlags, s *system.System, r demo.Report) {
	verdict := lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Green).Render("✓ every command has exactly one outcome, and all agree")
	if !r.OK() {
		verdict = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red).Render("✗ the promise did not hold")
	}
	_, _ = lipgloss.Fprintf(out, `
%s
  %d commands, %d outcomes: %d accepted, %d refused, %d dead letters; %d answers given again, %d sent on to their partition
  %d facts from the system of record, %d mails, %d customers, %d disagreements, %.1f s
`, verdict, r.Commands, r.Outcomes, r.Accepted, r.Refused, r.DeadLetters, r.Repeats, r.Moved,
		r.Facts, r.Mails, r.Customers, r.Disagreements, r.Seconds)
	for _, p := range r.Problems {
		_, _ = lipgloss.Fprintf(out, "  %s\n", p)
	}
	if f.exit {
		return
	}
	_, _ = lipgloss.Fprintf(out, `
Look further, in another terminal:
  utopia customer get c-0001%[1]s
  utopia customer history c-0001%[1]s
  utopia billing get c-0001%[1]s
  utopia notifications list c-0001%[1]s
  utopia dlq list%[1]s
  utopia topics graph
Mails, with the links that customers confirm by: %[2]s
Stop with Ctrl-C.
`, s.Flags(), s.HTTPURL)
}
