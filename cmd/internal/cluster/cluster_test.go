package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/cmd/internal/cluster"
	"utopia/topics"
)

// fake is a cluster and a client for it.
type fake struct {
	opts []kgo.Opt
	cl   *kgo.Client
	adm  *kadm.Client
}

func start(t *testing.T, opts ...kfake.Opt) fake {
	t.Helper()
	c := kfake.MustCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	t.Cleanup(c.Close)
	return connect(t, c)
}

func connect(t *testing.T, c *kfake.Cluster) fake {
	t.Helper()
	f := fake{opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}}
	var err error
	f.cl, err = kgo.NewClient(append(f.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.cl.Close)
	f.adm = kadm.NewClient(f.cl)
	return f
}

// applied is a cluster that has the whole catalogue.
func applied(t *testing.T, opts ...kfake.Opt) fake {
	t.Helper()
	f := start(t, opts...)
	if err := f.compare(t).Apply(t.Context(), f.adm, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fake) compare(t *testing.T) cluster.Plan {
	t.Helper()
	p, err := cluster.Compare(t.Context(), f.adm, topics.All(), cluster.EmbeddedSizes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f fake) produce(t *testing.T, recs ...*kgo.Record) {
	t.Helper()
	if err := f.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, f fake, topic, name, value string) {
	t.Helper()
	if _, err := f.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic); err != nil {
		t.Fatal(err)
	}
}

// The controller of a real cluster answers before its brokers have heard of a new topic.
func TestApplyReturnsWhenTheBrokersKnowTheTopics(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	f := fake{cl: cl, adm: kadm.NewClient(cl)}
	plan := f.compare(t)
	var created, looked atomic.Int32
	c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		created.Add(1)
		return nil, nil, false
	})
	c.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		request := r.(*kmsg.MetadataRequest) //nolint:forcetypeassert // ControlKey sees to it
		if int(created.Load()) < len(topics.All()) || len(request.Topics) == 0 || looked.Add(1) > 3 {
			return nil, nil, false
		}
		answer := request.ResponseKind().(*kmsg.MetadataResponse) //nolint:forcetypeassert // the kind of its request
		for _, asked := range request.Topics {
			one := kmsg.NewMetadataResponseTopic()
			one.Topic, one.ErrorCode = asked.Topic, kerr.UnknownTopicOrPartition.Code
			answer.Topics = append(answer.Topics, one)
		}
		return answer, nil, true
	})
	if err := plan.Apply(t.Context(), f.adm, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	if n := looked.Load(); n < 4 {
		t.Fatalf("it returned after %d looks, when the brokers did not know the topics", n)
	}
}

func TestApplyMakesTheClusterAsTheCatalogueHasIt(t *testing.T) {
	f := start(t)
	before := f.compare(t)
	if n := before.Count(cluster.Create); n != len(topics.All()) || before.AsIs != 0 {
		t.Fatalf("%d to create of %d", n, len(topics.All()))
	}
	var done []string
	if err := before.Apply(t.Context(), f.adm, func(c cluster.Change) { done = append(done, c.Topic) }); err != nil {
		t.Fatal(err)
	}
	if len(done) != len(topics.All()) {
		t.Errorf("%d reported done", len(done))
	}
	after := f.compare(t)
	if after.Drifted() {
		t.Errorf("still different:\n%s", strings.Join(after.Lines(), "\n"))
	}
	if got, want := after.Lines(), []string{fmt.Sprintf("%d topics as wanted, nothing to do", len(topics.All()))}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestEachKindOfDriftIsSeenAndPutRightUnlessItIsNotForApply(t *testing.T) {
	f := applied(t)
	commands, state := topics.CustomerCommands.Name, topics.CustomerState.Name
	set(t, f, commands, "message.timestamp.type", "CreateTime")
	set(t, f, commands, "retention.ms", "3600000")
	set(t, f, commands, "retention.bytes", "1000000")
	set(t, f, state, "cleanup.policy", "delete")
	set(t, f, state, "max.message.bytes", "1000")
	set(t, f, state, "min.insync.replicas", "2")
	plan := f.compare(t)
	want := []string{
		"~ topic customer.commands.v1",
		"-     message.timestamp.type   CreateTime",
		"+     message.timestamp.type   LogAppendTime",
		"-     retention.bytes          1000000",
		"+     retention.bytes          -1",
		"-     retention.ms             3600000 (1h0m0s)",
		"+     retention.ms             604800000 (7 d)",
		"~ topic customer.state.v1",
		"-     cleanup.policy           delete",
		"+     cleanup.policy           compact",
		"-     max.message.bytes        1000",
		"+     max.message.bytes        2097152",
		"-     min.insync.replicas      2",
		"+     min.insync.replicas      1",
		fmt.Sprintf("0 to create, 2 to alter, 0 that apply does not touch; %d as wanted", len(topics.All())-2),
	}
	if diff := cmp.Diff(want, plan.Lines()); diff != "" {
		t.Fatal(diff)
	}
	if err := plan.Apply(t.Context(), f.adm, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	if after := f.compare(t); after.Drifted() {
		t.Errorf("still different:\n%s", strings.Join(after.Lines(), "\n"))
	}
}

func TestPartitionsAndReplicasAreReportedAndLeftAlone(t *testing.T) {
	f := applied(t, kfake.NumBrokers(3))
	sizes := cluster.Sizes{Partitions: 6, Replication: 3, MinInSync: 1}
	plan, err := cluster.Compare(t.Context(), f.adm, []topics.Topic{topics.CustomerState}, sizes)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"! topic customer.state.v1",
		"!     partitions               4, wanted 6: never changed in place, because keys would leave the partitions where their state is",
		"!     replicas                 1, wanted 3: move replicas with kafka-reassign-partitions.sh",
		"0 to create, 0 to alter, 1 that apply does not touch; 0 as wanted",
		"if this cluster is meant to be so, say: --partitions 4 --replicas 1 --min-in-sync 1",
	}
	if diff := cmp.Diff(want, plan.Lines()); diff != "" {
		t.Fatal(diff)
	}
	if err := plan.Apply(t.Context(), f.adm, func(cluster.Change) { t.Error("touched") }); err != nil {
		t.Fatal(err)
	}
	details, err := f.adm.ListTopics(kadm.WithAuthorizedOps(t.Context()), topics.CustomerState.Name)
	if err != nil || len(details[topics.CustomerState.Name].Partitions) != 4 {
		t.Errorf("%v %v", details, err)
	}
}

// A cluster of another size says so once, and apply does not make it one that takes no record: with one replica there are
// never two in sync.
func TestAClusterOfAnotherSizeIsOneThingToSay(t *testing.T) {
	f := applied(t)
	plan, err := cluster.Compare(t.Context(), f.adm, topics.All(), cluster.ReplicatedSizes())
	if err != nil {
		t.Fatal(err)
	}
	n := len(topics.All())
	want := []string{
		fmt.Sprintf("! all %d topics", n),
		"!     partitions               4, wanted 24: never changed in place, because keys would leave the partitions where their state is",
		"!     replicas                 1, wanted 3: move replicas with kafka-reassign-partitions.sh",
		fmt.Sprintf("0 to create, 0 to alter, %d that apply does not touch; 0 as wanted", n),
		"if this cluster is meant to be so, say: --partitions 4 --replicas 1 --min-in-sync 1",
	}
	if diff := cmp.Diff(want, plan.Lines()); diff != "" {
		t.Fatal(diff)
	}
	if err := plan.Apply(t.Context(), f.adm, func(c cluster.Change) { t.Errorf("touched %s", c.Topic) }); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{topics.CustomerState.Name, topics.MailState.Name} {
		set(t, f, topic, "min.insync.replicas", "2")
	}
	want = []string{
		"~ topic customer.state.v1",
		"~ topic mail.state.v1",
		"-     min.insync.replicas      2",
		"+     min.insync.replicas      1",
	}
	plan, err = cluster.Compare(t.Context(), f.adm, topics.All(), cluster.ReplicatedSizes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range plan.Lines() {
		if strings.HasPrefix(l, "~") || strings.HasPrefix(l, "-") || strings.HasPrefix(l, "+") {
			got = append(got, l)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestANewTopicGetsThePartitionsOfTheOthersOrNone(t *testing.T) {
	f := applied(t)
	if _, err := f.adm.DeleteTopics(t.Context(), topics.MailState.Name); err != nil {
		t.Fatal(err)
	}
	plan, err := cluster.Compare(t.Context(), f.adm, topics.All(), cluster.Sizes{Partitions: 24, Replication: 1, MinInSync: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = plan.Apply(t.Context(), f.adm, func(c cluster.Change) { t.Errorf("touched %s", c.Topic) })
	if !errors.Is(err, cluster.ErrOtherPartitions) || !strings.Contains(err.Error(), "say --partitions 4") {
		t.Fatal(err)
	}
}

func TestSizesThatDoNotFitAreRefused(t *testing.T) {
	for _, s := range []cluster.Sizes{{}, {Partitions: 1}, {Partitions: 1, Replication: 1, MinInSync: 2}, {Partitions: 1, Replication: 1}} {
		if s.Check() == nil {
			t.Errorf("%+v accepted", s)
		}
	}
}

func TestApplyGoesOnAfterATopicThatFails(t *testing.T) {
	f := start(t)
	plan, err := cluster.Compare(t.Context(), f.adm, []topics.Topic{topics.CustomerCommands, topics.CustomerReplies}, cluster.EmbeddedSizes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.adm.CreateTopic(t.Context(), 1, 1, nil, topics.CustomerCommands.Name); err != nil {
		t.Fatal(err)
	}
	var done []string
	err = plan.Apply(t.Context(), f.adm, func(c cluster.Change) { done = append(done, c.Topic) })
	if err == nil || !strings.Contains(err.Error(), "create topic customer.commands.v1") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{topics.CustomerReplies.Name}, done); diff != "" {
		t.Error(diff)
	}
}

func TestScanReadsCommittedRecordsUpToTheEnd(t *testing.T) {
	f := applied(t)
	topic := topics.CustomerReplies.Name
	txn, err := kgo.NewClient(append(f.opts, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(2) {
			if err := txn.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: fmt.Appendf(nil, "%d/%d", p, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := txn.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	read := func(r cluster.Range) map[int32]string {
		t.Helper()
		got := map[int32]string{}
		if err := cluster.Scan(t.Context(), f.opts, r, func(rec *kgo.Record) error {
			got[rec.Partition] += string(rec.Value) + " "
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, tc := range map[string]struct {
		r    cluster.Range
		want map[int32]string
	}{
		"all":           {cluster.Range{Topic: topic, Partition: -1}, map[int32]string{0: "0/0 0/2 ", 1: "1/0 1/2 "}},
		"one partition": {cluster.Range{Topic: topic, Partition: 1}, map[int32]string{1: "1/0 1/2 "}},
		"from offset 1": {cluster.Range{Topic: topic, Partition: 0, From: 1}, map[int32]string{0: "0/2 "}},
		"the last 5":    {cluster.Range{Topic: topic, Partition: 0, Last: 5}, map[int32]string{0: "0/2 "}},
		"an empty one":  {cluster.Range{Topic: topic, Partition: 3}, map[int32]string{}},
		"since later":   {cluster.Range{Topic: topic, Partition: -1, Since: time.Now().Add(time.Hour)}, map[int32]string{}},
		"since before":  {cluster.Range{Topic: topic, Partition: 0, Since: time.Now().Add(-time.Hour)}, map[int32]string{0: "0/0 0/2 "}},
	} {
		if diff := cmp.Diff(tc.want, read(tc.r)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if err := cluster.Scan(t.Context(), f.opts, cluster.Range{Topic: topic, Partition: 99}, nil); err == nil || !strings.Contains(err.Error(), "no partition 99") {
		t.Errorf("a partition that is not there: %v", err)
	}
	if err := cluster.Scan(t.Context(), f.opts, cluster.Range{Topic: "nothing", Partition: -1}, nil); err == nil {
		t.Error("a topic that is not there: no error")
	}
}

func TestScanFollowsUntilItIsTold(t *testing.T) {
	f := applied(t)
	topic := topics.CustomerReplies.Name
	go func() {
		for i := range 3 {
			f.cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i), Value: []byte("x")}, nil)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n := 0
	if err := cluster.Scan(ctx, f.opts, cluster.Range{Topic: topic, Partition: -1, Follow: true}, func(*kgo.Record) error {
		if n++; n == 3 {
			return cluster.Stop()
		}
		return nil
	}); err != nil || n != 3 {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestScanReturnsTheCallbacksError(t *testing.T) {
	f := applied(t)
	f.produce(t, &kgo.Record{Topic: topics.CustomerReplies.Name, Value: []byte("x")})
	boom := errors.New("boom")
	if err := cluster.Scan(t.Context(), f.opts, cluster.Range{Topic: topics.CustomerReplies.Name, Partition: -1}, func(*kgo.Record) error { return boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
}
