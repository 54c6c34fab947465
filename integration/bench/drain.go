package main

import (
	"context"
	"fmt"
	"time"

	"utopia/topics"
)

// drained is what handling a full log cost, per command, once warm.
type drained struct {
	Contender    string    `json:"contender"`
	CPUMicros    float64   `json:"cpuMicros"`
	PerSecond    float64   `json:"perSecond"`
	ResidentMiB  float64   `json:"residentMiB"` // at the end, all instances
	PeakMiB      float64   `json:"peakMiB"`
	BrokerMicros float64   `json:"brokerCPUMicros"`        // the broker's, 0: not measured
	Windows      []float64 `json:"windowMicros,omitempty"` // CPU per command in each tenth of the log: how it warmed up
}

// drain lets instances of a contender handle the log that is there, and measures the last part of it.
func (v *service) drain(ctx context.Context, contender string, instances int) (drained, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s, err := v.site(contender)
	if err != nil {
		return drained{}, err
	}
	if err := v.clear(ctx, s, v.life.customers); err != nil {
		return drained{}, err
	}
	var all []*process
	var dirs []string
	stop := func() {
		for _, p := range all {
			p.stop()
		}
		all = nil
	}
	defer func() { stop(); v.tidy(context.WithoutCancel(ctx), s, dirs...) }()
	for i := range instances {
		name := fmt.Sprintf("i%d", i)
		dirs = append(dirs, v.stateDir(s, name))
		p, err := v.enter(ctx, s, name, dirs[i], 0)
		if err != nil {
			return drained{}, err
		}
		all = append(all, p)
	}
	d, err := v.watch(ctx, s, all)
	if err != nil {
		return drained{}, err
	}
	stop()
	if err := v.verify(ctx, s); err != nil {
		return drained{}, fmt.Errorf("%s: %w", contender, err)
	}
	v.say("%-18s %d commands, %d instances, %d partitions: %6.2f µs CPU, %7.0f/s, %4.0f MiB (peak %.0f), broker %.2f µs",
		contender, v.life.commands, instances, v.br.partitions, d.CPUMicros, d.PerSecond, d.ResidentMiB, d.PeakMiB, d.BrokerMicros)
	return d, nil
}

// reading is how far a trial is, and what it has used.
type reading struct {
	at          time.Time
	handled     int64
	cpu, broker time.Duration
}

// watch reads the clocks at every tenth of the log; the last tenths are the measurement.
func (v *service) watch(ctx context.Context, s site, all []*process) (drained, error) {
	const tenths, warm = 10, 7
	total := int64(v.life.commands)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var marks []reading
	for len(marks) <= tenths {
		select {
		case <-ctx.Done():
			return drained{}, fmt.Errorf("%s is not done: %w", s.contender, ctx.Err())
		case <-tick.C:
		}
		n, err := v.handled(ctx, s)
		if err != nil {
			return drained{}, err
		}
		now := reading{at: time.Now(), handled: n, broker: cpuOf(v.brokerPID)}
		for _, p := range all {
			now.cpu += p.cpu()
		}
		for len(marks) <= tenths && n >= total*int64(len(marks))/tenths {
			marks = append(marks, now)
		}
	}
	d := drained{Contender: s.name}
	for i := 1; i <= tenths; i++ {
		if n := marks[i].handled - marks[i-1].handled; n > 0 {
			d.Windows = append(d.Windows, micros(marks[i].cpu-marks[i-1].cpu, n))
		}
	}
	first, last := marks[warm], marks[tenths]
	n := last.handled - first.handled
	if n <= 0 {
		return drained{}, fmt.Errorf("%w: %s was through before it could be measured", errVoid, s.contender)
	}
	d.CPUMicros, d.BrokerMicros = micros(last.cpu-first.cpu, n), micros(last.broker-first.broker, n)
	d.PerSecond = float64(n) / last.at.Sub(first.at).Seconds()
	for _, p := range all {
		resident, peak := p.memory()
		d.ResidentMiB += resident
		d.PeakMiB += peak
	}
	return d, nil
}

func micros(d time.Duration, n int64) float64 {
	return float64(d) / float64(time.Microsecond) / float64(n)
}

// verify compares what was written: ours with what the commands must lead to, the twin byte for byte with ours, and
// contenders that only write canned records by their number.
func (v *service) verify(ctx context.Context, s site) error {
	var names []string
	for _, name := range serviceOutputs() {
		if name != topics.CustomerTable.Name {
			names = append(names, name)
		}
	}
	got, size, err := v.br.tally(ctx, names...)
	if err != nil {
		return err
	}
	if s.contender == serviceOurs && v.outputs == nil {
		if err := v.want.check(ctx, v.br); err != nil {
			return err
		}
		v.outputs, v.sizes = got, map[string]int{}
		rows, rowBytes, err := v.br.tally(ctx, s.table())
		if err != nil {
			return err
		}
		for name, e := range got {
			v.sizes[name] = int(size[name] / max(int64(e.count), 1)) //nolint:gosec // a count of records
		}
		if v.onDisk, err = v.br.bytes(ctx, append(serviceOutputs(), topics.CustomerCommands.Name)...); err != nil {
			return err
		}
		v.sizes[s.table()] = int(rowBytes[s.table()] / max(int64(rows[s.table()].count), 1)) //nolint:gosec // a count of records
	}
	for name, want := range v.outputs {
		have := got[name]
		if s.contender == serviceOurs || isTwin(s.contender) {
			if have != want {
				return fmt.Errorf("%w: %s holds %d records with hash %x, want %d with %x", errVoid, name, have.count, have.hash, want.count, want.hash)
			}
		} else if have.count != want.count {
			return fmt.Errorf("%w: %s holds %d records, want %d", errVoid, name, have.count, want.count)
		}
	}
	return nil
}
