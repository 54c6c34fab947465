package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// prefill writes a table of n rows, as if a processor had written it before.
func (b *broker) prefill(ctx context.Context, topic string, n int, row func(i int) (key, value []byte)) error {
	var failed error
	for i := range n {
		k, v := row(i)
		b.client.Produce(ctx, &kgo.Record{Topic: topic, Key: k, Value: v}, func(_ *kgo.Record, err error) {
			failed = errors.Join(failed, err)
		})
	}
	if err := errors.Join(b.client.Flush(ctx), failed); err != nil {
		return fmt.Errorf("write %d rows: %w", n, err)
	}
	return nil
}

// begin commits offset 0 on every partition of a group's inputs: the engine refuses a table whose group has no offsets.
func (b *broker) begin(ctx context.Context, group string, inputs ...string) error {
	offsets := kadm.Offsets{}
	for _, topic := range inputs {
		for p := range b.partitions {
			offsets.AddOffset(topic, p, 0, -1)
		}
	}
	if err := b.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("commit the first offsets: %w", err)
	}
	return nil
}

// emptyRow is a row of the counting processor that has counted nothing.
func emptyRow(i int) (k, v []byte) { return key(uint64(i)), make([]byte, valueBytes) } //nolint:gosec // not negative

// recovery is how long a processor takes until it answers, and what it then weighs.
type recovery struct {
	Customers    int     `json:"customers"`
	LogSeconds   float64 `json:"fromLogSeconds"`
	LocalSeconds float64 `json:"fromLocalStateSeconds"`
	ResidentMiB  float64 `json:"residentMiB"` // after the second start, with nothing to do
	PeakMiB      float64 `json:"peakMiB"`     // while reading the log
	RowBytes     int     `json:"bytesPerRow"` // key and value
	LogMicros    float64 `json:"fromLogCPUMicrosPerRow"`
}

// table is what a recovery reads: which contender, whose rows.
type table struct {
	contender, group, topic string
	inputs                  []string
	create                  func(ctx context.Context, b *broker) error // all topics that the contender needs
	row                     func(i int) (key, value []byte)
}

func countingTable() table {
	return table{contender: "utopia", group: group, topic: tableTopic, inputs: []string{inputTopic}, create: createBenchTopics, row: emptyRow}
}

// recovery writes a table and starts a processor twice: without local state, and with that of the first time.
func (b *bench) recovery(ctx context.Context, t table, customers int) (recovery, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	br, err := startBroker(ctx)
	if err != nil {
		return recovery{}, err
	}
	defer br.stop()
	if err := errors.Join(
		t.create(ctx, br), br.prefill(ctx, t.topic, customers, t.row), br.begin(ctx, t.group, t.inputs...),
	); err != nil {
		return recovery{}, err
	}
	k, v := t.row(customers - 1)
	out := recovery{Customers: customers, RowBytes: len(k) + len(v)}
	dir := filepath.Join(b.dir, fmt.Sprintf("recovery-%s-%d", t.contender, customers))
	s := spec{Contender: t.contender, Broker: br.address, Dir: dir, Commit: 100 * time.Millisecond}
	first, err := b.startAndStop(ctx, s)
	if err != nil {
		return recovery{}, fmt.Errorf("recover %d from the log: %w", customers, err)
	}
	second, err := b.startAndStop(ctx, s)
	if err != nil {
		return recovery{}, fmt.Errorf("recover %d from local state: %w", customers, err)
	}
	out.LogSeconds, out.PeakMiB, out.LogMicros = first.Seconds, first.peak, first.CPUMicros/float64(customers)
	out.LocalSeconds, out.ResidentMiB = second.Seconds, second.resident
	b.say("%-10s %7d rows of %d bytes: %.2f s (%.2f µs CPU a row) from the log, %.2f s from local state, %.0f MiB resident (peak %.0f)",
		t.contender, customers, out.RowBytes, out.LogSeconds, out.LogMicros, out.LocalSeconds, out.ResidentMiB, out.PeakMiB)
	return out, nil
}

// started is what a worker says when it is ready.
type started struct {
	Seconds   float64 `json:"seconds"` // since it began to run
	CPUMicros float64 `json:"cpuMicros"`

	resident, peak float64
}

// startAndStop runs a worker until it is ready.
func (b *bench) startAndStop(ctx context.Context, s spec) (started, error) {
	p, err := b.worker(ctx, s)
	if err != nil {
		return started{}, err
	}
	defer p.stop()
	return readyLine(p)
}

func readyLine(p *process) (started, error) {
	line, err := p.line()
	if err != nil {
		return started{}, fmt.Errorf("the worker did not become ready: %w", err)
	}
	var s started
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return started{}, err
	}
	s.resident, s.peak = p.memory()
	return s, nil
}
