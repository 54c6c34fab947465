package eos

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// until polls ok for a while. Time is virtual in a bubble; elsewhere the limit is generous.
func (w *world) until(what string, ok func() bool) {
	w.tb.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			if *verbose {
				fmt.Fprintf(os.Stderr, "group: %+v\n", w.cluster.GroupInfo(groupName))
				_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			}
			w.tb.Errorf("%s: not within two minutes", what)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// caughtUp says whether the group has committed everything that is in the inputs.
func (w *world) caughtUp() bool {
	ends, err := listed(w.adm.ListEndOffsets(w.tb.Context(), commands))
	if err != nil {
		return false
	}
	committed, err := w.adm.FetchOffsets(w.tb.Context(), groupName)
	if err != nil {
		return false
	}
	for p, end := range ends[commands] {
		at, ok := committed.Lookup(commands, p)
		if !ok && end.Offset > 0 || ok && at.At < end.Offset {
			return false
		}
	}
	return true
}

// dump reads a topic to its end with a client of its own, per partition, as a consumer of the isolation level sees it.
func (w *world) dump(topic string, level kgo.IsolationLevel) [][]*kgo.Record {
	w.tb.Helper()
	ends, err := listed(w.adm.ListEndOffsets(w.tb.Context(), topic))
	if err != nil {
		w.tb.Fatal(err)
	}
	start := make(map[int32]kgo.Offset)
	left := make(map[int32]int64)
	for p, o := range ends[topic] {
		if o.Offset > 0 {
			start[p], left[p] = kgo.NewOffset().At(0), o.Offset
		}
	}
	out := make([][]*kgo.Record, len(ends[topic]))
	if len(left) == 0 {
		return out
	}
	cl := w.newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.tb.Context(), 2*time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.tb.Fatalf("dump %s: %v; %v left", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				out[r.Partition] = append(out[r.Partition], r)
			}
		})
	}
	return out
}

// verify compares everything the group wrote with what it was sent: each command counted once, per key in order, the table in step, and nothing open.
func (w *world) verify() {
	w.tb.Helper()
	want := make(map[string]int)
	for _, records := range w.dump(commands, kgo.ReadCommitted()) {
		for _, r := range records {
			want[string(r.Value)]++
		}
	}
	got := make(map[string]int)
	perKey := make(map[string]uint64)
	for p, records := range w.dump(events, kgo.ReadCommitted()) {
		for _, r := range records {
			at := bytes.LastIndexByte(r.Value, ' ')
			id := string(r.Value[:max(at, 0)])
			n, err := strconv.ParseUint(string(r.Value[at+1:]), 10, 64)
			if err != nil {
				w.tb.Fatalf("event %q: %v", r.Value, err)
			}
			got[id]++
			if perKey[string(r.Key)]++; n != perKey[string(r.Key)] {
				w.tb.Errorf("partition %d: event %q of %s should be number %d", p, r.Value, r.Key, perKey[string(r.Key)])
			}
		}
	}
	for _, records := range w.dump(letters, kgo.ReadCommitted()) {
		for _, r := range records {
			got[string(r.Value)]++
		}
	}
	if !maps.Equal(want, got) {
		w.tb.Errorf("outcomes per command (-sent +got):\n%s", head(gocmp.Diff(want, got)))
	}
	rows := make(map[string]uint64)
	for _, records := range w.dump(tableName, kgo.ReadCommitted()) {
		for _, r := range records {
			rows[string(r.Key)] = count(r.Value)
		}
	}
	if !maps.Equal(perKey, rows) {
		w.tb.Errorf("table (-events +rows):\n%s", head(gocmp.Diff(perKey, rows)))
	}
	w.verifyStable()
}

// verifyStable checks that no transaction is left open.
func (w *world) verifyStable() {
	w.tb.Helper()
	all := []string{commands, events, letters, tableName}
	stable, err := listed(w.adm.ListCommittedOffsets(w.tb.Context(), all...))
	if err != nil {
		w.tb.Fatal(err)
	}
	ends, err := listed(w.adm.ListEndOffsets(w.tb.Context(), all...))
	if err != nil {
		w.tb.Fatal(err)
	}
	for topic, partitions := range ends {
		for p, end := range partitions {
			if s, _ := stable.Lookup(topic, p); s.Offset != end.Offset {
				w.tb.Errorf("%s/%d: last stable offset %d, high-water mark %d", topic, p, s.Offset, end.Offset)
			}
		}
	}
}

// verifyRows compares the rows that running instances serve with the changelog.
func (w *world) verifyRows(instances ...*instance) {
	w.tb.Helper()
	for _, records := range w.dump(tableName, kgo.ReadCommitted()) {
		slices.SortStableFunc(records, func(a, b *kgo.Record) int { return cmp.Compare(string(a.Key), string(b.Key)) })
		for i, r := range records {
			if i+1 < len(records) && string(records[i+1].Key) == string(r.Key) {
				continue
			}
			for _, in := range instances {
				row, err := in.proc.Get(string(r.Key))
				if err != nil {
					continue // another instance's
				}
				if count(row) != count(r.Value) {
					w.tb.Errorf("%s serves %d for %s, the changelog says %d", in.name, count(row), r.Key, count(r.Value))
				}
			}
		}
	}
}

func head(s string) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) > 40 {
		lines = append(lines[:40], "...\n")
	}
	return strings.Join(lines, "")
}

// ready waits until an instance serves.
func (i *instance) ready() {
	i.w.tb.Helper()
	i.w.until(i.name+" is ready", func() bool {
		select {
		case <-i.done:
			i.w.tb.Fatalf("instance %s ended: %v", i.name, i.err)
		default:
		}
		return i.proc.Ready()
	})
}

func TestEveryCommandIsCountedOnce(t *testing.T) {
	w := newWorld(t, 1)
	defer w.close()
	w.commandsFor("before-", 500, 50)
	a := w.start("a", nil)
	a.ready()
	w.commandsFor("live-", 500, 50)
	w.until("the group has caught up", w.caughtUp)
	w.verify()
	w.verifyRows(a)
	a.stop()
	w.verify()
}
