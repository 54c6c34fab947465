package eos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lovoo/goka/storage"
)

// builder is what Goka is given: it finds the log's identity on the cluster, opens the store, and at every start of a load compares the stored
// offset with the log before Goka reads from there. Of o, the log's identity and retention are filled in. ctx ends all waiting for the cluster.
func (d *stateDir) builder(ctx context.Context, logs *tableLogs, o storeOptions) storage.Builder {
	return func(topic string, partition int32) (storage.Storage, error) {
		log, err := logs.describe(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", topic, err)
		}
		o := o
		o.clusterID, o.topicID, o.deleteRetention = log.clusterID, log.topicID, log.deleteRetention
		s, err := d.store(topic, partition, o)
		if err != nil {
			return nil, err
		}
		return &assignment{store: s, ctx: ctx, logs: logs}, nil
	}
}

var (
	errAssignmentOver = errors.New("eos: store: the assignment has ended")
	errIncomplete     = errors.New("eos: store: the recovery was broken off")
)

// assignment is a store as one Goka partition table sees it, from Open to Close.
//
// When its context ends, Goka marks a table as recovered that is not, and perhaps later than it closes it. Neither may end the recovery, this one's or that
// of the next assignment: rows would be served, and called complete, that are not.
type assignment struct {
	*store
	ctx  context.Context // storage.Storage has none to pass
	logs *tableLogs

	// Under store.mu.
	open bool
	end  int64 // of the log when the load under way began
}

// Open begins the recovery of this assignment.
func (a *assignment) Open() error {
	if err := a.store.Open(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = true
	return nil
}

// Close ends the assignment; the store stays.
func (a *assignment) Close() error {
	a.mu.Lock()
	wasOpen := a.open
	a.open = false
	a.mu.Unlock()
	if !wasOpen {
		return nil
	}
	return a.store.Close()
}

// GetOffset is what Goka asks before it loads: the moment to see whether the log still leads on from where the rows end.
func (a *assignment) GetOffset(def int64) (int64, error) {
	asked := time.Now() // not when it was answered: this process may have stood still in between
	start, err := a.logs.start(a.ctx, a.table.topic, a.partition)
	if err != nil {
		return 0, err
	}
	end, err := a.logs.highWaterMark(a.ctx, a.table.topic, a.partition)
	if err != nil {
		return 0, err
	}
	if err := a.reconcile(start, end, asked); err != nil {
		return 0, err
	}
	a.mu.Lock()
	a.logStart, a.end = start, end
	a.mu.Unlock()
	return a.store.GetOffset(def)
}

// MarkRecovered ends the recovery, if the rows contain all that the log had when it began and the assignment has not ended.
func (a *assignment) MarkRecovered() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.open:
		return errAssignmentOver
	case max(a.position.offset+1, a.logStart) < a.end:
		return errIncomplete
	}
	return a.endRecovery(a.ctx)
}
