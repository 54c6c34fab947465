package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/sample"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// traffic is what people, a system of record and a few broken programs send.
type traffic struct {
	cfg      Config
	cl       *kafkaclient.Client
	codecs   map[string]*schemas.Codec
	tracker  *tracker
	people   []sample.Person
	rng      *rand.Rand
	commands atomic.Int64 // distinct readable ones
	records  atomic.Int64
	failed   atomic.Pointer[error]
	pending  []pendingChange
	n        int
}

// pendingChange is a change that somebody asked for and nobody has confirmed yet.
type pendingChange struct {
	person sample.Person
	change string
	at     time.Time
}

func newTraffic(ctx context.Context, cfg Config, t *tracker, people []sample.Person, rng *rand.Rand) (*traffic, error) {
	tr := &traffic{cfg: cfg, codecs: map[string]*schemas.Codec{}, tracker: t, people: people, rng: rng}
	for _, topic := range []topics.Topic{topics.CustomerCommands, topics.BillingCommands, topics.CRMChanges} {
		codec, err := schemas.NewCodec(topic.Name, cfg.IDs)
		if err != nil {
			return nil, fmt.Errorf("schemas of %s: %w", topic.Name, err)
		}
		tr.codecs[topic.Name] = codec
	}
	opts := append([]kgo.Opt{}, cfg.Client...)
	cl, err := kafkaclient.New(context.WithoutCancel(ctx), append(
		opts,
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerLinger(2*time.Millisecond),
	)...)
	if err != nil {
		return nil, err
	}
	tr.cl = cl
	return tr, nil
}

// partitioner places keys by the system's rule, but for a record that names its partition itself, as a producer with
// another partitioner does.
func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			p := topics.Partition(string(r.Key), int32(n)) //nolint:gosec // a partition count
			if r.Context != nil && r.Context.Value(misplaced{}) != nil {
				p = (p + 1) % int32(n) //nolint:gosec // a partition count
			}
			return int(p)
		}
	})
}

// misplaced marks a record for the wrong partition.
type misplaced struct{}

func (tr *traffic) close() { tr.cl.Close() }

func (tr *traffic) sentCommands() int { return int(tr.commands.Load()) }

// id is a command id of this run.
func (tr *traffic) id() string {
	tr.n++
	return fmt.Sprintf("demo-%s-%d", tr.cfg.RunID, tr.n)
}

func (tr *traffic) send(ctx context.Context, topic topics.Topic, key string, rec schemas.Record) {
	value, err := tr.codecs[topic.Name].Append(nil, rec)
	if err != nil {
		tr.fail(fmt.Errorf("encode %s: %w", rec.AvroName(), err))
		return
	}
	if _, ok := rec.(schemas.Command); ok {
		tr.commands.Add(1)
	}
	tr.produce(ctx, &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value})
}

func (tr *traffic) produce(ctx context.Context, r *kgo.Record) {
	tr.records.Add(1)
	tr.cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			tr.fail(fmt.Errorf("produce to %s: %w", r.Topic, err))
		}
	})
}

func (tr *traffic) fail(err error) { tr.failed.CompareAndSwap(nil, &err) }

func (tr *traffic) err(ctx context.Context) error {
	if err := tr.failed.Load(); err != nil && ctx.Err() == nil {
		return *err
	}
	return ctx.Err()
}

// register makes every person of the sample a customer.
func (tr *traffic) register(ctx context.Context, progress func(done, of int)) error {
	for i, p := range tr.people {
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.RegisterCustomer{
			CustomerID: p.ID, Meta: schemas.Metadata{CommandID: fmt.Sprintf("demo-%s-register-%s", tr.cfg.RunID, p.ID)},
			Name: p.Name, Email: p.Email, Language: p.Language, Address: address(p),
		})
		if i%100 == 0 {
			progress(i, len(tr.people))
		}
	}
	if err := tr.cl.Flush(ctx); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	progress(len(tr.people), len(tr.people))
	return tr.err(ctx)
}

func address(p sample.Person) schemas.Address {
	return schemas.Address{
		Country: p.Country, Region: p.Region, City: p.City, District: p.District, PostCode: p.PostCode,
		SortingCode: p.SortingCode, Street: p.Street,
	}
}

// someone returns any person; compatriot another one of the same country, whose address is a real one there.
func (tr *traffic) someone() sample.Person { return tr.people[tr.rng.IntN(len(tr.people))] }

func (tr *traffic) compatriot(p sample.Person) sample.Person {
	for range 200 {
		if q := tr.someone(); q.Country == p.Country && q.ID != p.ID {
			return q
		}
	}
	return tr.someone()
}

// live streams what happens to the registered people, at the configured rate.
func (tr *traffic) live(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	perTick := max(tr.cfg.Rate/100, 1)
	for step := 0; step < tr.cfg.Steps; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for range perTick {
			tr.step(ctx, step)
			step++
		}
		if err := tr.err(ctx); err != nil {
			return err
		}
	}
	for len(tr.pending) > 0 {
		tr.confirm(ctx, tr.pending[0])
		tr.pending = tr.pending[1:]
	}
	if err := tr.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return tr.err(ctx)
}

// step does one thing; which one is a matter of the dice.
func (tr *traffic) step(ctx context.Context, step int) {
	p := tr.someone()
	if step%200 == 199 {
		tr.poison(ctx, step/200, p)
		return
	}
	switch d := tr.rng.IntN(100); {
	case d < 30:
		tr.requestChange(ctx, p, schemas.ReasonMoved)
	case d < 38:
		tr.requestChange(ctx, p, schemas.ReasonCorrected)
	case d < 66:
		if len(tr.pending) > 0 && time.Since(tr.pending[0].at) > time.Second {
			tr.confirm(ctx, tr.pending[0])
			tr.pending = tr.pending[1:]
			return
		}
		tr.fact(ctx, p)
	case d < 74:
		tr.fact(ctx, p)
	case d < 88:
		tr.invoice(ctx, p)
	case d < 91:
		tr.duplicate(ctx, p)
	case d < 96:
		tr.refused(ctx, p)
	case d < 97:
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.ChangeEmail{
			CustomerID: p.ID, Meta: schemas.Metadata{CommandID: tr.id()}, Email: fmt.Sprintf("%s.new@example.org", p.ID),
		})
	case d < 98:
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.CancelAddressChange{
			CustomerID: p.ID, Meta: schemas.Metadata{CommandID: tr.id()},
		})
	default:
		tr.rare(ctx, p)
	}
}

// rare does what seldom happens: a customer leaves, wants to be forgotten, or a producer has another partitioner.
func (tr *traffic) rare(ctx context.Context, p sample.Person) {
	meta := schemas.Metadata{CommandID: tr.id()}
	switch tr.rng.IntN(6) {
	case 0:
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.CloseCustomer{CustomerID: p.ID, Meta: meta})
	case 1:
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.EraseCustomer{CustomerID: p.ID, Meta: meta})
	default:
		tr.misplace(ctx, p)
	}
}

func (tr *traffic) requestChange(ctx context.Context, p sample.Person, reason string) {
	id := tr.id()
	tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.RequestAddressChange{
		CustomerID: p.ID, Meta: schemas.Metadata{CommandID: id}, Address: address(tr.compatriot(p)), Reason: reason,
	})
	if tr.rng.IntN(10) > 0 { // one in ten never answers the mail
		tr.pending = append(tr.pending, pendingChange{p, id, time.Now()})
	}
}

// confirm does what the link in the mail does: the change and its expiry come from the signed token where the mail has
// arrived, else, as a call centre would, by the change's id alone.
func (tr *traffic) confirm(ctx context.Context, c pendingChange) {
	change, expires := c.change, int64(0)
	if fromMail, at, ok := tr.cfg.Confirm(c.person.ID, c.person.Email); ok && fromMail == c.change {
		expires = schemas.Millis(at)
	}
	tr.send(ctx, topics.CustomerCommands, c.person.ID, &schemas.ConfirmAddressChange{
		CustomerID: c.person.ID, Meta: schemas.Metadata{CommandID: tr.id()}, ChangeID: change, ExpiresAt: expires,
	})
}

func (tr *traffic) fact(ctx context.Context, p sample.Person) {
	at := time.Now().Add(-time.Duration(tr.rng.IntN(20)) * time.Second)
	tr.send(ctx, topics.CRMChanges, p.ID, &schemas.AddressChanged{
		CustomerID: p.ID, Source: "demo-crm", FactID: tr.id(), OccurredAt: schemas.Millis(at), Address: address(tr.compatriot(p)),
	})
}

func (tr *traffic) invoice(ctx context.Context, p sample.Person) {
	id := tr.id()
	tr.send(ctx, topics.BillingCommands, p.ID, &schemas.IssueInvoice{
		CustomerID: p.ID, Meta: schemas.Metadata{CommandID: id}, InvoiceID: "i-" + id,
		AmountCents: int64(100 + tr.rng.IntN(100000)), Currency: "EUR", Text: "What was agreed",
	})
	if tr.rng.IntN(2) == 0 {
		tr.send(ctx, topics.BillingCommands, p.ID, &schemas.PayInvoice{
			CustomerID: p.ID, Meta: schemas.Metadata{CommandID: tr.id()}, InvoiceID: "i-" + id,
		})
	}
}

// duplicate sends one command twice, as a producer does that lost the first answer.
func (tr *traffic) duplicate(ctx context.Context, p sample.Person) {
	cmd := &schemas.RequestAddressChange{
		CustomerID: p.ID, Meta: schemas.Metadata{CommandID: tr.id()}, Address: address(tr.compatriot(p)), Reason: schemas.ReasonMoved,
	}
	tr.send(ctx, topics.CustomerCommands, p.ID, cmd)
	tr.send(ctx, topics.CustomerCommands, p.ID, cmd)
	tr.commands.Add(-1) // the same command
}

// refused asks for something that cannot be.
func (tr *traffic) refused(ctx context.Context, p sample.Person) {
	meta := schemas.Metadata{CommandID: tr.id()}
	switch tr.rng.IntN(4) {
	case 0: // nobody of that name
		tr.send(ctx, topics.CustomerCommands, "nobody-"+p.ID, &schemas.CancelAddressChange{CustomerID: "nobody-" + p.ID, Meta: meta})
	case 1: // half an address
		half := address(p)
		half.City, half.Street = "", ""
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.RequestAddressChange{
			CustomerID: p.ID, Meta: meta, Address: half, Reason: schemas.ReasonMoved,
		})
	case 2: // a version from the future
		meta.ExpectedVersion = 1 << 40
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.ChangeEmail{CustomerID: p.ID, Meta: meta, Email: "x@example.org"})
	default: // a change that nobody asked for
		tr.send(ctx, topics.CustomerCommands, p.ID, &schemas.ConfirmAddressChange{CustomerID: p.ID, Meta: meta, ChangeID: "never-asked"})
	}
}

// misplace sends a good command to the wrong partition, as a producer with another partitioner does.
func (tr *traffic) misplace(ctx context.Context, p sample.Person) {
	cmd := &schemas.RequestAddressChange{
		CustomerID: p.ID, Meta: schemas.Metadata{CommandID: tr.id()}, Address: address(tr.compatriot(p)), Reason: schemas.ReasonMoved,
	}
	value, err := tr.codecs[topics.CustomerCommands.Name].Append(nil, cmd)
	if err != nil {
		tr.fail(err)
		return
	}
	tr.commands.Add(1)
	tr.produce(ctx, &kgo.Record{
		Topic: topics.CustomerCommands.Name, Key: []byte(p.ID), Value: value,
		Context: context.WithValue(ctx, misplaced{}, true),
	})
}

// poison sends what no code can handle.
func (tr *traffic) poison(ctx context.Context, n int, p sample.Person) {
	good, err := tr.codecs[topics.CustomerCommands.Name].Append(nil, &schemas.CloseCustomer{
		CustomerID: p.ID, Meta: schemas.Metadata{CommandID: "poison"},
	})
	if err != nil {
		tr.fail(err)
		return
	}
	r := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte(p.ID)}
	switch n % 5 {
	case 0:
		r.Value = []byte("this is not Avro")
	case 1:
		r.Value = append([]byte{7}, good[1:]...) // wrong magic
	case 2:
		r.Value = good[:len(good)-3] // cut off
	case 3:
		r.Value = append([]byte{0, 0x7f, 0xff, 0xff, 0xff}, good[5:]...) // a schema that nobody registered
	default:
		r.Value = nil
	}
	tr.produce(ctx, r)
}
