package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report is what a run found.
type report struct {
	Seed      uint64       `json:"seed"`
	Here      surroundings `json:"surroundings"`
	Utopia    figure       `json:"utopia"`
	Raw       figure       `json:"raw"`
	StockGoka figure       `json:"stockGoka"`
	Customer  figure       `json:"customer"`      // the real service, per command
	Latency   latency      `json:"latencyMillis"` // of ours at 2,000/s
	Ratios    ratios       `json:"ratios"`        // of CPU per record, hot keys
	Trials    int          `json:"trialsEach"`
	Full      *full        `json:"full,omitempty"`

	Gateway *gatewayReport `json:"gateway,omitempty"` // of the full run
	Seconds float64        `json:"seconds"`
}

// ratios are CPU per record of ours to that of another.
type ratios struct {
	Raw       float64 `json:"utopiaToRaw"`
	StockGoka float64 `json:"utopiaToStockGoka"`
}

func ratio(ours, raw, stock figure) ratios {
	return ratios{Raw: ours.CPUMicros / raw.CPUMicros, StockGoka: ours.CPUMicros / stock.CPUMicros}
}

// full is what only the full run measures.
type full struct {
	Once      map[string]figure `json:"keysUsedOnce"`
	OnceRatio ratios            `json:"keysUsedOnceRatios"`
	Latencies []latency         `json:"latencies"`
	Growth    []growth          `json:"growth"`         // of the counting processor
	Customers []growth          `json:"customerGrowth"` // of the real service
	Recovery  []recovery        `json:"recovery"`
}

// growth is the cost of a command with so many customers.
type growth struct {
	Customers int `json:"customers"`
	figure
}

// hotKeys fit into every cache; a key used once is in none.
const hotKeys = 10_000

func (b *bench) run(ctx context.Context) (*report, error) {
	r := &report{Seed: b.seed, Here: here()}
	size := 1
	rounds, deadline := 1, b.began.Add(46*time.Second)
	loop := openLoop{contender: "utopia", rate: 2000, warm: 2 * time.Second, measure: 4 * time.Second}
	if !b.quick {
		size, rounds, deadline = 3, 3, b.began.Add(time.Hour)
		loop.warm, loop.measure = 10*time.Second, 30*time.Second
	}
	var err error
	if r.Latency, err = b.latency(ctx, loop); err != nil {
		return nil, err
	}
	if r.Customer, err = b.customer(ctx, size*30_000, hotKeys); err != nil {
		return nil, err
	}
	got, err := b.palindrome(ctx, rounds, deadline,
		entry{name: "utopia", records: size * 150_000, keys: hotKeys},
		entry{name: "raw", records: size * 200_000, keys: hotKeys},
		entry{name: "stockGoka", records: size * 50_000, keys: hotKeys},
	)
	if err != nil {
		return nil, err
	}
	r.Utopia, r.Raw, r.StockGoka = median(got["utopia"]), median(got["raw"]), median(got["stockGoka"])
	r.Ratios, r.Trials = ratio(r.Utopia, r.Raw, r.StockGoka), len(got["utopia"])
	if !b.quick {
		if r.Full, err = b.full(ctx, r.Latency); err != nil {
			return nil, err
		}
		if r.Gateway, err = b.gateway(ctx); err != nil {
			return nil, err
		}
	}
	r.Seconds = time.Since(b.began).Seconds()
	return r, nil
}

// full measures what takes its time.
func (b *bench) full(ctx context.Context, first latency) (*full, error) {
	f := &full{Once: map[string]figure{}, Latencies: []latency{first}}
	got, err := b.palindrome(ctx, 2, b.began.Add(time.Hour),
		entry{name: "utopia", records: 800_000}, entry{name: "raw", records: 800_000}, entry{name: "stockGoka", records: 200_000})
	if err != nil {
		return nil, err
	}
	for name, figures := range got {
		f.Once[name] = median(figures)
	}
	f.OnceRatio = ratio(f.Once["utopia"], f.Once["raw"], f.Once["stockGoka"])
	for _, l := range []openLoop{{contender: "raw", rate: 2000}, {contender: "utopia", rate: 500}, {contender: "raw", rate: 500}} {
		l.warm, l.measure = 10*time.Second, 30*time.Second
		found, err := b.latency(ctx, l)
		if err != nil {
			return nil, err
		}
		f.Latencies = append(f.Latencies, found)
	}
	for _, customers := range []int{10_000, 100_000, 1_000_000} {
		found, err := b.trial(ctx, entry{name: "utopia", records: 600_000, keys: customers, rows: customers})
		if err != nil {
			return nil, err
		}
		f.Growth = append(f.Growth, growth{customers, found})
		if found, err = b.customer(ctx, 200_000, customers); err != nil {
			return nil, err
		}
		f.Customers = append(f.Customers, growth{customers, found})
	}
	for _, t := range []table{countingTable(), customerTable()} {
		found, err := b.recovery(ctx, t, 1_000_000)
		if err != nil {
			return nil, err
		}
		f.Recovery = append(f.Recovery, found)
	}
	return f, nil
}

// table prints the report for people.
func (r *report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("seed %d, %s, %d CPUs (GOMAXPROCS %d, GOGC %s), %s, %d partitions, records of %d bytes, %d trials each",
		r.Seed, r.Here.Go, r.Here.CPUs, r.Here.GOMAXPROCS, r.Here.GOGC, r.Here.Broker, r.Here.Partitions, r.Here.Bytes, r.Trials)
	line("")
	line("hot keys\tµs CPU a record\trecords/s\tallocations\tours is")
	line("utopia, exactly once\t%.2f\t%.0f\t%.1f\t", r.Utopia.CPUMicros, r.Utopia.PerSecond, r.Utopia.Allocs)
	line("raw transaction loop\t%.2f\t%.0f\t%.1f\t%.2f ×", r.Raw.CPUMicros, r.Raw.PerSecond, r.Raw.Allocs, r.Ratios.Raw)
	line("stock Goka, at least once\t%.2f\t%.0f\t%.1f\t%.2f ×", r.StockGoka.CPUMicros, r.StockGoka.PerSecond, r.StockGoka.Allocs, r.Ratios.StockGoka)
	line("the customer service, per command\t%.2f\t%.0f\t%.1f\t", r.Customer.CPUMicros, r.Customer.PerSecond, r.Customer.Allocs)
	latencies := []latency{r.Latency}
	if f := r.Full; f != nil {
		latencies = f.Latencies
		line("")
		line("keys used once\t\t\t\t")
		for _, c := range []struct {
			name string
			to   float64
		}{{"utopia", 0}, {"raw", f.OnceRatio.Raw}, {"stockGoka", f.OnceRatio.StockGoka}} {
			g := f.Once[c.name]
			line("%s\t%.2f\t%.0f\t%.1f\t%.2f ×", c.name, g.CPUMicros, g.PerSecond, g.Allocs, c.to)
		}
		line("")
		line("keys in the table\tµs CPU a record\trecords/s\tallocations\t")
		for _, g := range f.Growth {
			line("%d\t%.2f\t%.0f\t%.1f\t", g.Customers, g.CPUMicros, g.PerSecond, g.Allocs)
		}
		line("")
		line("customers\tµs CPU a command\tcommands/s\tallocations\t")
		for _, g := range f.Customers {
			line("%d\t%.2f\t%.0f\t%.1f\t", g.Customers, g.CPUMicros, g.PerSecond, g.Allocs)
		}
		line("")
		line("recovery\tfrom the log\tfrom local state\tresident\tpeak")
		for _, g := range f.Recovery {
			line("%d × %d bytes\t%.2f s, %.2f µs CPU a row\t%.2f s\t%.0f MiB\t%.0f MiB", g.Customers, g.RowBytes, g.LogSeconds, g.LogMicros, g.LocalSeconds, g.ResidentMiB, g.PeakMiB)
		}
	}
	line("")
	line("latency, open loop\tp50\tp90\tp99\tmax")
	for _, l := range latencies {
		line("%s at %d/s\t%.2f ms\t%.2f ms\t%.2f ms\t%.1f ms", l.Contender, l.Rate, l.P50, l.P90, l.P99, l.Max)
	}
	if err := w.Flush(); err != nil || r.Gateway == nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	return r.Gateway.table(out)
}
