//go:build synctests

package simulation

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fault is one thing that goes wrong.
type fault struct {
	Kind  string        `json:"kind"`
	Place string        `json:"place,omitempty"` // the instance that it hits; empty: the cluster, or everybody
	At    time.Duration `json:"at"`              // since the start
	For   time.Duration `json:"for,omitempty"`   // how long; for a killed or stopped instance, until it is back
	Point string        `json:"point,omitempty"` // of a transaction
	Key   string        `json:"key,omitempty"`   // the request that it is about
	Err   string        `json:"err,omitempty"`   // the error's name on the wire
	N     int           `json:"n,omitempty"`     // how often, how many, or which; see the kind
}

func (f fault) String() string {
	b, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// The kinds of faults.
const (
	kill       = "kill"         // SIGKILL at Point, the N-th time from then on, or at once; the disk keeps what was written
	powerCut   = "power cut"    // the same, and the disk loses N percent of what was not synced
	leaveFor   = "never back"   // SIGKILL with an open transaction, never restarted
	stop       = "stop"         // SIGTERM
	standStill = "stand still"  // SIGSTOP, SIGCONT after For
	cutBoth    = "cut"          // no packet arrives, either way
	cutOut     = "cut out"      // nothing that the instance sends arrives
	cutIn      = "cut in"       // nothing that is sent to the instance arrives
	loseAnswer = "lose answer"  // the next N answers to Key were given but never arrive
	wrongReply = "answer error" // the next N requests Key do their work, and are answered with Err
	lateAsk    = "late request" // the next N requests Key arrive after For
	refuse     = "refuse"       // the next N requests Key of transactional clients and groups fail with Err
	storm      = "storm"        // N further instances of Place's service come and go within For
	noRegistry = "no registry"  // N: 0 it cannot be reached, 1 it says 500, 2 it takes 10 s
	wipe       = "wipe"         // the disk is lost while the instance is down for For
	oldCopy    = "old copy"     // the disk is replaced by a copy taken N tenths of the time before
	bitFlip    = "bit flip"     // one bit of a file flips, while the instance is down
	truncate   = "truncate"     // a file loses its end
	loseFile   = "lose file"    // a file is missing
	skew       = "skew"         // the clock is N minutes wrong
	hotKey     = "hot key"      // one customer gets half the load
	night      = "night"        // everybody is down for For, and deadlines pass
	compaction = "compaction"   // the broker compacts its topics
	rehash     = "coordinators" // the coordinators of groups and transactions move
)

// points are where a transaction can be cut.
func points() []string {
	return []string{"poll", "begin", "produce", "flush", "offsets_added", "end_sent", "end_answered", "store_applied"}
}

// answers says which requests can fail with which errors.
func answers() map[kmsg.Key][]*kerr.Error {
	return map[kmsg.Key][]*kerr.Error{
		kmsg.EndTxn: {
			kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.RequestTimedOut,
			kerr.UnknownServerError, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.InvalidProducerEpoch, kerr.ProducerFenced,
			kerr.TransactionalIDAuthorizationFailed,
		},
		kmsg.AddOffsetsToTxn: {
			kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions,
			kerr.UnknownServerError, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.InvalidProducerEpoch, kerr.ProducerFenced,
		},
		kmsg.TxnOffsetCommit: {
			kerr.CoordinatorLoadInProgress, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RequestTimedOut,
			kerr.NotCoordinator, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.OffsetMetadataTooLarge,
		},
		kmsg.Produce: {
			kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.MessageTooLarge,
			kerr.InvalidProducerEpoch, kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.KafkaStorageError, kerr.CorruptMessage,
			kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed, kerr.InvalidTxnState, kerr.UnknownServerError, kerr.InvalidRecord,
			kerr.LeaderNotAvailable, kerr.PolicyViolation, kerr.ThrottlingQuotaExceeded,
		},
		kmsg.AddPartitionsToTxn: {
			kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.InvalidProducerEpoch, kerr.InvalidTxnState,
		},
		kmsg.InitProducerID: {kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorNotAvailable},
		kmsg.Heartbeat:      {kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.NotCoordinator},
		kmsg.JoinGroup:      {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
		kmsg.SyncGroup:      {kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
		kmsg.OffsetFetch:    {kerr.UnstableOffsetCommit, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator},
		kmsg.Fetch:          {kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownServerError},
		kmsg.ListOffsets:    {kerr.NotLeaderForPartition, kerr.UnknownServerError},
	}
}

// lossy are the requests whose answers can be lost or late with an effect.
func lossy() []kmsg.Key {
	return []kmsg.Key{
		kmsg.EndTxn, kmsg.EndTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.AddOffsetsToTxn, kmsg.Produce, kmsg.InitProducerID, kmsg.JoinGroup,
		kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.Fetch,
	}
}

func keyNamed(name string) kmsg.Key {
	for k := range answers() {
		if k.Name() == name {
			return k
		}
	}
	return -1
}

func errNamed(name string) *kerr.Error {
	for code := int16(-1); code < 150; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return e
		}
	}
	return kerr.UnknownServerError
}

// services are what runs; processors have an engine, a table and transactions.
func services() []string {
	return []string{"customer", "billing", "mail", "notification", "mailer", "view"}
}
func processors4() []string { return services()[:4] }

// places are the instances that are there from the start.
func places() []string {
	return []string{"customer-0", "customer-1", "billing-0", "mail-0", "notification-0", "mailer-0", "view-0"}
}

func service(place string) string {
	name, _, _ := strings.Cut(place, "-")
	return name
}

// schedule draws the faults of a run that lasts so long.
func schedule(rng *rand.Rand, n int, lasts time.Duration) []fault {
	weights := []struct {
		kind   string
		weight int
	}{
		{kill, 22},
		{powerCut, 3},
		{leaveFor, 2},
		{stop, 5},
		{standStill, 6},
		{cutBoth, 4},
		{cutOut, 4},
		{cutIn, 4},
		{loseAnswer, 8},
		{wrongReply, 5},
		{lateAsk, 5},
		{refuse, 14},
		{storm, 2},
		{noRegistry, 3},
		{wipe, 2},
		{oldCopy, 2},
		{bitFlip, 2},
		{truncate, 1},
		{loseFile, 1},
		{skew, 3},
		{hotKey, 2},
		{night, 1},
		{compaction, 2},
		{rehash, 2},
	}
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	faults := make([]fault, n)
	for i := range faults {
		roll := rng.IntN(total)
		at := 0
		for roll >= weights[at].weight {
			roll -= weights[at].weight
			at++
		}
		faults[i] = draw(rng, weights[at].kind, time.Duration(rng.Int64N(int64(lasts))).Round(time.Millisecond))
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.At - b.At) })
	return faults
}

func seconds(rng *rand.Rand, from, to int) time.Duration {
	return time.Duration(1000*from+rng.IntN(1000*(to-from))) * time.Millisecond
}

func pick[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// draw makes up the parameters of a fault.
func draw(rng *rand.Rand, kind string, at time.Duration) fault {
	f := fault{Kind: kind, At: at, Place: pick(rng, places())}
	processor := pick(rng, places()[:5])
	switch kind {
	case kill, powerCut:
		f.For = pick(rng, []time.Duration{0, 0, seconds(rng, 0, 5), seconds(rng, 5, 30)})
		f.N = 100 * rng.IntN(2)
		if kind == powerCut {
			f.N = rng.IntN(100)
		}
		if rng.IntN(3) > 0 {
			f.Place, f.Point = processor, pick(rng, points())
			f.N = 1 + rng.IntN(5)
		}
	case leaveFor:
		f.Place, f.Point, f.N = "customer-1", pick(rng, points()[1:6]), 1
	case stop, wipe, bitFlip, truncate, loseFile, oldCopy:
		f.For, f.N = seconds(rng, 0, 15), rng.IntN(1<<20)
		if kind != stop {
			f.Place = pick(rng, append(places()[:5], "view-0"))
		}
	case standStill:
		f.For = pick(rng, []time.Duration{seconds(rng, 1, 6), seconds(rng, 12, 45)})
	case cutBoth, cutOut, cutIn:
		f.For = pick(rng, []time.Duration{seconds(rng, 1, 8), seconds(rng, 8, 40)})
	case loseAnswer:
		f.Key, f.N = pick(rng, lossy()).Name(), 1+rng.IntN(3)
	case lateAsk:
		f.Key, f.N, f.For = pick(rng, lossy()[:8]).Name(), 1, pick(rng, []time.Duration{seconds(rng, 0, 4), seconds(rng, 8, 25)})
		f.Place = processor
	case wrongReply:
		f.Key, f.N, f.Place = kmsg.EndTxn.Name(), 1, processor
		f.Err = pick(rng, answers()[kmsg.EndTxn]).Message
	case refuse:
		keys := []kmsg.Key{
			kmsg.EndTxn, kmsg.EndTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.TxnOffsetCommit, kmsg.Produce, kmsg.Produce, kmsg.Produce,
			kmsg.AddPartitionsToTxn, kmsg.InitProducerID, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Fetch, kmsg.ListOffsets,
		}
		key := pick(rng, keys)
		f.Place, f.Key, f.N, f.Err = "", key.Name(), 1+rng.IntN(3), pick(rng, answers()[key]).Message
	case storm:
		f.Place, f.N, f.For = processor, 2+rng.IntN(4), seconds(rng, 10, 30)
	case noRegistry:
		f.Place, f.N, f.For = "", rng.IntN(3), seconds(rng, 2, 20)
	case skew:
		f.Place, f.N, f.For = processor, pick(rng, []int{-60, 60}), seconds(rng, 5, 40)
	case hotKey:
		f.Place, f.N, f.For = "", rng.IntN(10), seconds(rng, 5, 30)
	case night:
		f.Place, f.For = "", time.Duration(20+rng.IntN(60))*time.Hour
	case compaction, rehash:
		f.Place = ""
	default:
		panic(fmt.Sprintf("no parameters for %q", kind))
	}
	return f
}
