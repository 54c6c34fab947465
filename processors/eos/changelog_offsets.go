package eos

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// tableLogs answers what recovery must know about a table's log on the cluster.
type tableLogs struct{ adm *kadm.Client }

// tableLog is the identity and size of one table's log.
type tableLog struct {
	clusterID       string
	topicID         [16]byte
	partitions      []int32
	deleteRetention time.Duration
}

// describe looks a topic up. It never creates one.
func (l *tableLogs) describe(ctx context.Context, topic string) (tableLog, error) {
	return tableLog{}, errSkeleton
}

// start returns the offset of the first record that the log still has.
func (l *tableLogs) start(ctx context.Context, topic string, partition int32) (int64, error) {
	return 0, errSkeleton
}

// end returns where recovery must read to: the high-water mark as it is now, after the last stable offset has reached it.
func (l *tableLogs) end(ctx context.Context, topic string, partition int32) (int64, error) {
	return 0, errSkeleton
}
