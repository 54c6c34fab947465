package main

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/operator"
	"utopia/cmd/internal/run"
	"utopia/topics"
)

func isUnknownGroup(err error) bool { return errors.Is(err, cluster.ErrUnknownGroup) }

func (a *app) dlqCommand() *cobra.Command {
	return cli.Group("dlq", "Records that no code could handle",
		`A record that cannot be decoded, has no key, or sits in the wrong partition twice is
kept as received in <topic>.dlq, with the reason in its headers. A refusal is not a
dead letter: it is a reply.`,
		a.dlqListCommand(), a.dlqShowCommand(), a.dlqRetryCommand(), a.dlqDropCommand())
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
	State   string            `json:"state"`
	Decided *decision         `json:"decided,omitempty"`
	Reason  string            `json:"reason"`
	Detail  string            `json:"detail,omitempty"`
	Key     string            `json:"key"`
	Bytes   int               `json:"bytes"`
	Headers map[string]string `json:"headers,omitempty"`
	Value   string            `json:"value,omitempty"` // base64
}

func viewLetter(d cluster.DeadLetter, decided map[string]operator.Action, whole bool) letter {
	l := letter{
		State: operator.Open,
		Ref:   d.Ref.String(), Origin: d.Origin.String(), At: d.At.UTC(), Reason: d.Reason, Detail: d.Detail,
		Key: cluster.Printable(d.Record.Key), Bytes: len(d.Record.Value),
	}
	if a, ok := decided[l.Ref]; ok {
		l.State, l.Decided = operator.Letter{Decision: &a}.State(), viewDecision(a)
	}
	if whole {
		l.Value = base64.StdEncoding.EncodeToString(d.Record.Value)
		l.Headers = map[string]string{}
		for _, h := range d.Record.Headers {
			l.Headers[h.Key] = cluster.Printable(h.Value)
		}
	}
	return l
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
	return a.connected(cmd, config.Kafka|config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		inputs, err := inputTopics(first(args))
		if err != nil {
			return err
		}
		decided, err := s.decisions(ctx)
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
			letters = append(letters, viewLetter(d, decided, false))
		}
		return out.print(a.stdout, letters, func() {
			if len(letters) == 0 {
				line(a.stdout, "no dead letters")
				return
			}
			var rows [][]string
			for _, l := range letters {
				rows = append(rows, []string{l.Ref, stamp(l.At), l.State, l.Reason, l.Detail, l.Key, number(l.Bytes)})
			}
			table(a.stdout, []string{"DEAD LETTER", "AT", "STATE", "REASON", "DETAIL", "KEY", "BYTES"}, rows)
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
	return a.connected(cmd, config.Kafka|config.Registry, checkRefs, func(ctx context.Context, s *session, args []string) error {
		d, err := s.deadLetter(ctx, args[0])
		if err != nil {
			return err
		}
		if raw {
			_, err := a.stdout.Write(d.Record.Value)
			return err
		}
		decided, err := s.decisions(ctx)
		if err != nil {
			return err
		}
		l := viewLetter(d, decided, true)
		return out.print(a.stdout, l, func() {
			pairs := []string{"dead letter", l.Ref, "origin", l.Origin, "at", stamp(l.At), "state", l.State, "reason", l.Reason, "detail", l.Detail, "key", l.Key, "bytes", number(l.Bytes)}
			for _, h := range d.Record.Headers {
				pairs = append(pairs, "header "+h.Key, cluster.Printable(h.Value))
			}
			if l.Decided != nil {
				pairs = append(pairs, "decided by", l.Decided.By, "decided at", stamp(l.Decided.At), "because", l.Decided.Why, "sent again as", l.Decided.SentAs)
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
