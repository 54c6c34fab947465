//go:build broker

package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/integration/traffic"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// person is a registration of a customer.
func person(customer string) *schemas.RegisterCustomer {
	return &schemas.RegisterCustomer{
		CustomerID: customer, Name: traffic.Canary, Email: "a@example.org", Language: "en",
		Address: schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"},
	}
}

// keyIn finds a customer id of a partition.
func keyIn(prefix string, partitions ...int32) string {
	for i := 0; ; i++ {
		key := fmt.Sprintf("%s-%d", prefix, i)
		if slices.Contains(partitions, topics.Partition(key, topics.EmbeddedPartitions)) {
			return key
		}
	}
}

// assignments counts how often an instance was given partitions.
func assignments(p *live.Process) int {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return 0
	}
	return strings.Count(string(b), `"msg":"partitions assigned"`)
}

// stays is what the partitions of the group's members are, by instance.
func stays(w *live.World) map[string][]int32 {
	w.T.Helper()
	found, err := members(w.T.Context(), w)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, partitions := range found {
		slices.Sort(partitions)
	}
	return found
}

// Instances that come back within --restart-within, the leader of the group among them, take nobody's partitions: the other is
// not even told.
func comesBackInTime(t *testing.T, w *live.World) {
	t.Helper()
	flags := []string{"--restart-within", "30s"}
	names := []string{"returning-1", "returning-2"}
	running := map[string]*live.Process{}
	for _, name := range names {
		running[name] = w.Spawn(name, "customer", flags...)
	}
	shared(w, len(names))
	client := asker(w)
	register(w, client, keyIn("returning", 0, 1, 2, 3))
	before := stays(w)
	for i, name := range names {
		other := running[names[1-i]]
		told := assignments(other)
		own := assignments(running[name])
		running[name].Stop()
		began := time.Now()
		running[name] = w.Spawn(name, "customer", flags...)
		w.Until(time.Minute, "it has its partitions again", func() (bool, error) { return assignments(running[name]) > own, nil })
		for partition := range int32(topics.EmbeddedPartitions) {
			register(w, client, keyIn(name, partition))
		}
		t.Logf("%s was back at work after %v", name, time.Since(began).Round(time.Millisecond))
		if n := assignments(other) - told; n > 0 {
			t.Errorf("the other was given partitions %d times while %s was away", n, name)
		}
		if after := stays(w); !maps.EqualFunc(before, after, slices.Equal) {
			t.Errorf("the partitions were %v and are %v", before, after)
		}
	}
	for _, name := range names {
		running[name].Stop()
	}
	if left, err := w.Admin.LeaveGroup(t.Context(), kadm.LeaveGroup(topics.Customer).InstanceIDs(names...)); err != nil || left.Error() != nil {
		t.Fatal(err, left.Error())
	}
}

// Whoever waits for an answer waits no longer than it said, also when the broker stands still with every connection open.
func givesUp(t *testing.T, c *kafka.Cluster, w *live.World) {
	t.Helper()
	p := w.Spawn("awaited", "customer")
	client := asker(w)
	register(w, client, "before-the-standstill")
	if err := c.Pause(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Resume(1) })
	const limit = 2 * time.Second
	for name, one := range map[string]struct {
		wait func(ctx context.Context) error
		want error
	}{
		"Ask": {func(ctx context.Context) error {
			_, err := client.Ask(ctx, "unheard-1", person("unheard-1"))
			return err
		}, ask.ErrNoReply},
		"Send": {func(ctx context.Context) error { return client.Send(ctx, "unheard-2", person("unheard-2")) }, context.DeadlineExceeded},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		began := time.Now()
		err := one.wait(ctx)
		took := time.Since(began)
		cancel()
		if !errors.Is(err, one.want) || took > limit+time.Second {
			t.Errorf("%s gave up after %v with %v, want %v", name, took, err, one.want)
		}
	}
	if err := c.Resume(1); err != nil {
		t.Fatal(err)
	}
	register(w, client, "after-the-standstill")
	p.Stop()
}

// Offsets that an open transaction has added belong to nobody: a member that gets the partition in a rebalance is told neither
// the old nor the new ones before the transaction has ended. Our engine counts on it, as it sends no heartbeat between adding
// offsets and EndTxn.
func offsetsWaitForTheEnd(t *testing.T, w *live.World) {
	t.Helper()
	if _, err := w.Admin.CreateTopic(t.Context(), 1, 1, nil, probeTopic); err != nil {
		t.Fatal(err)
	}
	p := w.Spawn("heir", "customer")
	shared(w, 1)
	client := asker(w)
	register(w, client, "before-the-rival")
	for end, want := range map[kgo.TransactionEndTry]string{
		kgo.TryCommit: schemas.OutcomeAccepted, // the rival has handled the record, as it said: nobody else does
		kgo.TryAbort:  schemas.OutcomeRefused,  // it has not: the heir has registered the customer when it is asked to
	} {
		name := fmt.Sprintf("rival-%v", end)
		r := newRival(w, name)
		shared(w, 2)
		key := keyIn(name, stays(w)[name]...)
		if err := client.Send(t.Context(), key, person(key)); err != nil {
			t.Fatal(err)
		}
		r.handle(key)
		told := assignments(p)
		r.leave()
		shared(w, 1)
		if got := r.offset(); !errors.Is(got, kerr.UnstableOffsetCommit) {
			t.Errorf("the offset of an open transaction: %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if reply, err := client.Ask(ctx, key+"-later", person(key+"-later")); !errors.Is(err, ask.ErrNoReply) {
			t.Errorf("somebody works while the offsets are open: %+v, %v", reply, err)
		}
		cancel()
		if n := assignments(p) - told; n > 0 {
			t.Errorf("the heir began %d times before the transaction had ended", n)
		}
		r.end(end)
		reply := answer(w, client, key)
		if reply.Outcome != want {
			t.Errorf("%v: %s is answered with %+v, want %s", end, key, reply, want)
		}
	}
	p.Stop()
}

// answer asks for a registration and returns what was answered.
func answer(w *live.World, client *ask.Client, customer string) schemas.ReplyFields {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 2*time.Minute)
	defer cancel()
	reply, err := client.Ask(ctx, customer, person(customer))
	if err != nil {
		w.T.Fatalf("register %s: %v", customer, err)
	}
	return reply
}

// rival is a member of the customer group that is a plain client.
type rival struct {
	*kgo.Client
	w    *live.World
	id   string
	got  *kgo.Record
	stop context.CancelFunc
	over chan struct{}
	in   chan *kgo.Record
}

// newRival joins with the inputs that the other members have.
func newRival(w *live.World, name string) *rival {
	w.T.Helper()
	described, err := w.Admin.DescribeGroups(w.T.Context(), topics.Customer)
	if err != nil || len(described[topics.Customer].Members) == 0 {
		w.T.Fatal(err, described)
	}
	joined, ok := described[topics.Customer].Members[0].Join.AsConsumer()
	if !ok {
		w.T.Fatal("the group's members are no consumers")
	}
	r := &rival{w: w, id: name, over: make(chan struct{}), in: make(chan *kgo.Record, 100)}
	r.Client, err = kgo.NewClient(append(
		w.Options(), kgo.ClientID(name), kgo.ConsumerGroup(topics.Customer), kgo.ConsumeTopics(joined.Topics...), kgo.Balancers(kgo.RangeBalancer()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(250*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.TransactionalID(name), kgo.TransactionTimeout(time.Minute),
	)...)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(r.Close)
	ctx, stop := context.WithCancel(w.T.Context())
	r.stop = stop
	go func() {
		defer close(r.over)
		for ctx.Err() == nil {
			r.PollFetches(ctx).EachRecord(func(rec *kgo.Record) { r.in <- rec })
		}
	}()
	return r
}

// handle waits for the record of a key, and adds its offset to a transaction that stays open.
func (r *rival) handle(key string) {
	t := r.w.T
	t.Helper()
	for deadline := time.After(time.Minute); r.got == nil; {
		select {
		case rec := <-r.in:
			if rec.Topic == topics.CustomerCommands.Name && string(rec.Key) == key {
				r.got = rec
			}
		case <-deadline:
			t.Fatalf("the record of %s did not come", key)
		}
	}
	if err := r.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := r.ProduceSync(t.Context(), &kgo.Record{Topic: probeTopic, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	id, epoch, err := r.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = r.id, id, epoch, topics.Customer
	added, err := add.RequestWith(t.Context(), r.Client)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = r.id, topics.Customer, id, epoch
	commit.MemberID, commit.Generation = r.GroupMetadata()
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = r.got.Topic, r.topicID()
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Partition, partition.Offset, partition.LeaderEpoch = r.got.Partition, r.got.Offset+1, r.got.LeaderEpoch
	topic.Partitions = append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(t.Context(), r.Client)
	if err == nil {
		err = kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rival) topicID() kadm.TopicID {
	r.w.T.Helper()
	found, err := r.w.Admin.ListTopics(r.w.T.Context(), r.got.Topic)
	if err != nil {
		r.w.T.Fatal(err)
	}
	return found[r.got.Topic].ID
}

// leave leaves the group with the transaction open.
func (r *rival) leave() {
	r.w.T.Helper()
	r.stop()
	<-r.over
	if err := r.LeaveGroupContext(r.w.T.Context()); err != nil {
		r.w.T.Fatal(err)
	}
}

// offset asks the group for the offset of the record's partition, as a member does that must not see what may still change.
func (r *rival) offset() error {
	t := r.w.T
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group, request.RequireStable = topics.Customer, true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = topics.Customer
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = r.got.Topic, r.topicID(), []int32{r.got.Partition}
	group.Topics = append(group.Topics, topic)
	request.Groups = append(request.Groups, group)
	response, err := request.RequestWith(t.Context(), r.w.Client)
	if err != nil {
		t.Fatal(err)
	}
	partition := response.Groups[0].Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
		return err
	}
	return fmt.Errorf("the group says %d", partition.Offset)
}

// end ends the transaction.
func (r *rival) end(how kgo.TransactionEndTry) {
	r.w.T.Helper()
	if err := r.EndTransaction(r.w.T.Context(), how); err != nil {
		r.w.T.Fatal(err)
	}
}
