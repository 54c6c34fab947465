package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
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

	// reasonTooLarge is the engine's reason for a dead letter that has nothing of the record.
	reasonTooLarge = "too_large"
)

// ErrNoDeadLetter is returned for a reference to a dead letter that is not, or no
// longer, there.
var ErrNoDeadLetter = errors.New("there is no such dead letter")

// ErrOvertaken is returned for a dead letter of a compacted topic that has a later record of the same key: sent again, the old state
// would be the newest for everybody who reads the topic.
var ErrOvertaken = errors.New("there is a later record of this key")

// ErrNoOrigin is returned for a dead letter that says it came from somewhere that has no dead letters.
var ErrNoOrigin = errors.New("it did not come from an input topic of the catalogue")

// ErrNotKept is returned for a dead letter of a record that was too large for any topic: it is only where it was received.
var ErrNotKept = errors.New("the record was too large to be kept")

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

// LetterOf reads the headers of a record of a dead-letter topic.
func LetterOf(rec *kgo.Record) DeadLetter {
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
			found = append(found, LetterOf(rec))
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
	cl, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var names []string
	for _, t := range inputs {
		names = append(names, t.DLQ().Name)
	}
	details, err := kadm.NewClient(cl.Client).ListTopics(ctx, names...)
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
			d := LetterOf(rec)
			found = &d
		}
		return Stop()
	})
	if err != nil && !errors.Is(err, ErrNoPartition) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return DeadLetter{}, err
	}
	if found == nil {
		return DeadLetter{}, fmt.Errorf("%w: %s", ErrNoDeadLetter, ref)
	}
	return *found, nil
}

// Again makes the record that is sent when the dead letter is sent again to the topic it came from: key and value
// as received, foreign headers kept, and utopia-retry-of naming the dead letter,
// so that it no longer counts as an outcome. The key decides about the
// partition; a record without a key returns to the one it came from. ErrNoOrigin, ErrNotKept, ErrOvertaken.
func Again(ctx context.Context, opts []kgo.Opt, d DeadLetter) (*kgo.Record, error) {
	origin, ok := topics.ByName(d.Origin.Topic)
	switch {
	case !ok || !origin.Input():
		return nil, fmt.Errorf("dead letter %s: %w: %q", d.Ref, ErrNoOrigin, d.Origin.Topic)
	case d.Reason == reasonTooLarge:
		return nil, fmt.Errorf("dead letter %s: %w: it is %s", d.Ref, ErrNotKept, d.Origin)
	}
	n, err := PartitionCount(ctx, opts, origin.Name)
	if err != nil {
		return nil, err
	}
	again := &kgo.Record{Topic: origin.Name, Key: d.Record.Key, Value: d.Record.Value, Partition: max(d.Origin.Partition, 0)}
	if d.Record.Key != nil {
		again.Partition = topics.Partition(string(d.Record.Key), n)
	}
	if origin.Cleanup == topics.Compact {
		if err := notOvertaken(ctx, opts, d, again.Partition); err != nil {
			return nil, err
		}
	}
	for _, h := range d.Record.Headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			again.Headers = append(again.Headers, h)
		}
	}
	again.Headers = append(again.Headers, kgo.RecordHeader{Key: headerRetryOf, Value: []byte(d.Ref.String())})
	return again, nil
}

// PartitionCount is how many partitions a topic has on the cluster; one that is not there is an error.
func PartitionCount(ctx context.Context, opts []kgo.Opt, topic string) (int32, error) {
	cl, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	details, err := kadm.NewClient(cl.Client).ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list topics: %w", err)
	}
	n := int32(len(details[topic].Partitions)) //nolint:gosec // a topic has few partitions
	if n == 0 {
		return 0, fmt.Errorf("the cluster has no topic %s", topic)
	}
	return n, nil
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

// Printable shows bytes as text where they are text.
func Printable(b []byte) string {
	switch {
	case b == nil:
		return "(none)"
	case utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 || c == 0x7f }):
		return string(b)
	default:
		return fmt.Sprintf("0x%x", b)
	}
}
