package main

import (
	"context"
	"fmt"
	"time"
)

// comeback is how long an instance takes until it has its customers, from the start of its process.
type comeback struct {
	Contender    string  `json:"contender"`
	Customers    int     `json:"customers"`
	LogSeconds   float64 `json:"fromLogSeconds"`
	LogMicros    float64 `json:"fromLogCPUMicrosPerRow"`
	LocalSeconds float64 `json:"fromLocalStateSeconds"`
	ResidentMiB  float64 `json:"residentMiB"` // after the second start
	PeakMiB      float64 `json:"peakMiB"`     // of the first
}

// comeback starts a contender twice on a table of customers: with an empty directory, and with what it left there.
func (v *service) comeback(ctx context.Context, contender string, customers int) (comeback, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s, err := v.site(contender)
	if err != nil {
		return comeback{}, err
	}
	dir := v.stateDir(s, "one")
	defer v.tidy(context.WithoutCancel(ctx), s, dir)
	if err := v.empty(ctx, s, customers); err != nil {
		return comeback{}, err
	}
	out := comeback{Contender: contender, Customers: customers}
	for turn := range 2 {
		began := time.Now()
		p, err := v.enter(ctx, s, "one", dir, 0)
		if err != nil {
			return comeback{}, fmt.Errorf("%s comes back: %w", contender, err)
		}
		took, cpu := time.Since(began).Seconds(), p.cpu()
		resident, peak := p.memory()
		if turn == 0 {
			out.LogSeconds, out.LogMicros, out.PeakMiB = took, micros(cpu, int64(customers)), peak
		} else {
			out.LocalSeconds, out.ResidentMiB = took, resident
		}
		p.stop()
	}
	v.say("%-18s %d customers: %.2f s (%.2f µs CPU a row) from the log, %.2f s from local state, %.0f MiB resident (peak %.0f)",
		contender, customers, out.LogSeconds, out.LogMicros, out.LocalSeconds, out.ResidentMiB, out.PeakMiB)
	return out, nil
}
