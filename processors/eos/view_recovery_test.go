//go:build synctests

package eos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// One partition cannot be read while another one is being recovered. Goka then ends the recovery of the second as if it were complete; the view must not
// believe it.
func TestViewIsNotReadyWhenARecoveryWasBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2
		c := newLogClusterOn(t, kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.SeedTopics(n, "t"))
		slow, broken, large := keyIn(0, n), keyIn(1, n), noise(20_000)
		c.write(t, kgo.TryCommit, put("t", n, slow, large), put("t", n, broken, "1"))
		// Rows of partition 0 take a minute to arrive; partition 1 cannot be read once.
		mustDo(t, c.MoveTopicPartition("t", 0, 0), c.MoveTopicPartition("t", 1, 1))
		began := time.Now()
		opts := c.slowFetches(func(size int) time.Duration {
			if size > 10_000 {
				return time.Until(began.Add(time.Minute))
			}
			return 0
		})
		denied := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "t", Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: 1})
		v, stop := runView(t, ViewConfig{Client: opts, Topic: "t"})
		for time.Since(began) < time.Minute {
			if row, err := v.Get(slow); !errors.Is(err, ErrNotReady) {
				t.Fatalf("after %v: row %q, error %v, although nothing could be read", time.Since(began), row, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if denied.Hits() == 0 {
			t.Error("nothing was tested")
		}
		waitFor(t, v, slow, large)
		waitFor(t, v, broken, "1")
		stop()
	})
}

// A view that is stopped while it recovers has not seen everything the log had when it began, and must not note that it has: deletions that it did not
// read may be gone from the log when it goes on.
func TestViewStoppedWhileItRecoversIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLogClusterOn(t, kfake.SeedTopics(1, "t"))
		setConfig(t, c, "t", "cleanup.policy", "compact")
		setConfig(t, c, "t", "min.cleanable.dirty.ratio", "0")
		var log damageLog
		cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: "views", FS: vfs.NewMem(), Logger: log.logger()}
		c.write(t, kgo.TryCommit, rec("t", 0, "erased", "a person"), rec("t", 0, "other", "1"))
		v, stop := runView(t, cfg)
		waitFor(t, v, "other", "1")
		stop()

		large := noise(300 << 10) // one or two to a fetch
		for i := range 10 {
			c.write(t, kgo.TryCommit, rec("t", 0, "more-"+strconv.Itoa(i), large))
		}
		c.write(t, kgo.TryCommit, rec("t", 0, "erased", ""))
		time.Sleep(20 * time.Hour)
		var fetches atomic.Int64
		slow := cfg
		slow.Client = c.slowFetches(func(size int) time.Duration {
			if size > 10_000 && fetches.Add(1) > 1 {
				return time.Hour
			}
			return 0
		})
		v, stop = runView(t, slow)
		time.Sleep(5 * time.Second)
		if p := v.Progress(); p.Records == 0 || p.Records >= p.Of || v.Ready() {
			t.Fatalf("progress %+v: nothing is tested", p)
		}
		stop()
		time.Sleep(10 * time.Hour)
		c.write(t, kgo.TryCommit, rec("t", 0, "other", "2"))
		c.Compact()
		c.Compact()
		v, stop = runView(t, cfg)
		waitFor(t, v, "other", "2")
		rows := viewRows(t, v)
		want := map[string]string{"other": "2"}
		for i := range 10 {
			want[fmt.Sprint("more-", i)] = large
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s\n%s", diff, log.String())
		}
		stop()
	})
}

// slowFetches returns a client's options whose answers to fetches are held up for as long as their size says.
func (c *logCluster) slowFetches(delay func(size int) time.Duration) []kgo.Opt {
	l := &link{w: &world{virtual: c.network}, conns: make(map[net.Conn]struct{})}
	l.onAnswer(func(key int16, body []byte) bool {
		if key == kmsg.Fetch.Int16() {
			time.Sleep(delay(len(body)))
		}
		return true
	})
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.Dialer(l.dial)}
}

// setConfig changes a setting of a topic.
func setConfig(t *testing.T, c *logCluster, topic, name, value string) {
	t.Helper()
	client, err := kgo.NewClient(c.opts...)
	mustDo(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	mustDo(t, err)
}

// noise is a value that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(b)
	return string(b)
}
