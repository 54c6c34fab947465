package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// life is a log of commands to customers who are registered: they ask for another address, confirm or cancel it, and now
// and then confirm what nobody asked for, which is refused. New ones may register meanwhile.
type life struct {
	seed                uint64
	commands, customers int
	registers           int // of a hundred commands
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
	return l.write(ctx, b)
}

// write writes the commands.
func (l life) write(ctx context.Context, b *broker) (told, error) {
	course, err := l.begin()
	if err != nil {
		return told{}, err
	}
	var failed error
	for range l.commands {
		r, err := course.next()
		if err != nil {
			return told{}, err
		}
		b.client.Produce(ctx, r, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	return course.told, errors.Join(b.client.Flush(ctx), failed)
}

// course is how far a life has come.
type course struct {
	life
	told

	codec   *schemas.Codec
	random  *rand.Rand
	pending []string // the change that each customer has asked for
	i       int      // commands made
	newborn int
}

func (l life) begin() (*course, error) {
	codec, err := schemas.NewCodec(topics.CustomerCommands.Name, schemas.NewMemoryIDs())
	if err != nil {
		return nil, err
	}
	return &course{
		life: l, codec: codec, pending: make([]string, l.customers),
		random: rand.New(rand.NewPCG(l.seed, uint64(l.commands))), //nolint:gosec // not negative
	}, nil
}

// next makes the next command.
func (c *course) next() (*kgo.Record, error) {
	var command schemas.Command
	var n int
	var refused bool
	if c.registers > 0 && c.random.IntN(100) < c.registers {
		n = c.customers + c.newborn
		c.newborn++
		command = c.registration(n)
	} else {
		n = c.random.IntN(c.customers)
		command, refused = c.ask(n)
	}
	if refused {
		c.refused++
	} else {
		c.accepted++
	}
	c.i++
	value, err := c.codec.Append(nil, command)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	return &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte(customerID(n)), Value: value}, nil
}

func (c *course) id() string { return fmt.Sprintf("01900000-0000-7000-8000-%012d", c.i) }

// neverAsked names a change that nobody asked for; confirming it is refused.
const neverAsked = "never-asked-for"

// ask makes a command to a customer who is registered.
func (c *course) ask(n int) (command schemas.Command, refused bool) {
	meta := schemas.Metadata{CommandID: c.id()}
	switch dice := c.random.IntN(100); {
	case dice < 10:
		return &schemas.ConfirmAddressChange{CustomerID: customerID(n), Meta: meta, ChangeID: neverAsked}, true
	case c.pending[n] == "":
		c.pending[n] = meta.CommandID
		return &schemas.RequestAddressChange{CustomerID: customerID(n), Meta: meta, Address: home(c.i), Reason: "moved"}, false
	case dice < 25:
		c.pending[n] = ""
		return &schemas.CancelAddressChange{CustomerID: customerID(n), Meta: meta}, false
	default:
		change := c.pending[n]
		c.pending[n] = ""
		return &schemas.ConfirmAddressChange{CustomerID: customerID(n), Meta: meta, ChangeID: change}, false
	}
}

func (c *course) registration(n int) schemas.Command {
	return &schemas.RegisterCustomer{
		CustomerID: customerID(n), Meta: schemas.Metadata{CommandID: c.id()}, Name: fmt.Sprintf("Anneke de Vries %d", n),
		Email: fmt.Sprintf("anneke.%d@example.org", n), Language: "nl", Address: home(n),
	}
}

func customerID(n int) string { return fmt.Sprintf("01900000-0000-7000-9000-%012d", n) }

// home is an address that differs for every n.
func home(n int) schemas.Address {
	return schemas.Address{Country: "NL", PostCode: "2801 AA", City: "Gouda", Street: fmt.Sprintf("Lange Tiendeweg %d", n+1)}
}
