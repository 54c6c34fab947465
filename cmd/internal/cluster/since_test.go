package cluster_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/cmd/internal/cluster"
)

func TestARecordThatComesWhileATimeIsLookedUpIsNotSteppedOver(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	t.Cleanup(c.Close)
	f := connect(t, c)
	at := time.Now().Truncate(time.Millisecond)
	record := func(part int32, after time.Duration) *kgo.Record {
		return &kgo.Record{Topic: "t", Partition: part, Value: []byte("v"), Timestamp: at.Add(after)}
	}
	f.produce(t, record(0, -time.Second), record(1, -time.Second), record(1, 0), record(1, time.Second))
	// It comes after the answer that there is none, and before any question that follows.
	questions := 0
	c.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest) //nolint:forcetypeassert // By the key.
		if req.Topics[0].Partitions[0].Timestamp >= 0 {
			questions++
			return nil, nil, false
		}
		if questions == 1 {
			questions++
			c.SleepControl(func() { f.produce(t, record(0, time.Second)) })
		}
		return nil, nil, false
	})
	got, err := cluster.OffsetsSince(t.Context(), f.adm, "t", at)
	if err != nil {
		t.Fatal(err)
	}
	if questions != 2 {
		t.Fatal("nothing came in between")
	}
	for part, want := range map[int32]int64{0: 1, 1: 1} {
		if o, ok := got.Lookup("t", part); !ok || o.Offset != want {
			t.Errorf("partition %d: %+v, not %d", part, o, want)
		}
	}
	if got, err := cluster.OffsetsSince(t.Context(), f.adm, "t", time.Time{}); err != nil || got["t"][1].Offset != 0 {
		t.Errorf("from the beginning of time: %+v, %v", got, err)
	}
}
