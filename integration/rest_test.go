package integration_test

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"golang.org/x/sync/errgroup"

	"utopia/integration/check/audit"
	"utopia/integration/traffic"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

var (
	seed    = flag.Uint64("seed", 1, "seed of the traffic")
	verbose = flag.Bool("log", false, "write what the engines log")
)

// TestTheWholeSystemContradictsItselfNowhere runs the four services on one broker, sends them every kind of record, and
// lets the independent checker look at what they wrote. Nobody is killed here: that is integration/kill.
func TestTheWholeSystemContradictsItselfNowhere(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cluster := newCluster(t)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	ids, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{registry.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.Register(ctx); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerLinger(0), kgo.RecordPartitioner(traffic.Place()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	stop := startServices(ctx, t, cluster, ids)

	sender, err := traffic.New(client, ids, rand.New(rand.NewPCG(*seed, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Register(ctx); err != nil {
		t.Fatal(err)
	}
	for range 1500 {
		if err := sender.One(ctx); err != nil {
			t.Fatal(err)
		}
	}
	settle(ctx, t, kadm.NewClient(client))
	stop()

	report, err := audit.Run(ctx, audit.Config{
		Brokers: cluster.ListenAddrs(), Schemas: "../schemas", Registry: registry.URL(), Canaries: []string{traffic.Canary},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("counted: %v", report.Counted)
	for _, v := range report.Violations[:min(20, len(report.Violations))] {
		t.Errorf("%+v", v)
	}
	for _, what := range []string{"commands", "accepted", "refused", "duplicates", "dead letters", "moved", "mails asked for", "agreements"} {
		if report.Counted[what] == 0 {
			t.Errorf("the checker saw no %s: the test looked at less than it should", what)
		}
	}
}

// newCluster is a broker with every topic of the system.
func newCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for _, topic := range topics.All() {
		config := topic.Config()
		delete(config, "min.insync.replicas") // one broker
		if err := cluster.CreateTopic(topic.Name, 4, config); err != nil {
			t.Fatal(err)
		}
	}
	return cluster
}

// startServices runs the services until stop is called, which waits until they have left in order.
func startServices(ctx context.Context, t *testing.T, cluster *kfake.Cluster, ids schemas.IDs) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	ctx, cancel := context.WithCancel(ctx)
	var running errgroup.Group
	for name, make := range map[string]func(processors.Options) (*eos.Processor, error){
		topics.Customer: processors.NewCustomer, topics.Billing: processors.NewBilling,
		topics.Mail: processors.NewMail, topics.Notification: processors.NewNotification,
		topics.Webhook: processors.NewWebhook,
	} {
		p, err := make(processors.Options{IDs: ids, Engine: eos.Config{
			Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Dir: t.TempDir(), Dev: true,
			Logger: log.With(slog.String("service", name)),
		}})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() error { return p.Run(ctx) })
	}
	stop = func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Errorf("a service ended with: %v", err)
		}
	}
	t.Cleanup(cancel)
	return stop
}

// settle waits until nobody has anything to do, looking several times: one record may cause another.
func settle(ctx context.Context, t *testing.T, admin *kadm.Client) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for quiet := 0; quiet < 10; {
		quiet++
		lags, err := admin.Lag(ctx, topics.Services()...)
		if err == nil {
			err = lags.Error()
		}
		for _, group := range topics.Services() {
			if l := lags[group]; err != nil || len(l.Lag) == 0 || l.Lag.Total() > 0 {
				quiet = 0
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the system did not come to rest: %v, %v", lags, err)
		case <-tick.C:
		}
	}
}
