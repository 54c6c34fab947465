package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// Headers of dead letters, as the engine writes them.
const (
	headerPrefix    = "utopia-"
	headerReason    = "utopia-reason"
	headerDetail    = "utopia-detail"
	headerTopic     = "utopia-topic"
	headerPartition = "utopia-partition"
	headerOffset    = "utopia-offset"
	headerRetryOf   = "utopia-retry-of"
)

// ErrNoDeadLetter is returned for a reference to a dead letter that is not, or no
// longer, there.
var ErrNoDeadLetter = errors.New("there is no such dead letter")

// ErrOvertaken is returned for a dead letter of a compacted topic that has a later record of the same key: sent again, the old state
// would be the newest for everybody who reads the topic.
var ErrOvertaken = errors.New("there is a later record of this key")

// Ref points at one record.
type Ref struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String writes the form that ParseRef reads: topic/partition/offset.
func (r Ref) String() string { return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset) }

// ParseRef reads topic/partition/offset.
func ParseRef(s string) (Ref, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Ref{}, fmt.Errorf("%q is not topic/partition/offset", s)
	}
	p, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil || p < 0 {
		return Ref{}, fmt.Errorf("%q: %q is not a partition", s, parts[1])
	}
	o, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || o < 0 {
		return Ref{}, fmt.Errorf("%q: %q is not an offset", s, parts[2])
	}
	return Ref{Topic: parts[0], Partition: int32(p), Offset: o}, nil
}

// DeadLetter is one record that no code could handle.
type DeadLetter struct {
	Ref    Ref
	Origin Ref // where it was received
	Reason string
	Detail string
	At     time.Time
	Record *kgo.Record // key, value and headers as kept
}

func deadLetter(rec *kgo.Record) DeadLetter {
	d := DeadLetter{Ref: Ref{rec.Topic, rec.Partition, rec.Offset}, At: rec.Timestamp, Record: rec}
	d.Origin = Ref{Topic: strings.TrimSuffix(rec.Topic, ".dlq"), Partition: -1, Offset: -1}
	for _, h := range rec.Headers {
		v := string(h.Value)
		switch h.Key {
		case headerReason:
			d.Reason = v
		case headerDetail:
			d.Detail = v
		case headerTopic:
			d.Origin.Topic = v
		case headerPartition:
			if n, err := strconv.ParseInt(v, 10, 32); err == nil {
				d.Origin.Partition = int32(n)
			}
		case headerOffset:
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				d.Origin.Offset = n
			}
		}
	}
	return d
}

// DeadLetters lists what the dead-letter topics of the given input topics hold,
// oldest first. A topic that does not exist holds nothing.
func DeadLetters(ctx context.Context, opts []kgo.Opt, inputs []topics.Topic, since time.Time) ([]DeadLetter, error) {
	exist, err := existing(ctx, opts, inputs)
	if err != nil {
		return nil, err
	}
	var found []DeadLetter
	for _, name := range exist {
		err := Scan(ctx, opts, Range{Topic: name, Partition: -1, Since: since}, func(rec *kgo.Record) error {
			found = append(found, deadLetter(rec))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b DeadLetter) int { return a.At.Compare(b.At) })
	return found, nil
}

// existing returns the dead-letter topics of inputs that the cluster has.
func existing(ctx context.Context, opts []kgo.Opt, inputs []topics.Topic) ([]string, error) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	var names []string
	for _, t := range inputs {
		names = append(names, t.DLQ().Name)
	}
	details, err := kadm.NewClient(cl).ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return slices.DeleteFunc(names, func(n string) bool { return len(details[n].Partitions) == 0 }), nil
}

// FindDeadLetter returns one dead letter, or ErrNoDeadLetter.
func FindDeadLetter(ctx context.Context, opts []kgo.Opt, ref Ref) (DeadLetter, error) {
	var found *DeadLetter
	err := Scan(ctx, opts, Range{Topic: ref.Topic, Partition: ref.Partition, From: ref.Offset}, func(rec *kgo.Record) error {
		if rec.Offset == ref.Offset {
			d := deadLetter(rec)
			found = &d
		}
		return Stop()
	})
	if err != nil {
		return DeadLetter{}, err
	}
	if found == nil {
		return DeadLetter{}, fmt.Errorf("%w: %s", ErrNoDeadLetter, ref)
	}
	return *found, nil
}

// Retry produces the dead letter again to the topic it came from: key and value
// as received, foreign headers kept, and utopia-retry-of naming the dead letter,
// so that it no longer counts as an outcome. The key decides about the
// partition; a record without a key returns to the one it came from. It returns
// where the record landed, or ErrOvertaken.
func Retry(ctx context.Context, opts []kgo.Opt, d DeadLetter) (Ref, error) {
	origin, ok := topics.ByName(d.Origin.Topic)
	if !ok || !origin.Input() {
		return Ref{}, fmt.Errorf("dead letter %s: %q is not an input topic of the catalogue", d.Ref, d.Origin.Topic)
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(topics.BatchBytes),
		kgo.RecordDeliveryTimeout(30*time.Second))...)
	if err != nil {
		return Ref{}, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	details, err := kadm.NewClient(cl).ListTopics(ctx, origin.Name)
	if err != nil {
		return Ref{}, fmt.Errorf("list topics: %w", err)
	}
	n := int32(len(details[origin.Name].Partitions)) //nolint:gosec // a topic has few partitions
	if n == 0 {
		return Ref{}, fmt.Errorf("dead letter %s: the cluster has no topic %s", d.Ref, origin.Name)
	}
	again := &kgo.Record{Topic: origin.Name, Key: d.Record.Key, Value: d.Record.Value, Partition: max(d.Origin.Partition, 0)}
	if d.Record.Key != nil {
		again.Partition = topics.Partition(string(d.Record.Key), n)
	}
	if origin.Cleanup == topics.Compact {
		if err := notOvertaken(ctx, opts, d, again.Partition); err != nil {
			return Ref{}, err
		}
	}
	for _, h := range d.Record.Headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			again.Headers = append(again.Headers, h)
		}
	}
	again.Headers = append(again.Headers, kgo.RecordHeader{Key: headerRetryOf, Value: []byte(d.Ref.String())})
	done := make(chan error, 1)
	cl.Produce(ctx, again, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return Ref{}, fmt.Errorf("produce to %s: %w", origin.Name, err)
	}
	return Ref{again.Topic, again.Partition, again.Offset}, nil
}

// notOvertaken looks for a later record of the dead letter's key. One that comes between this and the retry is not seen: what is read here is what
// an operator could have read.
func notOvertaken(ctx context.Context, opts []kgo.Opt, d DeadLetter, partition int32) error {
	return Scan(ctx, opts, Range{Topic: d.Origin.Topic, Partition: partition, From: d.Origin.Offset + 1}, func(r *kgo.Record) error {
		if string(r.Key) == string(d.Record.Key) {
			return fmt.Errorf("dead letter %s: %w, %s; whoever could not handle the old one has that", d.Ref, ErrOvertaken, Ref{r.Topic, r.Partition, r.Offset})
		}
		return nil
	})
}
