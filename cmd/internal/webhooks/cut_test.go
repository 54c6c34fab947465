package webhooks

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/schemas"
	"utopia/topics"
)

// changesLog is a partition of changes, and a sender that tells them to a receiver.
type changesLog struct {
	t      *testing.T
	fake   *kfake.Cluster
	seeds  kgo.Opt
	client *kgo.Client
	next   int64 // version of the next change
	said   lines
	r      *receiver
	sender *Sender
	hook   *schemas.WebhookState
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newChangesLog(t *testing.T) *changesLog {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, topics.CustomerChanges.Name))
	t.Cleanup(c.Close)
	w := &changesLog{t: t, fake: c, seeds: kgo.SeedBrokers(c.ListenAddrs()...), r: &receiver{}}
	w.client = w.connect()
	d := &desk{}
	l := newLane(t, d, w.r)
	w.hook = l.hook
	w.sender = &Sender{
		cfg: Config{Client: []kgo.Opt{w.seeds}, Hooks: Hooks{Attempt: l.observed}}, log: slog.New(slog.NewTextHandler(&w.said, nil)),
		adm: kadm.NewClient(w.client), positions: newPositions(), compose: l.compose, caller: w.r, count: 1,
	}
	return w
}

func (w *changesLog) connect(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(opts, w.seeds)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

// write appends changes of customers.
func (w *changesLog) write(cl *kgo.Client, customers ...string) {
	w.t.Helper()
	for _, id := range customers {
		w.next++
		r := moved(w.t, 0, id, w.next)
		if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// tell begins at a position that was saved, and returns where it really begins.
func (w *changesLog) tell(pos schemas.WebhookPosition) schemas.WebhookPosition {
	w.t.Helper()
	pos.WebhookID, pos.FailingAt = w.hook.WebhookID, w.hook.ActiveAt
	w.sender.positions.save(pos)
	k, err := w.sender.start(w.t.Context(), w.hook, []int32{0})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		k.stop()
		<-k.done
	})
	pos, _ = w.sender.positions.of(w.hook, 0)
	return pos
}

func (w *changesLog) told(want ...string) {
	w.t.Helper()
	var got []string
	for began := time.Now(); len(got) < len(want) && time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		w.r.mu.Lock()
		got = append([]string{}, w.r.got...)
		w.r.mu.Unlock()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("told (-want +got):\n%s", diff)
	}
}

// The log was cut off: what comes next has offsets below the position, and is told.
func TestALogThatIsShorterThanThePosition(t *testing.T) {
	for name, tt := range map[string]struct{ saved, want schemas.WebhookPosition }{
		"the position is beyond":           {schemas.WebhookPosition{Offset: 10}, schemas.WebhookPosition{Offset: 3}},
		"and one customer is told again":   {schemas.WebhookPosition{Offset: 8, Only: "c-1", Until: 10}, schemas.WebhookPosition{Offset: 3}},
		"only the end of a wish is beyond": {schemas.WebhookPosition{Offset: 3, Only: "c-1", Until: 10}, schemas.WebhookPosition{Offset: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newChangesLog(t)
			w.write(w.client, "c-1", "c-2", "c-1")
			got := w.tell(tt.saved)
			if got.Offset != tt.want.Offset || got.Only != tt.want.Only || got.Until != tt.want.Until {
				t.Errorf("goes on at %+v", got)
			}
			if said := w.said.String(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "shorter") {
				t.Errorf("says %s", said)
			}
			w.write(w.client, "c-2", "c-1")
			w.told("c-2/4", "c-1/5")
		})
	}
}

// What is not committed yet is in the log: a position among it is where it was, and so is one at the end.
func TestAnOpenTransactionIsNoEnd(t *testing.T) {
	w := newChangesLog(t)
	w.write(w.client, "c-1", "c-2", "c-1")
	tx := w.connect(kgo.TransactionalID("customer-0"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	w.write(tx, "c-1", "c-2")
	if got := w.tell(schemas.WebhookPosition{Offset: 5}); got.Offset != 5 || got.FailingAt == 0 || w.said.String() != "" {
		t.Errorf("goes on at %+v, says %s", got, w.said.String())
	}
	if err := tx.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	w.write(w.client, "c-2")
	w.told("c-2/6")
}

// The log is cut off while it is read: the reader comes back with other records at offsets that were told before.
func TestALogThatIsCutOffWhileItIsRead(t *testing.T) {
	d, r := &desk{}, &receiver{}
	l := newLane(t, d, r)
	var said lines
	l.log = slog.New(slog.NewTextHandler(&said, nil))
	l.pos = schemas.WebhookPosition{WebhookID: "w-1", Only: "c-1", Until: 8}
	for i, offset := range []int64{0, 1, 5, 3, 4, 6} {
		if err := l.handle(t.Context(), moved(t, offset, fmt.Sprintf("c-%d", i%2), int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"c-1/1", "c-1/3", "c-0/4", "c-1/5"}, r.got); diff != "" || d.saved.Offset != 7 || d.saved.Until != 0 {
		t.Errorf("at %+v, told (-want +got):\n%s", d.saved, diff)
	}
	if strings.Count(said.String(), "level=ERROR") != 1 {
		t.Errorf("says %s", said.String())
	}
}

// Another leader says, while a worker reads or waits, where the log that was read ends: what it has from there on is told.
func TestANewLeaderHasAShorterLog(t *testing.T) {
	for name, tt := range map[string]struct {
		at   int64
		told []string // before
	}{
		"some was read":        {1, []string{"c-2/2", "c-1/3"}},
		"nothing was read yet": {3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newChangesLog(t)
			w.write(w.client, "c-1", "c-2", "c-1")
			w.tell(schemas.WebhookPosition{Offset: tt.at})
			w.told(tt.told...)
			var asked atomic.Int64
			w.fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				w.fake.KeepControl()
				asked.Add(1)
				return cutAt(r, 2), nil, true
			})
			leader := w.fake.LeaderFor(topics.CustomerChanges.Name, 0)
			if err := w.fake.MoveTopicPartition(topics.CustomerChanges.Name, 0, 1-leader); err != nil {
				t.Fatal(err)
			}
			w.told(append(slices.Clone(tt.told), "c-1/3")...)
			if said := w.said.String(); asked.Load() == 0 || !strings.Contains(said, "shorter") {
				t.Errorf("asked %d times, says %s", asked.Load(), said)
			}
		})
	}
}

// cutAt answers that the epoch which is asked about ended at offset.
func cutAt(r kmsg.Request, offset int64) kmsg.Response {
	req := r.(*kmsg.OffsetForLeaderEpochRequest)                    //nolint:forcetypeassert // By the key.
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse) //nolint:forcetypeassert // By the kind.
	for _, topic := range req.Topics {
		st := kmsg.NewOffsetForLeaderEpochResponseTopic()
		st.Topic = topic.Topic
		for _, p := range topic.Partitions {
			sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			sp.Partition, sp.LeaderEpoch, sp.EndOffset = p.Partition, p.LeaderEpoch, offset
			st.Partitions = append(st.Partitions, sp)
		}
		resp.Topics = append(resp.Topics, st)
	}
	return resp
}
