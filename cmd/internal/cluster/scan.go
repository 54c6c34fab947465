package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
)

// Range says which part of a topic Scan reads.
type Range struct {
	Topic string
	// Partition limits the range to one partition; -1 reads all.
	Partition int32
	// From is the first offset wanted in each partition; Since, if not zero, is
	// the broker time to begin at instead.
	From  int64
	Since time.Time
	// Tail begins behind the newest record; it is of use with Follow only.
	Tail bool
	// Last reads only that many of the newest offsets of each partition, if not 0.
	Last int64
	// Follow goes on after the end until ctx ends.
	Follow bool
}

// idleEnd ends a partition whose end cannot be reached: compaction may leave an
// empty batch at the end of a log, which a client passes over without a word.
const idleEnd = 3 * time.Second

// ErrNoPartition is returned for a range of a partition that the topic does not have.
var ErrNoPartition = errors.New("has no partition")

// errStop is returned by a Scan callback that has seen enough.
var errStop = errors.New("enough")

// Stop ends a Scan without an error when its callback returns it.
func Stop() error { return errStop }

// Scan reads committed records up to the last stable offset that each partition
// has now, and calls each for every one of them, per partition in order. It
// joins no group and commits nothing. Without Follow it returns nil at the end;
// with Follow it returns ctx's error. Data loss that the client reports is
// returned, never skipped.
func Scan(ctx context.Context, opts []kgo.Opt, r Range, each func(*kgo.Record) error) error {
	offsets, ends, err := bounds(ctx, opts, r)
	if err != nil {
		return err
	}
	if len(offsets) == 0 && !r.Follow {
		return nil
	}
	cl, err := kafkaclient.New(ctx, append(append([]kgo.Opt{}, opts...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers take offsets: without them the last offset might never be seen.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	s := scanner{follow: r.Follow, open: ends, each: each}
	err = s.run(ctx, cl.Client)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

type scanner struct {
	follow bool
	open   map[int32]int64 // partition → end not reached yet
	each   func(*kgo.Record) error
}

func (s *scanner) run(ctx context.Context, cl *kgo.Client) error {
	progress := time.Now()
	for s.follow || len(s.open) > 0 {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("reading: %w", ctx.Err())
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				continue // nothing within the second
			}
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		var err error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if err == nil && len(p.Records) > 0 {
				progress = time.Now()
				err = s.take(p)
			}
		})
		if err != nil {
			return err
		}
		if !s.follow && time.Since(progress) > idleEnd {
			return nil
		}
	}
	return nil
}

// take hands the records of one partition on, up to its end.
func (s *scanner) take(p kgo.FetchTopicPartition) error {
	end, open := s.open[p.Partition]
	for _, rec := range p.Records {
		if !s.follow && (!open || rec.Offset >= end) {
			break
		}
		if rec.Attrs.IsControl() {
			continue
		}
		if err := s.each(rec); err != nil {
			return err
		}
	}
	if n := len(p.Records); n > 0 && p.Records[n-1].Offset >= end-1 {
		delete(s.open, p.Partition)
	}
	return nil
}

// bounds returns where each partition begins and ends for r. Partitions with
// nothing to read are left out unless r follows.
func bounds(ctx context.Context, opts []kgo.Opt, r Range) (map[int32]kgo.Offset, map[int32]int64, error) {
	cl, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl.Client)
	starts, err := listed(adm.ListStartOffsets(ctx, r.Topic))
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", r.Topic, err)
	}
	stable, err := listed(adm.ListCommittedOffsets(ctx, r.Topic))
	if err != nil {
		return nil, nil, fmt.Errorf("topic %s: %w", r.Topic, err)
	}
	var since kadm.ListedOffsets
	if !r.Since.IsZero() {
		if since, err = OffsetsSince(ctx, adm, r.Topic, r.Since); err != nil {
			return nil, nil, err
		}
	}
	offsets, ends := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, start := range starts[r.Topic] {
		if r.Partition >= 0 && p != r.Partition {
			continue
		}
		from := max(start.Offset, r.From)
		end := stable[r.Topic][p].Offset
		if at, ok := since.Lookup(r.Topic, p); ok {
			from = max(from, at.Offset)
		}
		if r.Tail {
			from = end
		}
		if r.Last > 0 {
			from = max(from, end-r.Last)
		}
		if from >= end && !r.Follow {
			continue
		}
		offsets[p], ends[p] = kgo.NewOffset().At(from), end
	}
	if r.Partition >= 0 && starts[r.Topic] != nil {
		if _, ok := starts[r.Topic][r.Partition]; !ok {
			return nil, nil, fmt.Errorf("topic %s: %w %d", r.Topic, ErrNoPartition, r.Partition)
		}
	}
	return offsets, ends, nil
}

// listed folds the two kinds of failure of a list request into one.
func listed(l kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = l.Error()
	}
	return l, err
}
