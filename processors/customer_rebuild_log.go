package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/customer"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

const (
	// rebuildBatch is how many customers one transaction replaces.
	rebuildBatch = 500
	// rebuildPatience is how long an open transaction may hold a reader up: as long as the processor's longest takes to be
	// aborted by the broker, with room to spare.
	rebuildPatience = 2 * time.Minute
	// rebuildPause is the time between two looks at an open transaction.
	rebuildPause = 50 * time.Millisecond
)

// errTransactionOpen: a transaction does not end.
var errTransactionOpen = errors.New("a transaction on the topic stays open: see \"utopia doctor\"")

// stableEnd is the end of a partition, as soon as everything before it is committed or aborted.
func (b *rebuild) stableEnd(ctx context.Context, topic string, p int32) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rebuildPatience, errTransactionOpen)
	defer cancel()
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("end of %s: %w", topic, err)
	}
	end, ok := ends.Lookup(topic, p)
	if !ok || end.Err != nil {
		return 0, fmt.Errorf("end of %s: %w", topic, errors.Join(end.Err, ends.Error()))
	}
	for {
		stable, err := b.admin.ListCommittedOffsets(ctx, topic)
		if err != nil {
			return 0, fmt.Errorf("end of %s: %w", topic, errors.Join(err, context.Cause(ctx)))
		}
		if s, ok := stable.Lookup(topic, p); ok && s.Err == nil && s.Offset >= end.Offset {
			return end.Offset, nil
		}
		pause := time.NewTimer(rebuildPause) //nolint:forbidigo // waiting for a broker, not for the business
		select {
		case <-ctx.Done():
			pause.Stop()
			return 0, fmt.Errorf("end of %s: %w", topic, context.Cause(ctx))
		case <-pause.C:
		}
	}
}

// read calls each for every committed record of a partition, from its start to its end now.
func (b *rebuild) read(ctx context.Context, topic string, p int32, each func(*kgo.Record) error) error {
	end, err := b.stableEnd(ctx, topic, p)
	if err != nil {
		return err
	}
	starts, err := b.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("start of %s: %w", topic, err)
	}
	start, ok := starts.Lookup(topic, p)
	if !ok || start.Err != nil {
		return fmt.Errorf("start of %s: %w", topic, errors.Join(start.Err, starts.Error()))
	}
	if start.Offset >= end {
		return nil
	}
	client, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, b.o.Client...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(start.Offset)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last record before the end is a commit marker: without it the end is never seen
	)...)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	defer client.Close()
	for next := start.Offset; next < end; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s: %w", topic, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			next = r.Offset + 1
			if r.Attrs.IsControl() || r.Offset >= end {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRows reads the live rows of one partition.
func (b *rebuild) readRows(ctx context.Context, p int32) (map[string]*liveRow, error) {
	rows := map[string]*liveRow{}
	err := b.read(ctx, topics.CustomerTable.Name, p, func(r *kgo.Record) error {
		key := string(r.Key)
		if r.Value == nil {
			delete(rows, key)
			return nil
		}
		row := &liveRow{}
		rows[key] = row
		rec, err := schemas.DecodePrivate(r.Value)
		if err != nil {
			return nil //nolint:nilerr // an unreadable row is a finding
		}
		if row.state, row.handled, err = loadCustomer(rec); err == nil {
			row.readable = true
		}
		return nil
	})
	return rows, err
}

// replace writes the rows that the events say, each with its public state.
func (b *rebuild) replace(
	ctx context.Context, p int32, wrong []RebuildFinding, rows map[string]*liveRow, folds map[string]*folded,
) error {
	var batch []*kgo.Record
	customers := 0
	for i, w := range wrong {
		if w.What != FoundBroken {
			records, err := b.recordsOf(p, w.Key, rows[w.Key], folds[w.Key])
			if err != nil {
				return fmt.Errorf("customer %s: %w", w.Key, err)
			}
			batch = append(batch, records...)
			customers++
		}
		if customers == 0 || customers < rebuildBatch && i < len(wrong)-1 {
			continue
		}
		if err := b.stopped(ctx); err != nil { // an instance that has started meanwhile would write the same rows
			return err
		}
		if err := b.commit(ctx, batch); err != nil {
			return err
		}
		b.report.Replaced += int64(customers)
		batch, customers = nil, 0
	}
	return nil
}

// recordsOf is a customer's new row and public state.
func (b *rebuild) recordsOf(p int32, key string, row *liveRow, f *folded) ([]*kgo.Record, error) {
	handled := f.handled
	if row != nil && row.readable {
		handled = row.handled
	} else {
		b.report.IDsFromEvents++
	}
	table := &kgo.Record{Topic: topics.CustomerTable.Name, Partition: p, Key: []byte(key)}
	public := &kgo.Record{Topic: topics.CustomerState.Name, Partition: p, Key: []byte(key)}
	var err error
	if f.state.Version > 0 || len(handled) > 0 {
		if table.Value, err = schemas.AppendPrivate(nil, saveCustomer(key, f.state, handled)); err != nil {
			return nil, err
		}
	}
	if f.state.Version > 0 && f.state.Status != customer.StatusErased {
		if public.Value, err = b.codec.Append(nil, publicCustomer(key, f.state, f.at)); err != nil {
			return nil, err
		}
	}
	return []*kgo.Record{table, public}, nil
}

// commit writes records in one transaction: a reader sees a row and its public state together, or neither.
func (b *rebuild) commit(ctx context.Context, records []*kgo.Record) error {
	client, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, b.o.Client...),
		kgo.TransactionalID(topics.Customer+"-rebuild"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)...)
	if err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("replace: %w", errors.Join(err, client.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort)))
	}
	if err := kafkaclient.EndTransaction(ctx, client.Client, kgo.TryCommit, records...); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}
