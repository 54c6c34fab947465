package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// Kafka's default of delete.retention.ms.
	defaultDeleteRetention = 24 * time.Hour

	// A broker answers "not leader" or "unknown topic" for a while after a topic was made or a leader moved.
	logsPatience = 30 * time.Second
	logsBackoff  = 250 * time.Millisecond
	logsReport   = 10 * time.Second // doubles up to a minute

	readUncommitted int8 = 0 // latest = high-water mark
	readCommitted   int8 = 1 // latest = last stable offset

	latestOffset   int64 = -1
	earliestOffset int64 = -2
)

// tableLogs answers what recovery must know about a table's log on the cluster. A cluster that cannot be reached is waited for until the context
// ends.
type tableLogs struct {
	client *kgo.Client
	logger *slog.Logger
}

// newTableLogs returns a tableLogs that asks through client.
func newTableLogs(client *kgo.Client, logger *slog.Logger) *tableLogs {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &tableLogs{client: client, logger: logger}
}

// tableLog is the identity of a table's log, and how long it shows deletions.
type tableLog struct {
	clusterID       string
	topicID         [16]byte
	partitions      []int32
	deleteRetention time.Duration
}

// describe looks a topic up. It never creates one.
func (l *tableLogs) describe(ctx context.Context, topic string) (tableLog, error) {
	var log tableLog
	err := l.retry(ctx, "describe", topic, func() error {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &topic
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, l.client)
		if err != nil {
			return err
		}
		if len(resp.Topics) != 1 {
			return fmt.Errorf("metadata of %d topics instead of 1", len(resp.Topics))
		}
		t := resp.Topics[0]
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return err
		}
		log = tableLog{topicID: t.TopicID, partitions: make([]int32, len(t.Partitions))}
		if resp.ClusterID != nil {
			log.clusterID = *resp.ClusterID
		}
		for i := range t.Partitions {
			log.partitions[i] = int32(i)
		}
		log.deleteRetention, err = l.deleteRetention(ctx, topic)
		return err
	})
	return log, err
}

func (l *tableLogs) deleteRetention(ctx context.Context, topic string) (time.Duration, error) {
	const name = "delete.retention.ms"
	req := kmsg.NewPtrDescribeConfigsRequest()
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType = kmsg.ConfigResourceTypeTopic
	rr.ResourceName = topic
	rr.ConfigNames = []string{name}
	req.Resources = append(req.Resources, rr)
	resp, err := req.RequestWith(ctx, l.client)
	if err != nil {
		return 0, err
	}
	for _, r := range resp.Resources {
		err := kerr.ErrorForCode(r.ErrorCode)
		if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
			return defaultDeleteRetention, nil // a reader need not be permitted to describe
		}
		if err != nil {
			return 0, err
		}
		for _, c := range r.Configs {
			if c.Name == name && c.Value != nil {
				ms, err := strconv.ParseInt(*c.Value, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("%s of %s: %w", name, topic, err)
				}
				return max(time.Duration(ms)*time.Millisecond, time.Millisecond), nil // 0 is not "for ever", but "at once"
			}
		}
	}
	return defaultDeleteRetention, nil
}

// start returns the offset of the first record that the log still has.
func (l *tableLogs) start(ctx context.Context, topic string, partition int32) (int64, error) {
	return l.offset(ctx, topic, partition, earliestOffset, readUncommitted)
}

// highWaterMark returns the offset after the last record that is replicated, committed or not.
func (l *tableLogs) highWaterMark(ctx context.Context, topic string, partition int32) (int64, error) {
	return l.offset(ctx, topic, partition, latestOffset, readUncommitted)
}

// end returns where recovery must read to: the high-water mark as it is now, after the last stable offset has reached it.
//
// Transaction markers are written partition by partition, after the producer was told that it has committed. The last stable offset of now may
// therefore lie before a transaction whose input offsets are committed already; the high-water mark cannot. A transaction that was left open is
// aborted by its owner's restart, or by the broker after the transaction timeout.
func (l *tableLogs) end(ctx context.Context, topic string, partition int32) (int64, error) {
	hwm, err := l.highWaterMark(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	reported := begin
	for {
		stable, err := l.offset(ctx, topic, partition, latestOffset, readCommitted)
		if err != nil {
			return 0, err
		}
		if stable >= hwm {
			return hwm, nil
		}
		if now := time.Now(); now.Sub(reported) >= logsReport {
			reported = now
			level, hint := slog.LevelInfo, "it ends when its process is back, or at its timeout"
			if now.Sub(begin) >= logsPatience {
				level, hint = slog.LevelWarn, "utopia doctor names a transaction that does not end, and the command that ends it"
			}
			l.logger.Log(ctx, level, "recovery waits for a transaction to end", slog.String("topic", topic), slog.Int("partition", int(partition)),
				slog.Int64("stable", stable), slog.Int64("high_water_mark", hwm), slog.Duration("waited", now.Sub(begin)), slog.String("hint", hint))
		}
		if err := pause(ctx, min(logsBackoff, 5*time.Millisecond+time.Since(begin)/4)); err != nil {
			return 0, err
		}
	}
}

func (l *tableLogs) offset(ctx context.Context, topic string, partition int32, at int64, isolation int8) (int64, error) {
	offset := int64(-1)
	err := l.retry(ctx, "list offsets", topic, func() error {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		req.IsolationLevel = isolation
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition = partition
		rp.Timestamp = at
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, l.client)
		if err != nil {
			return err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return errors.New("an answer for another partition than asked for")
		}
		p := resp.Topics[0].Partitions[0]
		offset = p.Offset
		return kerr.ErrorForCode(p.ErrorCode)
	})
	if err != nil {
		return 0, fmt.Errorf("offsets of %s/%d: %w", topic, partition, err)
	}
	return offset, nil
}

// retry repeats ask while its error is one that passes: until ctx ends if the cluster cannot be reached, for logsPatience if the cluster says that
// it is not ready.
func (l *tableLogs) retry(ctx context.Context, what, topic string, ask func() error) error {
	begin := time.Now()
	every := logsReport
	reported := begin.Add(time.Second - every) // what passes within a second is not worth a line
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, kgo.ErrClientClosed) {
			return err
		}
		var answer *kerr.Error
		if errors.As(err, &answer) && (!passes(answer) || time.Since(begin) > logsPatience) {
			return err
		}
		if now := time.Now(); now.Sub(reported) >= every {
			reported, every = now, min(2*every, time.Minute)
			l.logger.Warn("the cluster does not answer; trying again", slog.String("request", what), slog.String("topic", topic),
				slog.String("error", err.Error()))
		}
		if err := pause(ctx, logsBackoff); err != nil {
			return err
		}
	}
}

// passes says whether a broker that is asked again may answer otherwise. UNKNOWN_SERVER_ERROR is whatever went wrong inside a broker, once or always.
func passes(answer *kerr.Error) bool {
	return answer.Retriable || errors.Is(answer, kerr.UnknownServerError)
}

// pause waits for d, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
