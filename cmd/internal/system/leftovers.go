package system

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/processors/kafkaclient"
)

// openTransaction is what a producer that died left in one partition.
type openTransaction struct {
	topic     string
	partition int32
	producer  int64
	epoch     int16
}

// abortLeftovers writes abort markers for transactions that were open when the broker itself was killed. The fake broker
// hides their records, but without a marker a reader that waits for the end of the log waits for ever, and after the next
// crash a later commit of the same producer would show them.
func abortLeftovers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cl, err := kafkaclient.New(ctx, kgo.SeedBrokers(addr), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	open, err := findOpen(ctx, cl.Client)
	if err != nil || len(open) == 0 {
		return err
	}
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	for _, t := range open {
		topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		topic.Topic, topic.Partitions = t.topic, []int32{t.partition}
		marker := kmsg.NewWriteTxnMarkersRequestMarker()
		marker.ProducerID, marker.ProducerEpoch = t.producer, t.epoch
		marker.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{topic}
		req.Markers = append(req.Markers, marker)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("abort what was open: %w", err)
	}
	for _, m := range resp.Markers {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("abort what was open in %s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	}
	return nil
}

// findOpen reads every partition to its end.
func findOpen(ctx context.Context, cl *kgo.Client) ([]openTransaction, error) {
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	starts, err := adm.ListStartOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	type place struct {
		topic     string
		partition int32
	}
	left := map[place]int64{} // end of what is still to be read
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if end.Offset <= start.Offset {
			return
		}
		left[place{end.Topic, end.Partition}] = end.Offset
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
	})
	cl.AddConsumePartitions(from)
	found := map[place]map[int64]int16{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			switch {
			case r.Attrs.IsControl():
				delete(found[at], r.ProducerID)
			case r.Attrs.IsTransactional():
				if found[at] == nil {
					found[at] = map[int64]int16{}
				}
				found[at][r.ProducerID] = r.ProducerEpoch
			}
			if r.Offset+1 >= left[at] {
				delete(left, at)
			}
		})
	}
	var open []openTransaction
	for at, producers := range found {
		for id, epoch := range producers {
			open = append(open, openTransaction{at.topic, at.partition, id, epoch})
		}
	}
	return open, nil
}
