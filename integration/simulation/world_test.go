//go:build synctests

package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/traffic"
	"utopia/schemas"
	"utopia/topics"
)

// world is the cluster of one run, and everything that talks to it.
type world struct {
	tb         testing.TB
	seed       uint64
	mistake    string // that is made on purpose, empty for none
	partitions int32
	network    *kfake.VirtualNetwork
	cluster    *kfake.Cluster
	registry   *registry
	ids        *schemas.Registry // of the tests themselves
	client     *kgo.Client       // plain, on a network without faults
	adm        *kadm.Client
	traffic    *traffic.Traffic
	senders    turn // held by who uses the traffic
	places     map[string]*place
	faults     sync.WaitGroup // under way
	zombies    sync.WaitGroup // processes that were killed and do not know it yet
	witness    witness
	dark       atomic.Bool // it is night
	cleaned    atomic.Bool // topics have been compacted

	log ring

	mu   sync.Mutex
	over bool // no fault may begin any more
	hits map[string]int
}

// ring keeps the last lines written to it, and looks for what must not be in any.
type ring struct {
	mu     sync.Mutex
	echo   bool
	bytes  int
	leaked string
	lines  []string
}

// Write implements io.Writer.
func (r *ring) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := string(b)
	r.bytes += len(b)
	if r.leaked == "" && strings.Contains(line, traffic.Canary) {
		r.leaked = line
	}
	if r.echo {
		_, _ = os.Stderr.WriteString(line)
	}
	if r.lines = append(r.lines, line); len(r.lines) > 300 {
		r.lines = r.lines[100:]
	}
	return len(b), nil
}

func (r *ring) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "")
}

// newWorld starts a cluster with every topic of the system. How many brokers and partitions there are depends on the seed.
func newWorld(tb testing.TB, seed uint64, mistake string) *world {
	tb.Helper()
	w := &world{
		tb: tb, seed: seed, mistake: mistake, partitions: int32(1 + seed%4), network: new(kfake.VirtualNetwork), //nolint:gosec // Small.
		senders: newTurn(), registry: newRegistry(), hits: make(map[string]int), places: make(map[string]*place),
	}
	w.log.echo = *verbose
	brokers := []int{1, 1, 3}[seed%3]
	ports := []int{9092, 9093, 9094}[:brokers]
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(brokers), kfake.ListenFn(w.network.Listen), kfake.Ports(ports...),
		kfake.BrokerConfigs(map[string]string{
			"group.initial.rebalance.delay.ms": "0",
			"log.cleaner.backoff.ms":           "8640000000", // topics are compacted when a fault says so
		}))
	if err != nil {
		tb.Fatal(err)
	}
	for _, topic := range topics.All() {
		config := topic.Config()
		delete(config, "min.insync.replicas")
		if topic.Cleanup == topics.Delete {
			config["retention.ms"] = "-1" // the checker wants to see all
		}
		if err := w.cluster.CreateTopic(topic.Name, w.partitions, config); err != nil {
			tb.Fatal(err)
		}
	}
	if w.ids, err = newRegistry().ids(); err != nil { // one that is never away
		tb.Fatal(err)
	}
	if w.client, err = kgo.NewClient(append(w.clientOptions(), kgo.RecordPartitioner(traffic.Place()), kgo.ProducerLinger(0))...); err != nil {
		tb.Fatal(err)
	}
	w.adm = kadm.NewClient(w.client)
	if w.traffic, err = traffic.New(w.client, w.ids, rand.New(rand.NewPCG(seed, 1))); err != nil {
		tb.Fatal(err)
	}
	w.traffic.Among(30)
	w.witness.w, w.witness.turn = w, newTurn()
	return w
}

func (w *world) clientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(tries int) time.Duration { return min(5*time.Millisecond<<min(tries, 10), time.Second) }),
	}
}

// close ends everything: in virtual time nothing may outlive the test.
func (w *world) close() {
	for _, p := range w.places {
		p.end()
	}
	w.zombies.Wait()
	w.client.Close()
	w.cluster.Close()
}

func (w *world) hit(what string) { w.hitN(what, 1) }

func (w *world) hitN(what string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 {
		w.hits[what] += n
	}
}

func (w *world) met(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits[what]
}

func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

func (w *world) logger(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(&w.log, nil)).With(slog.String("at", name))
}

// sabotage says which mistakes are made, and counts.
func (w *world) sabotage(mistake string) bool {
	if mistake != w.mistake {
		return false
	}
	w.hit("mistakes made")
	return true
}

// load sends traffic until ctx ends, in bursts of at most so many commands.
func (w *world) load(ctx context.Context, rng *rand.Rand, burst int) {
	w.senders.Lock()
	err := w.traffic.Register(ctx)
	w.senders.Unlock()
	for err == nil && ctx.Err() == nil {
		w.senders.Lock()
		for range 1 + rng.IntN(burst) {
			if err = w.traffic.One(ctx); err != nil {
				break
			}
		}
		w.senders.Unlock()
		time.Sleep(time.Duration(rng.IntN(1200)) * time.Millisecond)
	}
	if err != nil && ctx.Err() == nil {
		w.tb.Errorf("the traffic cannot be sent: %v", err)
	}
}

// until polls ok for a while of virtual time.
func (w *world) until(what string, within time.Duration, ok func() bool) bool {
	w.tb.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			w.tb.Errorf("%s: not within %v", what, within)
			return false
		}
		time.Sleep(250 * time.Millisecond)
	}
	return true
}

// lag is how many records the groups have not handled yet, per group. It is an error while it cannot be known.
func (w *world) lag() (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(w.tb.Context(), 20*time.Second)
	defer cancel()
	groups := []string{topics.Customer, topics.Billing, topics.Mail, topics.Notification, mailerGroup} // those that run here
	lags, err := w.adm.Lag(ctx, groups...)
	if err == nil {
		err = lags.Error()
	}
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64)
	for _, g := range groups {
		if len(lags[g].Lag) == 0 {
			return nil, fmt.Errorf("group %s has no lag: %s", g, lags[g].State)
		}
		out[g] = lags[g].Lag.Total()
	}
	return out, nil
}

func (w *world) http() *http.Client { return &http.Client{Transport: w.registry} }
