package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// spec tells a worker what it is.
type spec struct {
	Contender string        `json:"contender"`
	Broker    string        `json:"broker"`
	Dir       string        `json:"dir"`
	Records   int64         `json:"records"` // 0: run until the input ends, measure nothing
	Warm      int64         `json:"warm"`    // the first so many are not measured
	Commit    time.Duration `json:"commit"`
	Profile   string        `json:"profile"` // file for a CPU profile of what is measured; empty: none

	Instance string         `json:"instance,omitempty"` // of the group; empty: the only one
	With     []string       `json:"with,omitempty"`     // engine options of the customer service: withReady
	Session  time.Duration  `json:"session,omitempty"`  // how long the group waits for a silent member; 0: the contender's default
	Sizes    map[string]int `json:"sizes,omitempty"`    // of the records of a contender that only writes canned ones
}

func (s spec) instance() string {
	if s.Instance == "" {
		return "one"
	}
	return s.Instance
}

// contender handles records until its context ends.
type contender interface {
	run(ctx context.Context, s spec, tell signals) error
	// done reports whether everything handled is also durable at the broker.
	done(ctx context.Context, admin *kadm.Client, records int64) (bool, error)
}

// signals are how a contender says how far it is: once when it is ready, and once for each record.
type signals struct{ ready, handled func() }

// figure is what one trial measured, per record.
type figure struct {
	CPUMicros float64 `json:"cpuMicros"`
	PerSecond float64 `json:"perSecond"`
	Allocs    float64 `json:"allocs"`
}

// snapshot is a moment in a worker's life.
type snapshot struct {
	at     time.Time
	cpu    time.Duration
	allocs uint64
}

func take() snapshot {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return snapshot{
		at:     time.Now(),
		cpu:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		allocs: memory.Mallocs,
	}
}

func (s snapshot) since(first snapshot, records int64) figure {
	n := float64(records)
	return figure{
		CPUMicros: float64(s.cpu-first.cpu) / float64(time.Microsecond) / n,
		PerSecond: n / s.at.Sub(first.at).Seconds(),
		Allocs:    float64(s.allocs-first.allocs) / n,
	}
}

func newContender(name string) (contender, error) {
	switch name {
	case "raw":
		return rawLoop{}, nil
	case "utopia":
		return ours{}, nil
	case "customer":
		return theCustomer{}, nil
	case "stockGoka":
		return stockGoka{}, nil
	case "rawService":
		return rawService{}, nil
	case "plainService":
		return rawService{plain: true}, nil
	case "stockService":
		return stockService{}, nil
	default:
		return nil, fmt.Errorf("unknown contender %q", name)
	}
}

// runWorker is the role of a contender: it handles the log, prints its figure as one line of JSON and goes; or, with no
// number of records, it prints a line of JSON when it is ready and runs until its input ends.
func runWorker(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var s spec
	if len(args) != 1 {
		return errors.New("worker: want one argument")
	}
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	c, err := newContender(s.Contender)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	w := &worker{warm: s.Warm, records: s.Records, profile: s.Profile, finished: make(chan struct{})}
	born := take()
	ready := func() {
		if s.Records == 0 {
			w.startProfile()
			f := take()
			_ = json.NewEncoder(stdout).Encode(started{
				Seconds: f.at.Sub(born.at).Seconds(), CPUMicros: float64((f.cpu - born.cpu).Microseconds()),
			})
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- c.run(ctx, s, signals{ready: ready, handled: w.handled}) }()
	if s.Records == 0 {
		defer pprof.StopCPUProfile()
		return unlessCancelled(<-failed)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("%s ended early: %w", s.Contender, err)
	case <-w.finished:
	}
	if err := waitDone(ctx, c, s); err != nil {
		return err
	}
	last := take()
	pprof.StopCPUProfile()
	if err := json.NewEncoder(stdout).Encode(last.since(w.first, s.Records-s.Warm)); err != nil {
		return err
	}
	cancel()
	return unlessCancelled(<-failed)
}

// unlessCancelled drops the error of a contender that was told to stop.
func unlessCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// worker counts what was handled.
type worker struct {
	warm, records int64
	profile       string
	seen          atomic.Int64
	first         snapshot
	finished      chan struct{}
}

func (w *worker) handled() {
	switch w.seen.Add(1) {
	case w.warm:
		w.startProfile()
		w.first = take()
	case w.records:
		close(w.finished)
	}
}

func (w *worker) startProfile() {
	if w.profile == "" {
		return
	}
	if f, err := os.Create(w.profile); err == nil {
		_ = pprof.StartCPUProfile(f) // the process ends before the file would be in the way
	}
}

// waitDone polls the broker until the work is durable.
func waitDone(ctx context.Context, c contender, s spec) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Broker))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := c.done(ctx, admin, s.Records)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// committed is the sum of a group's committed offsets on a topic.
func committed(ctx context.Context, admin *kadm.Client, group, topic string) (int64, error) {
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("fetch the offsets of %s: %w", group, err)
	}
	var sum int64
	for _, o := range offsets[topic] {
		sum += max(o.At, 0)
	}
	return sum, nil
}
