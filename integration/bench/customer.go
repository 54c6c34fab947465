package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// theCustomer is the real customer service, with its codecs, its rules and all that it tells others: a command here is
// one record in and three to seven out.
type theCustomer struct{}

func (theCustomer) run(ctx context.Context, s spec, tell signals) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(150) // as its binary does
	}
	p, err := processors.NewCustomer(processors.Options{
		Engine: eos.Config{
			Client: []kgo.Opt{kgo.SeedBrokers(s.Broker), kgo.ProducerBatchCompression(kgo.NoCompression())},
			Dir:    s.Dir, Dev: true, CommitInterval: s.Commit, TransactionTimeout: 10 * time.Second,
			Instance: s.Instance, SessionTimeout: s.Session,
			RecoverAhead: slices.Contains(s.With, withReady), HotStandby: slices.Contains(s.With, withReady),
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		},
		IDs:      schemas.NewMemoryIDs(),
		Counters: outcomes{tell.handled},
	})
	if err != nil {
		return fmt.Errorf("make the processor: %w", err)
	}
	go tellWhen(ctx, p.Ready, tell.ready)
	return p.Run(ctx)
}

func (theCustomer) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	n, err := committed(ctx, admin, topics.Customer, topics.CustomerCommands.Name)
	return n >= records, err
}

// outcomes counts commands that were decided.
type outcomes struct{ handled func() }

func (o outcomes) Outcome(string, string)        { o.handled() }
func (outcomes) Skipped(string, string, string)  {}
func (outcomes) Forgotten(string, time.Duration) {}

// customerRow is the row of a customer who has registered and done nothing since.
func customerRow(n int) (key, value []byte) {
	const then = 1_767_225_600_000
	row := &schemas.CustomerRow{
		CustomerID: customerID(n), Version: 1, Status: "active", Name: fmt.Sprintf("Anneke de Vries %d", n),
		Email: fmt.Sprintf("anneke.%d@example.org", n), Language: "nl",
		Address: schemas.Residence{
			Address: schemas.Address{Country: "NL", PostCode: "1015 CJ", City: "Amsterdam", Street: "Keizersgracht 117"},
			Reason:  "registered", Version: 1, Verified: true, OccurredAt: then, RecordedAt: then,
		},
		Handled: []schemas.Handled{{ID: int64(n) * 7919, Body: int64(n) * 104_729, Version: 1, At: then / 1000}},
	}
	value, err := schemas.AppendPrivate(nil, row)
	if err != nil {
		panic(err) // a constant row
	}
	return []byte(row.CustomerID), value
}

func customerInputs() []string {
	var names []string
	for _, t := range topics.Inputs(topics.Customer) {
		names = append(names, t.Name)
	}
	return names
}

// createCatalogue makes every topic of the system.
func (b *broker) createCatalogue(ctx context.Context) error {
	for _, t := range topics.All() {
		config := map[string]*string{}
		for name, value := range t.Config() {
			if name != "min.insync.replicas" { // one broker
				config[name] = &value
			}
		}
		if _, err := b.admin.CreateTopic(ctx, b.partitions, 1, config, t.Name); err != nil {
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// check reads what the service answered and compares it with what had to come out.
func (t told) check(ctx context.Context, b *broker) error {
	codec, err := schemas.NewCodec(topics.CustomerReplies.Name, schemas.NewMemoryIDs())
	if err != nil {
		return err
	}
	var got told
	seen := map[string]bool{}
	err = b.committed(ctx, topics.CustomerReplies.Name, func(r *kgo.Record) error {
		rec, err := codec.Decode(r.Value)
		if err != nil {
			return err
		}
		reply, ok := rec.(*schemas.CustomerReply)
		switch {
		case !ok || seen[reply.CommandID] || reply.Repeat:
			return fmt.Errorf("%w: a reply that answers nothing or the same again", errVoid)
		case reply.Outcome == "accepted":
			got.accepted++
		default:
			got.refused++
		}
		seen[reply.CommandID] = true
		return nil
	})
	if err != nil {
		return err
	}
	events := 0
	err = b.committed(ctx, topics.CustomerEvents.Name, func(*kgo.Record) error { events++; return nil })
	if err == nil && (got != t || events != t.accepted) {
		err = fmt.Errorf("%w: %d accepted with %d events and %d refused, want %d and %d", errVoid, got.accepted, events, got.refused, t.accepted, t.refused)
	}
	return err
}

// customerTable is what a recovery of the customer service reads.
func customerTable() table {
	return table{
		contender: "customer", group: topics.Customer, topic: topics.CustomerTable.Name, inputs: customerInputs(),
		create: func(ctx context.Context, b *broker) error { return b.createCatalogue(ctx) }, row: customerRow,
	}
}

// customer measures the real service per command.
func (b *bench) customer(ctx context.Context, commands, customers int) (figure, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	br, err := startBroker(ctx)
	if err != nil {
		return figure{}, err
	}
	defer br.stop()
	want, err := life{seed: b.seed, commands: commands, customers: customers}.fill(ctx, br)
	if err != nil {
		return figure{}, err
	}
	f, err := b.work(ctx, spec{
		Contender: "customer", Broker: br.address, Records: int64(commands), Warm: int64(commands / 4), Commit: 100 * time.Millisecond,
	})
	if err != nil {
		return figure{}, err
	}
	if err := want.check(ctx, br); err != nil {
		return figure{}, fmt.Errorf("customer: %w", err)
	}
	b.say("%-10s %7d commands to %d customers: %6.2f µs CPU, %7.0f/s, %5.1f allocations each", "customer", commands, customers, f.CPUMicros, f.PerSecond, f.Allocs)
	return f, nil
}
