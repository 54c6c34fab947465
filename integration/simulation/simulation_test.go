//go:build synctests

package simulation

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds     = flag.Int("seeds", 20, "simulations to run")
	firstSeed = flag.Uint64("seed", 1, "seed of the first simulation")
	verbose   = flag.Bool("log", false, "write what the services log to standard error")
	planned   = flag.String("schedule", "", "faults to inject instead of those that the seed makes, as JSON")
)

// TestMain lets garbage grow: runs are short, and half of their work would be to collect it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// TestSystem runs seeds of the whole system.
func TestSystem(t *testing.T) {
	t.Parallel()
	total := new(sum)
	t.Run("seeds", func(t *testing.T) {
		for i := range *seeds {
			seed := *firstSeed + uint64(i) //nolint:gosec // Not negative.
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				p := planOf(seed)
				if *planned != "" {
					if err := json.Unmarshal([]byte(*planned), &p.faults); err != nil {
						t.Fatalf("-schedule: %v", err)
					}
				}
				r := p.run(t, "")
				total.add(r.hits)
				if r.first != "" {
					t.Errorf("%s", r.first)
				}
			})
		}
	})
	t.Log(total)
}

// plan is what one run does. The same plan makes the same run, but for the order in which goroutines that are ready at the same moment go on.
type plan struct {
	seed   uint64
	lasts  time.Duration // in which faults happen
	faults []fault
}

func planOf(seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, 2))
	lasts := seconds(rng, 15, 40)
	return plan{seed: seed, lasts: lasts, faults: schedule(rng, 6+rng.IntN(8), lasts)}
}

// result is how a run ended.
type result struct {
	first string // failure; empty if there was none
	all   []string
	hits  map[string]int
}

// run is one run, with one mistake made on purpose unless it is empty.
func (p plan) run(t *testing.T, mistake string) result {
	t.Helper()
	j := new(judge)
	var hits map[string]int
	synctest.Test(t, func(t *testing.T) {
		j.TB = t
		done := make(chan struct{})
		go func() { // a goroutine of its own, which the judge may end
			defer close(done)
			w := newWorld(j, p.seed, mistake)
			defer func() {
				w.close()
				hits = maps.Clone(w.hits)
			}()
			w.live(p)
		}()
		<-done
	})
	if len(j.said) > 0 {
		return result{first: j.said[0], all: j.said, hits: hits}
	}
	return result{hits: hits}
}

// live is the run itself.
func (w *world) live(p plan) {
	for _, name := range places() {
		w.places[name] = w.newPlace(name)
		w.places[name].turn.Lock()
		w.places[name].start()
		w.places[name].turn.Unlock()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var busy sync.WaitGroup
	busy.Go(func() { w.load(ctx, rand.New(rand.NewPCG(p.seed, 3))) })
	watching, blind := context.WithCancel(context.Background())
	defer blind()
	var eyes sync.WaitGroup
	eyes.Go(func() { w.witness.watch(watching) })
	w.inject(p.faults, p.lasts)
	w.heal()
	cancel()
	busy.Wait()
	blind()
	eyes.Wait()
	w.judge()
}

// sum adds up what several runs met.
type sum struct {
	mu   sync.Mutex
	runs int
	hits map[string]int
}

func (s *sum) add(hits map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	if s.hits == nil {
		s.hits = map[string]int{}
	}
	for k, n := range hits {
		s.hits[k] += n
	}
}

func (s *sum) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs met:", s.runs)
	for _, k := range slices.Sorted(maps.Keys(s.hits)) {
		fmt.Fprintf(&b, "\n  %-28s %d", k, s.hits[k])
	}
	return b.String()
}

// judge takes the place of a test that may be expected to fail.
type judge struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

// Errorf notes a failure.
func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, fmt.Sprintf(format, args...))
}

// Error is Errorf.
func (j *judge) Error(args ...any) { j.Errorf("%s", fmt.Sprint(args...)) }

// Fatalf ends the run.
func (j *judge) Fatalf(format string, args ...any) {
	j.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal is Fatalf.
func (j *judge) Fatal(args ...any) { j.Fatalf("%s", fmt.Sprint(args...)) }

// Failed says whether there was a failure.
func (j *judge) Failed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.said) > 0
}
