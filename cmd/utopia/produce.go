package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors/kafkaclient"
	"utopia/topics"
)

// produced is a record that was stored.
type produced struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
	CommandID string `json:"commandId,omitempty"`
}

func (a *app) produceCommand() *cobra.Command {
	var record string
	cmd := &cobra.Command{
		Use: "produce TOPIC [FILE]", Short: "Write records from JSON, encoded by the topic's Avro schema",
		Long: `Reads JSON objects from FILE, or from standard input, and stores each as a record of the
topic: encoded in Avro by the newest schema, keyed by its first field, placed by
murmur2. Times may be written like 2026-01-31T12:00:00Z; fields left out take their
defaults. A command without an id is given one.

It also reads what 'utopia consume -o json' prints. It does not wait for replies.`,
		Example: `utopia schemas show utopia.customer.ChangeEmail
echo '{"customerId":"c-17","email":"ada@example.org"}' |
  utopia produce customer.commands.v1 --type ChangeEmail
utopia consume customer.replies.v1 --key c-17 --from end --follow`,
		Args: cli.Args("TOPIC", "[FILE]"), ValidArgsFunction: completeWritable,
	}
	cmd.Flags().StringVar(&record, "type", "", "record `type`, full or its last word; needed where the topic carries several")
	out := output(cmd)
	check := func(args []string) error {
		_, err := newWriter(args[0], record)
		return err
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		w, err := newWriter(args[0], record)
		if err != nil {
			return err
		}
		in, done, err := a.input(args[1:])
		if err != nil {
			return err
		}
		defer done()
		return s.produce(ctx, w, in, func(p produced) error {
			return out.print(a.stdout, p, func() {
				line(a.stdout, "%s/%d/%d  %s  %s", p.Topic, p.Partition, p.Offset, p.Key, p.CommandID)
			})
		})
	})
}

// input opens the file named by args, or standard input.
func (a *app) input(args []string) (io.Reader, func(), error) {
	if len(args) == 0 || args[0] == "-" {
		return a.stdin, func() {}, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, run.Usage(err)
	}
	return f, func() { _ = f.Close() }, nil
}

// produce stores every JSON value of in, one after the other, and stops at the
// first that is wrong.
func (s *session) produce(ctx context.Context, w *writer, in io.Reader, done func(produced) error) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	if err := w.open(registry); err != nil {
		return err
	}
	cl, err := kafkaclient.New(ctx, append(s.opts, kgo.ProducerBatchMaxBytes(topics.BatchBytes))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	decoder := json.NewDecoder(in)
	for n := 1; ; n++ {
		var text json.RawMessage
		if err := decoder.Decode(&text); errors.Is(err, io.EOF) {
			if n == 1 {
				return run.Usagef("there is no record to read")
			}
			return nil
		} else if err != nil {
			return run.Usagef("record %d is not JSON: %w", n, err)
		}
		key, value, id, err := w.encode(text)
		switch {
		case err != nil && n == 1:
			return run.Usagef("record 1: %w", err) // nothing was sent
		case err != nil:
			return fmt.Errorf("record %d: %w", n, err)
		}
		rec := &kgo.Record{Topic: w.topic.Name, Key: []byte(key), Value: value}
		if err := store(ctx, cl.Client, rec); err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		if err := done(produced{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: key, CommandID: id}); err != nil {
			return err
		}
	}
}

// store produces one record and waits for the cluster's answer, or for ctx: a
// produce can outlive its context when the broker is gone.
func store(ctx context.Context, cl *kgo.Client, rec *kgo.Record) error {
	answered := make(chan error, 1)
	cl.Produce(ctx, rec, func(_ *kgo.Record, err error) { answered <- err })
	select {
	case err := <-answered:
		if err != nil {
			return fmt.Errorf("produce to %s: %w", rec.Topic, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("produce to %s: %w", rec.Topic, ctx.Err())
	}
}

func (a *app) encodeCommand() *cobra.Command {
	var record, to string
	cmd := &cobra.Command{
		Use: "encode TOPIC [FILE]", Short: "Turn one JSON record into the bytes that kcat sends",
		Long: `Reads one JSON object and writes the bytes of the record's value: Confluent framing and
Avro by the newest schema. The key and a kcat command line are printed on standard
error. kcat places keys by CRC32 unless it is told murmur2; a record in the wrong
partition is sent on, once.`,
		Example: `echo '{"customerId":"c-17","email":"ada@example.org"}' |
  utopia encode customer.commands.v1 --type ChangeEmail --out change.bin
kcat -P -b 127.0.0.1:9092 -t customer.commands.v1 -k c-17 \
  -X partitioner=murmur2_random change.bin`,
		Args: cli.Args("TOPIC", "[FILE]"), ValidArgsFunction: completeWritable,
	}
	cmd.Flags().StringVar(&record, "type", "", "record `type`, full or its last word; needed where the topic carries several")
	cmd.Flags().StringVar(&to, "out", "", "`file` to write; default: standard output")
	cfg := a.configured(cmd, config.Kafka|config.Registry) // the brokers are for the line that it prints
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := newWriter(args[0], record)
		if err != nil {
			return err
		}
		if to == "" && isTerminal(a.stdout) {
			return run.Usagef("these bytes are not for a terminal: name a file with --out")
		}
		if err := cfg.Load(cmd.Flags(), a.environ); err != nil {
			return err
		}
		in, done, err := a.input(args[1:])
		if err != nil {
			return err
		}
		defer done()
		return a.encode(cfg, w, in, to)
	}
	return cmd
}

func (a *app) encode(cfg *config.Config, w *writer, in io.Reader, to string) error {
	registry, err := openRegistry(cfg)
	if err != nil {
		return err
	}
	if err := w.open(registry); err != nil {
		return err
	}
	var text json.RawMessage
	if err := json.NewDecoder(in).Decode(&text); err != nil {
		return run.Usagef("the record is not JSON: %w", err)
	}
	key, value, _, err := w.encode(text)
	if err != nil {
		return run.Usage(err)
	}
	file := "FILE"
	if to == "" {
		if _, err := a.stdout.Write(value); err != nil {
			return err
		}
	} else {
		file = to
		if err := os.WriteFile(to, value, 0o600); err != nil {
			return err
		}
	}
	line(a.stderr, "kcat -P -b %s -t %s -k '%s' -X partitioner=murmur2_random %s", strings.Join(cfg.Brokers, ","), w.topic.Name, key, file)
	return nil
}
