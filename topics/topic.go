// Package topics is the catalogue of every Kafka topic of the system, as data: what a topic is for, who owns it, who may
// write and read it, how it is keyed, kept and stamped, and which records it carries. It also holds the only rule that
// turns a key into a partition, and the rules for identifiers and names.
//
// It is not a Kafka client: it creates nothing, connects to nothing and imports the standard library only. Schemas are
// named here by string; the package schemas holds them.
package topics

import (
	"slices"
	"strconv"
	"time"
)

// Sizes and counts that every topic shares.
const (
	// Partitions is the partition count of every topic on a cluster. It is chosen once, at creation: a changed count moves
	// keys away from their state.
	Partitions = 24
	// EmbeddedPartitions is the partition count of every topic on the embedded broker.
	EmbeddedPartitions = 4
	// Replication is the replication factor of every topic on a cluster.
	Replication = 3
	// MinInSync is min.insync.replicas of every topic on a cluster: with Replication it survives the loss of one broker
	// without losing or refusing an acknowledged write.
	MinInSync = 2
	// RecordBytes is the largest record (key, value and headers) that a writer may produce to any topic but a dead-letter
	// topic.
	RecordBytes = 1 << 20
	// BatchBytes is what a producer of this system sets as its own batch limit (kgo.ProducerBatchMaxBytes): a dead letter
	// is the largest record plus the headers that say where it came from and why.
	BatchBytes = RecordBytes + 64<<10
)

// Kind says what a topic carries, by the grammar of its name: <aggregate>.<kind>.v<major>.
type Kind string

// The kinds of topic.
const (
	Command     Kind = "commands"  // asks the owner for something; may be refused
	Reply       Kind = "replies"   // the outcome of a command
	Event       Kind = "events"    // the event store: every fact, in order, private
	Change      Kind = "changes"   // public facts, each with what changed
	State       Kind = "state"     // the whole public state of an aggregate with its version
	Positions   Kind = "positions" // how far the owner's own worker is with other topics
	Outbox      Kind = "outbox"    // work for the outside world, taken up by the owner's own worker
	Table       Kind = "table"     // a processor's changelog; Goka names it
	Action      Kind = "actions"   // what people did by hand, and why
	DeadLetters Kind = "dlq"       // input records that no code can handle, as received
)

// Pattern names the messaging pattern of a kind, so that people do not mistake one for another.
func (k Kind) Pattern() string {
	switch k {
	case Command:
		return "command"
	case Reply:
		return "reply"
	case Event:
		return "event sourcing"
	case Change:
		return "event notification"
	case State:
		return "event-carried state transfer"
	case Outbox:
		return "outbox"
	case Positions:
		return "consumer positions"
	case Table:
		return "changelog"
	case Action:
		return "audit"
	case DeadLetters:
		return "dead letter"
	}
	return "unknown"
}

// Audience says for whom a topic is made, and so what a change of its schema costs.
type Audience string

// The audiences.
const (
	// Private is read by its own processor only; its schemas may change with the code.
	Private Audience = "private"
	// Public is a promise to anybody who is authorised to read.
	Public Audience = "public"
	// FromProducers is written by authorised producers outside the owner.
	FromProducers Audience = "producers"
	// ForCallers is read by those who sent a command.
	ForCallers Audience = "callers"
	// ForPeople is read by operators, with the command line or over the API.
	ForPeople Audience = "people"
)

// Cleanup says how long a record is kept.
type Cleanup string

// The cleanup policies.
const (
	Delete  Cleanup = "delete"  // deleted after Retention
	Compact Cleanup = "compact" // the last record of each key is kept
	Keep    Cleanup = "keep"    // kept for ever
)

// Timestamp says whose clock stamps the records.
type Timestamp string

// The timestamp types, spelled as Kafka's message.timestamp.type.
const (
	// LogAppendTime is the broker's clock. Every input topic of a processor has it, because the record's timestamp is
	// the "now" of its decision: a producer's clock must not decide.
	LogAppendTime Timestamp = "LogAppendTime"
	// CreateTime is the writer's clock.
	CreateTime Timestamp = "CreateTime"
)

// Topic describes one topic.
type Topic struct {
	Name      string
	Kind      Kind
	Audience  Audience
	Owner     string        // the service that decides what its records mean
	Writers   []string      // principals that may write
	Readers   []string      // principals that may read
	Key       string        // what the record key is, in words
	Cleanup   Cleanup       // how long records are kept
	Retention time.Duration // with Delete only
	Timestamp Timestamp     // whose clock
	Records   []string      // full names of the record types it carries
	MaxBytes  int           // the largest record (key, value, headers) that may be written
	Doc       string        // one sentence
}

// Private reports whether only the owner may read the topic. Private topics carry Avro single-object encoding, all others
// Confluent framing.
func (t Topic) Private() bool { return t.Audience == Private }

// Input reports whether a processor consumes the topic.
func (t Topic) Input() bool {
	return t.Kind != DeadLetters && t.Kind != Action && t.Timestamp == LogAppendTime
}

// DLQ returns the topic that takes t's dead letters: records that no code can handle, key and value as received.
func (t Topic) DLQ() Topic {
	return Topic{
		Name:      t.Name + ".dlq",
		Kind:      DeadLetters,
		Audience:  ForPeople,
		Owner:     t.Owner,
		Writers:   t.processors(),
		Readers:   []string{Operators, Gateway},
		Key:       "as received",
		Cleanup:   Delete,
		Retention: 30 * day,
		Timestamp: CreateTime,
		Records:   slices.Clone(t.Records),
		MaxBytes:  BatchBytes,
		Doc:       "Records of " + t.Name + " that no code can handle, as received, with the reason in headers.",
	}
}

// processors returns those readers of t that are processors: they write its dead letters.
func (t Topic) processors() []string {
	var out []string
	for _, r := range t.Readers {
		if slices.Contains(Services(), r) && t.processedBy(r) {
			out = append(out, r)
		}
	}
	return out
}

// processedBy tells processors from readers: what others publish is read by the webhook service's sender, which is none.
func (t Topic) processedBy(group string) bool { return group != Webhook || t.Owner == Webhook }

// unlimited is spelled out for retention.bytes: a cluster's own default, log.retention.bytes, would delete unhandled commands
// and events that are to be kept for ever, whatever retention.ms says.
const unlimited = "-1"

// Config returns the topic's configuration as Kafka spells it. Partition count, replication factor and
// min.insync.replicas depend on the cluster and are not in it (see Partitions, Replication, MinInSync).
//
// max.message.bytes limits a whole batch as compressed, not a record: it is twice MaxBytes, so that a processor's batches
// (BatchBytes) fit everywhere. What is too large for a record is refused by whoever reads it.
func (t Topic) Config() map[string]string {
	c := map[string]string{
		"message.timestamp.type": string(t.Timestamp),
		"max.message.bytes":      strconv.Itoa(2 * RecordBytes),
	}
	switch t.Cleanup {
	case Delete:
		c["cleanup.policy"] = "delete"
		c["retention.ms"] = strconv.FormatInt(t.Retention.Milliseconds(), 10)
		c["retention.bytes"] = unlimited
	case Keep:
		c["cleanup.policy"] = "delete"
		c["retention.ms"] = unlimited
		c["retention.bytes"] = unlimited
	case Compact:
		c["cleanup.policy"] = "compact"
		// A reader that was away longer than this could miss a deletion and must rebuild from the beginning.
		c["delete.retention.ms"] = strconv.FormatInt((7 * day).Milliseconds(), 10)
	}
	return c
}
