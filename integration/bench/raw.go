package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rawLoop is the least that exactly-once can cost here: consume, produce two records of the same size, commit in a
// transaction. It keeps no state and decodes nothing.
type rawLoop struct{}

func (rawLoop) run(ctx context.Context, s spec, tell signals) error {
	opts := append(rawOptions(s.Broker, group, inputTopic), kgo.TransactionalID(group+"-raw"))
	return rawTransactions(ctx, opts, s.Commit, tell, func(r *kgo.Record, produce func(*kgo.Record)) error {
		value := bytes.Clone(r.Value)
		produce(&kgo.Record{Topic: tableTopic, Key: r.Key, Value: value})
		produce(&kgo.Record{Topic: outputTopic, Key: r.Key, Value: value})
		return nil
	})
}

func rawOptions(broker, group, input string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(broker), kgo.ConsumerGroup(group), kgo.ConsumeTopics(input),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
	}
}

// rawTransactions runs transactions until ctx ends; each says what a record leads to.
func rawTransactions(ctx context.Context, opts []kgo.Opt, interval time.Duration, tell signals, each func(*kgo.Record, func(*kgo.Record)) error) error {
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	defer session.Close()
	tell.ready()
	for ctx.Err() == nil {
		if err := rawTransaction(ctx, session, interval, tell.handled, each); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rawTransaction handles what is there, for at most the commit interval.
func rawTransaction(
	ctx context.Context, session *kgo.GroupTransactSession, interval time.Duration, handled func(), each func(*kgo.Record, func(*kgo.Record)) error,
) error {
	fetches := session.PollRecords(ctx, 2000)
	if fetches.NumRecords() == 0 {
		return fetches.Err0()
	}
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var failed error
	promise := func(_ *kgo.Record, err error) {
		failed = errors.Join(failed, err)
	}
	produce := func(r *kgo.Record) { session.Produce(ctx, r, promise) }
	var bad error
	for began := time.Now(); fetches.NumRecords() > 0; {
		fetches.EachRecord(func(r *kgo.Record) {
			bad = errors.Join(bad, each(r, produce))
			handled()
		})
		if time.Since(began) >= interval {
			break
		}
		soon, cancel := context.WithTimeout(ctx, time.Millisecond)
		fetches = session.PollRecords(soon, 2000)
		cancel()
	}
	ok, err := session.End(ctx, kgo.TryCommit)
	if err = errors.Join(err, failed, bad); err != nil || !ok {
		return fmt.Errorf("end (committed: %t): %w", ok, err)
	}
	return nil
}

func (rawLoop) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	n, err := committed(ctx, admin, group, inputTopic)
	return n >= records, err
}
