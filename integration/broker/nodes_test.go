//go:build broker

package broker

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/integration/traffic"
	"utopia/processors/kafkaclient"
	"utopia/topics"
)

// Three nodes, one of which hears late from the others, so that transaction markers are written to it well after the commit
// was answered. Under load each node is restarted in order, one is killed, and binaries are killed and recover; leaders
// move all the time.
func TestThreeNodes(t *testing.T) {
	s := live.Seed(t, *seed)
	proxies := map[int]*link{}
	c := kafka.Start(t, kafka.Options{Nodes: 3, Advertise: func(l kafka.Listener, node int, address string) (string, error) {
		if l != kafka.Brokers {
			return address, nil
		}
		proxies[node] = newLink(t, address)
		return proxies[node].address, nil
	}})
	w := live.New(t, binaries, c.Brokers(), registry, sizes(3)...)
	probe := newProbe(t, w)
	proxies[2].towards.slow(400 * time.Millisecond)

	keepers := w.Services()
	stopKillers := w.StartAll(keepers, s)
	t.Cleanup(func() { sayIfFailed(t, keepers) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 80) }()

	random := rand.New(rand.NewPCG(s, 2))
	w.KillUntil(ctx, keepers, random, 3)
	probe.lateMarkers(2)
	w.KillUntil(ctx, keepers, random, 6) // they recover while markers are late
	proxies[2].Heal()
	before := probe.leaderEpochs()
	for node := 1; node <= 3; node++ {
		if node == 2 {
			c.Kill(node)
		} else if err := c.Stop(node); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(node); err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if moved := probe.leaderEpochs() - before; moved < 3*topics.EmbeddedPartitions {
		t.Errorf("leaders moved %d times, which tests little", moved)
	} else {
		t.Logf("leaders moved %d times", moved)
	}
	stopSending()
	if err := <-sent; err != nil {
		t.Fatalf("the traffic: %v", err)
	}
	stopKillers(func() { w.Settle(4*time.Minute, live.Groups()...) })
	verdict(t, w, keepers, sender, true)
	t.Log(w.Command("customer", "rebuild", "--check"))
	if !t.Failed() {
		t.Run("an unclean election stops a partition", func(t *testing.T) { uncleanElection(t, c, w.With(t)) })
	}
}

// probe looks at the cluster beside the system.
type probe struct{ w *live.World }

const probeTopic = "probe"

func newProbe(t *testing.T, w *live.World) probe {
	t.Helper()
	if _, err := w.Admin.CreateTopic(t.Context(), 3, 3, nil, probeTopic); err != nil {
		t.Fatal(err)
	}
	return probe{w}
}

// lateMarkers shows that a commit is answered before the marker is in a partition that the given node leads: what is
// committed is not yet stable. A reader that stopped at the last stable offset would miss it.
func (p probe) lateMarkers(node int32) {
	t := p.w.T
	t.Helper()
	client, err := kgo.NewClient(append(p.w.Options(), kgo.TransactionalID("probe"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 20 {
		found, err := p.w.Admin.ListTopics(t.Context(), probeTopic)
		if err != nil {
			t.Fatal(err)
		}
		for _, partition := range found[probeTopic].Partitions {
			if partition.Leader != node {
				continue
			}
			if late := p.commit(client, partition.Partition); late > 0 {
				t.Logf("a commit was answered with %d records of %s/%d not yet stable", late, probeTopic, partition.Partition)
				return
			}
		}
	}
	t.Error("no marker was later than the answer to its commit: the run does not test what it should")
}

// commit writes a record and returns how far the last stable offset is behind the end right after the commit.
func (p probe) commit(client *kgo.Client, partition int32) int64 {
	t := p.w.T
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: probeTopic, Partition: partition, Value: []byte("x")}
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := kafkaclient.EndTransaction(t.Context(), client, kgo.TryCommit, r); err != nil {
		t.Fatal(err)
	}
	stable, err := p.w.Admin.ListCommittedOffsets(t.Context(), probeTopic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := p.w.Admin.ListEndOffsets(t.Context(), probeTopic)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := stable.Lookup(probeTopic, partition)
	e, _ := ends.Lookup(probeTopic, partition)
	return e.Offset - s.Offset
}

// leaderEpochs adds up how often the leaders of the customer service's inputs were chosen.
func (p probe) leaderEpochs() int {
	t := p.w.T
	t.Helper()
	found, err := p.w.Admin.ListTopics(t.Context(), topics.CustomerCommands.Name, topics.CustomerTable.Name, topics.CustomerEvents.Name)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, topic := range found {
		for _, partition := range topic.Partitions {
			n += int(partition.LeaderEpoch)
		}
	}
	return n
}
