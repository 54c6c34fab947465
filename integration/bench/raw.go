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
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(s.Broker), kgo.ConsumerGroup(group), kgo.ConsumeTopics(inputTopic), kgo.TransactionalID(group+"-raw"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
	)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	defer session.Close()
	tell.ready()
	for ctx.Err() == nil {
		if err := rawTransaction(ctx, session, s.Commit, tell.handled); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rawTransaction handles what is there, for at most the commit interval.
func rawTransaction(ctx context.Context, session *kgo.GroupTransactSession, interval time.Duration, handled func()) error {
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
	for began := time.Now(); fetches.NumRecords() > 0; {
		fetches.EachRecord(func(r *kgo.Record) {
			value := bytes.Clone(r.Value)
			session.Produce(ctx, &kgo.Record{Topic: tableTopic, Key: r.Key, Value: value}, promise)
			session.Produce(ctx, &kgo.Record{Topic: outputTopic, Key: r.Key, Value: value}, promise)
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
	if err = errors.Join(err, failed); err != nil || !ok {
		return fmt.Errorf("end (committed: %t): %w", ok, err)
	}
	return nil
}

func (rawLoop) done(ctx context.Context, admin *kadm.Client, records int64) (bool, error) {
	n, err := committed(ctx, admin, group, inputTopic)
	return n >= records, err
}
