//go:build synctests

package eos

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

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
