package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// table prints the report for people.
func (r *kafkaReport) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("seed %d, %s, %d CPUs (GOMAXPROCS %d, GOGC %s), %s; %s", r.Seed, r.Here.Go, r.Here.CPUs, r.Here.GOMAXPROCS, r.Here.GOGC, r.Here.Broker, r.Setup)
	if len(r.Drained) > 0 {
		ours := middle(r.Drained[serviceOurs], func(d drained) float64 { return d.CPUMicros })
		line("")
		line("per command, warm\tµs CPU (median)\tof all trials\tours is\tcommands/s\tMiB\tpeak\tbroker µs")
		for _, name := range slices.Sorted(maps.Keys(r.Drained)) {
			all := r.Drained[name]
			cpu := middle(all, func(d drained) float64 { return d.CPUMicros })
			line("%s\t%.2f\t%s\t%.2f ×\t%.0f\t%.0f\t%.0f\t%.2f", name, cpu, spread(all), ours/cpu,
				middle(all, func(d drained) float64 { return d.PerSecond }), middle(all, func(d drained) float64 { return d.ResidentMiB }),
				middle(all, func(d drained) float64 { return d.PeakMiB }), middle(all, func(d drained) float64 { return d.BrokerMicros }))
		}
		line("")
		for _, name := range slices.Sorted(maps.Keys(r.Bytes)) {
			line("%s\t%.0f bytes a command", name, r.Bytes[name])
		}
	}
	if len(r.Delays) > 0 {
		line("")
		line("latency, open loop\trate\tp50\tp90\tp99\tmax\tµs CPU\tgenerator's p99\tvalid")
		for _, d := range r.Delays {
			line("%s\t%d/s\t%.2f\t%.2f\t%.2f\t%.1f\t%.0f\t%.2f ms\t%t", d.Contender, d.Rate, d.P50, d.P90, d.P99, d.Max, d.CPUMicros, d.LagP99, d.Valid)
		}
	}
	if len(r.Returns) > 0 {
		line("")
		line("recovery\tcustomers\tfrom the log\tCPU a row\tfrom local state\tresident\tpeak")
		for _, c := range r.Returns {
			line("%s\t%d\t%.2f s\t%.2f µs\t%.2f s\t%.0f MiB\t%.0f MiB", c.Contender, c.Customers, c.LogSeconds, c.LogMicros, c.LocalSeconds, c.ResidentMiB, c.PeakMiB)
		}
	}
	for _, c := range r.Rescale {
		line("")
		line("%s, %d/s, %d customers, session %.0f s, p99 before %.1f ms\tmoved\tworst there\tworst elsewhere\tsettled after", c.Contender, c.Rate, c.Customers, c.SessionSeconds, c.Before)
		for _, e := range c.Events {
			line("the second instance %s\t%d\t%.0f ms\t%.0f ms\t%.1f s", e.What, e.Moved, e.WorstMoved, e.WorstOther, e.Settled)
		}
	}
	if len(r.Scale) > 0 {
		line("")
		line("scale\tpartitions\tcustomers\tinstances\tµs CPU\tcommands/s\tMiB\tbroker µs")
		for _, c := range r.Scale {
			line("%s\t%d\t%d\t%d\t%.2f\t%.0f\t%.0f\t%.2f", c.Contender, c.Partitions, c.Customers, c.Instances, c.CPUMicros, c.PerSecond, c.ResidentMiB, c.BrokerMicros)
		}
	}
	return w.Flush()
}

// middle is the median of a quantity.
func middle(all []drained, of func(drained) float64) float64 {
	var values []float64
	for _, d := range all {
		values = append(values, of(d))
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// spread lists the CPU of every trial.
func spread(all []drained) string {
	out := ""
	for i, d := range all {
		if i > 0 {
			out += " "
		}
		out += fmt.Sprintf("%.1f", d.CPUMicros)
	}
	return out
}
