//go:build synctests

package eos

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// The changelog gets more partitions under a running group. A row belongs to the partition of its input, however many there are: elsewhere no restart would
// find it. The next assignment is refused.
func TestTheChangelogGrowsWhileRunning(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("before", 100, 50)
		w.until("all is counted", w.caughtUp)
		if _, err := w.adm.CreatePartitions(t.Context(), 3, tableName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // the client hears of it
		w.commandsFor("after", 100, 50)
		w.until("all is counted", w.caughtUp)
		for p, records := range w.dump(tableName, kgo.ReadCommitted()) {
			for _, r := range records {
				if home := topics.Partition(string(r.Key), w.partitions); int(home) != p {
					t.Errorf("the row of %s is in partition %d, not %d", r.Key, p, home)
				}
			}
		}
		w.verify()
		b := w.newInstance("b", nil)
		if err := b.proc.Run(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("another instance: %v, want ErrRefused", err)
		}
		a.stop()
		if err := w.newInstance("a", a.fs).proc.Run(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("the next start: %v, want ErrRefused", err)
		}
	})
}

// An input is deleted and made again under a running group. The group's offsets speak of the old one: going on from them would skip as many records of the
// new one, and starting at its beginning is for a person to say.
func TestAnInputIsMadeAgainWhileRunning(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("old", 100, 50)
		w.until("all is counted", w.caughtUp)
		mustDo(t, w.cluster.DeleteTopic(commands), w.cluster.CreateTopic(commands, w.partitions,
			map[string]string{"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}))
		other := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer other.Close()
		for i := range 200 {
			mustDo(t, other.ProduceSync(t.Context(), w.record("k"+strconv.Itoa(i%50), "new"+strconv.Itoa(i))).FirstErr())
		}
		select {
		case <-a.done:
			if !errors.Is(a.err, ErrRefused) || !strings.Contains(a.err.Error(), commands+" was deleted and made again") {
				t.Errorf("Run returned %v, want a refusal", a.err)
			}
		case <-time.After(30 * time.Minute):
			t.Error("the processor goes on")
			a.stop()
		}
		for _, records := range w.dump(events, kgo.ReadCommitted()) {
			for _, r := range records {
				if strings.HasPrefix(string(r.Value), "new") {
					t.Fatalf("event %q", r.Value)
				}
			}
		}
		if err := w.newInstance("a", a.fs).proc.Run(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("the next start: %v, want ErrRefused", err)
		}
	})
}

// An input is deleted under a running group, and nobody makes it again. Its offsets went with it.
func TestAnInputIsDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		a := w.start("a", nil)
		a.ready()
		w.commandsFor("old", 100, 50)
		w.until("all is counted", w.caughtUp)
		mustDo(t, w.cluster.DeleteTopic(commands))
		select {
		case <-a.done:
			if !errors.Is(a.err, ErrRefused) || !strings.Contains(a.err.Error(), commands+" was deleted since this process started") {
				t.Errorf("Run returned %v, want a refusal", a.err)
			}
		case <-time.After(30 * time.Minute):
			t.Error("the processor goes on")
			a.stop()
		}
	})
}
