package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// report is what a run found.
type report struct {
	Seed      uint64       `json:"seed"`
	Here      surroundings `json:"surroundings"`
	Raw       *figure      `json:"raw,omitempty"`
	StockGoka *figure      `json:"stockGoka,omitempty"`
	Seconds   float64      `json:"seconds"`
}

func (b *bench) run(ctx context.Context) (*report, error) {
	got, err := b.palindrome(ctx, 1, b.began.Add(28*time.Second),
		entry{"raw", 400_000, 10_000}, entry{"stockGoka", 100_000, 10_000})
	if err != nil {
		return nil, err
	}
	r := &report{Seed: b.seed, Here: here()}
	raw, stock := median(got["raw"]), median(got["stockGoka"])
	r.Raw, r.StockGoka = &raw, &stock
	r.Seconds = time.Since(b.began).Seconds()
	return r, nil
}

func (r *report) table(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%+v\n", r)
	return err
}
