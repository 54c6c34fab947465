//go:build broker

package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/topics"
)

// A node that lacks the end of a log becomes its leader, because somebody allows that: commands that were acknowledged and
// handled are not in the log any more. The partition stops and says so; whatever comes next at the same offsets is not taken
// for what was handled, nor is the log read from anywhere else. The other partitions go on.
func uncleanElection(t *testing.T, c *kafka.Cluster, w *live.World) {
	t.Helper()
	const cut, whole = 0, 1 // partitions
	topic := topics.CustomerCommands.Name
	place := func(ok func(kadm.PartitionDetail) bool, what string) {
		t.Helper()
		w.Until(2*time.Minute, what, func() (bool, error) {
			found, err := w.Admin.ListTopics(t.Context(), topic)
			return err == nil && ok(found[topic].Partitions[cut]), err
		})
	}
	var where kadm.AlterPartitionAssignmentsReq
	where.Assign(topic, cut, []int32{1, 2})
	if moved, err := w.Admin.AlterPartitionAssignments(t.Context(), where); err != nil || moved.Error() != nil {
		t.Fatal(err, moved.Error())
	}
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: kadm.StringPtr(value)}
	}
	unsafe := []kadm.AlterConfig{set("min.insync.replicas", "1"), set("unclean.leader.election.enable", "true")}
	if altered, err := w.Admin.AlterTopicConfigs(t.Context(), unsafe, topic); err != nil || altered[0].Err != nil {
		t.Fatal(err, altered)
	}
	place(func(p kadm.PartitionDetail) bool { return len(p.Replicas) == 2 && len(p.ISR) == 2 }, "two nodes have the partition")
	var set1 kadm.TopicsSet
	set1.Add(topic, cut)
	if _, err := w.Admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, set1); err != nil {
		t.Fatal(err)
	}
	place(func(p kadm.PartitionDetail) bool { return p.Leader == 1 }, "node 1 leads it")

	p := w.Spawn("survivor", "customer")
	client := asker(w)
	register(w, client, keyIn("before-the-election", cut))
	c.Kill(2)
	place(func(p kadm.PartitionDetail) bool { return slices.Equal(p.ISR, []int32{1}) }, "only node 1 has all of it")
	for i := range 5 {
		register(w, client, keyIn(fmt.Sprintf("lost-%d", i), cut))
	}
	if p.Said("an input partition is stopped") {
		t.Fatal("the partition stopped before anything was lost")
	}
	c.Kill(1)
	if err := c.Start(2); err != nil {
		t.Fatal(err)
	}
	place(func(p kadm.PartitionDetail) bool { return p.Leader == 2 }, "node 2 leads it without its end")
	took := w.Until(2*time.Minute, "the partition stops", func() (bool, error) {
		return p.Said("an input partition is stopped", fmt.Sprintf(`"topic":%q,"partition":%d`, topic, cut), "utopia offsets set"), nil
	})
	t.Logf("it stopped the partition %v after the election", took.Round(time.Millisecond))
	register(w, client, keyIn("after-the-election", whole))
	if err := c.Start(1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	p.Stop()
}
