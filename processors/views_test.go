package processors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

const windowPartitions = 3

// window is the public state topics on a broker, written in transactions, and what looks at them.
type window struct {
	t      *testing.T
	opts   []kgo.Opt
	ids    *schemas.MemoryIDs
	client *kgo.Client
}

func newWindow(t *testing.T) *window {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(windowPartitions,
		topics.CustomerState.Name, topics.BillingState.Name, topics.NotificationState.Name, topics.MailState.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &window{t: t, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, ids: schemas.NewMemoryIDs()}
	if w.client, err = kgo.NewClient(append(slices.Clone(w.opts),
		kgo.TransactionalID("window"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// write puts rows of one topic into the log; a nil row is a tombstone.
func (w *window) write(end kgo.TransactionEndTry, topic topics.Topic, rows map[string]schemas.Record) {
	w.t.Helper()
	codec, err := schemas.NewCodec(topic.Name, w.ids)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	var written []*kgo.Record
	for key, row := range rows {
		r := &kgo.Record{Topic: topic.Name, Key: []byte(key), Partition: topics.Partition(key, windowPartitions)}
		if row != nil {
			if r.Value, err = codec.Append(nil, row); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := w.client.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
		written = append(written, r)
	}
	if err := kafkaclient.EndTransaction(w.t.Context(), w.client, end, written...); err != nil {
		w.t.Fatal(err)
	}
}

// runView runs a view until the test ends.
func runView[T schemas.Record](w *window, v *View[T], err error) *View[T] {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("the view ended with: %v", err)
		}
	})
	return v
}

func (w *window) options() ViewOptions { return ViewOptions{Client: w.opts, IDs: w.ids} }

func (w *window) patience() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	w.t.Cleanup(cancel)
	return ctx
}

// person is a public state of somebody.
func person(id, email string, version int64) *schemas.CustomerState {
	s := customerState(version, lives("Gouda", "registered", 1))
	s.CustomerID, s.Email = id, email
	return s
}

func TestAViewShowsWhatIsCommittedAndAsFreshAsAsked(t *testing.T) {
	w := newWindow(t)
	w.write(kgo.TryCommit, topics.CustomerState, map[string]schemas.Record{
		"c-1": person("c-1", "ada@example.com", 1), "c-2": person("c-2", "grace@example.com", 1), "c-3": person("c-3", "", 1),
	})
	w.write(kgo.TryAbort, topics.CustomerState, map[string]schemas.Record{"c-1": person("c-1", "eve@example.com", 2)})
	made, err := NewCustomerView(w.options())
	if err != nil {
		t.Fatal(err)
	}
	var notReady *eos.NotReadyError
	if _, err := made.Get("c-1"); !errors.As(err, &notReady) {
		t.Errorf("before it has read anything: %v", err)
	}
	if _, err := ByEmail(made, "ada@example.com"); !errors.As(err, &notReady) {
		t.Errorf("the index before it has read anything: %v", err)
	}
	v := runView(w, made, nil)

	receipt := func(key string, version int64, gone bool) Receipt {
		return Receipt{Aggregate: "customer", Key: key, Version: version, Gone: gone}
	}
	got, err := v.After(w.patience(), receipt("c-1", 1, false)) // waits for the view to be ready, too
	if err != nil || got.Email != "ada@example.com" || got.Version != 1 {
		t.Fatalf("the first state: %+v, %v", got, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := v.After(soon, receipt("c-1", 2, false)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a state that was never committed: %v", err)
	}

	answer := make(chan *schemas.CustomerState, 1)
	go func() {
		s, err := v.After(w.patience(), receipt("c-1", 3, false))
		if err != nil {
			t.Errorf("waiting: %v", err)
		}
		answer <- s
	}()
	w.write(kgo.TryCommit, topics.CustomerState, map[string]schemas.Record{"c-1": person("c-1", "Ada@example.org", 4), "c-2": nil})
	if s := <-answer; s == nil || s.Version != 4 {
		t.Errorf("who waited for version 3 got %+v", s)
	}
	if _, err := v.After(w.patience(), receipt("c-2", 2, true)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an erased customer: %v", err)
	}
	if _, err := v.Get("nobody"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "customer nobody") {
		t.Errorf("nobody: %v", err)
	}

	// The index follows the rows: the old address finds nobody, upper and lower case are the same, and none is no address.
	for address, want := range map[string][]string{
		"ada@example.com": nil, "ada@EXAMPLE.org": {"c-1"}, "grace@example.com": nil, "": nil,
	} {
		if ids, err := ByEmail(v, address); err != nil || !slices.Equal(ids, want) {
			t.Errorf("%q finds %v, %v; want %v", address, ids, err, want)
		}
	}
	seen := map[string]int64{}
	if err := v.Each(func(key string, row *schemas.CustomerState) error { seen[key] = row.Version; return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"c-1": 4, "c-3": 1}, seen); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	stop := errors.New("enough")
	if err := v.Each(func(string, *schemas.CustomerState) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each did not stop: %v", err)
	}
}

// Every service's public state has a view, and each knows the version that a receipt is about.
func TestEveryServiceHasAView(t *testing.T) {
	w := newWindow(t)
	w.write(kgo.TryCommit, topics.BillingState, map[string]schemas.Record{
		"c-1": &schemas.BillingState{CustomerID: "c-1", Version: 7, CustomerVersion: 2, Status: "active", Reason: "moved"},
	})
	w.write(kgo.TryCommit, topics.NotificationState, map[string]schemas.Record{
		"c-1": &schemas.NotificationState{CustomerID: "c-1", Version: 5, CustomerVersion: 2, Status: "active"},
	})
	w.write(kgo.TryCommit, topics.MailState, map[string]schemas.Record{
		"customer/c-1/2/1": &schemas.MailState{MailID: "customer/c-1/2/1", Version: 2, Status: "sent", Sender: "customer"},
	})
	bills, err := NewBillingView(w.options())
	billing := runView(w, bills, err)
	notices, err := NewNotificationView(w.options())
	notification := runView(w, notices, err)
	mails, err := NewMailView(w.options())
	mail := runView(w, mails, err)

	if b, err := billing.After(w.patience(), Receipt{Key: "c-1", Version: 7}); err != nil || b.CustomerVersion != 2 {
		t.Errorf("billing: %+v, %v", b, err)
	}
	if n, err := notification.After(w.patience(), Receipt{Key: "c-1", Version: 5}); err != nil || n.CustomerVersion != 2 {
		t.Errorf("notification: %+v, %v", n, err)
	}
	if m, err := mail.After(w.patience(), Receipt{Key: "customer/c-1/2/1", Version: 2}); err != nil || m.Status != "sent" {
		t.Errorf("mail: %+v, %v", m, err)
	}
}

// A row whose schema cannot be looked up is taken when it can: otherwise nobody would ever find it.
func TestASearchFindsWhoCameWhileTheRegistryWasAway(t *testing.T) {
	w := newWindow(t)
	w.write(kgo.TryCommit, topics.CustomerState, map[string]schemas.Record{"c-1": person("c-1", "ada@example.com", 1)})
	w.ids.Break(errors.New("unplugged"))
	v, err := NewCustomerView(w.options())
	runView(w, v, err)
	time.Sleep(200 * time.Millisecond) // or it would not have met the row
	w.ids.Break(nil)
	if _, err := v.After(w.patience(), Receipt{Aggregate: "customer", Key: "c-1", Version: 1}); err != nil {
		t.Fatal(err)
	}
	if ids, err := ByEmail(v, "ada@example.com"); err != nil || !slices.Equal(ids, []string{"c-1"}) {
		t.Errorf("found %v, %v", ids, err)
	}
}
