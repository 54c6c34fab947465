package operator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/operator"
	"utopia/schemas"
	"utopia/topics"
)

const partitions = 4

// fake is a cluster with the whole catalogue.
type fake struct {
	*kfake.Cluster
	opts []kgo.Opt
	cl   *kgo.Client
}

func start(t *testing.T) fake {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	f := fake{Cluster: c, opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}}
	var err error
	if f.cl, err = kgo.NewClient(append(f.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.cl.Close)
	adm := kadm.NewClient(f.cl)
	plan, err := cluster.Compare(t.Context(), adm, topics.All(), cluster.EmbeddedSizes())
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(t.Context(), adm, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fake) put(t *testing.T, r *kgo.Record) cluster.Ref {
	t.Helper()
	if err := f.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return cluster.Ref{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// bury puts a dead letter of topic, as the engine writes it.
func (f fake) bury(t *testing.T, topic topics.Topic, key, reason string, offset int) cluster.Ref {
	t.Helper()
	return f.put(t, &kgo.Record{
		Topic: topic.DLQ().Name, Partition: 2, Key: []byte(key), Value: []byte("not avro"),
		Headers: []kgo.RecordHeader{
			{Key: "utopia-reason", Value: []byte(reason)},
			{Key: "utopia-topic", Value: []byte(topic.Name)},
			{Key: "utopia-partition", Value: fmt.Append(nil, topics.Partition(key, partitions))},
			{Key: "utopia-offset", Value: fmt.Append(nil, offset)},
		},
	})
}

func (f fake) desk(t *testing.T) *operator.Desk {
	t.Helper()
	d, err := operator.New(operator.Config{Client: f.opts, IDs: schemas.NewMemoryIDs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// committed is what a topic has for those who read committed.
func (f fake) committed(t *testing.T, topic string) []string {
	t.Helper()
	var all []string
	if err := cluster.Scan(t.Context(), f.opts, cluster.Range{Topic: topic, Partition: -1}, func(r *kgo.Record) error {
		all = append(all, cluster.Ref{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}.String())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func ada() operator.Who {
	return operator.Who{Name: "ada", Role: "operator", Reason: "the code can read it now"}
}

// what is compared of an action.
func said(a operator.Action) string {
	return strings.Join([]string{a.Action, a.Caller, a.Role, a.Reason, a.Outcome}, " | ")
}

func TestALetterIsDecidedOnce(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.CustomerCommands, "c-17", "malformed", 41)
	began := time.Now().Add(-time.Minute)
	first, err := f.desk(t).Retry(t.Context(), letter, ada())
	if err != nil || first.Repeat || first.Target != letter.String() || said(first) != "RetryDeadLetter | ada | operator | the code can read it now | done" ||
		first.At.Before(began) || first.At.After(time.Now().Add(time.Minute)) {
		t.Fatalf("%+v %v", first, err)
	}
	sent := f.committed(t, topics.CustomerCommands.Name)
	if diff := cmp.Diff([]string{first.Result}, sent); diff != "" {
		t.Fatal(diff)
	}
	bob := operator.Who{Name: "bob", Role: "operator", Reason: "again"}
	again, err := f.desk(t).Retry(t.Context(), letter, bob)
	first.Repeat = true
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("a second time: %v %s", err, diff)
	}
	if a, err := f.desk(t).Drop(t.Context(), letter, bob); !errors.Is(err, operator.ErrDecided) || a.Caller != "ada" {
		t.Errorf("dropped after it was sent again: %+v %v", a, err)
	}
	other := f.bury(t, topics.CustomerCommands, "c-18", "malformed", 42)
	if a, err := f.desk(t).Drop(t.Context(), other, bob); err != nil || a.Result != "" {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := f.desk(t).Retry(t.Context(), other, ada()); !errors.Is(err, operator.ErrDecided) {
		t.Errorf("sent again after it was dropped: %v", err)
	}
	if sent, noted := f.committed(t, topics.CustomerCommands.Name), f.committed(t, topics.OperatorActions.Name); len(sent) != 1 || len(noted) != 2 {
		t.Errorf("%v %v", sent, noted)
	}
}

// Two gateways, several operators, one letter, at the same time.
func TestManyAtOnceDecideOnce(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.BillingCommands, "c-17", "malformed", 41)
	desks := []*operator.Desk{f.desk(t), f.desk(t), f.desk(t)}
	results := make([]string, 9)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() {
			a, err := desks[i%len(desks)].Retry(context.Background(), letter, ada())
			results[i] = fmt.Sprint(a.Result, err)
		})
	}
	all.Wait()
	sent := f.committed(t, topics.BillingCommands.Name)
	if len(sent) != 1 || len(f.committed(t, topics.OperatorActions.Name)) != 1 {
		t.Fatalf("sent %v", sent)
	}
	for _, r := range results {
		if r != sent[0]+"<nil>" {
			t.Errorf("told %s, sent %s", r, sent[0])
		}
	}
}

// Either both are there or neither: the note cannot be written, so the letter is not sent.
func TestWithoutANoteNothingIsSent(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.CustomerCommands, "c-17", "malformed", 41)
	details, err := kadm.NewClient(f.cl).ListTopics(t.Context(), topics.OperatorActions.Name)
	if err != nil {
		t.Fatal(err)
	}
	actions := details[topics.OperatorActions.Name].ID
	f.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		req, ok := r.(*kmsg.ProduceRequest)
		if !ok || !slices.ContainsFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.TopicID == actions }) {
			return nil, nil, false
		}
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(req.Version)
		for _, topic := range req.Topics {
			one := kmsg.NewProduceResponseTopic()
			one.Topic, one.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				one.Partitions = append(one.Partitions, part)
			}
			resp.Topics = append(resp.Topics, one)
		}
		return resp, nil, true
	})
	if _, err := f.desk(t).Retry(t.Context(), letter, ada()); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Fatal(err)
	}
	if sent := f.committed(t, topics.CustomerCommands.Name); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

// A commit whose answer is lost, whether it happened or not, is asked about and not done again.
func TestACommitWithoutAnAnswer(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.CustomerCommands, "c-17", "malformed", 41)
	failed := 0
	f.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		req, ok := r.(*kmsg.EndTxnRequest)
		if !ok || !req.Commit || failed == 2 {
			return nil, nil, false
		}
		failed++
		resp := kmsg.NewPtrEndTxnResponse()
		resp.SetVersion(req.Version)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	a, err := f.desk(t).Retry(t.Context(), letter, ada())
	if err != nil || a.Repeat || failed != 2 {
		t.Fatalf("%+v %v after %d", a, err, failed)
	}
	if diff := cmp.Diff([]string{a.Result}, f.committed(t, topics.CustomerCommands.Name)); diff != "" {
		t.Error(diff)
	}
}

// Who died, or sleeps, in the middle of a decision: the next one does not wait for the time-out, and what was open counts for nothing.
func TestWhoSleepsInTheMiddleIsPassed(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.CustomerCommands, "c-17", "malformed", 41)
	p := topics.Partition(letter.String(), partitions)
	sleeper, err := kgo.NewClient(append(f.opts, kgo.TransactionalID(fmt.Sprintf("operator-actions-%d", p)), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer sleeper.Close()
	if err := sleeper.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := sleeper.ProduceSync(t.Context(), &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte("c-17"), Value: []byte("not avro")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a, err := f.desk(t).Retry(t.Context(), letter, ada())
	if err != nil || time.Since(began) > 8*time.Second {
		t.Fatalf("%+v %v after %s", a, err, time.Since(began))
	}
	if err := sleeper.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("who slept could commit")
	}
	if diff := cmp.Diff([]string{a.Result}, f.committed(t, topics.CustomerCommands.Name)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotSentAgain(t *testing.T) {
	f := start(t)
	state := topics.CustomerState
	f.put(t, &kgo.Record{Topic: state.Name, Partition: topics.Partition("c-17", partitions), Key: []byte("c-17"), Value: []byte("old")})
	overtaken := f.bury(t, state, "c-17", "malformed", 0)
	f.put(t, &kgo.Record{Topic: state.Name, Partition: topics.Partition("c-17", partitions), Key: []byte("c-17"), Value: []byte("new")})
	for name, c := range map[string]struct {
		letter cluster.Ref
		want   error
	}{
		"a state that a later one has replaced":   {overtaken, cluster.ErrOvertaken},
		"a record that was too large to be kept":  {f.bury(t, topics.CustomerCommands, "c-17", "too_large", 3), cluster.ErrNotKept},
		"a letter from a topic that has none":     {f.put(t, &kgo.Record{Topic: topics.CustomerCommands.DLQ().Name, Headers: []kgo.RecordHeader{{Key: "utopia-topic", Value: []byte("customer-table")}}}), cluster.ErrNoOrigin},
		"a letter that is not there":              {cluster.Ref{Topic: topics.CustomerCommands.DLQ().Name, Partition: 1, Offset: 99}, cluster.ErrNoDeadLetter},
		"a letter of a partition that is not one": {cluster.Ref{Topic: topics.CustomerCommands.DLQ().Name, Partition: 99}, cluster.ErrNoDeadLetter},
	} {
		before := len(f.committed(t, state.Name)) + len(f.committed(t, topics.CustomerCommands.Name))
		if _, err := f.desk(t).Retry(t.Context(), c.letter, ada()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if after := len(f.committed(t, state.Name)) + len(f.committed(t, topics.CustomerCommands.Name)); after != before {
			t.Errorf("%s: something was sent", name)
		}
	}
	if noted := f.committed(t, topics.OperatorActions.Name); len(noted) != 0 {
		t.Errorf("noted %v", noted)
	}
	if a, err := f.desk(t).Drop(t.Context(), overtaken, ada()); err != nil || a.Action != operator.Drop {
		t.Errorf("what is not sent again can be dropped: %+v %v", a, err)
	}
}

func TestReasons(t *testing.T) {
	for text, want := range map[string]string{
		" fixed in 1.4 ": "fixed in 1.4", "": "", "  ": "", "two\nlines": "", "\xff": "", strings.Repeat("é", 200): strings.Repeat("é", 200), strings.Repeat("é", 201): "",
	} {
		if got, err := operator.ParseReason(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

func TestANoteIsThereBeforeWhatItIsAbout(t *testing.T) {
	f := start(t)
	if err := f.desk(t).Note(t.Context(), ada(), "EraseCustomer", "c-17", "command-1"); err != nil {
		t.Fatal(err)
	}
	if noted := f.committed(t, topics.OperatorActions.Name); len(noted) != 1 {
		t.Errorf("%v", noted)
	}
}

// Whatever id an operator asks a mail for is noted, and may be a letter's name.
func TestANoteAboutALetterDecidesNothing(t *testing.T) {
	f := start(t)
	letter := f.bury(t, topics.CustomerCommands, "c-17", "malformed", 41)
	if err := f.desk(t).Note(t.Context(), ada(), "ReadMail", letter.String(), ""); err != nil {
		t.Fatal(err)
	}
	if a, err := f.desk(t).Retry(t.Context(), letter, ada()); err != nil || a.Repeat {
		t.Errorf("%+v %v", a, err)
	}
}

func TestTheIndexKnowsLettersAndWhatWasDecided(t *testing.T) {
	f := start(t)
	var refs []cluster.Ref
	for i := range 5 {
		topic := topics.CustomerCommands
		if i == 3 {
			topic = topics.MailCommands
		}
		refs = append(refs, f.bury(t, topic, fmt.Sprintf("c-%d", i), "malformed", i))
		time.Sleep(2 * time.Millisecond) // letters of one moment have no order that this test knows
	}
	x, err := operator.NewIndex(operator.Config{Client: f.opts, IDs: schemas.NewMemoryIDs()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Letters(operator.Query{}); !errors.Is(err, operator.ErrNotReady) {
		t.Errorf("before it has read anything: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for d := f.desk(t); ; {
		if _, err := x.Letters(operator.Query{}); err == nil {
			sent, err := d.Retry(ctx, refs[1], ada())
			dropped, err2 := d.Drop(ctx, refs[2], ada())
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			x.Wait(ctx, sent)
			x.Wait(ctx, dropped)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	// all reads page by page, two at a time.
	all := func(q operator.Query) (got []string) {
		t.Helper()
		for q.Limit = 2; ; {
			p, err := x.Letters(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range p.Letters {
				got = append(got, l.Key+" "+l.State())
			}
			if q.Cursor = p.Next; p.Next == "" {
				return got
			}
		}
	}
	for _, c := range []struct {
		q    operator.Query
		want []string
	}{
		{operator.Query{}, []string{"c-4 open", "c-3 open", "c-2 dropped", "c-1 retried", "c-0 open"}},
		{operator.Query{State: operator.Open}, []string{"c-4 open", "c-3 open", "c-0 open"}},
		{operator.Query{State: operator.Retried}, []string{"c-1 retried"}},
		{operator.Query{Topic: topics.MailCommands.Name}, []string{"c-3 open"}},
		{operator.Query{Topic: topics.MailCommands.Name, State: operator.Dropped}, nil},
	} {
		if diff := cmp.Diff(c.want, all(c.q)); diff != "" {
			t.Errorf("%+v: %s", c.q, diff)
		}
	}
	if a, err := x.Decision(refs[2]); err != nil || a == nil || a.Caller != "ada" {
		t.Errorf("%+v %v", a, err)
	}
	for _, bad := range []string{"x", "!", "MTIz", "MS9hL2IvYw"} {
		if _, err := x.Letters(operator.Query{Cursor: bad}); !errors.Is(err, operator.ErrCursor) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
