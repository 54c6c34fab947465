//go:build synctests

package eos

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	seeds     = flag.Int("seeds", 20, "simulations to run")
	firstSeed = flag.Uint64("seed", 1, "seed of the first simulation")
)

// TestSimulation runs the counter on two or three instances while everything that can fail does, and then compares what came out with what went in.
func TestSimulation(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	total := make(map[string]int)
	t.Run("seeds", func(t *testing.T) {
		for i := range *seeds {
			seed := *firstSeed + uint64(i) //nolint:gosec // Not negative.
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("again: go test -tags synctests ./processors/eos -run TestSimulation -seeds 1 -seed %d", seed)
						}
					})
					hits := simulate(t, seed)
					mu.Lock()
					defer mu.Unlock()
					for k, n := range hits {
						total[k] += n
					}
				})
			})
		}
	})
	t.Logf("met: %v", total)
	if *seeds < 20 || t.Failed() {
		return
	}
	for _, must := range []string{"killed", "aborted not_committed", "aborted produce", "answer lost", "error injected", "stood still", "cut off", "open at the kill"} {
		if total[must] == 0 {
			t.Errorf("no seed met %q: the simulation tests less than it says", must)
		}
	}
}

// sim is one simulation.
type sim struct {
	*world
	rng *dice
	end time.Time // when faults end
	wg  sync.WaitGroup

	standby uint64 // bit 0: with copies of what others have; bit 1: recovers ahead

	change []func(*Config)
}

// simulate runs one simulation. The change, if there is one, is made to every instance.
func simulate(tb testing.TB, seed uint64, change ...func(*Config)) map[string]int {
	w := newWorld(tb, seed, onVirtualNetwork(new(kfake.VirtualNetwork)), withPartitions(int32(1+seed%6))) //nolint:gosec // Small.
	defer w.close()
	defer w.reap()
	s := &sim{world: w, change: change, standby: seed / 2 % 4, rng: newDice(seed, 99), end: time.Now().Add(time.Duration(60+seed%120) * time.Second)}
	thinks := newDice(seed, 5)
	w.think = func() { // an engine that does not wait for its callbacks is found only if they take time
		if thinks.IntN(50) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	final := make([]*instance, 2+seed%2)
	for i := range final {
		rng := newDice(seed, uint64(i)) //nolint:gosec // Not negative.
		s.wg.Go(func() { final[i] = s.supervise(fmt.Sprintf("i%d", i), rng) })
	}
	s.wg.Go(s.disturb)
	s.load()
	s.wg.Wait()
	w.until("the group has caught up", w.caughtUp)
	time.Sleep(15 * time.Second) // transactions that nobody will end are aborted by the broker
	w.verify()
	w.verifyRows(final...)
	for _, i := range final {
		i.stop()
	}
	w.verify()
	return maps.Clone(w.hits)
}

// load sends commands and poison for as long as there are faults.
func (s *sim) load() {
	for n := 0; time.Now().Before(s.end); {
		batch := make([]*kgo.Record, 1+s.rng.IntN(40))
		for i := range batch {
			key, id := "k"+strconv.Itoa(s.rng.IntN(30)), "c"+strconv.Itoa(n)
			n++
			batch[i] = s.record(key, id)
			switch s.rng.IntN(60) {
			case 0:
				batch[i].Key = nil
			case 1:
				batch[i].Key = []byte("not/a key")
			case 2:
				batch[i].Value = []byte("malformed" + id)
			case 3:
				batch[i].Partition = (batch[i].Partition + 1) % s.partitions
			}
		}
		s.produce(batch...)
		time.Sleep(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
	}
}

// supervise runs one instance, kills it, stops it, starts it again, and leaves it running in the end.
func (s *sim) supervise(name string, rng *dice) *instance {
	fs := vfs.NewCrashableMem()
	for {
		died := make(chan struct{})
		i := s.launch(name, fs, rng, died)
		wait := time.Duration(1+rng.IntN(40)) * time.Second
		if left := time.Until(s.end); wait > left {
			wait = left + time.Second
		}
		select {
		case <-died:
			fs = i.kill()
			s.hit("killed")
		case <-i.done:
			s.tb.Errorf("instance %s gave up: %v", name, i.err)
			return i
		case <-time.After(wait):
			if time.Now().After(s.end) {
				i.link.onAnswer(nil)
				i.link.heal()
				return i
			}
			switch rng.IntN(4) {
			case 0:
				i.stop()
			case 1:
				fs = i.kill()
				s.hit("killed")
			case 2:
				s.hit("cut off")
				i.link.cut()
				time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
				i.link.heal()
				i.stop()
			case 3:
				i.kill()
				s.hit("killed")
				fs = vfs.NewCrashableMem() // a new disk
			}
		}
		time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
		}
	}
}

// launch starts an instance whose answers get lost, and which dies or stands still at some points of its transactions.
func (s *sim) launch(name string, fs *vfs.MemFS, rng *dice, died chan struct{}) *instance {
	roll := func(n int) bool {
		return time.Now().Before(s.end) && rng.IntN(n) == 0
	}
	var once sync.Once
	var i *instance
	i = s.newInstance(name, fs, append(slices.Clone(s.change), func(c *Config) {
		c.SessionTimeout = 10 * time.Second
		// The fake broker miscounts who has joined when a static member is replaced while it waits in SyncGroup; only this timeout ends that. Every
		// join starts it anew, and a join is given up and repeated after ten seconds more: with three members that came in turn (seed 1567, once), 15 s
		// never ended.
		c.rebalanceTimeout = 5 * time.Second
		c.HotStandby, c.RecoverAhead = s.standby&1 != 0, s.standby&2 != 0
		c.Hooks.At = func(point string) {
			switch {
			case point != "poll" && roll(300):
				i.link.cut()
				once.Do(func() {
					s.hit("killed at " + point)
					if point != "begin" && point != "end_answered" && point != "store_applied" {
						s.hit("open at the kill")
					}
					close(died)
				})
			case (point == "flush" || point == "begin") && roll(150):
				s.hit("stood still")
				time.Sleep(time.Duration(5+rng.IntN(20)) * time.Second)
			}
		}
	})...)
	i.link.onAnswer(func(key int16, body []byte) bool {
		switch key {
		case kmsg.EndTxn.Int16():
			if roll(60) {
				s.hit("answer replaced")
				binary.BigEndian.PutUint16(body[1+4:], uint16(kerr.UnknownServerError.Code)) //nolint:gosec // -1 on the wire.
				return true
			}
			fallthrough
		case kmsg.Produce.Int16(), kmsg.TxnOffsetCommit.Int16(), kmsg.AddOffsetsToTxn.Int16():
			if roll(60) {
				s.hit("answer lost")
				return false
			}
		case kmsg.JoinGroup.Int16(), kmsg.SyncGroup.Int16(), kmsg.Heartbeat.Int16(), kmsg.InitProducerID.Int16(), kmsg.OffsetFetch.Int16(),
			kmsg.Fetch.Int16(), kmsg.ListOffsets.Int16(), kmsg.Metadata.Int16():
			if roll(400) {
				s.hit("answer lost")
				return false
			}
		}
		return true
	})
	i.run()
	return i
}

// disturb makes the cluster answer with errors.
func (s *sim) disturb() {
	rng := newDice(s.rng.Uint64(), 3)
	faults := []struct {
		key  kmsg.Key
		errs []*kerr.Error
	}{
		{kmsg.EndTxn, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.RequestTimedOut, kerr.CoordinatorLoadInProgress, kerr.UnknownServerError}},
		{kmsg.TxnOffsetCommit, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RequestTimedOut}},
		{kmsg.Produce, []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.MessageTooLarge, kerr.InvalidProducerEpoch, kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID}},
		{kmsg.InitProducerID, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions}},
		{kmsg.Heartbeat, []*kerr.Error{kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration}},
		{kmsg.JoinGroup, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator}},
		{kmsg.OffsetFetch, []*kerr.Error{kerr.UnstableOffsetCommit, kerr.CoordinatorLoadInProgress}},
	}
	for time.Now().Before(s.end) {
		f := faults[rng.IntN(len(faults))]
		h := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{f.key}, Err: f.errs[rng.IntN(len(f.errs))], Count: 1 + rng.IntN(2), When: transactional})
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		if h.Hits() > 0 {
			s.hit("error injected")
		}
		h.Remove()
		if rng.IntN(20) == 0 {
			s.cluster.RehashCoordinators()
		}
	}
}

// transactional leaves the simulation's own producer alone.
func transactional(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return !ok || p.TransactionID != nil
}
