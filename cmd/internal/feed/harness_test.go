package feed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"utopia/schemas"
	"utopia/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is a broker with the topic of changes, and somebody who writes them in transactions.
type town struct {
	t       *testing.T
	opts    []kgo.Opt
	admin   *kadm.Client
	codec   *schemas.Codec
	ids     *schemas.MemoryIDs
	writers map[string]*kgo.Client
	version map[string]int64
	told    []string // ids of what was committed, by partition in order
}

const partitions = 3

func newTown(t *testing.T) *town {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &town{t: t, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, ids: schemas.NewMemoryIDs(), writers: map[string]*kgo.Client{}, version: map[string]int64{}}
	cl, err := kgo.NewClient(w.opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	w.admin = kadm.NewClient(cl)
	w.create()
	if w.codec, err = schemas.NewCodec(topics.CustomerChanges.Name, w.ids); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *town) create() {
	w.t.Helper()
	stamp := "LogAppendTime"
	if _, err := w.admin.CreateTopic(w.t.Context(), partitions, 1, map[string]*string{"message.timestamp.type": &stamp}, topics.CustomerChanges.Name); err != nil {
		w.t.Fatal(err)
	}
}

// writer is a producer of its own transactions.
func (w *town) writer(name string) *kgo.Client {
	w.t.Helper()
	if w.writers[name] == nil {
		cl, err := kgo.NewClient(append(w.opts[:len(w.opts):len(w.opts)], kgo.TransactionalID(name), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(cl.Close)
		w.writers[name] = cl
	}
	return w.writers[name]
}

func (w *town) begin(name string) {
	w.t.Helper()
	if err := w.writer(name).BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
}

// write adds changes of e-mail addresses to a transaction.
func (w *town) write(name string, customers ...string) (ids []string) {
	w.t.Helper()
	for _, c := range customers {
		version := w.version[c] + 1
		w.version[c] = version
		value, err := w.codec.Append(nil, &schemas.PublicEmailChanged{
			CustomerID: c, EventHead: schemas.EventHead{Version: version, At: 1_767_225_600_000, CommandID: "x"},
			Before: c + "@before.example", After: c + "@after.example",
		})
		if err != nil {
			w.t.Fatal(err)
		}
		r := &kgo.Record{Topic: topics.CustomerChanges.Name, Partition: topics.Partition(c, partitions), Key: []byte(c), Value: value}
		if err := w.writer(name).ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, fmt.Sprintf("%s/%d", c, version))
	}
	return ids
}

func (w *town) end(name string, commit bool) {
	w.t.Helper()
	if err := w.writer(name).EndTransaction(w.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		w.t.Fatal(err)
	}
}

// commit writes changes that everybody must be told of.
func (w *town) commit(customers ...string) {
	w.t.Helper()
	w.begin("writer")
	w.told = append(w.told, w.write("writer", customers...)...)
	w.end("writer", true)
}

// abort writes changes that never happened.
func (w *town) abort(customers ...string) {
	w.t.Helper()
	w.begin("writer")
	w.write("writer", customers...)
	w.end("writer", false)
	for _, c := range customers {
		w.version[c]--
	}
}

// feed starts an instance, until stopped or the test ends.
func (w *town) feed(ringBytes int) (f *Feed, stop func()) {
	w.t.Helper()
	f, err := New(Config{Client: w.opts, IDs: w.ids, RingBytes: ringBytes})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the feed ended with: %v", err)
		}
	}
	w.t.Cleanup(stop)
	w.eventually("a feed is ready", f.Ready)
	return f, stop
}

func (w *town) eventually(what string, ok func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// caughtUp waits until an instance has read what is committed.
func (w *town) caughtUp(f *Feed) {
	w.t.Helper()
	ends, err := w.admin.ListCommittedOffsets(w.t.Context(), topics.CustomerChanges.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	target := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { target[o.Partition] = o.Offset })
	w.eventually("a feed has read everything", func() bool { return f.Reached(target) })
}

// heard is a reader as a client would be: it reads frames, and may stop after any of them.
type heard struct {
	ids    []string // of changes
	text   []string // of frames
	lastID string
}

// hear reads until there were n events in all, or nothing comes for a while; it drops the rest as a broken connection would.
func (w *town) hear(f *Feed, h *heard, n int, filter Filter) {
	w.t.Helper()
	r, err := f.Follow(w.t.Context(), h.lastID, false, filter)
	if err != nil {
		w.t.Fatalf("after %d events: %v", len(h.ids), err)
	}
	if h.lastID == "" {
		h.lastID = r.Position()
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	for len(h.ids) < n {
		batch, err := r.Next(ctx)
		if err != nil || ctx.Err() != nil {
			w.t.Fatalf("%d of %d events: %v %v", len(h.ids), n, err, ctx.Err())
		}
		for _, b := range batch {
			for frame := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n\n"), "\n\n") {
				if len(h.ids) == n {
					return
				}
				h.frame(w.t, frame)
			}
		}
	}
}

// quiet says what comes within a moment.
func (w *town) quiet(f *Feed, h *heard, filter Filter) {
	w.t.Helper()
	r, err := f.Follow(w.t.Context(), h.lastID, false, filter)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 150*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		batch, err := r.Next(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(batch) > 0 {
			w.t.Errorf("once more: %s", batch[0])
			return
		}
	}
}

func (h *heard) frame(t *testing.T, frame string) {
	t.Helper()
	id, rest, _ := strings.Cut(strings.TrimPrefix(frame, "id: "), "\n")
	name, data, _ := strings.Cut(strings.TrimPrefix(rest, "event: "), "\ndata: ")
	_, change, _ := strings.Cut(data, `"id":"`)
	change, _, _ = strings.Cut(change, `"`)
	if id == "" || name == "" || change == "" {
		t.Fatalf("not a frame: %q", frame)
	}
	h.lastID = id
	h.ids = append(h.ids, change)
	h.text = append(h.text, frame)
}
