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
	burst     = flag.Int("burst", 20, "most commands sent at a time: 66 make 20,000 records a seed")
	verbose   = flag.Bool("log", false, "write what the services log to standard error")
	planned   = flag.String("schedule", "", "faults to inject instead of those that the seed makes, as JSON")
	mistaken  = flag.String("mistake", "", "a mistake to make on purpose, one of mistakes()")
	shrinking = flag.Int("shrink", 12, "runs that may be spent on making the schedule of a failing seed shorter")
)

// TestMain lets garbage grow: runs are short, and half of their work would be to collect it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// TestSystem runs seeds of the whole system. A seed that fails is shrunk to a shorter schedule, and printed with the command that runs it again.
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
				r := p.run(t, *mistaken)
				total.add(r.hits)
				if r.failed() {
					report(t, p, r, *mistaken)
				}
			})
		}
	})
	t.Log(total)
	if *seeds >= 20 && !t.Failed() {
		total.mustHaveMet(t)
	}
}

// report says what a failed run did, and how to see it again.
func report(t *testing.T, p plan, r result, mistake string) {
	t.Helper()
	t.Errorf("seed %d fails:\n%s", p.seed, strings.Join(r.all, "\n"))
	if r.log != "" {
		t.Logf("what the services logged last:\n%s", r.log)
	}
	if *shrinking > 0 {
		p = p.shrink(t, mistake, *shrinking)
	}
	t.Logf("%d faults in %v:\n%s\nagain: %s", len(p.faults), p.lasts, p, p.command(mistake))
}

// plan is what one run does. The same plan makes the same run, but for the order in which goroutines that are ready at the same moment go on.
type plan struct {
	seed   uint64
	burst  int           // most commands sent at a time
	lasts  time.Duration // in which faults happen
	faults []fault
}

func planOf(seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, 2))
	lasts := seconds(rng, 15, 40)
	return plan{seed: seed, burst: *burst, lasts: lasts, faults: schedule(rng, 6+rng.IntN(8), lasts)}
}

// command is what runs it again.
func (p plan) command(mistake string) string {
	b, err := json.Marshal(p.faults)
	if err != nil {
		return err.Error()
	}
	c := fmt.Sprintf("go test -tags synctests ./integration/simulation -run 'TestSystem$' -seeds 1 -seed %d -burst %d -schedule '%s'", p.seed, p.burst, b)
	if mistake != "" {
		c += fmt.Sprintf(" -mistake '%s'", mistake)
	}
	return c
}

func (p plan) String() string {
	var b strings.Builder
	for _, f := range p.faults {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}

// shrink leaves faults out, first many at a time and then few, as long as what is left fails. Goroutines do not go on in the same order in every run,
// so that a failure may hide: what is left out may have mattered, but what is left fails.
func (p plan) shrink(t *testing.T, mistake string, runs int) plan {
	t.Helper()
	for size := (len(p.faults) + 1) / 2; size >= 1 && runs > 0; size /= 2 {
		for from := 0; from < len(p.faults) && runs > 0; runs-- {
			less := p
			less.faults = slices.Delete(slices.Clone(p.faults), from, min(from+size, len(p.faults)))
			if less.run(t, mistake).failed() {
				p = less
			} else {
				from += size
			}
		}
	}
	return p
}

// result is how a run ended.
type result struct {
	all  []string // failures
	log  string   // of a failed run
	hits map[string]int
}

func (r result) failed() bool { return len(r.all) > 0 }

// standsStill is how long a run may take by the clock on the wall; it takes seconds. Beyond that it waits for a lock whose owner waits for virtual time, which
// does not go by then, or turns for ever: either would hold up a proof of hours without a word.
const standsStill = 10 * time.Minute

// run is one run, with one mistake made on purpose unless it is empty.
func (p plan) run(t *testing.T, mistake string) (r result) {
	t.Helper()
	defer time.AfterFunc(standsStill, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("seed %d stands still after %v; again: %s", p.seed, standsStill, p.command(mistake)))
	}).Stop()
	j := &judge{TB: t}
	var w *world
	defer func() {
		// What a client leaves behind waits for ever in its bubble. In a process it would end with it.
		if left := recover(); left != nil {
			if !strings.Contains(fmt.Sprint(left), "main bubble goroutine has exited") {
				panic(left)
			}
			w.hit("goroutines left behind")
		}
		r = result{all: j.said, hits: w.hits}
		if r.failed() {
			r.log = w.log.String()
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		j.TB = t
		done := make(chan struct{})
		go func() { // a goroutine of its own, which the judge may end
			defer close(done)
			w = newWorld(j, p.seed, mistake)
			defer w.close()
			w.live(p)
		}()
		<-done
	})
	return r
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
	busy.Go(func() { w.load(ctx, rand.New(rand.NewPCG(p.seed, 3)), p.burst) })
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

// mustHaveMet fails if what the runs are for did not happen in any. What is rare is asked of many runs only.
func (s *sum) mustHaveMet(t *testing.T) {
	t.Helper()
	want := []string{
		"killed", "open at the kill", "aborts", "generations", "error injected", "stood still", "registry away", "disk damaged",
		"log: aborted records", "log: dead letters", "log: moved", "log: duplicates", "view answers",
	}
	if s.runs >= 200 {
		want = append(want, "ended as fenced", "answer lost", "answer replaced", "request late", "cut", "cut in", "cut out", "came and went", "nights", "deadlines",
			"power cut", "never came back", "bit flip", "truncate", "lose file", "compacted", "coordinators moved", "clock wrong", "hot key")
	}
	for _, what := range want {
		if s.hits[what] == 0 {
			t.Errorf("no run met %q: the simulation tests less than it says", what)
		}
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

// Helper has nothing to do.
func (*judge) Helper() {}

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
