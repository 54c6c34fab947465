package processors

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

const townPartitions = 4

// town is the customer group on a broker.
type town struct {
	t      *testing.T
	opts   []kgo.Opt
	client *kgo.Client // produces where it is told, reads everything that comes out
	codecs map[string]*schemas.Codec
	out    []*kgo.Record
}

// newTown starts the group and stops it at the end of the test; a processor that ends by itself fails the test.
func newTown(t *testing.T) *town {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	var outputs []string
	for _, topic := range topics.All() {
		config := topic.Config()
		delete(config, "min.insync.replicas") // one broker
		if err := cluster.CreateTopic(topic.Name, townPartitions, config); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(topic.Name, ".dlq") || topic.Name == topics.CustomerReplies.Name || topic.Name == topics.CustomerState.Name {
			outputs = append(outputs, topic.Name)
		}
	}
	w := &town{t: t, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, codecs: map[string]*schemas.Codec{}}
	if w.client, err = kgo.NewClient(append(append([]kgo.Opt{}, w.opts...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumeTopics(outputs...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerBatchMaxBytes(4<<20))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	ids := schemas.NewMemoryIDs()
	for _, topic := range []topics.Topic{topics.CustomerCommands, topics.CRMChanges, topics.MailReplies, topics.CustomerReplies, topics.CustomerState, topics.BillingCommands} {
		if w.codecs[topic.Name], err = schemas.NewCodec(topic.Name, ids); err != nil {
			t.Fatal(err)
		}
	}
	p, err := NewCustomer(Options{IDs: ids, Engine: eos.Config{
		Client: w.opts, Dir: "state", FS: vfs.NewMem(), Instance: "one", Dev: true,
		Logger: slog.New(slog.DiscardHandler),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("the processor stopped: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the processor does not stop")
		}
	})
	return w
}

// encode is a record as a well-behaved producer writes it.
func (w *town) encode(topic topics.Topic, rec schemas.Record) []byte {
	w.t.Helper()
	b, err := w.codecs[topic.Name].Append(nil, rec)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// send puts a record where its key belongs and says where it is.
func (w *town) send(topic topics.Topic, key, value []byte) *kgo.Record {
	w.t.Helper()
	return w.sendTo(topic, topics.Partition(string(key), townPartitions), key, value)
}

func (w *town) sendTo(topic topics.Topic, p int32, key, value []byte) *kgo.Record {
	w.t.Helper()
	r := &kgo.Record{Topic: topic.Name, Partition: p, Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t")}}}
	if err := w.client.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatalf("produce: %v", err)
	}
	return r
}

// until reads what comes out until one of the records answers.
func (w *town) until(what string, found func(*kgo.Record) bool) *kgo.Record {
	w.t.Helper()
	for _, r := range w.out {
		if found(r) {
			return r
		}
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		fetches := w.client.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%s: nothing for a minute", what)
		}
		var hit *kgo.Record
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			w.out = append(w.out, r)
			if hit == nil && found(r) {
				hit = r
			}
		}
		if hit != nil {
			return hit
		}
	}
}

// reply waits for the reply to the command at this place.
func (w *town) reply(id string, at *kgo.Record) schemas.ReplyFields {
	w.t.Helper()
	var reply schemas.ReplyFields
	w.until("reply to "+id, func(r *kgo.Record) bool {
		if r.Topic != topics.CustomerReplies.Name {
			return false
		}
		rec, err := w.codecs[r.Topic].Decode(r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if f, ok := rec.(*schemas.CustomerReply); ok && f.CommandID == id && (at == nil || f.Partition == at.Partition && f.Offset == at.Offset) {
			reply = f.ReplyFields
			return true
		}
		return false
	})
	return reply
}

// letter waits for the dead letter of the record at this place.
func (w *town) letter(at *kgo.Record) map[string]string {
	w.t.Helper()
	headers := map[string]string{}
	r := w.until("dead letter", func(r *kgo.Record) bool {
		if r.Topic != at.Topic+".dlq" || r.Partition != at.Partition {
			return false
		}
		clear(headers)
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		return headers[eos.HeaderOffset] == strconv.FormatInt(at.Offset, 10)
	})
	if !bytes.Equal(r.Key, at.Key) || (r.Key == nil) != (at.Key == nil) || !bytes.Equal(r.Value, at.Value) || (r.Value == nil) != (at.Value == nil) || headers["trace"] != "t" {
		w.t.Errorf("the dead letter is not what was received: key %q value %q headers %v", r.Key, r.Value, headers)
	}
	return headers
}

// Every kind of bad input has its outcome, and the processor goes on.
func TestBadInput(t *testing.T) {
	w := newTown(t)
	registered := w.send(topics.CustomerCommands, []byte("c-1"), w.encode(topics.CustomerCommands, saskia))
	if r := w.reply("r1", registered); r.Outcome != outcomeAccepted || r.Version != 1 || r.Key != "c-1" || r.Aggregate != "customer" {
		t.Fatalf("registration: %+v", r)
	}
	good := func(id string, expected int64) []byte {
		return w.encode(topics.CustomerCommands, &schemas.ChangeEmail{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: id, ExpectedVersion: expected}, Email: id + "@example.org"})
	}
	cut := func(b []byte) []byte { return b[:len(b)-3] }
	with := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }
	move := func(id string, a schemas.Address) []byte {
		return w.encode(topics.CustomerCommands, &schemas.RequestAddressChange{CustomerID: "c-1", Meta: meta(id), Address: a, Reason: schemas.ReasonMoved})
	}
	bad8 := bytes.Replace(good("utf8", 0), []byte("utf8@example.org"), []byte("utf8\xff\xfeexample.org"), 1)
	key := []byte("c-1")
	away := (topics.Partition("c-1", townPartitions) + 1) % townPartitions

	dead := map[string]struct {
		sent   *kgo.Record
		reason string
	}{
		"garbage":                    {w.send(topics.CustomerCommands, key, []byte("garbage")), deadMalformed},
		"nothing in it":              {w.send(topics.CustomerCommands, key, []byte{}), deadMalformed},
		"wrong magic":                {w.send(topics.CustomerCommands, key, with(good("a1", 0), 0, 1)), deadMalformed},
		"an unknown schema":          {w.send(topics.CustomerCommands, key, with(good("a2", 0), 1, 0x7f)), deadMalformed},
		"cut off":                    {w.send(topics.CustomerCommands, key, cut(good("a3", 0))), deadMalformed},
		"bytes behind it":            {w.send(topics.CustomerCommands, key, append(good("a4", 0), 1)), deadMalformed},
		"invalid UTF-8":              {w.send(topics.CustomerCommands, key, bad8), deadMalformed},
		"no key":                     {w.send(topics.CustomerCommands, nil, good("a5", 0)), eos.ReasonNilKey},
		"no value":                   {w.send(topics.CustomerCommands, key, nil), eos.ReasonNilValue},
		"an empty key":               {w.send(topics.CustomerCommands, []byte{}, good("a6", 0)), eos.ReasonBadKey},
		"a key of bytes":             {w.send(topics.CustomerCommands, []byte("c \xff"), good("a7", 0)), eos.ReasonBadKey},
		"a long key":                 {w.send(topics.CustomerCommands, bytes.Repeat([]byte("c"), 65), good("a8", 0)), eos.ReasonBadKey},
		"a derived key":              {w.send(topics.CustomerCommands, []byte("c-1/2"), good("a9", 0)), eos.ReasonBadKey},
		"another key than its id":    {w.send(topics.CustomerCommands, []byte("c-2"), good("a10", 0)), "key_mismatch"},
		"another service's command":  {w.send(topics.CustomerCommands, key, w.encode(topics.BillingCommands, &schemas.PayInvoice{CustomerID: "c-1", Meta: meta("a11"), InvoiceID: "i"})), deadUnknownType},
		"no command id":              {w.send(topics.CustomerCommands, key, good("", 0)), deadInvalid},
		"a fact without a country":   {w.send(topics.CRMChanges, key, w.encode(topics.CRMChanges, &schemas.AddressChanged{CustomerID: "c-1", Source: "crm", FactID: "f", OccurredAt: 1})), deadInvalid},
		"a fact that is garbage":     {w.send(topics.CRMChanges, key, []byte("\x00garbage")), deadMalformed},
		"a mail reply that is not":   {w.send(topics.MailReplies, key, []byte{0, 0}), deadMalformed},
		"a mail reply without value": {w.send(topics.MailReplies, key, nil), eos.ReasonNilValue},
	}
	for name, d := range dead {
		if h := w.letter(d.sent); h[eos.HeaderReason] != d.reason || h[eos.HeaderTopic] != d.sent.Topic || strings.Contains(h[eos.HeaderDetail], "example.org") {
			t.Errorf("%s: %v, want reason %q", name, h, d.reason)
		}
	}

	refused := map[string]struct {
		id   string
		sent *kgo.Record
		code string
	}{
		"an unknown country":         {"b1", w.send(topics.CustomerCommands, key, move("b1", schemas.Address{Country: "XX", City: "Gouda", Street: "x"})), "unknown_country"},
		"half an address":            {"b2", w.send(topics.CustomerCommands, key, move("b2", schemas.Address{Country: "NL", City: "Gouda"})), "incomplete_address"},
		"an over-long line":          {"b3", w.send(topics.CustomerCommands, key, move("b3", schemas.Address{Country: "NL", City: strings.Repeat("G", 201), PostCode: "2801 JG", Street: "x"})), "too_long"},
		"a book for an address":      {"b4", w.send(topics.CustomerCommands, key, move("b4", schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: strings.Repeat("x\n", 20000)})), "too_long"},
		"a version from the future":  {"b5", w.send(topics.CustomerCommands, key, good("b5", 99)), "version_conflict"},
		"a used id, another payload": {"r1", w.send(topics.CustomerCommands, key, good("r1", 0)), codeIDReused},
		"a customer nobody knows":    {"b6", w.send(topics.CustomerCommands, []byte("c-9"), w.encode(topics.CustomerCommands, &schemas.CloseCustomer{CustomerID: "c-9", Meta: meta("b6")})), "not_registered"},
	}
	for name, d := range refused {
		r := w.reply(d.id, d.sent)
		if r.Outcome != outcomeRefused || r.Refusal != d.code || r.Message == "" || r.Repeat {
			t.Errorf("%s: %+v, want code %q", name, r, d.code)
		}
	}
	if r := w.reply("b5", nil); r.Version != 1 {
		t.Errorf("a conflict does not carry the current version: %+v", r)
	}

	// A readable command in the wrong partition is sent on and answered; found in a wrong one again it is a dead letter.
	w.sendTo(topics.CustomerCommands, away, key, good("m1", 0))
	if r := w.reply("m1", nil); r.Outcome != outcomeAccepted || r.Partition != topics.Partition("c-1", townPartitions) || r.Version != 2 {
		t.Errorf("moved: %+v", r)
	}
	again := &kgo.Record{
		Topic: topics.CustomerCommands.Name, Partition: away, Key: key, Value: good("m2", 0),
		Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t")}, {Key: eos.HeaderMovedFrom, Value: []byte("x/1/2")}},
	}
	if err := w.client.ProduceSync(t.Context(), again).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if h := w.letter(again); h[eos.HeaderReason] != eos.ReasonWrongPartition {
		t.Errorf("moved twice: %v", h)
	}

	// What the broker itself does not take.
	noise := make([]byte, 2*topics.RecordBytes+1) // which no compression makes smaller
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	tooLarge := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: key, Value: noise}
	if err := w.client.ProduceSync(t.Context(), tooLarge).FirstErr(); err == nil {
		t.Error("the broker takes more than max.message.bytes")
	}
	// A record that it takes because it compresses well is too large for the dead letters, too: these say where it is.
	huge := &kgo.Record{Topic: topics.CustomerCommands.Name, Partition: topics.Partition("c-1", townPartitions), Key: key, Value: make([]byte, topics.BatchBytes+1)}
	if err := w.client.ProduceSync(t.Context(), huge).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.until("dead letter of the huge record", func(r *kgo.Record) bool {
		h := map[string]string{}
		for _, header := range r.Headers {
			h[header.Key] = string(header.Value)
		}
		return r.Topic == huge.Topic+".dlq" && r.Value == nil && r.Key == nil && h[eos.HeaderReason] == eos.ReasonTooLarge &&
			h[eos.HeaderOffset] == strconv.FormatInt(huge.Offset, 10) && strings.Contains(h[eos.HeaderDetail], "SHA-256")
	})

	// And it goes on: the same command again is the same answer, a new one is a new one.
	repeat := w.send(topics.CustomerCommands, key, w.encode(topics.CustomerCommands, saskia))
	if r := w.reply("r1", repeat); !r.Repeat || r.Outcome != outcomeAccepted || r.Version != 1 {
		t.Errorf("repeat: %+v", r)
	}
	last := w.send(topics.CustomerCommands, key, good("z1", 2))
	if r := w.reply("z1", last); r.Outcome != outcomeAccepted || r.Version != 3 {
		t.Errorf("after all that: %+v", r)
	}
}

// The state that a view sees follows commands and facts, and ends in a tombstone.
func TestTheLifeOfACustomerOnABroker(t *testing.T) {
	w := newTown(t)
	send := func(c schemas.Command) {
		w.send(topics.CustomerCommands, []byte("c-1"), w.encode(topics.CustomerCommands, c))
	}
	send(saskia)
	send(request("x1"))
	send(&schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta("y1"), ChangeID: "x1"})
	if r := w.reply("y1", nil); r.Version != 3 {
		t.Fatalf("confirmed: %+v", r)
	}
	w.send(topics.CRMChanges, []byte("c-1"), w.encode(topics.CRMChanges, fact("f1", time.Now().Add(time.Hour), wrong)))
	var versions []int64
	w.until("the fact's state", func(r *kgo.Record) bool {
		if r.Topic != topics.CustomerState.Name {
			return false
		}
		rec, err := w.codecs[r.Topic].Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := rec.(*schemas.CustomerState)
		if !ok {
			t.Fatalf("a %T among the states", rec)
		}
		versions = append(versions, s.Version)
		return s.Address.FactID == "f1" && !s.Address.Verified && s.Address.Address == wrong
	})
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, versions); diff != "" {
		t.Errorf("versions of the public state (-want +got):\n%s", diff)
	}
	send(&schemas.EraseCustomer{CustomerID: "c-1", Meta: meta("e1")})
	w.until("the tombstone", func(r *kgo.Record) bool {
		return r.Topic == topics.CustomerState.Name && string(r.Key) == "c-1" && r.Value == nil
	})
	report, err := RebuildCustomer(t.Context(), RebuildOptions{Client: w.opts, IDs: schemas.NewMemoryIDs()})
	if err != nil || len(report.Findings) != 0 || report.Events != 5 {
		t.Errorf("the live rows are not what the events say: %+v, %v", report, err)
	}
}
