// Package traffic sends what tests need to believe the system: good commands, repeated ones, ones that must be refused,
// used ids with other bodies, records in the wrong partition and records that nobody can handle. A seed makes the same
// traffic again. It does not look at what comes out; that is the checker's business.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

const (
	// Customers is how many there are at first; a few more come later, or are only ever spoken of.
	Customers = 150
	// Canary is in every personal field. It must be in no log and no header.
	Canary = "Wolpertinger"
	// misplaced is the header of a record that is to be put into the wrong partition.
	misplaced = "test-misplaced"
)

// Place is the partitioner that the client of a Traffic must have: a record goes where its key belongs, but for those
// that are meant to be in the wrong place.
func Place() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			right := int(topics.Partition(string(r.Key), int32(n))) //nolint:gosec // few partitions
			for _, h := range r.Headers {
				if h.Key == misplaced {
					return (right + 1) % n
				}
			}
			return right
		}
	})
}

// Traffic is one sender. It is not safe for concurrent use.
type Traffic struct {
	client                 *kgo.Client
	random                 *rand.Rand
	customer, billing, crm *schemas.Codec
	n                      int
	people                 int
	favourite              string            // gets half of the records
	requests               map[string]string // customer: id of the last request
	sent                   []sending         // commands, to be repeated
	perKey                 map[string]int    // topic and key: records sent
	acked                  []*kgo.Record
}

// sending is a command that was sent, and how many records there had been for its key.
type sending struct {
	*kgo.Record
	at int
}

// window is how many records for a key may lie between a command and its repetition. A row remembers 32, of which the system's own commands,
// such as deadlines, take some.
const window = 16

// New returns a sender. It sends nothing yet.
func New(client *kgo.Client, ids schemas.IDs, random *rand.Rand) (*Traffic, error) {
	t := &Traffic{client: client, random: random, people: Customers, requests: map[string]string{}, perKey: map[string]int{}}
	for topic, codec := range map[string]**schemas.Codec{
		topics.CustomerCommands.Name: &t.customer, topics.BillingCommands.Name: &t.billing, topics.CRMChanges.Name: &t.crm,
	} {
		var err error
		if *codec, err = schemas.NewCodec(topic, ids); err != nil {
			return nil, fmt.Errorf("traffic: %w", err)
		}
	}
	return t, nil
}

// Among makes the traffic about n customers. Call it first.
func (t *Traffic) Among(n int) { t.people = n }

// Favour gives one customer half of all records from now on; nobody if it is empty.
func (t *Traffic) Favour(customer string) { t.favourite = customer }

// Forget repeats nothing that was sent before: a day later the system need not remember it.
func (t *Traffic) Forget() { t.sent = nil }

// Sent returns the records that the broker has acknowledged, with the partition and offset it gave them.
func (t *Traffic) Sent() []*kgo.Record { return t.acked }

// Through goes on with another client, as after the end of a broker.
func (t *Traffic) Through(client *kgo.Client) { t.client = client }

// Run registers the customers and sends about the given number of records a second until ctx ends, which is no error.
func (t *Traffic) Run(ctx context.Context, rate int) error {
	err := t.Register(ctx)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			err = t.One(ctx)
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // the record that was on its way may or may not have arrived
	}
	return err
}

// Register registers every customer.
func (t *Traffic) Register(ctx context.Context) error {
	for i := range t.people {
		if err := t.command(ctx, topics.CustomerCommands, t.customer, customerID(i), t.register(customerID(i))); err != nil {
			return err
		}
	}
	return nil
}

func customerID(n int) string { return fmt.Sprintf("c-%d", n) }

// One sends one record, and waits until the broker has it.
func (t *Traffic) One(ctx context.Context) error {
	customer := customerID(t.random.IntN(t.people + 5))
	if t.favourite != "" && t.random.IntN(2) == 0 {
		customer = t.favourite
	}
	switch p := t.random.IntN(100); {
	case p < 64:
		return t.command(ctx, topics.CustomerCommands, t.customer, customer, t.wish(customer, p))
	case p < 70:
		t.n++
		_, err := t.encode(ctx, topics.CRMChanges, t.crm, customer, &schemas.AddressChanged{
			CustomerID: customer, Source: "registry", FactID: fmt.Sprintf("fact-%d", t.n), OccurredAt: time.Now().UnixMilli(), Address: t.address(),
		})
		return err
	case p < 84:
		return t.command(ctx, topics.BillingCommands, t.billing, customer, t.invoice(customer))
	case p < 94:
		return t.repeat(ctx)
	default:
		return t.poison(ctx, customer)
	}
}

// wish is what a customer may want; p is below 64.
func (t *Traffic) wish(customer string, p int) schemas.Command {
	switch {
	case p < 30:
		c := &schemas.RequestAddressChange{CustomerID: customer, Meta: t.meta(), Address: t.address(), Reason: "moved"}
		if p < 10 {
			c.Reason = "corrected"
		}
		if t.random.IntN(8) == 0 {
			c.EffectiveAt = time.Now().Add(time.Duration(1+t.random.IntN(100)) * time.Hour).UnixMilli()
		}
		t.requests[customer] = c.Meta.CommandID
		return c
	case p < 50:
		return &schemas.ConfirmAddressChange{CustomerID: customer, Meta: t.meta(), ChangeID: t.requests[customer]}
	case p < 54:
		return &schemas.CancelAddressChange{CustomerID: customer, Meta: t.meta()}
	case p < 60:
		return &schemas.ChangeEmail{CustomerID: customer, Meta: t.meta(), Email: t.email()}
	case p < 62:
		return t.register(customer)
	case p < 63:
		return &schemas.CloseCustomer{CustomerID: customer, Meta: t.meta()}
	default:
		return &schemas.EraseCustomer{CustomerID: customer, Meta: t.meta()}
	}
}

func (t *Traffic) invoice(customer string) schemas.Command {
	invoice := fmt.Sprintf("i-%d", t.random.IntN(5))
	if t.random.IntN(3) == 0 {
		return &schemas.PayInvoice{CustomerID: customer, Meta: t.meta(), InvoiceID: invoice}
	}
	return &schemas.IssueInvoice{
		CustomerID: customer, Meta: t.meta(), InvoiceID: invoice, AmountCents: 1999, Currency: "EUR", Text: "for " + Canary,
	}
}

func (t *Traffic) meta() schemas.Metadata {
	t.n++
	return schemas.Metadata{CommandID: fmt.Sprintf("k-%d", t.n)}
}

func (t *Traffic) email() string {
	return fmt.Sprintf("%s.%d@example.org", Canary, t.random.IntN(1000))
}

func (t *Traffic) address() schemas.Address {
	return schemas.Address{
		Country: "DE", City: Canary + "stadt", PostCode: fmt.Sprintf("1%04d", t.random.IntN(10_000)),
		Street: fmt.Sprintf("%sweg %d", Canary, 1+t.random.IntN(200)),
	}
}

func (t *Traffic) register(customer string) *schemas.RegisterCustomer {
	return &schemas.RegisterCustomer{
		CustomerID: customer, Meta: t.meta(), Name: Canary + " " + customer, Email: t.email(), Language: "de", Address: t.address(),
	}
}

// command sends a command and remembers it for repetitions.
func (t *Traffic) command(ctx context.Context, topic topics.Topic, codec *schemas.Codec, key string, c schemas.Command) error {
	r, err := t.encode(ctx, topic, codec, key, c)
	if err == nil {
		t.sent = append(t.sent, sending{r, t.perKey[r.Topic+string(r.Key)]})
	}
	return err
}

func (t *Traffic) encode(ctx context.Context, topic topics.Topic, codec *schemas.Codec, key string, rec schemas.Record) (*kgo.Record, error) {
	value, err := codec.Append(nil, rec)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", rec.AvroName(), err)
	}
	r := &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value}
	return r, t.produce(ctx, r)
}

// repeat sends one of the last commands again: as it was, with the same id and another body, or in the wrong partition.
// It reaches back only as far as a row remembers.
func (t *Traffic) repeat(ctx context.Context) error {
	recent := t.sent[max(0, len(t.sent)-5*t.people):]
	if len(recent) == 0 {
		return nil
	}
	old := recent[t.random.IntN(len(recent))]
	if t.perKey[old.Topic+string(old.Key)]-old.at > window {
		return nil
	}
	again := &kgo.Record{Topic: old.Topic, Key: old.Key, Value: old.Value}
	switch t.random.IntN(10) {
	case 0:
		rec, err := t.customer.Decode(old.Value)
		if c, ok := rec.(*schemas.RequestAddressChange); err == nil && ok {
			c.Address = t.address()
			if again.Value, err = t.customer.Append(nil, c); err != nil {
				return fmt.Errorf("encode another body: %w", err)
			}
		}
	case 1, 2:
		again.Headers = []kgo.RecordHeader{{Key: misplaced, Value: []byte("1")}}
	}
	return t.produce(ctx, again)
}

// poison sends what no code can handle.
func (t *Traffic) poison(ctx context.Context, customer string) error {
	good, err := t.customer.Append(nil, t.register(customer))
	if err != nil {
		return fmt.Errorf("encode poison: %w", err)
	}
	r := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte(customer)}
	switch t.random.IntN(8) {
	case 0:
		r.Value = []byte("garbage")
	case 1:
		r.Value = append([]byte{7}, good[1:]...) // wrong magic
	case 2:
		r.Value = good[:len(good)/2] // truncated
	case 3:
		r.Value = append([]byte{0, 0x7f, 0xff, 0xff, 0xff}, good[5:]...) // unknown schema
	case 4:
		r.Key, r.Value = nil, good
	case 5: // no value
	case 6:
		r.Key, r.Value = []byte("somebody-else"), good
	case 7:
		r.Key, r.Value = []byte("not/an/id"), good
	}
	return t.produce(ctx, r)
}

// produce waits until the broker has the record or ctx ends, whichever is first: a synchronous produce can outlive its
// context when the broker is gone.
func (t *Traffic) produce(ctx context.Context, r *kgo.Record) error {
	answered := make(chan error, 1)
	t.client.Produce(ctx, r, func(_ *kgo.Record, err error) { answered <- err })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-answered:
		if err != nil {
			return fmt.Errorf("produce to %s: %w", r.Topic, err)
		}
		t.acked = append(t.acked, r)
		if topic := r.Topic; topic == topics.CRMChanges.Name {
			t.perKey[topics.CustomerCommands.Name+string(r.Key)]++ // the same row remembers it
		} else {
			t.perKey[topic+string(r.Key)]++
		}
		return nil
	}
}
