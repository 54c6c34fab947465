//go:build synctests

package eos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/topics"
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

// Kafka forgets the offsets of a group that was empty for a week. Starting at the beginning would count everything again.
func TestLostOffsetsAreRefused(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("c", 20, 5)
		w.until("the commands are counted", w.caughtUp)
		a.stop()
		if _, err := w.adm.DeleteGroup(t.Context(), groupName); err != nil {
			t.Fatal(err)
		}
		err := w.newInstance("a", a.fs).proc.Run(t.Context())
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "utopia offsets set") {
			t.Errorf("Run returned %v, want ErrRefused", err)
		}
		w.verify()
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

// keyIn finds a key that belongs to a partition.
func keyIn(partition, n int32) string {
	for i := 0; ; i++ {
		if k := "key" + strconv.Itoa(i); topics.Partition(k, n) == partition {
			return k
		}
	}
}

// Records that no code can handle leave by the dead letters, with the bytes and headers as received; misplaced ones are sent on once; the others flow.
func TestPoison(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil, func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Move: true, Admit: func(r *kgo.Record) error {
				switch {
				case strings.HasPrefix(string(r.Value), "garbage"):
					return &Reject{Reason: "magic", Detail: "byte 7"}
				case strings.HasPrefix(string(r.Value), "odd"):
					return errors.New("an error without a code, with who knows what in it")
				}
				return nil
			}}
		})
		a.ready()
		key := keyIn(1, w.partitions)
		headers := []kgo.RecordHeader{{Key: "trace", Value: []byte{1, 2}}, {Key: "trace", Value: nil}}
		w.produce(
			w.record(key, "good-1"),
			&kgo.Record{Topic: commands, Partition: 1, Value: []byte("no key"), Headers: headers},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte{}, Value: []byte("empty key")},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte("a/b"), Value: []byte("derived key")},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte("\xff"), Value: []byte("not UTF-8")},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte(strings.Repeat("x", 65)), Value: []byte("long key")},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte(key)},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte(key), Value: []byte("garbage")},
			&kgo.Record{Topic: commands, Partition: 1, Key: []byte(key), Value: []byte("odd")},
			w.record(key, "malformed"),
			w.record(key, "good-2"),
		)
		w.produce(
			&kgo.Record{Topic: commands, Partition: 2, Key: []byte(key), Value: []byte("moved"), Headers: headers},
			&kgo.Record{Topic: commands, Partition: 2, Key: []byte(key), Value: []byte("moved before"), Headers: []kgo.RecordHeader{{Key: HeaderMovedFrom, Value: []byte("x/1/1")}}},
		)
		w.until("all are handled", w.caughtUp)
		a.stop()
		var got []string
		for _, records := range w.dump(letters, kgo.ReadCommitted()) {
			for _, r := range records {
				got = append(got, fmt.Sprintf("%d key=%q value=%q reason=%s detail=%s from=%s/%s/%s", r.Partition, r.Key, r.Value, header(r, HeaderReason), header(r, HeaderDetail),
					header(r, HeaderTopic), header(r, HeaderPartition), header(r, HeaderOffset)))
				if string(r.Value) == "no key" && (r.Key != nil || gocmp.Diff(headers, r.Headers[:2]) != "") {
					t.Errorf("not as received: key %v, headers %v", r.Key, r.Headers)
				}
			}
		}
		want := []string{
			`1 key="" value="no key" reason=nil_key detail= from=counter.commands.v1/1/1`,
			`1 key="" value="empty key" reason=bad_key detail=0 bytes from=counter.commands.v1/1/2`,
			`1 key="a/b" value="derived key" reason=bad_key detail=3 bytes from=counter.commands.v1/1/3`,
			`1 key="\xff" value="not UTF-8" reason=bad_key detail=1 bytes from=counter.commands.v1/1/4`,
			fmt.Sprintf(`1 key=%q value="long key" reason=bad_key detail=65 bytes from=counter.commands.v1/1/5`, strings.Repeat("x", 65)),
			fmt.Sprintf(`1 key=%q value="" reason=nil_value detail= from=counter.commands.v1/1/6`, key),
			fmt.Sprintf(`1 key=%q value="garbage" reason=magic detail=byte 7 from=counter.commands.v1/1/7`, key),
			fmt.Sprintf(`1 key=%q value="odd" reason=inadmissible detail= from=counter.commands.v1/1/8`, key),
			fmt.Sprintf(`1 key=%q value="malformed" reason=malformed detail= from=counter.commands.v1/1/9`, key),
			fmt.Sprintf(`2 key=%q value="moved before" reason=wrong_partition detail=belongs to 1 of 4 from=counter.commands.v1/2/1`, key),
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
		var counted []string
		for _, r := range w.dump(events, kgo.ReadCommitted())[1] {
			counted = append(counted, string(r.Value))
		}
		if diff := gocmp.Diff([]string{"good-1 1", "good-2 2", "moved 3"}, counted); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// A record whose schema is unknown while the registry is down holds up its partition, and nothing else, until the registry is back.
func TestABlockedPartitionWaitsAlone(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var down atomic.Bool
		down.Store(true)
		a := w.start("a", nil, func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Admit: func(r *kgo.Record) error {
				if down.Load() && strings.HasPrefix(string(r.Value), "new schema") {
					return fmt.Errorf("registry: %w", ErrBlocked)
				}
				return nil
			}}
		})
		a.ready()
		blockedKey, freeKey := keyIn(0, w.partitions), keyIn(1, w.partitions)
		w.produce(w.record(blockedKey, "before"), w.record(blockedKey, "new schema"), w.record(blockedKey, "after"), w.record(freeKey, "free-1"))
		count := func(p int) int { return len(w.dump(events, kgo.ReadCommitted())[p]) }
		w.until("the free partition and the first record are counted", func() bool { return count(1) == 1 && count(0) == 1 })
		w.produce(w.record(freeKey, "free-2"), w.record(blockedKey, "later"))
		w.until("the free partition goes on", func() bool { return count(1) == 2 })
		time.Sleep(time.Minute)
		if n := count(0); n != 1 {
			t.Errorf("%d events of the blocked partition, want 1", n)
		}
		offsets, err := w.adm.FetchOffsets(t.Context(), groupName)
		if o, _ := offsets.Lookup(commands, 0); err != nil || o.At != 1 {
			t.Errorf("committed offset of the blocked partition: %d, want 1 (%v)", o.At, err)
		}
		// A restart meets the same record; nothing is lost or repeated.
		fs := a.kill()
		down.Store(true)
		b := w.start("a", fs, func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Admit: a.proc.cfg.Inputs[commands].Admit}
		})
		b.ready()
		time.Sleep(10 * time.Second)
		down.Store(false)
		w.until("all is counted", w.caughtUp)
		w.verify()
		b.stop()
		w.verify()
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

// A defect in a callback stops the processor, with nothing committed of its transaction.
func TestAPanicStopsTheProcessor(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		i := w.newInstance("a", nil, func(c *Config) {
			c.Graph = goka.DefineGroup(groupName, goka.Input(commands, bytesCodec{}, func(ctx goka.Context, msg any) {
				ctx.Emit(events, ctx.Key(), msg)
				if string(msg.([]byte)) == "defect" { //nolint:forcetypeassert // The codec's.
					panic("a defect")
				}
			}), goka.Output(events, bytesCodec{}), goka.Persist(bytesCodec{}))
		})
		w.produce(w.record("k1", "defect"))
		err := i.proc.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "a defect") {
			t.Errorf("Run returned %v, want the panic", err)
		}
		for _, records := range w.dump(events, kgo.ReadCommitted()) {
			if len(records) > 0 {
				t.Errorf("%d events were committed", len(records))
			}
		}
		w.verifyStable()
	})
}

// A row that a newer release wrote is not touched: neither when it is in the log, nor when it is on disk already.
func TestANewerRowIsRefused(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.produce(w.record("k1", "c1"))
		w.until("the command is counted", w.caughtUp)
		a.stop()
		older := func(c *Config) {
			c.Row = func(string, []byte) error { return errors.New("fingerprint 42 is not known") }
		}
		if err := w.newInstance("b", nil, older).proc.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "fingerprint 42") {
			t.Errorf("from the log: Run returned %v, want a refusal", err)
		}
		w.produce(w.record("k1", "c2"))
		if err := w.newInstance("a", a.fs, older).proc.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "fingerprint 42") {
			t.Errorf("from the disk: Run returned %v, want a refusal", err)
		}
		c := w.start("a", nil)
		c.ready()
		w.until("the newer release goes on", w.caughtUp)
		c.stop()
		w.verify()
	})
}

// Records that were removed before they were handled stop their partition, not the others, and are never skipped silently.
func TestLostRecordsStopTheirPartition(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("c", 40, 20)
		w.until("all is counted", w.caughtUp)
		a.stop()
		lost, free := keyIn(0, w.partitions), keyIn(1, w.partitions)
		for i := range 10 {
			w.produce(w.record(lost, "lost-"+strconv.Itoa(i)))
		}
		ends, err := w.adm.ListEndOffsets(t.Context(), commands)
		if err != nil {
			t.Fatal(err)
		}
		end, _ := ends.Lookup(commands, 0)
		if err := w.cluster.DeleteRecords(commands, 0, end.Offset-2); err != nil {
			t.Fatal(err)
		}
		var stopped atomic.Int64
		b := w.start("a", a.fs, func(c *Config) {
			c.Hooks.Stopped = func(topic string, partition int32) {
				if topic != commands || partition != 0 {
					t.Errorf("%s/%d was stopped", topic, partition)
				}
				stopped.Add(1)
			}
		})
		b.ready()
		before := len(w.dump(events, kgo.ReadCommitted())[1])
		w.produce(w.record(free, "free"), w.record(lost, "behind the gap"))
		w.until("the other partition goes on", func() bool { return len(w.dump(events, kgo.ReadCommitted())[1]) == before+1 })
		w.until("the partition is stopped", func() bool { return stopped.Load() == 1 })
		time.Sleep(time.Minute)
		for _, r := range w.dump(events, kgo.ReadCommitted())[0] {
			if strings.HasPrefix(string(r.Value), "lost-") || strings.HasPrefix(string(r.Value), "behind") {
				t.Errorf("event %q although records before it were lost", r.Value)
			}
		}
		if stopped.Load() != 1 {
			t.Errorf("stopped %d times", stopped.Load())
		}
		b.stop()
	})
}

// A partition count that grows under a running group would send keys to partitions that do not have their rows.
func TestMorePartitionsAreRefused(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		if _, err := w.adm.CreatePartitions(t.Context(), 2, commands); err != nil {
			t.Fatal(err)
		}
		w.cluster.RehashCoordinators()
		select {
		case <-a.done:
		case <-time.After(20 * time.Minute):
			t.Fatal("the processor goes on")
		}
		if !errors.Is(a.err, ErrRefused) || !strings.Contains(a.err.Error(), "partition") {
			t.Errorf("Run returned %v, want ErrRefused", a.err)
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

// A topic that was deleted and made again, or that got more partitions while nobody looked, is refused: it is not what the table and the offsets speak of.
func TestATopicIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "2"}
	for name, test := range map[string]struct {
		change func(t *testing.T, w *world)
		want   string
	}{
		"the table was made again": {func(t *testing.T, w *world) {
			mustDo(t, w.cluster.DeleteTopic(tableName), w.cluster.CreateTopic(tableName, w.partitions, settings))
		}, tableName + " was deleted and made again"},
		"all have more partitions": {func(t *testing.T, w *world) {
			if _, err := w.adm.CreatePartitions(t.Context(), 2, commands, tableName); err != nil {
				t.Fatal(err)
			}
		}, "had 4 partitions when this instance last ran and has 6"},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				a := w.start("a", nil)
				a.ready()
				w.commandsFor("c", 10, 5)
				w.until("all is counted", w.caughtUp)
				a.stop()
				test.change(t, w)
				err := w.newInstance("a", a.fs).proc.Run(t.Context())
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Run returned %v, want a refusal: %s", err, test.want)
				}
				if err := resetState(a.fs, "state"); err != nil {
					t.Fatal(err)
				}
				b := w.start("a", a.fs)
				b.ready()
				b.stop()
			})
		})
	}
}
