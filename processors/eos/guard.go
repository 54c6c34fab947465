package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// guard asks the cluster until it answers, and refuses to start on one where exactly-once would not hold. The error then wraps ErrRefused and names
// everything that is wrong, each with what to do.
func (p *Processor) guard(ctx context.Context) error {
	names := slices.Concat(p.keyed(), outputTopics(p.cfg.Graph, p.cfg.Inputs))
	slices.Sort(names)
	names = slices.Compact(names)
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		f, err := p.ask(ctx, names)
		if err == nil {
			p.facts = f
			if err := p.judge(names); err != nil {
				return err
			}
			return p.remember()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.log.Warn("the cluster cannot be asked, trying again", slog.Duration("in", wait), slog.String("error", err.Error()))
		if pause(ctx, wait) != nil {
			return ctx.Err()
		}
	}
}

func (p *Processor) ask(ctx context.Context, names []string) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return gather(ctx, p.adm, names)
}

// judge looks at the facts. In development mode missing replication is only a warning.
func (p *Processor) judge(names []string) error {
	var refusals []error
	refuse := func(format string, args ...any) { refusals = append(refusals, fmt.Errorf(format, args...)) }

	p.judgeVersions(refuse)
	var single, missing, lossy []string
	for _, name := range names {
		t, ok := p.facts.topics[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		inSync := t.number("min.insync.replicas", 1)
		switch {
		case t.replicas >= 2 && inSync >= 2 && t.replicas >= inSync:
		case p.cfg.Dev:
			single = append(single, name)
		default:
			lossy = append(lossy, fmt.Sprintf("%s has %d replica(s) and min.insync.replicas=%d", name, t.replicas, inSync))
		}
	}
	if len(single) > 0 { // Told to whoever has asked for it with --dev: no warning.
		p.log.Info("topics are not replicated: losing a broker loses their records", slog.Int("topics", len(single)), slog.String("first", single[0]))
	}
	if len(missing) > 0 {
		refuse("topic %s does not exist: make it with \"utopia topics apply\"", andMore(missing))
	}
	if len(lossy) > 0 {
		refuse("topic %s: losing a broker would lose acknowledged records; use at least 2 of both (3 and 2 are usual), or --dev for a cluster that may lose data",
			andMore(lossy))
	}
	p.judgePartitions(refuse)
	p.judgeMemory(refuse)
	for _, name := range p.inputs {
		if t, ok := p.facts.topics[name]; ok && t.config["message.timestamp.type"] != "LogAppendTime" {
			refuse("topic %s has message.timestamp.type=%s: time must be the broker's, or a producer could move deadlines; set it to LogAppendTime (\"utopia topics apply\")",
				name, t.config["message.timestamp.type"])
		}
	}
	if t, ok := p.facts.topics[p.tableTopic]; ok && t.config["cleanup.policy"] != "compact" {
		refuse("topic %s has cleanup.policy=%s: rows would disappear with age, or the log grow for ever; set it to compact (\"utopia topics apply\")",
			p.tableTopic, t.config["cleanup.policy"])
	}
	if len(refusals) > 0 {
		return fmt.Errorf("%w: %w", ErrRefused, errors.Join(refusals...))
	}
	return nil
}

// andMore names the first and counts the others: a cluster that is wrong is wrong for most topics, and one sentence is read.
func andMore(what []string) string {
	if len(what) == 1 {
		return what[0]
	}
	return fmt.Sprintf("%s (and %d other topics)", what[0], len(what)-1)
}

func (p *Processor) judgeVersions(refuse func(string, ...any)) {
	needs := []struct {
		key     kmsg.Key
		version int16
		what    string
	}{
		{kmsg.InitProducerID, 0, "transactions"},
		{kmsg.EndTxn, 0, "transactions"},
		{kmsg.TxnOffsetCommit, 3, "transactions tied to a consumer group (KIP-447)"},
		{kmsg.OffsetFetch, 7, "offsets that wait for open transactions (KIP-447)"},
		{kmsg.JoinGroup, 5, "members with an instance id (KIP-345)"},
	}
	for _, n := range needs {
		if p.facts.versions[int16(n.key)] < n.version {
			refuse("a broker does not know %s: use Apache Kafka 2.5 or later", n.what)
			return
		}
	}
}

// judgePartitions sees to it that a key has the same partition number everywhere in the group.
func (p *Processor) judgePartitions(refuse func(string, ...any)) {
	p.facts.partitions = 0
	first := ""
	for _, name := range p.keyed() {
		t, ok := p.facts.topics[name]
		switch {
		case !ok:
		case first == "":
			first, p.facts.partitions = name, int32(t.partitions) //nolint:gosec // Kafka numbers partitions by int32.
		case t.partitions != int(p.facts.partitions):
			refuse("topic %s has %d partitions but %s has %d: a key must have the same partition in all topics of the group, and a partition count is never changed in place",
				name, t.partitions, first, p.facts.partitions)
		}
	}
}
