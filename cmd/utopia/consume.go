package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/topics"
)

type consumeFlags struct {
	from, key    string
	partition    int32
	count        int
	follow, bare bool
}

func (a *app) consumeCommand() *cobra.Command {
	f := consumeFlags{}
	cmd := &cobra.Command{
		Use: "consume TOPIC", Short: "Read committed records as JSON, by the schema they were written with",
		Long: `Prints the committed records of a topic, each decoded by the schema it was written
with. It joins no group and commits nothing. What cannot be decoded is shown as bytes
with the reason. -o json prints one object per line.`,
		Example: `utopia consume customer.changes.v1 --follow
utopia consume customer.state.v1 --key c-17 -o json
utopia consume billing.events.v1 --from 2026-01-31T12:00:00Z --count 10`,
		Args: cli.Args("TOPIC"), ValidArgsFunction: completeTopics(func(topics.Topic) bool { return true }),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "start", "`where` to begin: start, end, an offset, or a time like 2026-01-31T12:00:00Z")
	fs.Int32Var(&f.partition, "partition", -1, "only this partition")
	fs.StringVar(&f.key, "key", "", "only records with this key")
	fs.IntVar(&f.count, "count", 0, "end after so many records; default: all")
	fs.BoolVar(&f.follow, "follow", false, "go on at the end and wait for more")
	fs.BoolVar(&f.bare, "value", false, "print the value only, without key and position")
	complete(cmd, "from", "start", "end")
	out := output(cmd)
	check := func(args []string) error {
		if _, ok := topics.ByName(args[0]); !ok {
			return run.Usagef("%q is not in the catalogue; see utopia topics list", args[0])
		}
		_, err := f.position(args[0])
		return err
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		r, err := f.position(args[0])
		if err != nil {
			return err
		}
		return s.consume(ctx, r, f, *out)
	})
}

// position turns --from into a range.
func (f consumeFlags) position(topic string) (cluster.Range, error) {
	r := cluster.Range{Topic: topic, Partition: f.partition, Follow: f.follow}
	switch f.from {
	case "start":
	case "end":
		r.Tail = true
		if !f.follow {
			return r, run.Usagef("--from end has nothing to show without --follow")
		}
	default:
		if n, err := strconv.ParseInt(f.from, 10, 64); err == nil && n >= 0 {
			r.From = n
			break
		}
		at, err := time.Parse(time.RFC3339, f.from)
		if err != nil {
			return r, run.Usagef("--from %q is neither start, end, an offset, nor a time like 2026-01-31T12:00:00Z", f.from)
		}
		r.Since = at
	}
	return r, nil
}

func (s *session) consume(ctx context.Context, r cluster.Range, f consumeFlags, out format) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	if f.key != "" && r.Partition < 0 {
		if r.Partition, err = s.partitionOf(ctx, r.Topic, f.key); err != nil {
			return err
		}
	}
	show, n := newReader(registry), 0
	err = cluster.Scan(ctx, s.opts, r, func(rec *kgo.Record) error {
		if f.key != "" && string(rec.Key) != f.key {
			return nil
		}
		v, err := show.show(rec)
		if err != nil {
			return err
		}
		if err := s.printRecord(v, f.bare, out); err != nil {
			return err
		}
		if n++; n == f.count {
			return cluster.Stop()
		}
		return nil
	})
	if r.Follow && ctx.Err() != nil {
		err = nil // the person has seen enough
	}
	return err
}

// partitionOf returns where the records of a key are. Records that a foreign
// partitioner put elsewhere are found with --partition.
func (s *session) partitionOf(ctx context.Context, topic, key string) (p int32, err error) {
	err = s.admin(ctx, func(adm *kadm.Client) error {
		details, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		if err := details.Error(); err != nil {
			return err
		}
		p = topics.Partition(key, int32(len(details[topic].Partitions))) //nolint:gosec // a topic has few partitions
		return nil
	})
	return p, err
}

func (s *session) printRecord(v shown, bare bool, out format) error {
	switch {
	case out == formatYAML && bare:
		return writeYAML(s.stdout, v.Value)
	case out == formatYAML:
		line(s.stdout, "---")
		return writeYAML(s.stdout, v)
	case bare:
		_, err := s.stdout.Write(append(v.Value, '\n'))
		return err
	case out == formatJSON:
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = s.stdout.Write(append(b, '\n'))
		return err
	}
	value := string(v.Value)
	if v.Problem != "" {
		value = red(v.Problem) + " " + v.Bytes
	}
	line(s.stdout, "%s  %s  %s  %s", dim(v.Topic+"/"+number(v.Partition)+"/"+number(v.Offset)+"  "+v.At), bold(v.Key), green(shortName(v)), value)
	return nil
}

// shortName is the record type's last word; a record without value is said to be
// one.
func shortName(v shown) string {
	switch {
	case v.Type != "":
		return lastWords([]string{v.Type})[0]
	case v.Problem != "":
		return "?"
	default:
		return "(tombstone)"
	}
}
