package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Every record has a key as long as a UUID and a value as long as an encoded customer event.
const (
	keyBytes   = 36
	valueBytes = 200
)

// The topics of the counting processor.
const (
	group       = "bench"
	inputTopic  = "bench.in"
	outputTopic = "bench.out"
	tableTopic  = "bench-table"
	deadTopic   = inputTopic + ".dlq"
)

// workload is a log of commands, made from a seed.
type workload struct {
	seed    uint64
	records int
	keys    int // 0: every key is used once
}

// expected is what a correct run has written: outputs, and the sum of their hashes (a sum, because no order exists
// between partitions).
type expected struct {
	count uint64
	hash  uint64
}

func (e *expected) add(key, value []byte) {
	h := fnv.New64a()
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	e.count++
	e.hash += h.Sum64()
}

// key is the n-th key.
func key(n uint64) []byte {
	return fmt.Appendf(nil, "customer-%027d", n)
}

// count reads the counter at the head of a value or row; none is 0.
func count(row []byte) uint64 {
	if len(row) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(row)
}

// counted is the whole business of the benchmark: the value with the next count of its key at its head. It is the new
// row and the output. The counter of an input is 0.
func counted(row, value []byte) []byte {
	out := bytes.Clone(value)
	binary.BigEndian.PutUint64(out, count(row)+1)
	return out
}

// fill produces the whole log before anything is measured and returns what must come out: with counts for a processor
// with a table, as it is for the raw loop.
func (w workload) fill(ctx context.Context, b *broker) (stateful, raw expected, err error) {
	random := rand.New(rand.NewPCG(w.seed, uint64(w.records)))
	counts := make(map[uint64]uint64, w.keys)
	var failed error
	for i := range w.records {
		n := uint64(i)
		if w.keys > 0 {
			n = random.Uint64N(uint64(w.keys))
		}
		value := make([]byte, valueBytes)
		for j := 8; j < valueBytes; j += 8 {
			binary.BigEndian.PutUint64(value[j:], random.Uint64())
		}
		k := key(n)
		raw.add(k, value)
		counts[n]++
		row := bytes.Clone(value)
		binary.BigEndian.PutUint64(row, counts[n])
		stateful.add(k, row)
		b.client.Produce(ctx, &kgo.Record{Topic: inputTopic, Key: k, Value: value}, func(_ *kgo.Record, err error) {
			failed = errors.Join(failed, err)
		})
	}
	if err := b.client.Flush(ctx); err != nil {
		return stateful, raw, fmt.Errorf("fill the log: %w", err)
	}
	if failed != nil {
		return stateful, raw, fmt.Errorf("fill the log: %w", failed)
	}
	return stateful, raw, nil
}

// verify compares the committed records of a topic with what must be there.
func (b *broker) verify(ctx context.Context, topic string, want expected) error {
	var got expected
	if err := b.committed(ctx, topic, func(r *kgo.Record) error { got.add(r.Key, r.Value); return nil }); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: %s holds %d records with hash %x, want %d with %x", errVoid, topic, got.count, got.hash, want.count, want.hash)
	}
	return nil
}

// committed reads a topic read_committed.
func (b *broker) committed(ctx context.Context, topic string, visit func(*kgo.Record) error) error {
	ends, err := b.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	reader, err := kgo.NewClient(
		kgo.SeedBrokers(b.address), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxBytes(8<<20),
	)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	defer reader.Close()
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var failed error
	for len(left) > 0 && failed == nil {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() && failed == nil {
				failed = visit(r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return failed
}

// errVoid is the end of a run that was fast and wrong.
var errVoid = errors.New("the run is void")
