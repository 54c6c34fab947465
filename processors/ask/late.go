package ask

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	retryLate = time.Second // between two looks at records that could not be read
	mostLate  = 10_000      // records that wait before nothing more is fetched
)

// lateReplies reads records in the order of their partitions. Those that cannot be read now are kept, with what comes behind them, and read later: a reply
// whose schema cannot be looked up is somebody's only answer.
type lateReplies struct {
	read  func(*kgo.Record) bool
	kept  []*kgo.Record
	again time.Time // when kept is looked at again
}

// poll returns what has come; while records wait it returns in time for their next look.
func (l *lateReplies) poll(cl *kgo.Client) kgo.Fetches {
	if len(l.kept) == 0 {
		return cl.PollFetches(context.Background())
	}
	ctx, cancel := context.WithDeadline(context.Background(), l.again)
	defer cancel()
	if len(l.kept) >= mostLate {
		<-ctx.Done()
	}
	return cl.PollFetches(ctx)
}

func (l *lateReplies) take(records []*kgo.Record, now time.Time) {
	stuck := map[int32]bool{}
	if now.Before(l.again) {
		for _, r := range l.kept {
			stuck[r.Partition] = true
		}
	} else {
		records, l.kept, l.again = slices.Concat(l.kept, records), nil, now.Add(retryLate)
	}
	for _, r := range records {
		if stuck[r.Partition] || !l.read(r) {
			stuck[r.Partition] = true
			l.kept = append(l.kept, r)
		}
	}
}
