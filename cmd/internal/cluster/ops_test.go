package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/cmd/internal/cluster"
	"utopia/topics"
)

// buried puts one dead letter, as the engine writes it, into partition 2.
func buried(t *testing.T, f fake, key, value []byte, origin string) {
	t.Helper()
	f.produce(t, &kgo.Record{
		Topic: topics.CustomerCommands.DLQ().Name, Partition: 2, Key: key, Value: value,
		Headers: []kgo.RecordHeader{
			{Key: "traceparent", Value: []byte("00-1")},
			{Key: "utopia-reason", Value: []byte("malformed")},
			{Key: "utopia-detail", Value: []byte("truncated")},
			{Key: "utopia-topic", Value: []byte(origin)},
			{Key: "utopia-partition", Value: []byte("3")},
			{Key: "utopia-offset", Value: []byte("41")},
			{Key: "utopia-moved-from", Value: []byte(origin + "/1/7")},
		},
	})
}

func TestADeadLetterIsListedFoundAndSentAgainAsReceived(t *testing.T) {
	f := applied(t)
	origin := topics.CustomerCommands.Name
	buried(t, f, []byte("c-17"), []byte{0, 1, 2}, origin)
	buried(t, f, nil, nil, origin)
	list, err := cluster.DeadLetters(t.Context(), f.opts, topics.Inputs(topics.Customer), time.Time{})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d listed, %v", len(list), err)
	}
	d := list[0]
	if d.Ref.String() != "customer.commands.v1.dlq/2/0" || d.Origin.String() != "customer.commands.v1/3/41" || d.Reason != "malformed" || d.Detail != "truncated" {
		t.Errorf("%+v", d)
	}
	found, err := cluster.FindDeadLetter(t.Context(), f.opts, list[1].Ref)
	if err != nil || found.Ref != list[1].Ref || found.Record.Key != nil || found.Record.Value != nil {
		t.Errorf("%+v %v", found, err)
	}
	for i, want := range []struct {
		partition  int32
		key, value []byte
	}{
		{topics.Partition("c-17", 4), []byte("c-17"), []byte{0, 1, 2}}, // where its key belongs
		{3, nil, nil}, // where it came from
	} {
		got, err := cluster.Again(t.Context(), f.opts, list[i])
		if err != nil || got.Topic != origin || got.Partition != want.partition {
			t.Fatalf("%v %v", got, err)
		}
		if !cmp.Equal(got.Key, want.key) || !cmp.Equal(got.Value, want.value) {
			t.Errorf("sent %q %q, want %q %q", got.Key, got.Value, want.key, want.value)
		}
		headers := map[string]string{}
		for _, h := range got.Headers {
			headers[h.Key] = string(h.Value)
		}
		if diff := cmp.Diff(map[string]string{"traceparent": "00-1", "utopia-retry-of": list[i].Ref.String()}, headers); diff != "" {
			t.Error(diff)
		}
	}
}

// An old state that is sent again would be the newest for everybody. It may be sent again only while it is the newest anyway.
func TestAnOldStateIsNotSentAgain(t *testing.T) {
	f := applied(t)
	state := topics.CustomerState.Name
	cl, err := kgo.NewClient(append(f.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	put := func(key, value string) int64 {
		t.Helper()
		r := &kgo.Record{Topic: state, Partition: topics.Partition("c-17", 4), Key: []byte(key), Value: []byte(value)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return r.Offset
	}
	old := put("c-17", "old")
	put("c-18", "of somebody else")
	d := cluster.DeadLetter{
		Ref:    cluster.Ref{Topic: topics.CustomerState.DLQ().Name},
		Origin: cluster.Ref{Topic: state, Partition: topics.Partition("c-17", 4), Offset: old},
		Record: &kgo.Record{Key: []byte("c-17"), Value: []byte("old")},
	}
	if _, err := cluster.Again(t.Context(), f.opts, d); err != nil {
		t.Errorf("the newest state: %v", err)
	}
	put("c-17", "new")
	if _, err := cluster.Again(t.Context(), f.opts, d); !errors.Is(err, cluster.ErrOvertaken) {
		t.Errorf("an old state: %v", err)
	}
}

func TestADeadLetterThatIsNotThereOrFromElsewhere(t *testing.T) {
	f := applied(t)
	_, err := cluster.FindDeadLetter(t.Context(), f.opts, cluster.Ref{Topic: topics.CustomerCommands.DLQ().Name, Partition: 1, Offset: 5})
	if !errors.Is(err, cluster.ErrNoDeadLetter) {
		t.Error(err)
	}
	buried(t, f, []byte("k"), []byte("v"), topics.CustomerTable.Name)
	list, err := cluster.DeadLetters(t.Context(), f.opts, []topics.Topic{topics.CustomerCommands}, time.Time{})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if _, err := cluster.Again(t.Context(), f.opts, list[0]); !errors.Is(err, cluster.ErrNoOrigin) {
		t.Errorf("a forged origin: %v", err)
	}
	list[0].Origin.Topic, list[0].Reason = topics.CustomerCommands.Name, "too_large"
	if _, err := cluster.Again(t.Context(), f.opts, list[0]); !errors.Is(err, cluster.ErrNotKept) {
		t.Errorf("nothing was kept of it: %v", err)
	}
	if _, err := cluster.FindDeadLetter(t.Context(), f.opts, cluster.Ref{Topic: topics.CustomerCommands.DLQ().Name, Partition: 99}); !errors.Is(err, cluster.ErrNoDeadLetter) {
		t.Errorf("a partition that is not there: %v", err)
	}
	if list, err = cluster.DeadLetters(t.Context(), start(t).opts, topics.Inputs(topics.Customer), time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("without any topic: %v %v", list, err)
	}
}

func TestParseRef(t *testing.T) {
	for s, want := range map[string]cluster.Ref{"a.b/3/41": {Topic: "a.b", Partition: 3, Offset: 41}, "a/0/0": {Topic: "a"}} {
		if got, err := cluster.ParseRef(s); err != nil || got != want || got.String() != s {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "a", "a/1", "a/x/1", "a/1/x", "a/-1/1", "a/1/-1", "a/1/1/1", "a/99999999999/1"} {
		if got, err := cluster.ParseRef(s); err == nil {
			t.Errorf("%q accepted as %v", s, got)
		}
	}
}

func commands(n int) []*kgo.Record {
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Topic: topics.BillingCommands.Name, Partition: 1, Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)})
	}
	return recs
}

func TestOffsetsAreShownAndSetOnlyWhileNobodyRuns(t *testing.T) {
	f := applied(t)
	f.produce(t, commands(5)...)
	group, topic := topics.Billing, topics.BillingCommands.Name
	at := func() cluster.PartitionOffset {
		t.Helper()
		offsets, err := cluster.Offsets(t.Context(), f.adm, group)
		if err != nil || len(offsets) != 4*len(topics.Inputs(group)) {
			t.Fatalf("%d offsets, %v", len(offsets), err)
		}
		for _, o := range offsets {
			if o.Topic == topic && o.Partition == 1 {
				return o
			}
		}
		t.Fatal("not listed")
		return cluster.PartitionOffset{}
	}
	if diff := cmp.Diff(cluster.PartitionOffset{Topic: topic, Partition: 1, Committed: -1, End: 5, Lag: 5}, at()); diff != "" {
		t.Fatal(diff)
	}
	for _, step := range []struct {
		to   string
		want int64
	}{
		{"3", 3},
		{"end", 5},
		{time.Now().Add(time.Hour).Format(time.RFC3339), 5},
		{"2020-01-01T00:00:00Z", 0},
		{"2", 2},
		{"start", 0},
	} {
		moves, err := cluster.PlanMoves(t.Context(), f.adm, group, topic, 1, step.to)
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.SetOffsets(t.Context(), f.adm, group, moves); err != nil {
			t.Fatal(err)
		}
		if o := at(); o.Committed != step.want || o.Lag != 5-step.want {
			t.Errorf("to %s: %+v", step.to, o)
		}
	}
	for _, wrong := range []struct{ topic, to string }{{topic, "6"}, {topic, "-1"}, {topic, "soon"}, {"customer.events.v1", "start"}} {
		if moves, err := cluster.PlanMoves(t.Context(), f.adm, group, wrong.topic, 1, wrong.to); err == nil {
			t.Errorf("%v: %v", wrong, moves)
		}
	}
	if _, err := cluster.PlanMoves(t.Context(), f.adm, "nobody", "", -1, "end"); !errors.Is(err, cluster.ErrUnknownGroup) {
		t.Error(err)
	}
	member, err := kgo.NewClient(append(f.opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	if fetches := member.PollFetches(t.Context()); fetches.Err() != nil {
		t.Fatal(fetches.Err())
	}
	moves := []cluster.Move{{Topic: topic, Partition: 1, To: 0}}
	if err := cluster.SetOffsets(t.Context(), f.adm, group, moves); !errors.Is(err, cluster.ErrGroupActive) {
		t.Errorf("with a member: %v", err)
	}
}

// examine returns the findings of one check as "level result | do" lines.
func examine(t *testing.T, f fake, d cluster.Doctor, check string) []string {
	t.Helper()
	d.Client = f.opts
	if d.Sizes == (cluster.Sizes{}) {
		d.Sizes = cluster.EmbeddedSizes()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	findings, err := d.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range findings {
		if f.Check == check {
			lines = append(lines, fmt.Sprintf("%s %s | %s", f.Level, f.Result, f.Do))
		}
	}
	return lines
}

func contains(t *testing.T, lines []string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		found := false
		for _, l := range lines {
			found = found || strings.Contains(l, want)
		}
		if !found {
			t.Errorf("no line has %q:\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestTheDoctorFindsNothingWrongWithAFreshCluster(t *testing.T) {
	f := applied(t, kfake.BrokerConfigs(map[string]string{
		"add.partitions.to.txn.retry.backoff.ms": "1", "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
	}))
	d := cluster.Doctor{Client: f.opts, Sizes: cluster.EmbeddedSizes(), Now: time.Now}
	findings, err := d.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Failed(findings) {
		t.Errorf("%+v", findings)
	}
	seen := map[string]bool{}
	for _, f := range findings {
		seen[f.Check] = true
	}
	for _, check := range []string{"brokers", "versions", "topics", "clocks", "broker settings", "internal topics", "transactions", "lag", "dead letters"} {
		if !seen[check] {
			t.Errorf("%s not examined", check)
		}
	}
}

func TestTheDoctorSaysWhatToDo(t *testing.T) {
	t.Run("one broker is not a cluster", func(t *testing.T) {
		f := applied(t)
		contains(t, examine(t, f, cluster.Doctor{Sizes: cluster.ReplicatedSizes()}, "brokers"), "fail 1 in cluster", "run 3 brokers")
		contains(t, examine(t, f, cluster.Doctor{Sizes: cluster.ReplicatedSizes(), Dev: true}, "brokers"), "warn 1 in cluster")
		want := []string{fmt.Sprintf("fail all %d topics: partitions is 4, not 24, replicas is 1, not 3 | "+
			"if this cluster is meant to be so, say: --partitions 4 --replicas 1 --min-in-sync 1", len(topics.All()))}
		if diff := cmp.Diff(want, examine(t, f, cluster.Doctor{Sizes: cluster.ReplicatedSizes()}, "topics")); diff != "" {
			t.Error(diff)
		}
		want = []string{fmt.Sprintf("ok all %d as the catalogue has them, with 4 partitions and 1 replica(s) | ", len(topics.All()))}
		if diff := cmp.Diff(want, examine(t, f, cluster.Doctor{Sizes: cluster.ReplicatedSizes(), Dev: true, AsFound: true}, "topics")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a cluster without topics", func(t *testing.T) {
		want := []string{fmt.Sprintf("fail all %d topics do not exist | utopia topics apply", len(topics.All()))}
		if diff := cmp.Diff(want, examine(t, start(t), cluster.Doctor{}, "topics")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("topics that are missing or drifted", func(t *testing.T) {
		f := applied(t)
		set(t, f, topics.MailReplies.Name, "message.timestamp.type", "CreateTime")
		if _, err := f.adm.DeleteTopics(t.Context(), topics.BillingState.Name); err != nil {
			t.Fatal(err)
		}
		contains(t, examine(t, f, cluster.Doctor{}, "topics"),
			"fail billing.state.v1 does not exist | utopia topics apply",
			"fail mail.replies.v1: message.timestamp.type is CreateTime, not LogAppendTime | utopia topics apply")
	})
	t.Run("a slow broker setting", func(t *testing.T) {
		f := applied(t, kfake.BrokerConfigs(map[string]string{"add.partitions.to.txn.retry.backoff.ms": "20"}))
		contains(t, examine(t, f, cluster.Doctor{}, "broker settings"),
			"warn add.partitions.to.txn.retry.backoff.ms is 20", "set it to 1", "unknown transaction.abort.timed.out")
	})
	t.Run("an old broker", func(t *testing.T) {
		f := applied(t)
		c := kfake.MustCluster(kfake.NumBrokers(1))
		defer c.Close()
		c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := kmsg.NewPtrApiVersionsResponse()
			resp.Version = req.GetVersion()
			for key := range int16(67) {
				if key == int16(kmsg.EndTxn) {
					resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: 3})
					continue
				}
				if r := kmsg.RequestForKey(key); r != nil {
					resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: min(r.MaxVersion(), 9)})
				}
			}
			return resp, nil, true
		})
		f.opts = []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
		contains(t, examine(t, f, cluster.Doctor{}, "versions"), "without transaction version 2", "Kafka 4.0")
	})
	t.Run("a clock that is ahead", func(t *testing.T) {
		f := applied(t)
		f.produce(t, commands(1)...)
		contains(t, examine(t, f, cluster.Doctor{Now: func() time.Time { return time.Now().Add(-time.Hour) }}, "clocks"), "fail the newest record of billing.commands.v1/1")
	})
	t.Run("records that wait", func(t *testing.T) {
		f := applied(t)
		f.produce(t, commands(3)...)
		later := func() time.Time { return time.Now().Add(6 * 24 * time.Hour) }
		contains(t, examine(t, f, cluster.Doctor{Now: later}, "lag"),
			"fail group billing: 3 record(s) wait and no instance runs | start the billing service",
			"fail group billing: the oldest record of billing.commands.v1 waits 144h0m0s of the 7 d that it is kept",
			"warn group mail: no instance runs; nothing waits",
			"warn group mail-mailer: no instance runs; nothing waits | start the mail service")
	})
	t.Run("mails that wait", func(t *testing.T) {
		f := applied(t)
		f.produce(t, &kgo.Record{Topic: topics.MailOutbox.Name, Partition: 3, Key: []byte("m"), Value: []byte("v")})
		offsets, err := cluster.Offsets(t.Context(), f.adm, topics.Mailer)
		if err != nil || len(offsets) != 4 || offsets[3].Lag != 1 {
			t.Errorf("%+v, %v", offsets, err)
		}
		contains(t, examine(t, f, cluster.Doctor{}, "lag"), "fail group mail-mailer: 1 record(s) wait and no instance runs | start the mail service")
	})
	t.Run("rows without offsets", func(t *testing.T) {
		f := applied(t)
		f.produce(t, &kgo.Record{Topic: topics.MailTable.Name, Partition: 2, Key: []byte("k"), Value: []byte("v")})
		contains(t, examine(t, f, cluster.Doctor{}, "lag"), "fail group mail has rows but no committed offset in partition 2 | utopia offsets set mail --to start")
	})
	t.Run("dead letters", func(t *testing.T) {
		f := applied(t)
		buried(t, f, []byte("k"), []byte("v"), topics.CustomerCommands.Name)
		contains(t, examine(t, f, cluster.Doctor{}, "dead letters"), "warn there are some in customer.commands.v1.dlq | utopia dlq list")
	})
}

func TestTheDoctorNamesAHangingTransaction(t *testing.T) {
	f := applied(t)
	txn, err := kgo.NewClient(append(f.opts, kgo.TransactionalID("customer-a"), kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), &kgo.Record{Topic: topics.CustomerState.Name, Partition: 1, Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	contains(t, examine(t, f, cluster.Doctor{}, "transactions"), "ok open in 1 partition(s), none for longer than 1m0s")
	later := func() time.Time { return time.Now().Add(5 * time.Minute) }
	contains(t, examine(t, f, cluster.Doctor{Now: later}, "transactions"),
		"fail customer.state.v1/1: a transaction of customer-a",
		"start an instance with that id", "kafka-transactions.sh abort --topic customer.state.v1 --partition 1 --start-offset 0")
	if err := txn.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	contains(t, examine(t, f, cluster.Doctor{Now: later}, "transactions"), "ok none is open")
}

func TestACheckThatIsNotAllowedIsAFindingNotTheEnd(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1))
	defer c.Close()
	f := fake{opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}}
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := kmsg.NewPtrDescribeConfigsResponse()
		resp.Version = req.GetVersion()
		asked, ok := req.(*kmsg.DescribeConfigsRequest)
		if !ok {
			return nil, nil, false
		}
		for _, r := range asked.Resources {
			resp.Resources = append(resp.Resources, kmsg.DescribeConfigsResponseResource{ResourceType: r.ResourceType, ResourceName: r.ResourceName, ErrorCode: kerr.ClusterAuthorizationFailed.Code})
		}
		return resp, nil, true
	})
	contains(t, examine(t, f, cluster.Doctor{}, "broker settings"), "fail", "see whether this principal may ask")
	contains(t, examine(t, f, cluster.Doctor{}, "lag"), "unknown group customer: input topics of the group do not exist")
}
