package main

import (
	"context"
	"fmt"
	"time"

	"utopia/topics"
)

// plain is the loop without a processor: a consumer of the commands themselves. It is what the machine and the broker
// take, whoever works in between.
const plain = "plain"

// delay is the latency of a contender under an open loop of commands, from the intended time of sending to the moment a
// read_committed consumer has the reply.
type delay struct {
	latency

	CPUMicros float64 `json:"cpuMicros"` // per command, at this rate
	Valid     bool    `json:"valid"`     // the generator's own p99 was at most 1 ms late
}

// pace is one measurement of latency.
type pace struct {
	rate          int
	backlog       int // commands to warm up with, at full speed
	warm, measure time.Duration
}

// delay measures one contender.
func (v *service) delay(ctx context.Context, contender string, p pace) (delay, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s, err := v.site(contender)
	if err != nil {
		return delay{}, err
	}
	st, worker, err := v.open(ctx, s, p.backlog)
	if err != nil {
		return delay{}, fmt.Errorf("latency of %s: %w", contender, err)
	}
	defer st.close()
	dir := v.stateDir(s, "one")
	defer func() {
		if worker != nil {
			worker.stop()
		}
		v.tidy(context.WithoutCancel(ctx), s, dir)
	}()
	sent := make(chan struct{})
	close(sent)
	if _, err := st.receive(ctx, sent); err != nil {
		return delay{}, err
	}
	d := delay{latency: latency{Contender: contender, Rate: p.rate}}
	for _, part := range []time.Duration{p.warm, p.measure} {
		before := cpuTime(worker)
		arrived, late, err := st.both(ctx, p.rate, lasting(part))
		if err != nil {
			return delay{}, fmt.Errorf("latency of %s at %d/s: %w", contender, p.rate, err)
		}
		took := make([]time.Duration, 0, len(arrived))
		for _, a := range arrived {
			took = append(took, a.took)
		}
		d.Records, d.P50, d.P90, d.P99, d.Max = len(took), quantile(took, 0.5), quantile(took, 0.9), quantile(took, 0.99), quantile(took, 1)
		d.LagP99 = quantile(late, 0.99)
		d.CPUMicros = micros(cpuTime(worker)-before, int64(len(took)))
	}
	d.Valid = d.LagP99 <= 1
	v.say("%-18s %5d/s: p50 %.2f ms, p99 %.2f ms, max %.1f ms, %.0f µs CPU (generator's own p99 %.2f ms)",
		contender, p.rate, d.P50, d.P99, d.Max, d.CPUMicros, d.LagP99)
	return d, nil
}

func cpuTime(p *process) time.Duration {
	if p == nil {
		return 0
	}
	return p.cpu()
}

// open begins with an empty log and a table of customers, writes a backlog and starts the contender.
func (v *service) open(ctx context.Context, s site, backlog int) (*stream, *process, error) {
	if err := v.empty(ctx, s, v.life.customers); err != nil {
		return nil, nil, err
	}
	answers := topics.CustomerReplies.Name
	if s.contender == plain {
		answers = topics.CustomerCommands.Name
	}
	l := v.life
	l.registers = 0
	st, err := newStream(v.br, l, answers)
	if err != nil {
		return nil, nil, err
	}
	if err := st.backlog(ctx, backlog); err != nil {
		st.close()
		return nil, nil, err
	}
	if s.contender == plain {
		return st, nil, nil
	}
	worker, err := v.enter(ctx, s, "one", v.stateDir(s, "one"), 0)
	if err != nil {
		st.close()
		return nil, nil, err
	}
	return st, worker, nil
}
