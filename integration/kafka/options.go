package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options say what kind of cluster is started. The zero value is one node with transactions as Kafka 4 makes them.
type Options struct {
	// Nodes is 1 or 3 (0: 1). Each is broker and controller.
	Nodes int
	// Transactions is the protocol version of transactions: 1 as before Kafka 4, or 2, which bumps the producer's epoch
	// at every commit (0: 2).
	Transactions int
	// Heap is each node's -Xmx (empty: 512m).
	Heap string
	// Warm lets the JVM compile all it can, for measurements. Otherwise only its first compiler works, and a node starts with
	// half of the CPU time.
	Warm bool
	// Secure makes clients use TLS and SASL/SCRAM, and gives nobody but Admin a right that was not granted.
	Secure bool
	// Properties are server properties beside or instead of those that Start sets. "node.id" and ports are not to be set.
	Properties map[string]string
	// Advertise returns the address that a node tells others for a listener; it is called once for each before the node
	// starts, with the address that it listens on. Tests put a proxy between. Nil: the address itself.
	Advertise func(listener Listener, node int, address string) (string, error)
}

// Listener is one of a node's doors.
type Listener string

// The doors that are advertised. Controllers are reached without.
const (
	Clients Listener = "CLIENTS" // for everybody else
	Brokers Listener = "BROKERS" // for other nodes: replication, transaction markers
)

const controllers = "CONTROLLERS"

func (o Options) nodes() int { return max(o.Nodes, 1) }

// properties are those that all nodes have in common.
func (o Options) properties(controllerPorts []int) map[string]string {
	voters := make([]string, 0, len(controllerPorts))
	for i, port := range controllerPorts {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, loopback(port)))
	}
	replicas := fmt.Sprint(min(3, o.nodes()))
	inSync := fmt.Sprint(min(2, o.nodes()))
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      controllers,
		"inter.broker.listener.name":     string(Brokers),
		"listener.security.protocol.map": "CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT",

		"offsets.topic.num.partitions":                     "4",
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.num.partitions":             "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"auto.create.topics.enable":                        "false",
		"group.initial.rebalance.delay.ms":                 "0",
		"group.min.session.timeout.ms":                     "1000",
		// What ARCHITECTURE.md asks of a cluster: without it a transaction that follows another closely waits 20 ms.
		"add.partitions.to.txn.retry.backoff.ms": "1",
		// The default of 10 s lets an instance that was killed for good stall readers for 20.
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
		// The cleaner takes 128 MB of the heap otherwise.
		"log.cleaner.dedupe.buffer.size": "8388608",
	}
	maps.Copy(p, o.Properties)
	return p
}

func (o Options) check() error {
	switch {
	case o.Nodes != 0 && o.Nodes != 1 && o.Nodes != 3:
		return fmt.Errorf("kafka: %d nodes; want 1 or 3", o.Nodes)
	case o.Transactions < 0 || o.Transactions > 2:
		return fmt.Errorf("kafka: version %d of transactions; want 1 or 2", o.Transactions)
	default:
		return nil
	}
}

// propertiesFile is the text of a Java properties file.
func propertiesFile(p map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", name, strings.ReplaceAll(p[name], `\`, `\\`))
	}
	return b.String()
}
