package eos

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// confirmEvery is how often a view asks whether its rows are complete.
const confirmEvery = time.Minute

// confirm notes regularly up to when each partition's rows contained all that the log had. A partition that cannot say so for as long as the log keeps
// deletions has perhaps missed some: its next record, or a log that has gone on, ends the feed, and the next feed reads it anew.
func (v *View) confirm(ctx context.Context, end context.CancelFunc, logs *tableLogs) {
	adm := kadm.NewClient(logs.client)
	tick := time.NewTicker(confirmEvery)
	defer tick.Stop()
	asked := make(map[int32]reach)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		ends, err := adm.ListEndOffsets(ctx, v.cfg.Topic)
		if err != nil {
			continue // a cluster that is away is asked again
		}
		for n, p := range v.confirmable() {
			log, ok := ends.Lookup(v.cfg.Topic, n)
			if !ok || log.Err != nil {
				continue
			}
			if _, waits := asked[n]; !waits {
				asked[n] = reach{now, log.Offset}
			}
			why, err := p.confirm(asked[n], log.Offset)
			switch {
			case err != nil:
				return // the store is closed or broken, which ends the feed
			case why != "":
				v.cfg.Logger.Warn("the view may have missed deletions", slog.String("topic", v.cfg.Topic), slog.Int("partition", int(n)),
					slog.String("reason", why))
				end()
				return
			}
			if p.applied.Load()+1 >= asked[n].end {
				delete(asked, n)
			}
		}
	}
}

// reach says that a partition's log ended at an offset at some time.
type reach struct {
	at  time.Time
	end int64
}

// confirmable is a partition that has recovered.
type confirmable struct {
	store   *store
	applied *atomic.Int64
}

// confirm notes that the partition was complete at a time, if it has read up to where the log ended then. Otherwise it says why the partition must be read
// anew, "" if it need not: the log ends at end now.
func (c confirmable) confirm(r reach, end int64) (why string, err error) {
	at := c.applied.Load() + 1
	if at >= r.end {
		return "", c.store.completeAsOf(r.at)
	}
	if at >= end {
		return "", nil
	}
	c.store.mu.RLock()
	defer c.store.mu.RUnlock()
	return c.store.overdue(time.Now(), c.store.margin()), nil
}

// confirmable returns the partitions that have recovered, by number.
func (v *View) confirmable() map[int32]confirmable {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make(map[int32]confirmable)
	for i, p := range v.partitions {
		if p.recovered {
			all[int32(i)] = confirmable{p.store, &p.applied} //nolint:gosec // Kafka numbers partitions by int32.
		}
	}
	return all
}
