package flow

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.uber.org/goleak"

	"utopia/cmd/internal/acl"
	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The rights of the gateway are enough to measure every topic, and without them no more than that is lacking.
func TestTheGatewaysRightsAreEnough(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User("PLAIN", "gateway", "secret"))
	t.Cleanup(c.Close)
	as := func(user string) *kgo.Client {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.SASL(plain.Auth{User: user, Pass: "secret"}.AsMechanism()), kgo.DefaultProduceTopic(topics.CustomerCommands.Name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	root := as("root")
	var names []string
	for _, topic := range topics.All() {
		names = append(names, topic.Name)
	}
	if _, err := kadm.NewClient(root).CreateTopics(t.Context(), 2, 1, nil, names...); err != nil {
		t.Fatal(err)
	}
	if err := root.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}, &kgo.Record{Value: []byte("y")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if s, err := New(Config{Logger: discard, Now: time.Now}).ask(t.Context(), kadm.NewClient(as("gateway"))); err == nil && len(s.topics) > 0 {
		t.Errorf("without rights: %v", s.topics)
	}
	if err := acl.Grant(t.Context(), root, acl.DefaultPrincipal(topics.Gateway), acl.Of(topics.Gateway)); err != nil {
		t.Fatal(err)
	}
	m := New(Config{Logger: discard, Now: time.Now, Copies: map[string]func() map[int32]int64{
		topics.CustomerCommands.Name: func() map[int32]int64 { return map[int32]int64{0: 0, 1: 0} },
		topics.CustomerState.Name:    func() map[int32]int64 { return nil }, // it does not read yet
	}})
	s, err := m.ask(t.Context(), kadm.NewClient(as("gateway"))) // the other one remembers for seconds what it was refused
	if err != nil || len(s.topics) != len(names) {
		t.Fatalf("%d of %d topics: %v", len(s.topics), len(names), err)
	}
	for _, group := range topics.Groups() {
		if s.lag[group] == nil {
			t.Errorf("nothing is known of the group %s", group)
		}
	}
	if n := s.lag[topics.Customer][topics.CustomerCommands.Name]; n != 2 {
		t.Errorf("the customer service, which has handled nothing, is %d behind", n)
	}
	if _, known := s.behind[topics.CustomerState.Name]; known || s.behind[topics.CustomerCommands.Name] != 2 {
		t.Errorf("copies are behind by %v", s.behind)
	}
	if got, want := s.topics[topics.CustomerCommands.Name], (catalogue.Count{Partitions: 2, End: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A meter whose cluster never was there knows nothing, and stops when it is told to.
func TestNothingIsKnownWithoutACluster(t *testing.T) {
	m := New(Config{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Logger: discard, Now: time.Now})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := m.Run(ctx); err != nil {
		t.Error(err)
	}
	if c, _, ok := m.Count(topics.CustomerCommands.Name); ok {
		t.Errorf("%+v", c)
	}
}
