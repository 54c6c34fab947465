package demo

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/system/systemtest"
	"utopia/schemas"
	"utopia/topics"
)

func TestALivingSystemKeepsItsPromise(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := systemtest.Start(t)
	var out bytes.Buffer
	const seed = 11
	t.Logf("seed %d", seed)
	r, err := Run(ctx, Config{
		Client: s.Client, IDs: s.IDs, Customers: s.Customers, Billing: s.Billing, Notifications: s.Notifications,
		Confirm: func(string, string) (string, time.Time, bool) { return "", time.Time{}, false },
		Seed:    seed, RunID: "test", People: 200, Steps: 1000, Out: &out,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatalf("%+v\n%s", r, out.String())
	}
	for what, n := range map[string]int{
		"accepted": r.Accepted, "refused": r.Refused, "repeats": r.Repeats, "dead letters": r.DeadLetters,
		"moved": r.Moved, "facts": r.Facts, "mails": r.Mails, "customers": r.Customers,
	} {
		if n == 0 {
			t.Errorf("no %s: the run tested nothing of the kind", what)
		}
	}
}

func TestWhatTheVerificationMustNotLetPass(t *testing.T) {
	ids := schemas.NewMemoryIDs()
	cfg := Config{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, IDs: ids}
	command := record(t, ids, topics.CustomerCommands, &schemas.CloseCustomer{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: "a"}})
	reply := func(id string, repeat bool) *kgo.Record {
		return record(t, ids, topics.CustomerReplies, &schemas.CustomerReply{ReplyFields: schemas.ReplyFields{
			CommandID: id, Outcome: schemas.OutcomeAccepted, Repeat: repeat,
		}})
	}
	dead := &kgo.Record{Topic: topics.CustomerCommands.DLQ().Name}
	garbage := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte("c-1"), Value: []byte("x")}
	for name, c := range map[string]struct {
		records []*kgo.Record
		ok      bool
	}{
		"one outcome":                     {[]*kgo.Record{command, reply("a", false)}, true},
		"one outcome, said twice":         {[]*kgo.Record{command, command, reply("a", false), reply("a", true)}, true},
		"no outcome":                      {[]*kgo.Record{command}, false},
		"two outcomes":                    {[]*kgo.Record{command, reply("a", false), reply("a", false)}, false},
		"an outcome without a command":    {[]*kgo.Record{command, reply("a", false), reply("b", false)}, false},
		"garbage with a dead letter":      {[]*kgo.Record{command, reply("a", false), garbage, dead}, true},
		"garbage that vanished":           {[]*kgo.Record{command, reply("a", false), garbage}, false},
		"a dead letter too many":          {[]*kgo.Record{command, reply("a", false), dead}, false},
		"a repeat without a first answer": {[]*kgo.Record{command, reply("a", true)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := newTracker(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			for _, r := range c.records {
				tr.note(r)
			}
			if r := tr.tally(nil); r.OK() != c.ok {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func record(t *testing.T, ids schemas.IDs, topic topics.Topic, rec schemas.Record) *kgo.Record {
	t.Helper()
	codec, err := schemas.NewCodec(topic.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.Append(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topic.Name, Key: []byte("c-1"), Value: value}
}
