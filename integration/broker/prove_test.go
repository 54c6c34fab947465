//go:build broker

package broker

import (
	"context"
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

// linked is a cluster whose nodes are reached through links.
type linked struct {
	*kafka.Cluster
	links map[int]*link
}

// Kill ends a node with SIGKILL.
func (c *linked) Kill(node int) {
	c.Cluster.Kill(node)
	c.links[node].down()
}

// Stop ends a node in order.
func (c *linked) Stop(node int) error {
	defer c.links[node].down()
	return c.Cluster.Stop(node)
}

// Ready waits for everybody, and for the ways to them.
func (c *linked) Ready(ctx context.Context) error {
	for _, k := range c.links {
		if err := k.up(ctx); err != nil {
			return err
		}
	}
	return c.Cluster.Ready(ctx)
}

// All faults of processes, nodes and links at once, for as long as it is told: make prove-broker.
func TestProve(t *testing.T) {
	if !*proving {
		t.Skip("takes long: make prove-broker")
	}
	storm := live.Storm{
		Seed: live.Seed(t, *seed), Kills: *kills, For: time.Duration(*minutes * float64(time.Minute)), Instances: *instances, Rate: *rate,
		Links: map[int]live.Link{},
	}
	options := kafka.Options{Nodes: *nodes, Transactions: *version}
	links := map[int]*link{}
	if *nodes > 1 {
		options.Advertise = func(l kafka.Listener, node int, address string) (string, error) {
			if l != kafka.Clients {
				return address, nil
			}
			links[node] = newLink(t, address)
			storm.Links[node] = links[node]
			return links[node].address, nil
		}
	}
	c := kafka.Start(t, options)
	if *nodes > 1 {
		storm.Nodes = &linked{c, links}
	}
	storm.Run(live.New(t, binaries, c.Brokers(), registry, sizes(*nodes)...), fmt.Sprintf("Kafka, nodes %d, transactions %d", *nodes, *version))
}
