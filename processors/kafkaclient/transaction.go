package kafkaclient

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// notedEvery is how often to look whether the client has noted partitions.
const notedEvery = time.Millisecond

// EndTransaction ends the open transaction of cl, in which produced have been acknowledged: one record at least of each topic. Its errors are those of
// kgo's EndTransaction, and ctx's; any leaves open whether it is committed.
func EndTransaction(ctx context.Context, cl *kgo.Client, how kgo.TransactionEndTry, produced ...*kgo.Record) error {
	for _, r := range produced {
		if err := AwaitNoted(ctx, cl, r); err != nil {
			return err
		}
	}
	return cl.EndTransaction(ctx, how)
}

// AwaitNoted waits until cl has noted the partition of an acknowledged record.
//
// kgo (1.22.3) sends the first records of a topic that it did not know before it notes the topic's partitions, and a broker may be faster. EndTransaction
// looks for what was produced among the partitions that are noted. If it finds nothing it aborts, whatever was asked for, and returns nil: what was
// acknowledged would be gone, and its commit would have succeeded.
func AwaitNoted(ctx context.Context, cl *kgo.Client, r *kgo.Record) error {
	for {
		// A topic may have an error from before it was there, and no partitions. One that is noted has had a leader, and keeps it through errors.
		if leader, _, _ := cl.PartitionLeader(r.Topic, r.Partition); leader >= 0 {
			return nil
		}
		look := time.NewTimer(notedEvery) //nolint:forbidigo // a pause between two looks at the client; no time is read
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return fmt.Errorf("end the transaction: %s/%d is not noted: %w", r.Topic, r.Partition, ctx.Err())
		}
	}
}
