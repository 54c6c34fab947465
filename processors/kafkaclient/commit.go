package kafkaclient

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// notedEvery is how often to look whether the client has noted partitions.
const notedEvery = time.Millisecond

// Commit ends the open transaction of cl, in which produced, at least one record, have been acknowledged. An error leaves open whether it is committed.
func Commit(ctx context.Context, cl *kgo.Client, produced ...*kgo.Record) error {
	for _, r := range produced {
		if err := AwaitNoted(ctx, cl, r); err != nil {
			return err
		}
	}
	return cl.EndTransaction(ctx, kgo.TryCommit) //nolint:wrapcheck // it is the client's own, for those who look at it
}

// AwaitNoted waits until cl has noted the partition of an acknowledged record.
//
// kgo (1.22.3) sends the first records of a topic that it did not know before it notes the topic's partitions, and a broker may be faster. EndTransaction
// looks for what was produced among the partitions that are noted. If it finds nothing it aborts, whatever was asked for, and returns nil: what was
// acknowledged would be gone, and its commit would have succeeded.
func AwaitNoted(ctx context.Context, cl *kgo.Client, r *kgo.Record) error {
	for {
		if leader, _, err := cl.PartitionLeader(r.Topic, r.Partition); leader >= 0 || err != nil {
			return nil //nolint:nilerr // it is noted, with an error that came later
		}
		look := time.NewTimer(notedEvery) //nolint:forbidigo // it waits for a client, whose time is the real one
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return fmt.Errorf("commit: %s/%d is not noted: %w", r.Topic, r.Partition, ctx.Err())
		}
	}
}
