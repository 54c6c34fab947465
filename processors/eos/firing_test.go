//go:build synctests

package eos

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// alarms changes the counter: "arm <unix milliseconds>" sets a key's deadline, and the deadline's command, "due/<key>/alarm/<milliseconds>", ends it if refuse
// says no. Rows are count and deadline.
func alarms(refuse func(key string, dueAt time.Time) bool) func(*Config) {
	deadline := func(row []byte) time.Time {
		if len(row) < 16 {
			return time.Time{}
		}
		if ms := int64(binary.BigEndian.Uint64(row[8:])); ms != 0 { //nolint:gosec // Written from int64.
			return time.UnixMilli(ms)
		}
		return time.Time{}
	}
	row := func(n uint64, at time.Time) []byte {
		b := binary.BigEndian.AppendUint64(nil, n)
		if at.IsZero() {
			return binary.BigEndian.AppendUint64(b, 0)
		}
		return binary.BigEndian.AppendUint64(b, uint64(at.UnixMilli())) //nolint:gosec // After 1970.
	}
	return func(c *Config) {
		c.Graph = goka.DefineGroup(groupName,
			goka.Input(commands, bytesCodec{}, func(ctx goka.Context, msg any) {
				b, _ := msg.([]byte)
				old, _ := ctx.Value().([]byte)
				id, at := string(b), deadline(old)
				if ms, ok := strings.CutPrefix(id, "arm "); ok {
					n, _ := strconv.ParseInt(ms, 10, 64)
					at = time.UnixMilli(n)
				} else if strings.HasPrefix(id, "due/") {
					want := fmt.Sprintf("due/%s/alarm/%d", ctx.Key(), at.UnixMilli())
					if id != want || refuse != nil && refuse(ctx.Key(), at) {
						ctx.Emit(events, ctx.Key(), []byte("ignored "+id))
						return
					}
					at = time.Time{}
				}
				ctx.SetValue(row(count(old)+1, at))
				ctx.Emit(events, ctx.Key(), []byte(fmt.Sprintf("%s %d", id, count(old)+1)))
			}),
			goka.Output(events, bytesCodec{}),
			goka.Persist(bytesCodec{}))
		c.Deadlines = &Deadlines{
			Topic: commands, Version: "1",
			Due: func(_ string, row []byte) []Deadline {
				if at := deadline(row); !at.IsZero() {
					return []Deadline{{Kind: "alarm", At: at}}
				}
				return nil
			},
			Encode: func(key string, d Deadline) ([]byte, error) {
				return fmt.Appendf(nil, "due/%s/%s/%d", key, d.Kind, d.At.UnixMilli()), nil
			},
		}
	}
}

func arm(at time.Time) string { return "arm " + strconv.FormatInt(at.UnixMilli(), 10) }

// fired counts the deadline commands on the input log by value, and says when each was written.
func (w *world) fired() map[string][]time.Time {
	w.tb.Helper()
	all := make(map[string][]time.Time)
	for p, records := range w.dump(commands, kgo.ReadCommitted()) {
		for _, r := range records {
			if strings.HasPrefix(string(r.Value), "due/") {
				all[string(r.Value)] = append(all[string(r.Value)], r.Timestamp)
				if key := string(r.Key); !strings.HasPrefix(string(r.Value), "due/"+key+"/") || w.record(key, "").Partition != int32(p) { //nolint:gosec // Small.
					w.tb.Errorf("%q is keyed %q, in partition %d", r.Value, key, p)
				}
			}
		}
	}
	return all
}

func TestADeadlineFiresOnceAndOnTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil, alarms(nil))
		a.ready()
		due := make(map[string]time.Time)
		for i := range 20 {
			key := "k" + strconv.Itoa(i)
			due[key] = time.Now().Add(time.Duration(1+i) * time.Minute).Truncate(time.Millisecond)
			w.produce(w.record(key, arm(due[key])))
		}
		w.produce(w.record("k0", "due/k0/alarm/12345")) // what somebody else sends in a deadline's name is the callback's to refuse
		time.Sleep(10*time.Minute + 30*time.Second)
		b := w.start("b", nil, alarms(nil)) // and partitions move meanwhile
		time.Sleep(20 * time.Minute)
		w.until("all is handled", w.caughtUp)
		fired := w.fired()
		for key, at := range due {
			id := fmt.Sprintf("due/%s/alarm/%d", key, at.UnixMilli())
			switch times := fired[id]; {
			case len(times) != 1:
				t.Errorf("%s was sent %d times", id, len(times))
			case times[0].Before(at) || times[0].After(at.Add(3*time.Second)):
				t.Errorf("%s was sent at %v", id, times[0])
			}
		}
		a.stop()
		b.stop()
	})
}

// A crash between the command and its handling may send it again: under the same id, which its recipient knows. The deadline happens once.
func TestADeadlineSurvivesCrashes(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"produce", "flush", "offsets_added", "end_sent", "end_answered", "store_applied"} {
		t.Run(point, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				due := time.Now().Add(time.Minute)
				var a *instance
				var once sync.Once
				died := make(chan struct{})
				a = w.newInstance("a", nil, alarms(nil), func(c *Config) {
					c.Hooks.At = func(p string) {
						if p == point && time.Now().After(due) {
							once.Do(func() {
								a.link.cut()
								close(died)
							})
						}
					}
				})
				a.run()
				w.produce(w.record("k", arm(due)))
				<-died
				b := w.start("a", a.kill(), alarms(nil))
				time.Sleep(5 * time.Minute)
				w.until("all is handled", w.caughtUp)
				id := fmt.Sprintf("due/k/alarm/%d", due.UnixMilli())
				if fired := w.fired(); len(fired) != 1 || len(fired[id]) < 1 || len(fired[id]) > 2 {
					t.Errorf("sent: %v, want %s once or twice", fired, id)
				}
				happened := 0
				for _, r := range w.dump(events, kgo.ReadCommitted())[w.record("k", "").Partition] {
					if strings.HasPrefix(string(r.Value), id) {
						happened++
					}
				}
				if happened != 1 {
					t.Errorf("the deadline happened %d times", happened)
				}
				b.stop()
			})
		})
	}
}

// A command that was refused as not due, because our clock ran ahead of the broker's, comes again after a while, and less and less often.
func TestARefusedDeadlineFiresAgain(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		due := time.Now().Add(20 * time.Minute).Truncate(time.Millisecond)
		ahead := func(c *Config) {
			c.Now = func() time.Time { return time.Now().Add(10 * time.Minute) }
		}
		a := w.start("a", nil, alarms(func(string, time.Time) bool { return time.Now().Before(due) }), ahead)
		a.ready()
		w.produce(w.record("k", arm(due)))
		time.Sleep(40 * time.Minute)
		times := w.fired()[fmt.Sprintf("due/k/alarm/%d", due.UnixMilli())]
		if len(times) < 4 || len(times) > 10 {
			t.Fatalf("sent %d times in ten minutes: %v", len(times), times)
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 9*time.Second || gap > 6*time.Minute {
				t.Errorf("%v between two", gap)
			}
		}
		if last := times[len(times)-1]; last.Before(due) || last.After(due.Add(6*time.Minute)) {
			t.Errorf("sent last at %v, due at %v", last, due)
		}
		a.stop()
	})
}

// Ten thousand deadlines at the same moment do not make a transaction of ten thousand commands, nor are any forgotten.
func TestManyDeadlinesAtOnce(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		due := time.Now().Add(5 * time.Minute)
		const n = 3 * maxFired
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = w.record("k"+strconv.Itoa(i), arm(due))
		}
		w.produce(records...)
		largest := 0
		inTransaction := 0
		var mu sync.Mutex
		a := w.start("a", nil, alarms(nil), func(c *Config) {
			c.Hooks.Fired = func(string) { mu.Lock(); inTransaction++; mu.Unlock() }
			c.Hooks.At = func(p string) {
				if p == "begin" {
					mu.Lock()
					largest, inTransaction = max(largest, inTransaction), 0
					mu.Unlock()
				}
			}
		})
		a.ready()
		time.Sleep(10 * time.Minute)
		w.until("all is handled", w.caughtUp)
		if fired := w.fired(); len(fired) != n {
			t.Errorf("%d of %d were sent", len(fired), n)
		}
		for id, times := range w.fired() {
			if len(times) != 1 {
				t.Errorf("%s was sent %d times", id, len(times))
			}
		}
		if largest > maxFired || largest == 0 {
			t.Errorf("the largest transaction sent %d", largest)
		}
		a.stop()
		if g := a.proc.generation.Load(); g != nil {
			t.Errorf("a generation is left")
		}
	})
}
