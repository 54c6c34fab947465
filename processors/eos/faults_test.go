//go:build synctests

package eos

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowTable holds up what an instance reads of the changelog.
func (i *instance) slowTable(delay func() time.Duration) {
	id := i.w.cluster.TopicInfo(tableName).TopicID
	i.link.onAnswer(func(key int16, body []byte) bool {
		if key == kmsg.Fetch.Int16() && bytes.Contains(body, id[:]) {
			time.Sleep(delay())
		}
		return true
	})
}

// Rebalances do not wait for a member that recovers, and recovery is taken up again: nothing is lost, nothing handled twice, and no row served that is not
// complete.
func TestRebalancesWhileATableRecovers(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("c", 300, 60)
		w.until("all is counted", w.caughtUp)
		a.stop()
		w.commandsFor("waiting", 100, 60)
		slow := w.newInstance("slow", nil)
		healed := time.Now().Add(10 * time.Minute)
		slow.slowTable(func() time.Duration { return max(0, min(time.Minute, time.Until(healed))) })
		slow.run()
		time.Sleep(20 * time.Second)
		if slow.proc.Ready() {
			t.Fatal("nothing is tested")
		}
		var others []*instance
		for n := range 3 {
			began := time.Now()
			o := w.start(fmt.Sprint("other-", n), nil)
			o.ready()
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("member %d was ready after %v", n, took)
			}
			others = append(others, o)
			time.Sleep(30 * time.Second)
		}
		others[0].stop()
		time.Sleep(time.Until(healed))
		w.until("all is counted", w.caughtUp)
		w.verify()
		w.verifyRows(slow, others[1], others[2])
		for _, i := range append(others[1:], slow) {
			i.stop()
		}
	})
}

// A member that recovers ends as quickly as any other: when it is to stop, and when another process takes its place.
func TestARecoveryIsBrokenOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(w *world, i *instance)
		want error
	}{
		"by a stop": {end: func(_ *world, i *instance) { i.cancel() }},
		"by another process under its name": {want: ErrFenced, end: func(w *world, i *instance) {
			o := w.start(i.name, nil)
			o.ready()
			select {
			case <-i.done:
			case <-time.After(time.Minute):
				i.cancel()
			}
			o.stop()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				a := w.start("a", nil)
				a.ready()
				w.commandsFor("c", 300, 60)
				w.until("all is counted", w.caughtUp)
				a.stop()
				slow := w.newInstance("slow", nil)
				slow.slowTable(func() time.Duration { return 10 * time.Minute })
				defer time.Sleep(10 * time.Minute) // of who reads for the client
				slow.run()
				time.Sleep(20 * time.Second)
				began := time.Now()
				test.end(w, slow)
				<-slow.done
				if took := time.Since(began); took > 10*time.Second || test.want == nil && took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				if !errors.Is(slow.err, test.want) {
					t.Errorf("Run returned %v, want %v", slow.err, test.want)
				}
			})
		})
	}
}

// SIGTERM under a backlog of many transactions: the one at hand is finished, nothing is aborted, nothing is left open, and it takes less than five seconds.
func TestStoppingUnderLoad(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		w.commandsFor("c", 10_000, 500)
		var transactions atomic.Int64
		for n := range 5 {
			a := w.newInstance("a", nil, func(c *Config) {
				c.Hooks.Committed = func(time.Duration, int) { transactions.Add(1) }
				c.MaxRecords, c.MaxBytes = 100, 1 // time stands still here, and transactions grow until some of it has passed
			})
			a.link.delay = 3 * time.Millisecond
			a.run()
			a.ready()
			before := transactions.Load()
			w.until("it works", func() bool { return transactions.Load() > before+int64(n) })
			began := time.Now()
			a.stop()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			w.verifyStable()
			if w.caughtUp() {
				t.Error("there was no load")
			}
		}
		b := w.start("b", nil)
		b.ready()
		w.until("all is counted", w.caughtUp)
		b.stop()
		w.verify()
		for what, n := range w.hits {
			if what != "generation" {
				t.Errorf("%s: %d", what, n)
			}
		}
	})
}

// The group's offset of one partition is gone, the others are not.
func TestOneLostOffsetIsRefused(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("c", 100, 50)
		w.until("the commands are counted", w.caughtUp)
		a.stop()
		var gone kadm.TopicsSet
		gone.Add(commands, 2)
		if _, err := w.adm.DeleteOffsets(t.Context(), groupName, gone); err != nil {
			t.Fatal(err)
		}
		err := w.newInstance("a", a.fs).proc.Run(t.Context())
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), commands+"/2") || !strings.Contains(err.Error(), "utopia offsets set") {
			t.Errorf("Run returned %v, want ErrRefused", err)
		}
		w.verify()
	})
}

// While an instance is down, its changelog loses what the instance had not read. Its state is removed and read again, once.
func TestATruncatedChangelogIsReadAgain(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("c", 100, 50)
		w.until("all is counted", w.caughtUp)
		a.stop()
		b := w.start("b", nil)
		b.ready()
		w.commandsFor("d", 400, 50)
		w.until("all is counted", w.caughtUp)
		b.stop()
		ends, err := w.adm.ListEndOffsets(t.Context(), tableName)
		mustDo(t, err)
		left := make(map[string]uint64)
		for p, records := range w.dump(tableName, kgo.ReadCommitted()) {
			end, _ := ends.Lookup(tableName, int32(p)) //nolint:gosec // Small.
			from := end.Offset - 20
			mustDo(t, w.cluster.DeleteRecords(tableName, int32(p), from)) //nolint:gosec // Small.
			for _, r := range records {
				if r.Offset >= from {
					left[string(r.Key)] = count(r.Value)
				}
			}
		}
		fs := a.fs
		for range 2 {
			c := w.start("a", fs)
			c.ready()
			for n := range 50 {
				key := fmt.Sprint("k", n)
				if row, err := c.proc.Get(key); err != nil || count(row) != left[key] {
					t.Errorf("%s is %d (%v), want %d", key, count(row), err, left[key])
				}
			}
			c.stop()
		}
		if n := strings.Count(w.log.String(), "local state is removed"); n != int(w.partitions) {
			t.Errorf("%d partitions were removed, want each once", n)
		}
	})
}

// What is held of a blocked partition belongs to the assignment: after a rebalance it is read again, by whoever has the partition then.
func TestABlockedPartitionMoves(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var down atomic.Bool
		down.Store(true)
		blocks := func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Admit: func(r *kgo.Record) error {
				if down.Load() && strings.HasPrefix(string(r.Value), "unknown") {
					return ErrBlocked
				}
				return nil
			}}
		}
		all := []*instance{w.start("a", nil, blocks)}
		all[0].ready()
		for p := range w.partitions {
			key := keyIn(p, w.partitions)
			for _, id := range []string{"first", "unknown", "last"} {
				w.produce(w.record(key, fmt.Sprint(id, p)))
			}
		}
		time.Sleep(10 * time.Second)
		for _, name := range []string{"b", "c", "d"} {
			i := w.start(name, nil, blocks)
			all = append(all, i)
			i.ready()
			time.Sleep(7 * time.Second)
		}
		all[1].stop()
		time.Sleep(7 * time.Second)
		if n := len(w.dump(events, kgo.ReadCommitted())[0]); n != 1 {
			t.Errorf("%d events of a blocked partition", n)
		}
		down.Store(false)
		w.until("all is counted", w.caughtUp)
		w.verify()
		for _, i := range []*instance{all[0], all[2], all[3]} {
			i.stop()
		}
	})
}

// What the hooks are told adds up to what happened.
func TestHooks(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var mu sync.Mutex
		n := make(map[string]int)
		add := func(what string, by int) {
			mu.Lock()
			defer mu.Unlock()
			n[what] += by
		}
		get := func(what string) int {
			mu.Lock()
			defer mu.Unlock()
			return n[what]
		}
		var down atomic.Bool
		var lag, oldest, size atomic.Int64
		a := w.newInstance("a", nil, func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Move: true, Admit: func(r *kgo.Record) error {
				if down.Load() && strings.HasPrefix(string(r.Value), "unknown") {
					return ErrBlocked
				}
				return nil
			}}
			c.Hooks = Hooks{
				Handled:    func(topic string, records int) { add("handled "+topic, records) },
				Committed:  func(_ time.Duration, records int) { add("committed", records) },
				Aborted:    func(string) { add("aborted", 1) },
				Recovered:  func(_ time.Duration, partitions int) { add("recovered", partitions) },
				DeadLetter: func(topic, reason string) { add("dead "+topic+" "+reason, 1) },
				Moved:      func(topic string) { add("moved "+topic, 1) },
				StoreSize:  func(bytes int64) { size.Store(bytes) },
				Input: func(topic string, partition int32, behind int64, age, retention time.Duration) {
					if topic == commands && partition == 1 {
						lag.Store(behind)
						oldest.Store(int64(age))
					}
					if retention != 7*24*time.Hour {
						add("retention "+retention.String(), 1)
					}
				},
			}
		})
		// The first transaction with records is lost once, so that everything in it is done twice and counts once. The one before it commits the beginning.
		var ends atomic.Int64
		a.link.onAnswer(func(key int16, _ []byte) bool {
			return key != kmsg.TxnOffsetCommit.Int16() || ends.Add(1) != 2
		})
		key := keyIn(1, w.partitions)
		moved := &kgo.Record{Topic: commands, Partition: 2, Key: []byte(key), Value: []byte("moved")}
		w.produce(w.record(key, "good"), w.record(key, "malformed"), &kgo.Record{Topic: commands, Partition: 1, Value: []byte("no key")}, moved)
		a.run()
		a.ready()
		w.until("all is handled", w.caughtUp)
		down.Store(true)
		w.produce(w.record(key, "unknown"), w.record(key, "behind"))
		time.Sleep(10 * time.Minute)
		if age := time.Duration(oldest.Load()); lag.Load() != 2 || age < 9*time.Minute || age > 11*time.Minute {
			t.Errorf("lag %d, oldest %v; want 2 and ten minutes", lag.Load(), age)
		}
		down.Store(false)
		w.until("all is handled", w.caughtUp)
		time.Sleep(10 * time.Second)
		if lag.Load() != 0 || oldest.Load() != 0 || size.Load() == 0 {
			t.Errorf("lag %d, oldest %v, size %d; want 0, 0 and some", lag.Load(), time.Duration(oldest.Load()), size.Load())
		}
		a.stop()
		if n := get("aborted"); n != 1 {
			t.Fatalf("%d aborts: nothing is tested", n)
		}
		for what, want := range map[string]int{
			"handled " + commands: 7, "committed": 7, "moved " + commands: 1,
			"dead " + commands + " malformed": 1, "dead " + commands + " nil_key": 1,
		} {
			if got := get(what); got != want {
				t.Errorf("%s: %d, want %d", what, got, want)
			}
		}
		for what := range n {
			if strings.HasPrefix(what, "retention") {
				t.Error(what)
			}
		}
	}, withConfig(commands, "retention.ms", "604800000"))
}
