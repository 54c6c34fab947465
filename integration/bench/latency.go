package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// latency is the time from the moment a record was to be sent to the moment a read_committed consumer has the output, in
// milliseconds. The load is open: a slow system does not slow down the sender, and what waits to be sent waits too.
type latency struct {
	Contender string  `json:"contender"`
	Rate      int     `json:"perSecond"`
	Records   int     `json:"records"`
	P50       float64 `json:"p50"`
	P90       float64 `json:"p90"`
	P99       float64 `json:"p99"`
	Max       float64 `json:"max"`
	LagP99    float64 `json:"generatorLagP99"` // how late the generator itself was; above 1 the machine was too busy to measure
}

// openLoop is one measurement of latency.
type openLoop struct {
	contender     string
	rate          int
	warm, measure time.Duration
}

// latency measures one contender under an open loop.
func (b *bench) latency(ctx context.Context, l openLoop) (latency, error) {
	ctx, cancel := context.WithTimeout(ctx, l.warm+l.measure+time.Minute)
	defer cancel()
	br, err := startBroker(ctx)
	if err != nil {
		return latency{}, err
	}
	defer br.stop()
	if err := createBenchTopics(ctx, br); err != nil {
		return latency{}, err
	}
	p, err := b.worker(ctx, spec{Contender: l.contender, Broker: br.address, Commit: 100 * time.Millisecond})
	if err != nil {
		return latency{}, err
	}
	defer p.stop()
	if _, err := readyLine(p); err != nil {
		return latency{}, fmt.Errorf("%s: %w", l.contender, err)
	}
	reader, err := newOutputReader(br)
	if err != nil {
		return latency{}, err
	}
	defer reader.client.Close()
	out, err := l.drive(ctx, br, reader, b.seed)
	if err != nil {
		return latency{}, fmt.Errorf("latency of %s at %d/s: %w", l.contender, l.rate, err)
	}
	b.say("%-10s %7d/s: p50 %.2f ms, p99 %.2f ms, max %.1f ms (generator's own p99 %.2f ms)", l.contender, l.rate, out.P50, out.P99, out.Max, out.LagP99)
	return out, nil
}

// drive sends and reads side by side and evaluates what came after the warm-up.
func (l openLoop) drive(ctx context.Context, br *broker, reader *outputReader, seed uint64) (latency, error) {
	total, warm := int(float64(l.rate)*(l.warm+l.measure).Seconds()), int(float64(l.rate)*l.warm.Seconds())
	// The first record is through before the clock starts: joining a group is not latency.
	epoch := time.Now()
	first := make([]byte, valueBytes)
	if err := br.client.ProduceSync(ctx, &kgo.Record{Topic: inputTopic, Key: key(0), Value: first}).FirstErr(); err != nil {
		return latency{}, err
	}
	if err := reader.read(ctx, 1, func(*kgo.Record) error { return nil }); err != nil {
		return latency{}, err
	}
	lags := make(chan []time.Duration, 1)
	failed := make(chan error, 1)
	start := time.Now().Add(10 * time.Millisecond)
	go func() {
		late, err := l.send(ctx, br, start, epoch, total, seed)
		lags <- late
		failed <- err
	}()
	seen := make([]bool, total)
	took := make([]time.Duration, 0, total-warm)
	err := reader.read(ctx, total, func(r *kgo.Record) error {
		intended, n := unstamp(r.Value, epoch)
		if n >= uint64(total) || seen[n] {
			return fmt.Errorf("%w: output %d came twice or from nowhere", errVoid, n)
		}
		seen[n] = true
		if n >= uint64(warm) {
			took = append(took, time.Since(intended))
		}
		return nil
	})
	late := <-lags
	if err := errors.Join(err, <-failed); err != nil {
		return latency{}, err
	}
	return latency{
		Contender: l.contender, Rate: l.rate, Records: len(took), P50: quantile(took, 0.5), P90: quantile(took, 0.9),
		P99: quantile(took, 0.99), Max: quantile(took, 1), LagP99: quantile(late[warm:], 0.99),
	}, nil
}

// send sends at the times of the schedule and returns how late it was itself.
func (l openLoop) send(ctx context.Context, br *broker, start, epoch time.Time, total int, seed uint64) ([]time.Duration, error) {
	random := rand.New(rand.NewPCG(seed, uint64(total)))
	late := make([]time.Duration, 0, total)
	failed := make(chan error, 1)
	gap := time.Second / time.Duration(l.rate)
	for i := range total {
		intended := start.Add(time.Duration(i) * gap)
		if wait := time.Until(intended); wait > 0 {
			time.Sleep(wait)
		}
		late = append(late, time.Since(intended))
		value := make([]byte, valueBytes)
		binary.BigEndian.PutUint64(value[8:], uint64(intended.Sub(epoch))) //nolint:gosec // after the epoch
		binary.BigEndian.PutUint64(value[16:], uint64(i))                  //nolint:gosec // not negative
		r := &kgo.Record{Topic: inputTopic, Key: key(random.Uint64N(10_000)), Value: value}
		br.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := br.client.Flush(ctx); err != nil {
		return late, err
	}
	select {
	case err := <-failed:
		return late, err
	default:
		return late, nil
	}
}

// unstamp reads what send wrote; the counter at the head is the processor's.
func unstamp(value []byte, epoch time.Time) (intended time.Time, n uint64) {
	if len(value) < 24 {
		return epoch, 1 << 63
	}
	return epoch.Add(time.Duration(binary.BigEndian.Uint64(value[8:]))), binary.BigEndian.Uint64(value[16:]) //nolint:gosec // as written
}

// outputReader is a consumer of committed outputs.
type outputReader struct {
	client *kgo.Client
	rest   []*kgo.Record // read and not yet asked for
}

func newOutputReader(br *broker) (*outputReader, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(br.address), kgo.ConsumeTopics(outputTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return nil, fmt.Errorf("open a reader: %w", err)
	}
	return &outputReader{client: client}, nil
}

// read gives the next n outputs to visit.
func (o *outputReader) read(ctx context.Context, n int, visit func(*kgo.Record) error) error {
	for n > 0 {
		if len(o.rest) == 0 {
			fetches := o.client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return fmt.Errorf("%d outputs are missing: %w", n, err)
			}
			o.rest = fetches.Records()
			continue
		}
		if err := visit(o.rest[0]); err != nil {
			return err
		}
		o.rest = o.rest[1:]
		n--
	}
	return nil
}

// quantile is in milliseconds; it sorts all.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	n := min(int(q*float64(len(all))), len(all)-1)
	return float64(all[n].Microseconds()) / 1000
}
