//go:build synctests

package eos

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inputs keeps the last that Hooks.Input was told of each partition.
type inputs struct {
	mu   sync.Mutex
	last map[int32]inputReport
}

type inputReport struct {
	lag               int64
	oldest, retention time.Duration
}

func (i *inputs) hook(c *Config) {
	i.last = make(map[int32]inputReport)
	c.Hooks.Input = func(_ string, partition int32, lag int64, oldest, retention time.Duration) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.last[partition] = inputReport{lag, oldest, retention}
	}
}

// all returns the records that wait, the age of the oldest of them, and the topic's retention.
func (i *inputs) all() (all inputReport) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.last {
		all.lag += r.lag
		all.oldest = max(all.oldest, r.oldest)
		all.retention = r.retention
	}
	return all
}

// A record is unhandled until its transaction is committed. A processor whose transactions fail has polled everything; its commands near the end
// of their retention all the same, and the metric that warns of it must say so.
func TestARecordThatIsNotCommittedGrowsOld(t *testing.T) {
	t.Parallel()
	const retention = 10 * time.Minute
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var seen inputs
		a := w.start("a", nil, seen.hook)
		a.ready()
		w.commandsFor("first-", 5, 3)
		w.until("the first are counted", w.caughtUp)

		var broken atomic.Bool
		broken.Store(true)
		w.cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
			req, ok := r.(*kmsg.EndTxnRequest)
			if !ok || !req.Commit || !broken.Load() {
				return nil, nil, false
			}
			w.cluster.KeepControl()
			resp, _ := r.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
			return resp, nil, true
		})
		w.commandsFor("second-", 7, 3)
		time.Sleep(6 * time.Minute)
		if got := seen.all(); got.lag != 7 || got.oldest < 5*time.Minute || got.oldest > 6*time.Minute || got.retention != retention {
			t.Errorf("after 6 minutes without a commit: %+v", got)
		}
		broken.Store(false)
		w.until("all are counted", w.caughtUp)
		time.Sleep(2 * time.Second)
		if got := seen.all(); got != (inputReport{retention: retention}) {
			t.Errorf("with nothing left to do: %+v", got)
		}
		a.stop()
		w.verify()
		if w.hits["aborted not_committed"]+w.hits["aborted produce"] == 0 {
			t.Errorf("nothing failed: %v", w.hits)
		}
	}, withConfig(commands, "retention.ms", "600000"))
}

// The markers of a transactional producer are no records, and do not wait for anything.
func TestMarkersDoNotGrowOld(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		var seen inputs
		a := w.start("a", nil, seen.hook)
		a.ready()
		txn := w.newClient(kgo.TransactionalID("sender"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer txn.Close()
		for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			if err := txn.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := txn.ProduceSync(t.Context(), w.record("k1", "c"), w.record("k2", "c")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second) // the marker comes alone
			if err := txn.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if got := seen.all(); got.lag != 0 || got.oldest != 0 {
			t.Errorf("an idle processor: %+v", got)
		}
		if !w.caughtUp() {
			t.Error("the last transaction of the input was aborted, and the group shows a lag since")
		}
		a.stop()
	})
}
