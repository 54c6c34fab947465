package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/topics"
)

func isUnknownGroup(err error) bool { return errors.Is(err, cluster.ErrUnknownGroup) }

func (a *app) dlqCommand() *cobra.Command {
	return cli.Group("dlq", "Records that no code could handle",
		`A record that cannot be decoded, has no key, or sits in the wrong partition twice is
kept as received in <topic>.dlq, with the reason in its headers. A refusal is not a
dead letter: it is a reply.`,
		a.dlqListCommand(), a.dlqShowCommand(), a.dlqRetryCommand())
}

// inputTopics returns every topic that has dead letters, or the one named.
func inputTopics(name string) ([]topics.Topic, error) {
	var all []topics.Topic
	for _, t := range topics.All() {
		if t.Input() && (name == "" || t.Name == name || t.DLQ().Name == name) {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		return nil, run.Usagef("%q is not an input topic; see utopia topics list", name)
	}
	return all, nil
}

// letter is a dead letter as -o json shows it.
type letter struct {
	Ref     string            `json:"ref"`
	Origin  string            `json:"origin"`
	At      time.Time         `json:"at"`
	Reason  string            `json:"reason"`
	Detail  string            `json:"detail,omitempty"`
	Key     string            `json:"key"`
	Bytes   int               `json:"bytes"`
	Headers map[string]string `json:"headers,omitempty"`
	Value   string            `json:"value,omitempty"` // base64
}

func viewLetter(d cluster.DeadLetter, whole bool) letter {
	l := letter{
		Ref: d.Ref.String(), Origin: d.Origin.String(), At: d.At.UTC(), Reason: d.Reason, Detail: d.Detail,
		Key: printable(d.Record.Key), Bytes: len(d.Record.Value),
	}
	if whole {
		l.Value = base64.StdEncoding.EncodeToString(d.Record.Value)
		l.Headers = map[string]string{}
		for _, h := range d.Record.Headers {
			l.Headers[h.Key] = printable(h.Value)
		}
	}
	return l
}

// printable shows bytes as text where they are text.
func printable(b []byte) string {
	switch {
	case b == nil:
		return "(none)"
	case utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 || c == 0x7f }):
		return string(b)
	default:
		return fmt.Sprintf("0x%x", b)
	}
}

func completeInputs() cobra.CompletionFunc {
	return completeTopics(func(t topics.Topic) bool { return t.Input() })
}

func (a *app) dlqListCommand() *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use: "list [TOPIC]", Short: "List dead letters, oldest first",
		Example: "utopia dlq list\nutopia dlq list customer.commands.v1 --since 24h -o json",
		Args:    cli.Args("[TOPIC]"), ValidArgsFunction: completeInputs(),
	}
	cmd.Flags().DurationVar(&since, "since", 0, "only those of the last `time`, for example 24h; default: all")
	out := output(cmd)
	check := func(args []string) error {
		_, err := inputTopics(first(args))
		return err
	}
	return a.connected(cmd, config.Kafka, check, func(ctx context.Context, s *session, args []string) error {
		inputs, err := inputTopics(first(args))
		if err != nil {
			return err
		}
		var from time.Time
		if since > 0 {
			from = a.now().Add(-since)
		}
		found, err := cluster.DeadLetters(ctx, s.opts, inputs, from)
		if err != nil {
			return err
		}
		letters := []letter{}
		for _, d := range found {
			letters = append(letters, viewLetter(d, false))
		}
		return out.print(a.stdout, letters, func() {
			if len(letters) == 0 {
				line(a.stdout, "no dead letters")
				return
			}
			var rows [][]string
			for _, l := range letters {
				rows = append(rows, []string{l.Ref, stamp(l.At), l.Reason, l.Detail, l.Key, number(l.Bytes)})
			}
			table(a.stdout, []string{"DEAD LETTER", "AT", "REASON", "DETAIL", "KEY", "BYTES"}, rows)
		})
	})
}

// stamp writes a time to the second, in UTC.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) dlqShowCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use: "show REF", Short: "Show one dead letter with its headers and bytes",
		Long:    "Shows one dead letter; REF is what 'utopia dlq list' prints: topic/partition/offset.",
		Example: "utopia dlq show customer.commands.v1.dlq/3/0\nutopia dlq show customer.commands.v1.dlq/3/0 --raw > record.bin",
		Args:    cli.Args("REF"),
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "write the value's bytes as received and nothing else")
	out := output(cmd)
	return a.connected(cmd, config.Kafka, checkRefs, func(ctx context.Context, s *session, args []string) error {
		d, err := s.deadLetter(ctx, args[0])
		if err != nil {
			return err
		}
		if raw {
			_, err := a.stdout.Write(d.Record.Value)
			return err
		}
		l := viewLetter(d, true)
		return out.print(a.stdout, l, func() {
			pairs := []string{"dead letter", l.Ref, "origin", l.Origin, "at", stamp(l.At), "reason", l.Reason, "detail", l.Detail, "key", l.Key, "bytes", number(l.Bytes)}
			for _, h := range d.Record.Headers {
				pairs = append(pairs, "header "+h.Key, printable(h.Value))
			}
			fields(a.stdout, append(pairs, "value (base64)", l.Value)...)
		})
	})
}

func parseRef(text string) (cluster.Ref, error) {
	ref, err := cluster.ParseRef(text)
	if err != nil {
		return ref, run.Usage(err)
	}
	if t, ok := topics.ByName(ref.Topic); !ok || t.Kind != topics.DeadLetters {
		return ref, run.Usagef("%q is not a dead-letter topic", ref.Topic)
	}
	return ref, nil
}

func checkRefs(args []string) error {
	for _, text := range args {
		if _, err := parseRef(text); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) deadLetter(ctx context.Context, text string) (cluster.DeadLetter, error) {
	ref, err := parseRef(text)
	if err != nil {
		return cluster.DeadLetter{}, err
	}
	return cluster.FindDeadLetter(ctx, s.opts, ref)
}

// retried is one dead letter that was sent again.
type retried struct {
	Ref string `json:"ref"`
	At  string `json:"at"` // where it is now
}

func (a *app) dlqRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry REF...", Short: "Send dead letters again to the topic they came from",
		Long: `Produces the record again, key and value byte for byte as received, with the header
utopia-retry-of. Do it once the code can handle it. The dead letter stays where it is
until its retention ends; a command that was handled already is recognised by its id.
A state that a later one has replaced is not sent again.`,
		Example: "utopia dlq retry customer.commands.v1.dlq/3/0",
		Args:    cli.Args("REF..."),
	}
	out := output(cmd)
	return a.connected(cmd, config.Kafka, checkRefs, func(ctx context.Context, s *session, args []string) error {
		var letters []cluster.DeadLetter
		for _, ref := range args { // all of them are found before the first is sent
			d, err := s.deadLetter(ctx, ref)
			if err != nil {
				return err
			}
			letters = append(letters, d)
		}
		sent, err := retryAll(ctx, s.opts, letters)
		printed := out.print(a.stdout, sent, func() {
			for _, r := range sent {
				line(a.stdout, "%s sent again as %s", r.Ref, r.At)
			}
		})
		return errors.Join(err, printed)
	})
}

func retryAll(ctx context.Context, opts []kgo.Opt, letters []cluster.DeadLetter) ([]retried, error) {
	var sent []retried
	for _, d := range letters {
		at, err := cluster.Retry(ctx, opts, d)
		if err != nil {
			return sent, err
		}
		sent = append(sent, retried{Ref: d.Ref.String(), At: at.String()})
	}
	return sent, nil
}
