package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// bench is one run.
type bench struct {
	dir      string
	profiles string // directory for CPU profiles; empty: none
	seed     uint64
	quick    bool
	progress io.Writer
	began    time.Time
	trials   int
}

// say reports progress; a run takes too long to be silent.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// entry is a contender and how much it is given: per record a slow one needs fewer to be measured as well.
type entry struct {
	name    string
	records int
	keys    int
	rows    int // already in the table
}

// trial measures one contender on a broker of its own and verifies what it wrote.
func (b *bench) trial(ctx context.Context, e entry) (figure, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	br, err := startBroker(ctx)
	if err != nil {
		return figure{}, err
	}
	defer br.stop()
	if err := createBenchTopics(ctx, br); err != nil {
		return figure{}, err
	}
	stateful, raw, err := workload{seed: b.seed, records: e.records, keys: e.keys}.fill(ctx, br)
	if err != nil {
		return figure{}, err
	}
	rows := stateful // what the table must hold
	if e.rows > 0 {
		if err := errors.Join(br.prefill(ctx, tableTopic, e.rows, emptyRow), br.begin(ctx, group, inputTopic)); err != nil {
			return figure{}, err
		}
		for i := range e.rows {
			rows.add(emptyRow(i))
		}
	}
	f, err := b.work(ctx, spec{
		Contender: e.name, Broker: br.address, Records: int64(e.records), Warm: int64(e.records / 4), Commit: 100 * time.Millisecond,
	})
	if err != nil {
		return figure{}, err
	}
	if e.name == "raw" {
		stateful, rows = raw, raw
	}
	err = errors.Join(br.verify(ctx, outputTopic, stateful), br.verify(ctx, tableTopic, rows))
	if err != nil {
		return figure{}, fmt.Errorf("%s: %w", e.name, err)
	}
	b.say("%-10s %7d records: %6.2f µs CPU, %7.0f/s, %5.1f allocations each", e.name, e.records, f.CPUMicros, f.PerSecond, f.Allocs)
	return f, nil
}

func createBenchTopics(ctx context.Context, br *broker) error {
	if err := br.create(ctx, "delete", inputTopic, outputTopic, deadTopic); err != nil {
		return err
	}
	return br.create(ctx, "compact", tableTopic)
}

// work runs one worker to its end and returns its figure.
func (b *bench) work(ctx context.Context, s spec) (figure, error) {
	p, err := b.worker(ctx, s)
	if err != nil {
		return figure{}, err
	}
	defer p.stop()
	line, err := p.line()
	if err != nil {
		return figure{}, fmt.Errorf("%s gave no figure: %w", s.Contender, err)
	}
	var f figure
	if err := json.Unmarshal([]byte(line), &f); err != nil {
		return figure{}, fmt.Errorf("%s: %w", s.Contender, err)
	}
	return f, nil
}

// worker starts a worker; without a directory it gets an empty one.
func (b *bench) worker(ctx context.Context, s spec) (*process, error) {
	if s.Dir == "" {
		b.trials++
		s.Dir = filepath.Join(b.dir, fmt.Sprintf("%s-%d", s.Contender, b.trials))
	}
	if b.profiles != "" {
		s.Profile = filepath.Join(b.profiles, filepath.Base(s.Dir)+".pprof")
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a state directory: %w", err)
	}
	arg, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return start(ctx, "worker", string(arg))
}

// palindrome measures the entries in the order A B C C B A, so that a machine that gets slower or faster during the run
// favours none, rounds times; a half that would not be over by the deadline is left out.
func (b *bench) palindrome(ctx context.Context, rounds int, deadline time.Time, entries ...entry) (map[string][]figure, error) {
	got := map[string][]figure{}
	var spent time.Duration // on the last half
	for half := range 2 * rounds {
		began := time.Now()
		if half > 0 && began.Add(spent).After(deadline) {
			break
		}
		for _, e := range entries {
			f, err := b.trial(ctx, e)
			if err != nil {
				return nil, err
			}
			got[e.name] = append(got[e.name], f)
		}
		slices.Reverse(entries)
		spent = time.Since(began)
	}
	return got, nil
}

// median is per quantity: two trials of a contender differ by the moment, not by what they are.
func median(all []figure) figure {
	middle := func(of func(figure) float64) float64 {
		values := make([]float64, 0, len(all))
		for _, f := range all {
			values = append(values, of(f))
		}
		slices.Sort(values)
		n := len(values)
		if n == 0 {
			return 0
		}
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	return figure{
		CPUMicros: middle(func(f figure) float64 { return f.CPUMicros }),
		PerSecond: middle(func(f figure) float64 { return f.PerSecond }),
		Allocs:    middle(func(f figure) float64 { return f.Allocs }),
	}
}
