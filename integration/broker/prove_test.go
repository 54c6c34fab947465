//go:build broker

package broker

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"utopia/integration/kafka"
	"utopia/integration/live"
)

var (
	proving   = flag.Bool("prove", false, "run TestProve")
	minutes   = flag.Float64("minutes", 5, "how long TestProve lets everything happen, at least")
	instances = flag.Int("instances", 8, "instances of the customer service that come and go in TestProve")
	rate      = flag.Int("rate", 100, "records a second in TestProve")
	nodes     = flag.Int("nodes", 3, "nodes of TestProve's cluster: one is never killed nor cut off, three are")
	version   = flag.Int("version", 2, "protocol version of transactions in TestProve: 1 or 2")
)

// All faults of processes, nodes and links at once, for as long as it is told: make prove-broker.
func TestProve(t *testing.T) {
	if !*proving {
		t.Skip("takes long: make prove-broker")
	}
	storm := live.Storm{
		Seed: chosenSeed(t), Kills: *kills, For: time.Duration(*minutes * float64(time.Minute)), Instances: *instances, Rate: *rate,
		Links: map[int]live.Link{},
	}
	options := kafka.Options{Nodes: *nodes, Transactions: *version}
	if *nodes > 1 {
		options.Advertise = func(l kafka.Listener, node int, address string) (string, error) {
			if l != kafka.Clients {
				return address, nil
			}
			between := newLink(t, address)
			storm.Links[node] = between
			return between.address, nil
		}
	}
	c := kafka.Start(t, options)
	if *nodes > 1 {
		storm.Nodes = c
	}
	storm.Run(live.New(t, binaries, c.Brokers(), registry, sizes(*nodes)...), fmt.Sprintf("Kafka, nodes %d, transactions %d", *nodes, *version))
}
