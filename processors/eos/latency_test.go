//go:build synctests

package eos

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Where the time goes between a command and its event when nobody computes: every answer of a broker takes a round trip, and nothing else takes any time. A
// transaction is three of them: produce, offsets, end. A command that arrives during one waits for its end, and for the fetch that follows.
func TestLatencyInRoundTrips(t *testing.T) {
	t.Parallel()
	const trip = 300 * time.Microsecond
	for name, test := range map[string]struct {
		every time.Duration
		p50   time.Duration
	}{
		"a lone command":  {every: 300 * time.Millisecond, p50: 3 * trip},
		"500 a second":    {every: 2 * time.Millisecond, p50: 4 * trip},
		"2,000 a second":  {every: 500 * time.Microsecond, p50: 6 * trip},
		"20,000 a second": {every: 50 * time.Microsecond, p50: 8 * trip},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 1, func(t *testing.T, w *world) {
				a := w.newInstance("a", nil)
				a.link.delay = trip
				a.run()
				a.ready()
				time.Sleep(10 * time.Second)
				latencies := w.stream(2000, test.every)
				p50, p99 := latencies[len(latencies)/2], latencies[len(latencies)*99/100]
				t.Logf("p50 %v, p99 %v: %.1f and %.1f round trips", p50, p99, float64(p50)/float64(trip), float64(p99)/float64(trip))
				if p50 > test.p50 {
					t.Errorf("half of the commands took longer than %v", test.p50)
				}
				a.stop()
			})
		})
	}
}

// stream sends n commands and returns how long each took until a reader of committed records saw its event, in order.
func (w *world) stream(n int, every time.Duration) []time.Duration {
	w.tb.Helper()
	reader := w.newClient(kgo.ConsumeTopics(events), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(time.Second))
	defer reader.Close()
	time.Sleep(5 * time.Second)
	sent := make([]time.Time, n)
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for i := range n {
			sent[i] = time.Now()
			w.client.Produce(context.Background(), w.record("k"+strconv.Itoa(w.rng.IntN(100)), "c"+strconv.Itoa(i)), nil)
			time.Sleep(every)
		}
	}()
	latencies := make([]time.Duration, 0, n)
	for len(latencies) < n {
		fetches := reader.PollFetches(w.tb.Context())
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			id, _, _ := strings.Cut(string(r.Value), " ")
			i, err := strconv.Atoi(strings.TrimPrefix(id, "c"))
			if err != nil {
				w.tb.Fatalf("event %q: %v", r.Value, err)
			}
			latencies = append(latencies, now.Sub(sent[i]))
		})
	}
	slices.Sort(latencies)
	return latencies
}
