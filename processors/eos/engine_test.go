//go:build synctests

package eos

import (
	"context"
	"errors"
	"flag"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// It takes 32,767 transactions; 70,000 roll over twice.
var rollOver = flag.Int("rollover", 34_000, "transactions in the test of the producer's epoch")

func (i *instance) transactionalID() string { return groupName + "-" + i.name }

// at makes an instance call f once, at the n-th time it reaches a point.
func at(point string, n int64, f func()) func(*Config) {
	var seen atomic.Int64
	return func(c *Config) {
		c.Hooks.At = func(p string) {
			if p == point && seen.Add(1) == n {
				f()
			}
		}
	}
}

// An instance that was killed in the middle of a transaction leaves it open. Its successor ends it as soon as it starts, long before the timeout, even if it
// has nothing to do.
func TestARestartEndsTheTransactionOfTheOneBefore(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var a *instance
		a = w.newInstance("a", nil, at("offsets_added", 2, func() { a.link.cut() }), func(c *Config) { c.TransactionTimeout = 10 * time.Minute })
		a.run()
		a.ready()
		w.commandsFor("c", 20, 5)
		w.until("a transaction is open", func() bool {
			d, err := w.adm.DescribeTransactions(t.Context(), a.transactionalID())
			return err == nil && d[a.transactionalID()].State == "Ongoing"
		})
		fs := a.kill()
		restarted := time.Now()
		b := w.start("a", fs)
		b.ready()
		w.until("the commands are counted", w.caughtUp)
		if took := time.Since(restarted); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		w.verify()
		b.stop()
	})
}

// Every input partition has a committed offset before the first record is handled, also one that never held a record: otherwise the first record of such a
// partition could not be told from one whose offset was lost.
func TestAnIdlePartitionHasAnOffset(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.produce(w.record("k1", "c1")) // one partition's table is not empty any more
		w.until("the command is counted", w.caughtUp)
		fs := a.kill()
		committed, err := w.adm.FetchOffsets(t.Context(), groupName)
		if err != nil || len(committed[commands]) != int(w.partitions) {
			t.Fatalf("committed: %v, %v; want all %d partitions", committed, err, w.partitions)
		}
		for p := range w.partitions {
			w.produce(&kgo.Record{Topic: commands, Partition: p, Key: []byte(keyIn(p, w.partitions)), Value: []byte("first of " + strconv.Itoa(int(p)))})
		}
		b := w.start("a", fs)
		b.ready()
		w.until("all are counted", w.caughtUp)
		b.stop()
	})
}

// Two processes under one instance id: the later one takes over, the earlier one stops and says why, and neither comes back to fence the other.
func TestTwoProcessesUnderOneInstance(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				a := w.start("a", nil)
				a.ready()
				stop := make(chan struct{})
				done := make(chan struct{})
				go func() {
					defer close(done)
					for i := 0; busy; i++ {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
							w.commandsFor("c"+strconv.Itoa(i)+"-", 2, 9)
						}
					}
				}()
				time.Sleep(time.Second)
				b := w.start("a", nil)
				<-a.done
				if !errors.Is(a.err, ErrFenced) || !strings.Contains(a.err.Error(), "another process runs as this instance (a)") {
					t.Errorf("the first process: %v, want ErrFenced", a.err)
				}
				b.ready()
				time.Sleep(30 * time.Second)
				close(stop)
				<-done
				w.until("all is counted", w.caughtUp)
				b.stop()
				w.verify()
			})
		})
	}
}

// A process that stands still for longer than its transaction and its session may last wakes up as a zombie: its transaction was aborted, its partitions are
// another's. It drops what it did and joins again; it is not taken for a second process.
func TestAZombieComesBack(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil, at("flush", 3, func() { time.Sleep(2 * time.Minute) }))
		a.ready()
		for i := range 5 {
			w.commandsFor("c"+strconv.Itoa(i)+"-", 20, 5)
			time.Sleep(time.Second)
		}
		b := w.start("b", nil)
		w.until("all is counted", w.caughtUp)
		time.Sleep(3 * time.Minute)
		w.commandsFor("later", 50, 20)
		w.until("all is counted", w.caughtUp)
		if w.hits["aborted not_committed"]+w.hits["aborted produce"] == 0 {
			t.Error("nothing was aborted: nothing was tested")
		}
		a.stop()
		b.stop()
		w.verify()
	})
}

// The producer's epoch is 16 bits wide; after 32,767 transactions the coordinator gives out another producer id.
func TestEpochRollOver(t *testing.T) {
	t.Parallel()
	transactions := int64(*rollOver)
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var committed atomic.Int64
		a := w.start("a", nil, func(c *Config) {
			c.Hooks.Committed = func(time.Duration, int) { committed.Add(1) }
			c.MaxRecords, c.MaxBytes = 1, 1 // one record in a transaction: time stands still here, and growth is limited by time
		})
		a.ready()
		ids := make(map[int64]bool)
		for batch := 0; committed.Load() < transactions; batch++ {
			w.commandsFor("c"+strconv.Itoa(batch)+"-", 1000, 10)
			w.until("the batch is counted", w.caughtUp)
			d, err := w.adm.DescribeTransactions(t.Context(), a.transactionalID())
			if err != nil {
				t.Fatal(err)
			}
			ids[d[a.transactionalID()].ProducerID] = true
		}
		if len(ids) < 2 {
			t.Errorf("%d transactions under %d producer ids: the epoch did not roll over", committed.Load(), len(ids))
		}
		if n := w.hits["aborted not_committed"] + w.hits["aborted produce"]; n != 0 {
			t.Errorf("%d transactions aborted", n)
		}
		a.stop()
		w.verify()
	}, withPartitions(1))
}

// Where a table's offset stands after each commit decides what is read again after a crash.
func TestTheStoredOffsetIsThatOfTheLastRow(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		key := keyIn(0, w.partitions)
		for n := range 3 {
			w.produce(w.record(key, "c"+strconv.Itoa(n)), w.record(key, "d"+strconv.Itoa(n)))
			w.until("the commands are counted", w.caughtUp)
			log := w.dump(tableName, kgo.ReadCommitted())[0]
			offset, err := a.proc.generation.Load().tables.get(0).st.GetOffset(-1)
			if err != nil || offset != log[len(log)-1].Offset {
				t.Errorf("stored offset %d (%v), last row at %d", offset, err, log[len(log)-1].Offset)
			}
		}
		w.produce(w.record(key, "malformed")) // writes no row
		w.until("the dead letter is out", w.caughtUp)
		log := w.dump(tableName, kgo.ReadCommitted())[0]
		if offset, _ := a.proc.generation.Load().tables.get(0).st.GetOffset(-1); offset != log[len(log)-1].Offset {
			t.Errorf("stored offset %d after a transaction without rows, last row at %d", offset, log[len(log)-1].Offset)
		}
		// Whatever the disk had at a crash, the rows come back right.
		fs := a.fs.CrashClone(vfs.CrashCloneCfg{})
		a.kill()
		b := w.start("a", fs)
		b.ready()
		w.verifyRows(b)
		b.stop()
		c := w.start("a", nil)
		c.ready()
		w.verifyRows(c)
		c.stop()
	})
}

// A member that is to come back keeps its partitions: nobody takes them over meanwhile. (That coming back is no rebalance is for a real broker to show: the
// fake one compares more of a subscription.)
func TestRestartWithin(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		soon := func(c *Config) { c.RestartWithin = 40 * time.Second }
		a, b := w.start("a", nil, soon), w.start("b", nil, soon)
		a.ready()
		b.ready()
		w.until("both have partitions", func() bool {
			return a.proc.Ready() && b.proc.Ready() && len(a.proc.generation.Load().tables.all()) == 2 && len(b.proc.generation.Load().tables.all()) == 2
		})
		generation := b.proc.generation.Load().number
		a.stop()
		time.Sleep(30 * time.Second)
		if g := b.proc.generation.Load(); g.number != generation {
			t.Errorf("the other member went from generation %d to %d", generation, g.number)
		}
		a = w.start("a", a.fs, soon)
		a.ready()
		w.commandsFor("c", 100, 30)
		w.until("all is counted", w.caughtUp)
		a.stop()
		b.stop()
		w.verify()
	})
}

// Without it a member that stops leaves, and the other has its partitions at once.
func TestALeavingMemberIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a, b := w.start("a", nil), w.start("b", nil)
		a.ready()
		b.ready()
		a.stop()
		began := time.Now()
		w.until("the other has all partitions", func() bool {
			g := b.proc.generation.Load()
			return g != nil && g.ready.Load() && len(g.tables.all()) == int(w.partitions)
		})
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		b.stop()
	})
}

// The cluster is down at the start, and goes away while running.
func TestTheClusterMayBeAway(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.newInstance("a", nil)
		a.link.cut()
		a.run()
		time.Sleep(5 * time.Minute)
		a.link.heal()
		a.ready()
		w.commandsFor("first", 100, 30)
		w.until("all is counted", w.caughtUp)
		for _, away := range []time.Duration{time.Second, 15 * time.Second, 10 * time.Minute} {
			a.link.cut()
			w.commandsFor(away.String(), 100, 30)
			time.Sleep(away)
			a.link.heal()
			healed := time.Now()
			w.until("all is counted", w.caughtUp)
			if took := time.Since(healed); took > 20*time.Second {
				t.Errorf("after %v away, progress took %v", away, took)
			}
		}
		a.stop()
		w.verify()
		// It also stops when the cluster is away.
		b := w.start("a", a.fs)
		b.ready()
		b.link.cut()
		w.commandsFor("unread", 10, 3)
		time.Sleep(time.Second)
		began := time.Now()
		b.stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopping without the cluster took %v", took)
		}
	})
}

// The group throws a member out while its transaction is open. The client then waits, before it ends the transaction, for a heartbeat that nobody sends any
// more.
func TestAMemberThrownOutDoesNotHang(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil, at("flush", 3, func() {
			w.cluster.Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
				kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration},
			)
			time.Sleep(5 * time.Second)
		}), func(c *Config) { c.TransactionTimeout = 10 * time.Minute })
		a.ready()
		w.commandsFor("first", 10, 5)
		w.until("the first are counted", w.caughtUp)
		began := time.Now()
		w.commandsFor("second", 10, 5)
		w.until("the second are counted", w.caughtUp)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
		if w.hits["aborted not_committed"] == 0 {
			t.Error("nothing was aborted: nothing was tested")
		}
		a.stop()
		w.verify()
	})
}

// Another producer takes our transactional id. The transaction that is open is lost, not repeated; one of the two goes on.
func TestAnotherProducerTakesOurTransactionalID(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begin", "flush", "produce"} {
		t.Run(point, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				var thief *kgo.Client
				a := w.start("a", nil, at(point, 3, func() {
					thief = w.newClient(kgo.TransactionalID(groupName + "-a"))
					if _, _, err := thief.ProducerID(context.Background()); err != nil {
						t.Error(err)
					}
				}))
				a.ready()
				for i := range 5 {
					w.commandsFor(strconv.Itoa(i)+"-", 10, 5)
					time.Sleep(5 * time.Second)
				}
				if thief == nil {
					t.Fatal("nothing was tested")
				}
				thief.Close()
				select {
				case <-a.done:
					if !errors.Is(a.err, ErrFenced) {
						t.Errorf("Run returned %v", a.err)
					}
					a = w.start("a", a.fs)
				default:
				}
				w.until("all is counted", w.caughtUp)
				a.stop()
				w.verify()
			})
		})
	}
}
