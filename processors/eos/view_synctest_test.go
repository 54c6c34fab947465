//go:build synctests

package eos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The topic is made anew, shorter, while a view runs and while it does not: rows of the old one must not be shown.
func TestViewOfATopicThatWasMadeAnew(t *testing.T) { synctest.Test(t, viewOfATopicMadeAnew) }

func viewOfATopicMadeAnew(t *testing.T) {
	c := newLogClusterOn(t, kfake.SeedTopics(1, "t"))
	client, err := kgo.NewClient(c.opts...)
	mustDo(t, err)
	defer client.Close()
	adm := kadm.NewClient(client)
	again := func(rows ...*kgo.Record) {
		_, err := adm.DeleteTopics(t.Context(), "t")
		mustDo(t, err)
		_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "t")
		mustDo(t, err)
		c.write(t, kgo.TryCommit, rows...)
	}
	cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem()}
	for i := range 10 {
		c.write(t, kgo.TryCommit, rec("t", 0, fmt.Sprint("old-", i), "old"))
	}
	v, stop := runView(t, cfg)
	waitFor(t, v, "old-9", "old")
	stop()

	again(rec("t", 0, "new", "1"))
	v, stop = runView(t, cfg)
	waitFor(t, v, "new", "1")
	if diff := cmp.Diff(map[string]string{"new": "1"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}

	again(rec("t", 0, "newer", "1"), rec("t", 0, "more", "1"), rec("t", 0, "than", "1"), rec("t", 0, "before", "1"))
	waitFor(t, v, "newer", "1")
	if diff := cmp.Diff(map[string]string{"newer": "1", "more": "1", "than": "1", "before": "1"}, viewRows(t, v)); diff != "" {
		t.Error(diff)
	}
	stop()
}

// A key is deleted while a view does not run, and the changelog forgets the deletion before it runs again. The row must not live on.
func TestViewForgetsWhatTheLogForgot(t *testing.T) {
	for name, test := range map[string]struct {
		away    time.Duration
		rebuilt bool
	}{
		"back in time": {away: 20 * time.Hour},
		"too late":     {away: 30 * time.Hour, rebuilt: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newLogCluster(t, 1, "t")
				c.configure(t, "t", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0")
				var log damageLog
				cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem(), Logger: log.logger()}
				c.write(t, kgo.TryCommit, rec("t", 0, "erased", "a person"), rec("t", 0, "other", "1"))
				v, stop := runView(t, cfg)
				waitFor(t, v, "erased", "a person")
				stop()

				c.write(t, kgo.TryCommit, rec("t", 0, "erased", ""))
				time.Sleep(test.away)
				c.write(t, kgo.TryCommit, rec("t", 0, "other", "2"))
				c.Compact()
				c.Compact()
				v, stop = runView(t, cfg)
				waitFor(t, v, "other", "2")
				if diff := cmp.Diff(map[string]string{"other": "2"}, viewRows(t, v)); diff != "" {
					t.Error(diff)
				}
				if rebuilt := log.count("local state is removed") > 0; rebuilt != test.rebuilt {
					t.Errorf("rebuilt: %v\n%s", rebuilt, log.String())
				}
				stop()
			})
		})
	}
}

// The network to the cluster is cut while a view runs: it goes on answering with what it has, and reads on afterwards.
func TestViewOutlivesItsCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2
		c := newLogCluster(t, n, "t")
		opts, cut := c.cuttable()
		cut.Store(true)
		v, stop := runView(t, ViewConfig{Client: opts, Topic: "t"})
		time.Sleep(10 * time.Minute)
		if _, err := v.Get("a"); !errors.Is(err, ErrNotReady) {
			t.Errorf("without a cluster: %v", err)
		}
		cut.Store(false)
		c.write(t, kgo.TryCommit, put("t", n, "a", "1"))
		waitFor(t, v, "a", "1")
		for i := range 20 {
			cut.Store(true)
			time.Sleep(time.Duration(rand.IntN(120)) * time.Second)
			if row, err := v.Get("a"); err != nil || string(row) != fmt.Sprint(i+1) {
				t.Errorf("while the cluster is away: %q, %v", row, err)
			}
			want := fmt.Sprint(i + 2)
			c.write(t, kgo.TryCommit, put("t", n, "a", want), put("t", n, "b", want))
			cut.Store(false)
			waitFor(t, v, "a", want)
			waitFor(t, v, "b", want)
		}
		stop()
	})
}

// While a view is cut off, the log loses what the view has not read. It stops answering until it has read everything again.
func TestViewStopsAnsweringWhenItMustStartOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLogCluster(t, 1, "t")
		opts, cut := c.cuttable()
		var log damageLog
		c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"), rec("t", 0, "b", "1"))
		v, stop := runView(t, ViewConfig{Client: opts, Topic: "t", Logger: log.logger()})
		waitFor(t, v, "b", "1")
		cut.Store(true)
		time.Sleep(time.Minute)
		c.write(t, kgo.TryCommit, rec("t", 0, "a", ""))
		c.write(t, kgo.TryCommit, rec("t", 0, "c", "1"))
		c.deleteRecords(t, "t", 0, 5)
		cut.Store(false)
		waitFor(t, v, "c", "1")
		if diff := cmp.Diff(map[string]string{"c": "1"}, viewRows(t, v)); diff != "" {
			t.Error(diff)
		}
		stop()
		if n := log.count("the view is ready"); n != 2 {
			t.Errorf("ready %d times:\n%s", n, log.String())
		}
	})
}

// A view is cut off for longer than the log keeps deletions. What was deleted meanwhile, and compacted away, must not live on; and one that was cut off for a
// shorter time, or that nothing was written to for long, is not read anew.
func TestViewThatWasCutOff(t *testing.T) {
	for name, test := range map[string]struct {
		away    time.Duration
		rebuilt bool
	}{
		"back in time": {away: 20 * time.Minute},
		"too late":     {away: 90 * time.Minute, rebuilt: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newLogCluster(t, 2, "t")
				c.configure(t, "t", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0", "delete.retention.ms", "7200000") // half of it counts
				opts, cut := c.cuttable()
				var log damageLog
				c.write(t, kgo.TryCommit, rec("t", 0, "erased", "a person"), rec("t", 0, "other", "1"), rec("t", 1, "idle", "1"))
				v, stop := runView(t, ViewConfig{Client: opts, Topic: "t", Logger: log.logger()})
				waitFor(t, v, "erased", "a person")
				time.Sleep(2 * time.Hour)
				cut.Store(true)
				c.write(t, kgo.TryCommit, rec("t", 0, "erased", ""))
				time.Sleep(test.away)
				c.write(t, kgo.TryCommit, rec("t", 0, "other", "2"))
				c.Compact()
				c.Compact()
				cut.Store(false)
				waitFor(t, v, "other", "2")
				time.Sleep(2 * confirmEvery)
				if diff := cmp.Diff(map[string]string{"other": "2", "idle": "1"}, viewRows(t, v)); diff != "" {
					t.Error(diff)
				}
				if rebuilt := log.count("local state is removed") > 0; rebuilt != test.rebuilt {
					t.Errorf("rebuilt: %v\n%s", rebuilt, log.String())
				}
				stop()
			})
		})
	}
}

// A process that slept, as a laptop does, reads on over its old connections and asks nobody. What it reads may be all that is left.
func TestAStoreThatSleptDoesNotReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := mustOpen(t, vfs.NewMem())
		s := mustStore(t, d, storeOptions{deleteRetention: 24 * time.Hour})
		mustDo(t, s.completeAsOf(time.Now()))
		time.Sleep(20 * time.Hour)
		mustDo(t, s.Set("a", []byte("1")))
		mustDo(t, s.SetOffset(1)) // says nothing about what else the log has
		time.Sleep(4 * time.Hour)
		mustDo(t, s.Set("b", []byte("1")))
		if err := s.SetOffset(2); !errors.Is(err, errOverdue) {
			t.Errorf("after it slept: %v", err)
		}
		if at, err := s.GetOffset(-1); at != 1 || err != nil {
			t.Errorf("at %d, %v", at, err)
		}
		mustDo(t, d.closeAll())
	})
}

// configure sets a topic's configuration: names and values.
func (c *logCluster) configure(t *testing.T, topic string, pairs ...string) {
	t.Helper()
	client, err := kgo.NewClient(c.opts...)
	mustDo(t, err)
	defer client.Close()
	var all []kadm.AlterConfig
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, kadm.AlterConfig{Op: kadm.SetConfig, Name: pairs[i], Value: &pairs[i+1]})
	}
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), all, topic)
	mustDo(t, err)
}

// cuttable returns a client's options whose connections fail while cut is true.
func (c *logCluster) cuttable() (opts []kgo.Opt, cut *atomic.Bool) {
	cut = new(atomic.Bool)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.Dialer(func(ctx context.Context, proto, addr string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("the network is cut")
		}
		conn, err := c.network.DialContext(ctx, proto, addr)
		return &cutConn{Conn: conn, cut: cut}, err
	})}, cut
}

// cutConn fails once its network is cut.
type cutConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.cut.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// A view's files are damaged while it runs: it rebuilds itself, and answers nothing that is wrong meanwhile.
func TestViewRebuildsItselfWhenItIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLogCluster(t, 1, "t")
		fs := vfs.NewMem()
		var log damageLog
		cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: fs, Logger: log.logger()}
		for i := range 100 {
			c.write(t, kgo.TryCommit, rec("t", 0, fmt.Sprint("k", i), fmt.Sprintf("%0500d", i)))
		}
		v, stop := runView(t, cfg)
		waitFor(t, v, "k99", fmt.Sprintf("%0500d", 99))
		stop()
		damageIn(t, fs, "views/t/table-t")
		v, stop = runView(t, cfg)
		for i := range 100 {
			row, err := v.Wait(t.Context(), fmt.Sprint("k", i), func([]byte) bool { return true })
			if want := fmt.Sprintf("%0500d", i); err != nil || string(row) != want {
				t.Errorf("k%d = %q, %v", i, row, err)
			}
		}
		if n := log.rebuilds(); n != 1 {
			t.Errorf("%d rebuilds:\n%s", n, log.String())
		}
		if rows := viewRows(t, v); len(rows) != 100 {
			t.Errorf("%d rows", len(rows))
		}
		stop()
	})
}
