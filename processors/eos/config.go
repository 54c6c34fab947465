package eos

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says what a Processor runs and under which identity and limits. Client, Graph, Dir and Inputs are required; every other field has a
// default that New fills in.
type Config struct {
	// Client holds what every connection of the processor needs: seed brokers, TLS, SASL, dialer. Options that belong to the engine
	// (group, transactional id, isolation, balancer, acks, partitioner) are set after these and cannot be overridden.
	Client []kgo.Opt

	// Graph is the Goka group. Join and Lookup edges are refused: Goka updates those tables outside the transaction, so that a replay
	// could decide differently.
	Graph *goka.GroupGraph

	// GokaOptions are applied before the engine's own builders, which cannot be overridden.
	GokaOptions []goka.ProcessorOption

	// Dir is the state directory; it is locked while the processor runs. FS defaults to the disk; tests use vfs.NewMem.
	Dir string
	FS  vfs.FS

	// Instance names this member of the group. Empty means a UUID kept in Dir. Two processes must never share one.
	Instance string

	// RestartWithin keeps the membership for that long after a graceful stop, so that a rolling restart moves no partition. Zero leaves the
	// group, and the other members take over at once.
	RestartWithin time.Duration

	// RecoverAhead makes a new instance read the whole table before it joins the group, so that no partition waits for it to catch up.
	// HotStandby makes it keep copies of the partitions that others have, so that those it takes over have little left to read. With either,
	// every instance holds every partition: disk and network traffic of the whole table, in each. Both do nothing for a group without a table.
	RecoverAhead bool
	HotStandby   bool

	// Dev turns the refusal of an unreplicated cluster into a line of the log.
	Dev bool

	// CommitInterval is how old a transaction may grow while a backlog exists (default 100 ms). Without a backlog a transaction ends as soon
	// as its records are handled.
	CommitInterval time.Duration

	// MaxRecords and MaxBytes bound what is in flight inside Goka (defaults 2,000 and 8 MiB). MaxDirty bounds the uncommitted bytes of one
	// transaction in the table (default 32 MiB): at half of it no further record is read into the transaction.
	MaxRecords int
	MaxBytes   int
	MaxDirty   int

	// CacheBytes bounds the row cache of the table, over all partitions (default 64 MiB).
	CacheBytes int

	// TransactionTimeout is how long the broker waits for a transaction of a process that died (default 10 s): until then readers of what it
	// wrote stand still. SessionTimeout is how long the group waits for a member that went silent (default 30 s).
	// HeartbeatInterval is how soon a member learns that others join or leave (default 250 ms): with the client's 3 s the partitions of an
	// instance that leaves, and everybody's while the slowest member rejoins, stand still for that long.
	TransactionTimeout time.Duration
	SessionTimeout     time.Duration
	HeartbeatInterval  time.Duration

	// Inputs says, for every input stream of Graph, what happens to a record that cannot be handled. A stream without an entry is refused.
	Inputs map[string]Input

	// Deadlines are fired into a topic of the group; nil means that rows have none.
	Deadlines *Deadlines

	// Row checks that this code can read a row of the table. An error stops the processor before it acts on the row: it was written by a
	// newer release.
	Row func(key string, row []byte) error

	Logger *slog.Logger
	Hooks  Hooks

	// Now is the clock that deadlines are compared with (default time.Now). Transactions use the monotonic clock.
	Now func() time.Time

	// rebalanceTimeout is how long the group waits for a member that does not rejoin (5 min): one that recovers a large table must not be thrown
	// out while it does. Tests shorten it.
	rebalanceTimeout time.Duration

	// sabotage is for the test of the simulation: where it says yes, the engine makes one named mistake. Nil in production.
	sabotage func(mistake string) bool
}

// Input says how records of one input topic are admitted. Every check happens before Goka sees the record.
type Input struct {
	// DeadLetters is the topic that takes records no code can handle, with the bytes as received.
	DeadLetters string

	// Move sends a readable record that was found in the wrong partition on to the right one, once. Without it, and at the second time,
	// such a record is a dead letter.
	Move bool

	// Derived admits keys with '/', up to 160 bytes, which only the owner's principals may write.
	Derived bool

	// Tombstones admits records without a value: they mean something in a compacted topic. They are not shown to Admit; Goka passes nil to
	// the codec. Without it such a record is a dead letter.
	Tombstones bool

	// Admit decides whether a record can be handled: framing, schema id, key equal to the record's, size. Nil admits; a *Reject is a dead
	// letter; an error that wraps ErrBlocked pauses the partition until Admit answers otherwise. It must not keep the record.
	Admit func(*kgo.Record) error
}

// Deadlines tells the engine what is due and how to say so. A deadline that has passed becomes a command in Topic, in the transaction that
// finds it; after a crash the same command may be sent again, with the same id.
type Deadlines struct {
	// Topic is an input topic of the group; the command is keyed by the row's key, so that it lands in the row's partition.
	Topic string

	// Due lists the deadlines of a row, in any order. It must depend on its arguments only.
	Due func(key string, row []byte) []Deadline

	// Encode makes the command's value. Its command id must be the same for the same key and deadline: that is what removes duplicates.
	Encode func(key string, d Deadline) ([]byte, error)

	// Version names what Due computes. Change it when Due changes: deadlines kept on disk are then computed again.
	Version string
}
