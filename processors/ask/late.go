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

// take reads what has come, and what is kept if it is time. A read that fails may have waited for a registry that hangs: the next look is a while after
// it, or what comes in other partitions would never be polled.
func (l *lateReplies) take(records []*kgo.Record) {
	waiting := len(l.kept) > 0
	stuck := map[int32]bool{}
	for _, r := range l.kept {
		stuck[r.Partition] = true
	}
	for _, r := range records {
		if stuck[r.Partition] || !l.read(r) {
			stuck[r.Partition] = true
			l.kept = append(l.kept, r)
		}
	}
	if waiting && !time.Now().Before(l.again) {
		l.look()
		waiting = false
	}
	if !waiting {
		l.again = time.Now().Add(retryLate)
	}
}

// look reads what is kept up to the first that still cannot be read. Its partition comes last the next time.
func (l *lateReplies) look() {
	for len(l.kept) > 0 && l.read(l.kept[0]) {
		l.kept = l.kept[1:]
	}
	if len(l.kept) == 0 {
		l.kept = nil
		return
	}
	failed := l.kept[0].Partition
	var others, last []*kgo.Record
	for _, r := range l.kept {
		if r.Partition == failed {
			last = append(last, r)
		} else {
			others = append(others, r)
		}
	}
	l.kept = slices.Concat(others, last)
}
