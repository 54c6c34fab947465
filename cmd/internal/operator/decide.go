package operator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

const (
	// decideWithin is how long one decision may take.
	decideWithin = 20 * time.Second
	// openFor is how long a transaction may stay open. Whoever reads what is behind it in the same partition, and that may be the input of
	// a service, waits that long if we die in the middle.
	openFor = 10 * time.Second
	// abortWithin is how long to try to end one that cannot be committed.
	abortWithin = 2 * time.Second
	// clocksApart is how much the clocks of processors and brokers may differ: a dead letter has the time of the one, a decision about it
	// that of the other.
	clocksApart = 24 * time.Hour
)

// Retry sends a dead letter again to the topic it came from and notes that, or does neither. Asked for twice, by whomever, at the same time or
// not, it is done once, and the second gets what the first did. Errors: cluster.ErrNoDeadLetter, ErrDecided with what was decided instead,
// cluster.ErrOvertaken, ErrNotKept and ErrNoOrigin, ErrUnsettled.
func (d *Desk) Retry(ctx context.Context, ref cluster.Ref, who Who) (Action, error) {
	return d.decide(ctx, ref, Retry, who)
}

// Drop notes that nothing is to be done about a dead letter. The letter stays where it is until its retention ends. Errors: those of Retry.
func (d *Desk) Drop(ctx context.Context, ref cluster.Ref, who Who) (Action, error) {
	return d.decide(ctx, ref, Drop, who)
}

func (d *Desk) decide(ctx context.Context, ref cluster.Ref, action string, who Who) (Action, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), decideWithin) // what is begun is ended, whoever waits for it
	defer cancel()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return Action{}, ErrUnsettled
	}
	letter, err := cluster.FindDeadLetter(ctx, d.cfg.Client, ref)
	if err != nil {
		return Action{}, err
	}
	n, err := cluster.PartitionCount(ctx, d.cfg.Client, topics.OperatorActions.Name)
	if err != nil {
		return Action{}, err
	}
	note := schemas.OperatorAction{Target: ref.String(), Action: action, Caller: who.Name, Role: who.Role, Reason: who.Reason, Outcome: schemas.ActionDone}
	for try := 1; ; try++ {
		a, again, err := d.attempt(ctx, n, letter, note)
		if !again {
			return a, err
		}
		// Somebody else was fenced by us, or we by them. Two who come back at the same pace would fence each other for ever.
		pause := time.NewTimer(rand.N(time.Duration(min(try, 10)) * 50 * time.Millisecond)) //nolint:gosec // no secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return Action{}, fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
}

// attempt decides once; again says that the answer is not known, and that asking again finds it.
//
// Every decision about the letters whose actions share a partition is a transaction of the same transactional id. Beginning with that id ends
// what others have open with it, committed or aborted, and takes it from them: whatever is found in the partition after that is all there is, and
// whoever looked before us can no longer commit.
func (d *Desk) attempt(ctx context.Context, n int32, letter cluster.DeadLetter, note schemas.OperatorAction) (a Action, again bool, err error) {
	record, err := d.record(n, note)
	if err != nil {
		return a, false, err
	}
	cl, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, d.cfg.Client...),
		kgo.TransactionalID(fmt.Sprintf("%s-actions-%d", topics.Operator, record.Partition)), kgo.TransactionTimeout(openFor),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(topics.BatchBytes), kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(openFor))...)
	if err != nil {
		return a, false, err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return a, !hopeless(err), fmt.Errorf("begin: %w", err)
	}
	first, err := d.first(ctx, letter, record.Partition)
	switch {
	case err != nil:
		return a, !hopeless(err), err
	case first != nil && first.Action != note.Action:
		return *first, false, fmt.Errorf("%w: %s by %s", ErrDecided, first.Action, first.Caller)
	case first != nil:
		first.Repeat = true
		return *first, false, nil
	}
	var letters []*kgo.Record
	if note.Action == Retry {
		out, err := cluster.Again(ctx, d.cfg.Client, letter)
		if err != nil {
			return a, !hopeless(err), err
		}
		letters = append(letters, out)
	}
	a, err = d.commit(ctx, cl.Client, n, note, letters)
	return a, err != nil && !hopeless(err), err
}

// commit writes the letters, if any, and the note, in one transaction.
func (d *Desk) commit(ctx context.Context, cl *kgo.Client, n int32, note schemas.OperatorAction, letters []*kgo.Record) (Action, error) {
	if err := cl.BeginTransaction(); err != nil {
		return Action{}, fmt.Errorf("begin: %w", err)
	}
	record, err := func() (*kgo.Record, error) {
		for _, out := range letters {
			if err := produce(ctx, cl, out); err != nil {
				return nil, err
			}
			note.Result = cluster.Ref{Topic: out.Topic, Partition: out.Partition, Offset: out.Offset}.String()
		}
		record, err := d.record(n, note)
		if err != nil {
			return nil, err
		}
		return record, produce(ctx, cl, record)
	}()
	if err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
		defer cancel()
		_ = cl.AbortBufferedRecords(ending)         // whoever begins next, or the time-out, aborts it if we cannot
		_ = cl.EndTransaction(ending, kgo.TryAbort) // likewise
		return Action{}, err
	}
	if err := kafkaclient.EndTransaction(ctx, cl, kgo.TryCommit, record); err != nil {
		return Action{}, fmt.Errorf("commit: %w", err)
	}
	return Action{OperatorAction: note, At: record.Timestamp, Partition: record.Partition, Offset: record.Offset}, nil
}

// first returns what was decided about a letter, nil if nothing was. It reads one partition of the actions, from the letter on.
func (d *Desk) first(ctx context.Context, letter cluster.DeadLetter, partition int32) (*Action, error) {
	var found *Action
	read := cluster.Range{Topic: topics.OperatorActions.Name, Partition: partition, Since: letter.At.Add(-clocksApart)}
	err := cluster.Scan(ctx, d.cfg.Client, read, func(r *kgo.Record) error {
		if string(r.Key) != letter.Ref.String() {
			return nil
		}
		a, err := actionOf(d.codec, r)
		if err != nil {
			return fmt.Errorf("what was decided cannot be read: %w", err) // deciding again would be worse
		}
		if !a.decides() {
			return nil
		}
		found = &a
		return cluster.Stop()
	})
	return found, err
}

func actionOf(codec *schemas.Codec, r *kgo.Record) (Action, error) {
	rec, err := codec.Decode(r.Value)
	if err != nil {
		return Action{}, err
	}
	a, ok := rec.(*schemas.OperatorAction)
	if !ok {
		return Action{}, schemas.ErrNotOfTopic
	}
	return Action{OperatorAction: *a, At: r.Timestamp, Partition: r.Partition, Offset: r.Offset}, nil
}

// hopeless tells an error that asking again does not end.
func hopeless(err error) bool {
	for _, target := range []error{
		cluster.ErrOvertaken, cluster.ErrNotKept, cluster.ErrNoOrigin, schemas.ErrUnknownID, schemas.ErrRegistryDown,
		kerr.TransactionalIDAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// Decisions returns what was decided about dead letters that may still be there, by the letter.
func Decisions(ctx context.Context, cfg Config, now time.Time) (map[string]Action, error) {
	codec, err := schemas.NewCodec(topics.OperatorActions.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	decided := map[string]Action{}
	read := cluster.Range{Topic: topics.OperatorActions.Name, Partition: -1, Since: now.Add(-decidedFor)}
	err = cluster.Scan(ctx, cfg.Client, read, func(r *kgo.Record) error {
		a, err := actionOf(codec, r)
		if err != nil {
			return fmt.Errorf("an operator's action cannot be read: %w", err)
		}
		if a.decides() {
			decided[a.Target] = a
		}
		return nil
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = nil // of a release before it
	}
	return decided, err
}
