//go:build broker

package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/live"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// A topic that is deleted takes the group's offsets with it. What the binary had of it is of no use to the one that is made in
// its place: it ends, and starts again only when somebody has decided.
func topicDeleted(t *testing.T, w *live.World) {
	t.Helper()
	const name = "bereft"
	topic := topics.CRMChanges.Name
	p := w.Spawn(name, "customer")
	shared(w, 1)
	client := asker(w)
	register(w, client, "before-the-deletion")
	if offsets(w, topic) == 0 {
		t.Fatal("there is no offset to lose")
	}
	deleted, err := w.Admin.DeleteTopics(t.Context(), topic)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if code := p.Ended(2 * time.Minute); code != 1 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("it ended %v after the deletion", time.Since(began).Round(time.Millisecond))
	if !p.Said(`"ERROR"`, topic, "utopia topics apply") {
		t.Error("it does not say why it ended")
	}
	w.Until(time.Minute, "the offsets are gone", func() (bool, error) { return offsets(w, topic) == 0, nil })
	p = w.Spawn(name, "customer")
	if code := p.Ended(time.Minute); code != 1 || !p.Said("refused to start", topic, "does not exist", "utopia topics apply") {
		t.Errorf("exit code %d without the topic; it does not say what to do", code)
	}
	w.CLI(append([]string{"topics", "apply", "--partitions", "4"}, sizes(1)...)...)
	p = w.Spawn(name, "customer")
	if code := p.Ended(time.Minute); code != 1 || !p.Said("refused to start", topic, "made again", "utopia state reset", "utopia offsets set") {
		t.Errorf("exit code %d with another topic of that name; it does not say what to do", code)
	}
	w.CLI("state", "reset", "--state-dir", filepath.Join(w.Dir, "state-"+name))
	w.CLI("offsets", "set", topics.Customer, "--topic", topic, "--to", "start", "--yes")
	p = w.Spawn(name, "customer")
	register(w, client, "after-the-decision")
	p.Stop()
}

// offsets counts the partitions of a topic that the customer group has an offset of.
func offsets(w *live.World, topic string) int {
	w.T.Helper()
	all, err := w.Admin.FetchOffsets(w.T.Context(), topics.Customer)
	if err != nil {
		w.T.Fatal(err)
	}
	return len(all[topic])
}

// Kafka drops a tombstone some time after it has compacted the records that it deletes. Who was away for longer must not keep
// what was deleted meanwhile.
func tombstoneGone(t *testing.T, w *live.World) {
	t.Helper()
	topic := topics.CustomerState.Name
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: kadm.StringPtr(value)}
	}
	altered, err := w.Admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		set("delete.retention.ms", "500"), set("segment.ms", "500"), set("min.cleanable.dirty.ratio", "0.01"), set("min.compaction.lag.ms", "0"),
	}, topic)
	if err == nil {
		for _, one := range altered {
			err = errors.Join(err, one.Err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p := w.Spawn("compacted", "customer")
	client := asker(w)
	register(w, client, "erased")
	register(w, client, "kept")

	dir := t.TempDir()
	look(w, dir, func(v *processors.View[*schemas.CustomerState]) {
		for _, customer := range []string{"erased", "kept"} {
			if _, err := v.Get(customer); err != nil {
				t.Errorf("%s before: %v", customer, err)
			}
		}
	})
	erase(w, "erased")
	began := time.Now()
	for i := 0; inLog(w, topic, "erased"); i++ { // only what is written after a segment's time ends it
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the cleaner has not removed the tombstone")
		}
		register(w, client, keyIn(fmt.Sprintf("filler-%d", i), topics.Partition("erased", topics.EmbeddedPartitions)))
	}
	t.Logf("the log had forgotten the customer and the deletion after %v", time.Since(began).Round(time.Millisecond))
	log := look(w, dir, func(v *processors.View[*schemas.CustomerState]) {
		if _, err := v.Get("erased"); !errors.Is(err, processors.ErrNotFound) {
			t.Errorf("the erased customer has come back: %v", err)
		}
		if _, err := v.Get("kept"); err != nil {
			t.Errorf("kept: %v", err)
		}
	})
	if !bytes.Contains(log, []byte("local state is removed and read from the log again")) || !bytes.Contains(log, []byte("keeps deletions for")) {
		t.Errorf("it does not say that it reads the log again:\n%s", log)
	}
	p.Stop()
}

// look opens a view that keeps its rows in dir, and returns what it logged.
func look(w *live.World, dir string, f func(*processors.View[*schemas.CustomerState])) []byte {
	t := w.T
	t.Helper()
	var log bytes.Buffer
	v, err := processors.NewCustomerView(processors.ViewOptions{
		Client: w.Options(), IDs: w.IDs(), Dir: dir, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- v.Run(ctx) }()
	w.Until(time.Minute, "the view is ready", func() (bool, error) { return v.Ready(), nil })
	f(v)
	cancel()
	if err := <-over; err != nil {
		t.Errorf("the view: %v", err)
	}
	return log.Bytes()
}

func erase(w *live.World, customer string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), time.Minute)
	defer cancel()
	reply, err := asker(w).Ask(ctx, customer, &schemas.EraseCustomer{CustomerID: customer})
	if err != nil || reply.Outcome != schemas.OutcomeAccepted {
		w.T.Fatalf("erase %s: %+v, %v", customer, reply, err)
	}
}

// inLog reads a topic from its beginning and tells whether it has a record of the key.
func inLog(w *live.World, topic, key string) bool {
	t := w.T
	t.Helper()
	partition := topics.Partition(key, topics.EmbeddedPartitions)
	ends, err := w.Admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	reader, err := kgo.NewClient(append(w.Options(), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for found, next := false, int64(0); ; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found = found || string(r.Key) == key
			next = r.Offset + 1
		})
		if found || next >= end.Offset {
			return found
		}
	}
}
