package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
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
	p, err := processors.NewCustomer(processors.Options{
		Engine: eos.Config{
			Client: []kgo.Opt{kgo.SeedBrokers(s.Broker), kgo.ProducerBatchCompression(kgo.NoCompression())},
			Dir:    s.Dir, Dev: true, CommitInterval: s.Commit, TransactionTimeout: 10 * time.Second,
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

// life is a log of commands to customers who are all registered: they ask for another address, confirm or cancel it, and
// now and then confirm what nobody asked for, which is refused.
type life struct {
	seed                uint64
	commands, customers int
}

// told is what must come out of a life.
type told struct{ accepted, refused int }

// fill writes the customers' rows and then the commands.
func (l life) fill(ctx context.Context, b *broker) (told, error) {
	if err := b.createCatalogue(ctx); err != nil {
		return told{}, err
	}
	inputs := customerInputs()
	if err := errors.Join(
		b.prefill(ctx, topics.CustomerTable.Name, l.customers, customerRow), b.begin(ctx, topics.Customer, inputs...),
	); err != nil {
		return told{}, err
	}
	codec, err := schemas.NewCodec(topics.CustomerCommands.Name, schemas.NewMemoryIDs())
	if err != nil {
		return told{}, err
	}
	random := rand.New(rand.NewPCG(l.seed, uint64(l.commands))) //nolint:gosec // not negative
	pending, out := make([]string, l.customers), told{}
	var failed error
	for i := range l.commands {
		n := random.IntN(l.customers)
		command, refused := l.next(random, i, n, pending)
		if refused {
			out.refused++
		} else {
			out.accepted++
		}
		value, err := codec.Append(nil, command)
		if err != nil {
			return told{}, fmt.Errorf("encode a command: %w", err)
		}
		r := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte(customerID(n)), Value: value}
		b.client.Produce(ctx, r, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	return out, errors.Join(b.client.Flush(ctx), failed)
}

// next makes the i-th command, to customer n.
func (l life) next(random *rand.Rand, i, n int, pending []string) (command schemas.Command, refused bool) {
	id := fmt.Sprintf("01900000-0000-7000-8000-%012d", i)
	meta := schemas.Metadata{CommandID: id}
	switch dice := random.IntN(100); {
	case dice < 10:
		return &schemas.ConfirmAddressChange{CustomerID: customerID(n), Meta: meta, ChangeID: "never-asked-for"}, true
	case pending[n] == "":
		pending[n] = id
		return &schemas.RequestAddressChange{CustomerID: customerID(n), Meta: meta, Address: home(i), Reason: "moved"}, false
	case dice < 25:
		pending[n] = ""
		return &schemas.CancelAddressChange{CustomerID: customerID(n), Meta: meta}, false
	default:
		change := pending[n]
		pending[n] = ""
		return &schemas.ConfirmAddressChange{CustomerID: customerID(n), Meta: meta, ChangeID: change}, false
	}
}

func customerID(n int) string { return fmt.Sprintf("01900000-0000-7000-9000-%012d", n) }

// home is an address that differs for every n.
func home(n int) schemas.Address {
	return schemas.Address{Country: "NL", PostCode: "2801 AA", City: "Gouda", Street: fmt.Sprintf("Lange Tiendeweg %d", n+1)}
}

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
		if _, err := b.admin.CreateTopic(ctx, partitions, 1, config, t.Name); err != nil {
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
