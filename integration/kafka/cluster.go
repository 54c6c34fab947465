package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startWithin is how long a cluster may take from its start to its first answer, on a machine that has other things to do.
const startWithin = 3 * time.Minute

// errPort is a port that somebody took between our look and the node's.
var errPort = errors.New("a port was taken")

// Cluster is a running Kafka cluster. Its nodes are numbered from 1. Methods of different nodes may be called at the same
// time.
type Cluster struct {
	options Options
	dir     string
	parts   string
	id      string
	nodes   []*node
	seeds   []string

	authority *authority // of a secured cluster
}

// Run starts a cluster that keeps its data and logs in dir, and returns when it takes requests. Close ends it; so does the
// end of this process.
func Run(ctx context.Context, dir string, options Options) (*Cluster, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	parts, err := parts(ctx)
	if err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		c := &Cluster{options: options, dir: filepath.Join(dir, fmt.Sprintf("try-%d", tries)), parts: parts, id: clusterID()}
		err := c.start(ctx)
		if err == nil {
			return c, nil
		}
		c.Close()
		if !errors.Is(err, errPort) || tries == 5 {
			return nil, err
		}
	}
}

func clusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // a leading '-' would be an option
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *Cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	n := c.options.nodes()
	ports, err := freePorts(3 * n)
	if err != nil {
		return err
	}
	if c.options.Secure {
		if c.authority, err = newAuthority(c.dir); err != nil {
			return err
		}
	}
	common := c.options.properties(ports[2*n:])
	for i := range n {
		one := &node{
			id: i + 1, dir: filepath.Join(c.dir, fmt.Sprintf("node-%d", i+1)), parts: c.parts, heap: c.options.Heap, warm: c.options.Warm,
			clients: loopback(ports[i]), brokers: loopback(ports[n+i]), controllers: loopback(ports[2*n+i]),
		}
		if err := one.prepare(common, c.options, c.authority); err != nil {
			return err
		}
		c.nodes = append(c.nodes, one)
		c.seeds = append(c.seeds, one.advertised)
	}
	formatted := make(chan error, n)
	for _, one := range c.nodes {
		go func() { formatted <- one.format(ctx, c.id, c.options.Transactions, c.authority) }()
	}
	for range c.nodes {
		err = errors.Join(err, <-formatted)
	}
	if err != nil {
		return err
	}
	for _, one := range c.nodes {
		if err := one.start(); err != nil {
			return err
		}
	}
	return c.Ready(ctx)
}

// Addrs are the addresses that clients are given, one of each node.
func (c *Cluster) Addrs() []string { return c.seeds }

// Brokers is the same as the value of --brokers.
func (c *Cluster) Brokers() string { return strings.Join(c.seeds, ",") }

// Dir holds a folder of each node: its log, its properties and its data.
func (c *Cluster) Dir() string { return c.dir }

// Log is the path of a node's log.
func (c *Cluster) Log(node int) string { return c.nodes[node-1].log() }

// Kill ends a node with SIGKILL and returns when it is gone.
func (c *Cluster) Kill(node int) { c.nodes[node-1].process().kill() }

// Stop ends a node in order: it hands its leaderships over first.
func (c *Cluster) Stop(node int) error {
	if err := c.nodes[node-1].process().stop(); err != nil {
		return fmt.Errorf("node %d: %w", node, err)
	}
	return nil
}

// Pause lets a node stand still (SIGSTOP); its connections stay open.
func (c *Cluster) Pause(node int) error { return c.nodes[node-1].process().signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (c *Cluster) Resume(node int) error { return c.nodes[node-1].process().signal(syscall.SIGCONT) }

// Start starts a node again that was killed or stopped, with the same data and ports. It does not wait; see Ready.
func (c *Cluster) Start(node int) error {
	one := c.nodes[node-1]
	if _, over := one.process().ended(); !over {
		return fmt.Errorf("node %d runs", node)
	}
	return one.start()
}

// Ready returns when every node that was started has joined and takes requests, and every partition has a leader and all
// its replicas in sync.
func (c *Cluster) Ready(ctx context.Context) error {
	var login []kgo.Opt
	if c.authority != nil {
		var err error
		if login, err = c.As(Admin, c.authority.password); err != nil {
			return err
		}
	}
	client, err := kgo.NewClient(append(login, kgo.SeedBrokers(c.seeds...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryTimeout(2*time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := c.look(ctx, admin)
		if last == nil {
			return nil
		}
		for _, one := range c.nodes {
			if err := one.failed(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kafka: %w; at last: %w", ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// look returns nil if the cluster is whole.
func (c *Cluster) look(ctx context.Context, admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	m, err := admin.Metadata(ctx)
	if err != nil {
		return err
	}
	running := 0
	for _, one := range c.nodes {
		if _, over := one.process().ended(); !over {
			running++
		}
	}
	if len(m.Brokers) != running || m.Controller < 0 {
		return fmt.Errorf("%d of %d nodes have joined", len(m.Brokers), running)
	}
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			if p.Err != nil || p.Leader < 0 || running == len(c.nodes) && len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d has leader %d, %d of %d replicas in sync: %w", topic.Topic, p.Partition, p.Leader, len(p.ISR), len(p.Replicas), p.Err)
			}
		}
	}
	return nil
}

// Close kills what still runs. Nobody needs what it would write at an orderly end.
func (c *Cluster) Close() {
	for _, one := range c.nodes {
		if p := one.process(); p != nil {
			p.kill()
		}
	}
}

// KeepLogs copies the logs of all nodes to dir.
func (c *Cluster) KeepLogs(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	var all error
	for _, one := range c.nodes {
		all = errors.Join(all, copyFile(one.log(), filepath.Join(dir, fmt.Sprintf("kafka-%d.log", one.id))))
	}
	return all
}
