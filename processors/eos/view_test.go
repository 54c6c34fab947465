package eos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"utopia/topics"
)

// runView runs a view until the returned function is called.
func runView(tb testing.TB, cfg ViewConfig) (v *View, stop func()) {
	tb.Helper()
	if cfg.Logger == nil {
		cfg.Logger = testLogger(tb)
	}
	v, err := NewView(cfg)
	mustDo(tb, err)
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	}
	tb.Cleanup(stop)
	return v, stop
}

// waitFor waits until the view has value for key ("": no row).
func waitFor(tb testing.TB, v *View, key, value string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if _, err := v.Wait(ctx, key, func(row []byte) bool { return string(row) == value }); err != nil {
		tb.Fatal(err)
	}
}

// put is a record in the partition that its key belongs to.
func put(topic string, partitions int32, key, value string) *kgo.Record {
	return rec(topic, topics.Partition(key, partitions), key, value)
}

func byDomain(_ string, value []byte) ([]string, error) {
	_, domain, _ := strings.Cut(string(value), "@")
	return []string{domain}, nil
}

func viewRows(tb testing.TB, v *View) map[string]string {
	tb.Helper()
	rows := make(map[string]string)
	mustDo(tb, v.Iterate(func(key string, row []byte) error {
		rows[key] = string(row)
		return nil
	}))
	return rows
}

func TestViewHoldsCommittedRowsOnly(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		const n = 4
		c := newLogCluster(t, n, "t")
		want := make(map[string]string)
		for i := range 50 {
			k := fmt.Sprint("c-", i)
			c.write(t, kgo.TryCommit, put("t", n, k, k+"@one"), put("t", n, k+"x", "short-lived"))
			c.write(t, kgo.TryCommit, put("t", n, k+"x", ""))
			want[k] = k + "@one"
		}
		for i := range 20 {
			c.write(t, kgo.TryAbort, put("t", n, fmt.Sprint("c-", i), "never"), put("t", n, fmt.Sprint("ghost-", i), "never"))
		}
		v, stop := runView(t, ViewConfig{Client: c.opts, Topic: "t", Index: byDomain})
		waitFor(t, v, "c-0", "c-0@one")
		if diff := cmp.Diff(want, viewRows(t, v)); diff != "" {
			t.Error(diff)
		}
		if p := v.Progress(); p.Records != p.Of || p.Of == 0 || !v.Ready() {
			t.Errorf("progress %+v of a ready view", p)
		}

		c.write(t, kgo.TryCommit, put("t", n, "c-1", "c-1@two"), put("t", n, "c-2", ""))
		waitFor(t, v, "c-1", "c-1@two")
		waitFor(t, v, "c-2", "")
		keys, err := v.Lookup("two")
		mustDo(t, err)
		if diff := cmp.Diff([]string{"c-1"}, keys); diff != "" {
			t.Error(diff)
		}
		if keys, err = v.Lookup("one"); err != nil || len(keys) != 48 {
			t.Errorf("%d keys in domain one, %v", len(keys), err)
		}
		stop()
		if _, err := v.Get("c-1"); !errors.Is(err, ErrViewStopped) {
			t.Errorf("after the end: %v", err)
		}
		if _, err := v.Wait(t.Context(), "c-1", func([]byte) bool { return true }); !errors.Is(err, ErrViewStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestViewAnswersNothingBeforeItHasRecovered(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"))
	v, err := NewView(ViewConfig{Client: c.opts, Topic: "t", Index: byDomain})
	mustDo(t, err)
	_, err = v.Get("a")
	var notReady *NotReadyError
	if !errors.As(err, &notReady) || !errors.Is(err, ErrNotReady) {
		t.Errorf("Get: %v", err)
	}
	if _, err := v.Lookup("x"); !errors.Is(err, ErrNotReady) {
		t.Errorf("Lookup: %v", err)
	}
	if err := v.Iterate(func(string, []byte) error { return nil }); !errors.Is(err, ErrNotReady) {
		t.Errorf("Iterate: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := v.Wait(ctx, "a", func([]byte) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
}

// An open transaction before the high-water mark may hold rows that a receipt names: the view is not ready before it has ended.
func TestViewWaitsForOpenTransactions(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"))
	client, err := kgo.NewClient(append(c.opts[:len(c.opts):len(c.opts)], kgo.TransactionalID("open"))...)
	mustDo(t, err)
	defer client.Close()
	mustDo(t, client.BeginTransaction(), client.ProduceSync(t.Context(), rec("t", 0, "a", "2")).FirstErr())

	v, _ := runView(t, ViewConfig{Client: c.opts, Topic: "t"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if row, err := v.Wait(ctx, "a", func([]byte) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("answered %q, %v before the transaction ended", row, err)
	}
	mustDo(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	row, err := v.Wait(t.Context(), "a", func([]byte) bool { return true })
	if err != nil || string(row) != "2" {
		t.Errorf("first answer %q, %v", row, err)
	}
}

func TestViewGoesOnFromItsDirectory(t *testing.T) {
	const n = 2
	c := newLogCluster(t, n, "t")
	fs := vfs.NewMem()
	cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: fs, Index: byDomain, IndexVersion: "1"}
	c.write(t, kgo.TryCommit, put("t", n, "a", "a@one"), put("t", n, "b", "b@one"))
	v, stop := runView(t, cfg)
	waitFor(t, v, "a", "a@one")

	locked, err := NewView(cfg)
	mustDo(t, err)
	if err := locked.Run(t.Context()); !errors.Is(err, ErrStateLocked) {
		t.Errorf("a second view in the directory: %v", err)
	}
	if err := v.Run(t.Context()); err == nil {
		t.Error("Run was possible twice")
	}
	stop()

	c.write(t, kgo.TryCommit, put("t", n, "b", "b@two"), put("t", n, "c", "c@one"))
	v, stop = runView(t, cfg)
	waitFor(t, v, "b", "b@two")
	if p := v.Progress(); p.Of > 4 {
		t.Errorf("%d records read at a restart that had 4 to read", p.Of)
	}
	if diff := cmp.Diff(map[string]string{"a": "a@one", "b": "b@two", "c": "c@one"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}
	keys, err := v.Lookup("one")
	mustDo(t, err)
	if diff := cmp.Diff([]string{"a", "c"}, keys); diff != "" {
		t.Error(diff)
	}
	stop()

	// Another index over the same rows.
	var tried atomic.Int64
	cfg.IndexVersion, cfg.Index = "2", func(key string, _ []byte) ([]string, error) {
		if tried.Add(1) < 5 {
			return nil, errors.New("not now")
		}
		return []string{"key " + key}, nil
	}
	v, _ = runView(t, cfg)
	waitFor(t, v, "b", "b@two")
	if keys, err := v.Lookup("key c"); err != nil || len(keys) != 1 || keys[0] != "c" {
		t.Errorf("new index: %q, %v", keys, err)
	}
}

func TestViewWaitsWithARowThatCannotBeTaken(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "a@one"))
	var known atomic.Bool
	asked := make(chan struct{}, 100)
	v, stop := runView(t, ViewConfig{Client: c.opts, Topic: "t", Index: byDomain, Admit: func(value []byte) error {
		if known.Load() || !strings.HasSuffix(string(value), "@new") {
			return nil
		}
		asked <- struct{}{}
		return fmt.Errorf("the registry: %w", ErrBlocked)
	}})
	waitFor(t, v, "a", "a@one")

	c.write(t, kgo.TryCommit, rec("t", 0, "b", "b@new"), rec("t", 0, "a", "a@two"))
	<-asked
	<-asked
	if diff := cmp.Diff(map[string]string{"a": "a@one"}, viewRows(t, v)); diff != "" {
		t.Errorf("while it waits: %s", diff)
	}
	known.Store(true)
	waitFor(t, v, "a", "a@two")
	if keys, err := v.Lookup("new"); err != nil || !slices.Equal(keys, []string{"b"}) {
		t.Errorf("afterwards: %q, %v", keys, err)
	}

	known.Store(false)
	c.write(t, kgo.TryCommit, rec("t", 0, "c", "c@new"))
	<-asked
	stop() // does not wait
}

func TestViewWaitsForItsTopic(t *testing.T) {
	c := newLogClusterOn(t)
	v, _ := runView(t, ViewConfig{Client: c.opts, Topic: "later"})
	client, err := kgo.NewClient(c.opts...)
	mustDo(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, "later")
	mustDo(t, err)
	c.write(t, kgo.TryCommit, put("later", 2, "a", "1"))
	waitFor(t, v, "a", "1")
}

// DeleteRecords past what the view has read: the rows in between are unknown, so everything is read again.
func TestViewOfALogThatWasTruncated(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem()}
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"), rec("t", 0, "b", "1"))
	v, stop := runView(t, cfg)
	waitFor(t, v, "b", "1")
	stop()
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "")) // the view never sees this one
	c.write(t, kgo.TryCommit, rec("t", 0, "c", "1"))
	c.deleteRecords(t, "t", 0, 5)
	v, _ = runView(t, cfg)
	waitFor(t, v, "c", "1")
	if diff := cmp.Diff(map[string]string{"c": "1"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}
}

func TestViewNeedsATopic(t *testing.T) {
	if _, err := NewView(ViewConfig{}); err == nil {
		t.Error("a view of nothing was made")
	}
}

func TestViewIterateStopsAtAnError(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"), rec("t", 0, "b", "1"))
	v, _ := runView(t, ViewConfig{Client: c.opts, Topic: "t"})
	waitFor(t, v, "b", "1")
	boom := errors.New("boom")
	calls := 0
	if err := v.Iterate(func(string, []byte) error { calls++; return boom }); !errors.Is(err, boom) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// Files that are damaged again are nothing that another try heals.
func TestViewOnABadDiskEnds(t *testing.T) {
	c := newLogCluster(t, 2, "t")
	c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"))
	cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem(), Logger: testLogger(t)}
	v, stop := runView(t, cfg)
	waitFor(t, v, "a", "1")
	stop()
	table := &stateTable{topic: "t"}
	for _, suffix := range []string{damagedSuffix, rebuiltSuffix} {
		mustDo(t, writeFile(cfg.FS, "views/t", table.name(suffix), nil))
	}
	v, err := NewView(cfg)
	mustDo(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := v.Run(ctx); !errors.Is(err, ErrStateCorrupt) {
		t.Errorf("it ends with %v", err)
	}
}
