package processors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// archive is a cluster with the topics of the customer service, filled from a desk.
type archive struct {
	t       *testing.T
	d       *desk
	cluster *kfake.Cluster
	opts    []kgo.Opt
	client  *kgo.Client
	ids     schemas.IDs
}

const archivePartitions = 3

func newArchive(t *testing.T) *archive {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(
		archivePartitions, topics.CustomerEvents.Name, topics.CustomerTable.Name, topics.CustomerState.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	a := &archive{t: t, d: newDesk(t), cluster: cluster, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, ids: schemas.NewMemoryIDs()}
	a.client, err = kgo.NewClient(append(append([]kgo.Opt{}, a.opts...),
		kgo.TransactionalID("archive"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.client.Close)
	return a
}

// write puts records into the log in one transaction.
func (a *archive) write(commit kgo.TransactionEndTry, records ...*kgo.Record) {
	a.t.Helper()
	if err := a.client.BeginTransaction(); err != nil {
		a.t.Fatal(err)
	}
	if err := a.client.ProduceSync(a.t.Context(), records...).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
	if err := kafkaclient.EndTransaction(a.t.Context(), a.client, commit, records...); err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) record(topic topics.Topic, key string, value []byte) *kgo.Record {
	return &kgo.Record{
		Topic: topic.Name, Key: []byte(key), Value: value, Partition: topics.Partition(key, archivePartitions),
	}
}

func (a *archive) row(key string, value []byte) {
	a.write(kgo.TryCommit, a.record(topics.CustomerTable, key, value))
}

// live lets customers live as the processor would have written it, and an aborted transaction between any two.
func (a *archive) live(customers int) {
	a.t.Helper()
	for i := range customers {
		key := fmt.Sprintf("c-%d", i)
		register := *saskia
		register.CustomerID = key
		steps := []schemas.Command{
			&register,
			&schemas.RequestAddressChange{CustomerID: key, Meta: meta("x1"), Address: porto, Reason: schemas.ReasonMoved},
			&schemas.ConfirmAddressChange{CustomerID: key, Meta: meta("y1"), ChangeID: "x1"},
			&schemas.CloseCustomer{CustomerID: key, Meta: meta("z1")},
			&schemas.EraseCustomer{CustomerID: key, Meta: meta("e1")},
		}
		for _, c := range steps[:1+i%len(steps)] {
			a.d.now = a.d.now.Add(time.Second)
			a.give(key, c)
		}
	}
	refused := request("q1") // of somebody unknown: a row of version 0
	refused.CustomerID = "nobody"
	a.give("nobody", refused)
}

func (a *archive) give(key string, c schemas.Command) {
	a.t.Helper()
	a.d.ask(key, c)
	a.store(key)
}

// store writes what the desk did last.
func (a *archive) store(key string) {
	a.t.Helper()
	var records []*kgo.Record
	for _, s := range a.d.lastOut() {
		if topic, _ := topics.ByName(s.topic); s.topic == topics.CustomerEvents.Name || s.topic == topics.CustomerState.Name {
			records = append(records, a.record(topic, s.key, s.value))
		}
	}
	records = append(records, a.record(topics.CustomerTable, key, a.d.rows[key]))
	a.write(kgo.TryCommit, records...)
	a.write(kgo.TryAbort, a.record(topics.CustomerEvents, key, []byte("aborted")), a.record(topics.CustomerTable, key, []byte("aborted")))
}

func (a *archive) rebuild(apply bool) *RebuildReport {
	a.t.Helper()
	r, err := RebuildCustomer(a.t.Context(), RebuildOptions{Client: a.opts, IDs: a.ids, Apply: apply})
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// values reads what a compacted topic says of each key; nil is a tombstone.
func (a *archive) values(topic topics.Topic) map[string][]byte {
	a.t.Helper()
	client, err := kgo.NewClient(a.opts...)
	if err != nil {
		a.t.Fatal(err)
	}
	defer client.Close()
	b := &rebuild{o: RebuildOptions{Client: a.opts}, admin: kadm.NewClient(client), report: &RebuildReport{}}
	values := map[string][]byte{}
	for p := range int32(archivePartitions) {
		if err := b.read(a.t.Context(), topic.Name, p, func(r *kgo.Record) error { values[string(r.Key)] = r.Value; return nil }); err != nil {
			a.t.Fatal(err)
		}
	}
	return values
}

func found(r *RebuildReport) map[string]string {
	m := map[string]string{}
	for _, f := range r.Findings {
		m[f.Key] = f.What
	}
	return m
}

func TestRebuildFindsNothingWhereNothingIsWrong(t *testing.T) {
	a := newArchive(t)
	a.live(10)
	r := a.rebuild(false)
	want := &RebuildReport{Events: 2 * (1 + 2 + 3 + 4 + 5), Customers: 10, Rows: 11, Same: 11}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if r := a.rebuild(true); r.Replaced != 0 || r.Same != 11 {
		t.Errorf("applied: %+v", r)
	}
}

func TestRebuildPutsBackWhatTheEventsSay(t *testing.T) {
	a := newArchive(t)
	a.live(10)
	before, public := a.values(topics.CustomerTable), a.values(topics.CustomerState)

	edit := func(key string, change func(*schemas.CustomerRow)) {
		rec, err := schemas.DecodePrivate(before[key])
		if err != nil {
			t.Fatal(err)
		}
		row, ok := rec.(*schemas.CustomerRow)
		if !ok {
			t.Fatalf("row is %T", rec)
		}
		change(row)
		b, err := schemas.AppendPrivate(nil, row)
		if err != nil {
			t.Fatal(err)
		}
		a.row(key, b)
	}
	edit("c-0", func(r *schemas.CustomerRow) { r.Email = "other@example.org" })
	edit("c-1", func(r *schemas.CustomerRow) { r.Version = 40 })
	edit("c-2", func(r *schemas.CustomerRow) { r.Version = 1 })
	a.row("c-3", nil)
	a.row("c-4", []byte("garbage"))
	edit("c-5", func(r *schemas.CustomerRow) { r.Version = 2 })
	// A row of a customer that no event knows, with an id that it has handled.
	stray := *saskia
	stray.CustomerID = "c-stray"
	a.d.ask("c-stray", &stray)
	a.row("c-stray", a.d.rows["c-stray"])

	r := a.rebuild(false)
	want := map[string]string{
		"c-0": FoundDifferent, "c-1": FoundAhead, "c-2": FoundBehind, "c-3": FoundMissing, "c-4": FoundUnreadable, "c-5": FoundAhead,
		"c-stray": FoundAhead,
	}
	if diff := cmp.Diff(want, found(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if r.Replaced != 0 {
		t.Error("a look replaced rows")
	}

	r = a.rebuild(true)
	if diff := cmp.Diff(want, found(r)); diff != "" || r.Replaced != 7 || r.IDsFromEvents != 2 {
		t.Errorf("replaced %d, ids of %d from events (-want +got):\n%s", r.Replaced, r.IDsFromEvents, diff)
	}
	if r := a.rebuild(false); len(r.Findings) != 0 {
		t.Errorf("after it: %+v", r.Findings)
	}
	after, publicAfter := a.values(topics.CustomerTable), a.values(topics.CustomerState)
	for _, key := range []string{"c-0", "c-1", "c-2"} { // state and handled ids as they were
		if diff := cmp.Diff(before[key], after[key]); diff != "" {
			t.Errorf("row of %s (-want +got):\n%s", key, diff)
		}
	}
	for _, key := range []string{"c-0", "c-1", "c-2", "c-3", "c-4", "c-5"} {
		if diff := cmp.Diff(public[key], publicAfter[key]); diff != "" {
			t.Errorf("public state of %s (-want +got):\n%s", key, diff)
		}
	}
	for key, value := range after {
		a.d.rows[key] = value
	}
	if s, handled := a.d.state("c-stray"); s.Version != 0 || len(handled) != 1 {
		t.Errorf("the stray row: %+v, %d ids", s, len(handled))
	}
	// A command that had been answered is still known where the ids come from the events, whatever its body was.
	register := *saskia
	register.CustomerID = "c-3"
	if reply := a.d.ask("c-3", &register); !reply.Repeat || reply.Outcome != outcomeAccepted || reply.Version != 1 {
		t.Errorf("a repeat after the rebuild: %+v", reply)
	}
}

func TestRebuildLeavesBrokenEventsAlone(t *testing.T) {
	a := newArchive(t)
	a.live(3)
	// Version 2 of c-0 twice, and c-1 closed twice.
	for key, version := range map[string]int64{"c-0": 3, "c-1": 3} {
		head := schemas.EventHead{Version: version}
		b, err := schemas.AppendPrivate(nil, &schemas.CustomerClosed{CustomerID: key, EventHead: head})
		if err != nil {
			t.Fatal(err)
		}
		a.write(kgo.TryCommit, a.record(topics.CustomerEvents, key, b))
		head.Version++
		if b, err = schemas.AppendPrivate(nil, &schemas.CustomerClosed{CustomerID: key, EventHead: head}); err != nil {
			t.Fatal(err)
		}
		a.write(kgo.TryCommit, a.record(topics.CustomerEvents, key, b))
	}
	before := a.values(topics.CustomerTable)
	r := a.rebuild(true)
	if diff := cmp.Diff(map[string]string{"c-0": FoundBroken, "c-1": FoundBroken}, found(r)); diff != "" || r.Replaced != 0 {
		t.Errorf("replaced %d (-want +got):\n%s", r.Replaced, diff)
	}
	if diff := cmp.Diff(before, a.values(topics.CustomerTable)); diff != "" {
		t.Errorf("rows changed:\n%s", diff)
	}
}

func TestRebuildDoesNotTrustHalfAnEventStore(t *testing.T) {
	a := newArchive(t)
	a.live(6)
	admin := kadm.NewClient(a.client)
	var cut kadm.Offsets
	cut.AddOffset(topics.CustomerEvents.Name, topics.Partition("c-0", archivePartitions), 1, -1)
	if _, err := admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	if _, err := RebuildCustomer(t.Context(), RebuildOptions{Client: a.opts, IDs: a.ids}); !errors.Is(err, ErrEventsIncomplete) {
		t.Errorf("a cut event store: %v", err)
	}

	b := newArchive(t)
	b.row("c-0", a.d.rows["c-0"])
	if _, err := RebuildCustomer(t.Context(), RebuildOptions{Client: b.opts, IDs: b.ids, Apply: true}); !errors.Is(err, ErrEventsIncomplete) {
		t.Errorf("an empty event store: %v", err)
	}

	// Rows that nobody can read and no event: who knows what they were.
	c := newArchive(t)
	c.row("c-0", []byte("garbage"))
	if _, err := RebuildCustomer(t.Context(), RebuildOptions{Client: c.opts, IDs: c.ids, Apply: true}); !errors.Is(err, ErrEventsIncomplete) {
		t.Errorf("an empty event store beside rows that nobody can read: %v", err)
	}
	if rows := c.values(topics.CustomerTable); string(rows["c-0"]) != "garbage" {
		t.Errorf("the row is %q", rows["c-0"])
	}
}

func TestRebuildReplacesNothingUnderARunningProcessor(t *testing.T) {
	a := newArchive(t)
	a.live(2)
	member, err := kgo.NewClient(append(append([]kgo.Opt{}, a.opts...),
		kgo.ConsumerGroup(topics.Customer), kgo.ConsumeTopics(topics.CustomerEvents.Name))...)
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if member.PollFetches(ctx).NumRecords() == 0 {
		t.Fatal("the member did not join")
	}
	if _, err := RebuildCustomer(t.Context(), RebuildOptions{Client: a.opts, IDs: a.ids, Apply: true}); !errors.Is(err, ErrProcessorRuns) {
		t.Errorf("apply beside a member: %v", err)
	}
	if r := a.rebuild(false); len(r.Findings) != 0 {
		t.Errorf("a look beside a member: %+v", r.Findings)
	}
}
