//go:build synctests

package simulation

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	proving = flag.Bool("prove", false, "run TestMistakes and TestProve")
	minutes = flag.Int("minutes", 0, "how long TestProve goes on; 0: until -seeds have run")
	workers = flag.Int("workers", 2, "runs of TestProve at the same time")
	only    = flag.String("only", "", "the one mistake that TestMistakes makes")
)

// mistakes are made on purpose, to see that they are found. They are the twelve of the design.
func mistakes() []string {
	return []string{
		"flush the store before the commit",
		"skip a changelog write",
		"commit offsets outside the transaction",
		"read_uncommitted view",
		"take any end for a commit",       // ignore End()==false
		"keep the client after a failure", // ignore the rewind after an abort
		"reuse the store after fencing",
		"drop a dead letter",
		"store an offset too far", // off by one
		"no tombstone on erasure",
		"forget handled command ids on restart",
		"publish state twice",
	}
}

// reportEvery is how often TestProve says how far it is.
const reportEvery = time.Minute

// mostSeeds is within how many seeds a mistake must be found.
const mostSeeds = 50

// TestMistakes makes each mistake and wants it found.
func TestMistakes(t *testing.T) {
	if !*proving {
		t.Skip("takes minutes: make prove")
	}
	var mu sync.Mutex
	lines := map[string]string{}
	t.Run("each", func(t *testing.T) {
		for _, mistake := range mistakes() {
			if *only != "" && *only != mistake {
				continue
			}
			t.Run(mistake, func(t *testing.T) {
				t.Parallel()
				made := 0
				for seed := uint64(1); seed <= mostSeeds; seed++ {
					r := planOf(seed).run(t, mistake)
					made += r.hits["mistakes made"]
					if !r.failed() {
						continue
					}
					if made == 0 {
						t.Errorf("the mistake was not made, but seed %d fails:\n%s", seed, strings.Join(r.all, "\n"))
						return
					}
					first, _, _ := strings.Cut(r.all[0], "\n")
					mu.Lock()
					lines[mistake] = fmt.Sprintf("| %s | %d | %s |", mistake, seed, first)
					mu.Unlock()
					t.Logf("found by seed %d:\n%s", seed, strings.Join(r.all, "\n"))
					return
				}
				t.Errorf("not found, although made %d times", made)
			})
		}
	})
	var table strings.Builder
	table.WriteString("\n| mistake | first failing seed | found as |\n|---|---|---|\n")
	for _, mistake := range mistakes() {
		if line, ok := lines[mistake]; ok {
			table.WriteString(line + "\n")
		}
	}
	t.Log(table.String())
}

// TestProve runs seeds until their number or the minutes are over, and adds up what they met.
func TestProve(t *testing.T) {
	if !*proving {
		t.Skip("takes as long as it is told: make prove")
	}
	began := time.Now()
	total := new(sum)
	var next atomic.Uint64      // seed
	var done, told atomic.Int64 // seeds, and how often that was said
	next.Store(*firstSeed)
	enough := func(seed uint64) bool {
		if *minutes > 0 {
			return time.Since(began) >= time.Duration(*minutes)*time.Minute
		}
		return seed >= *firstSeed+uint64(*seeds) //nolint:gosec // Not negative.
	}
	t.Run("workers", func(t *testing.T) {
		for i := range *workers {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; !enough(seed); seed = next.Add(1) - 1 {
					p := planOf(seed)
					r := p.run(t, "")
					total.add(r.hits)
					if n := done.Add(1); time.Since(began) > time.Duration(told.Load()+1)*reportEvery {
						told.Store(int64(time.Since(began) / reportEvery))
						t.Logf("%d seeds after %v", n, time.Since(began).Round(time.Second))
					}
					if r.failed() {
						report(t, p, r, "")
					}
				}
			})
		}
	})
	t.Logf("%v, from seed %d: %v", time.Since(began).Round(time.Second), *firstSeed, total)
	if total.runs >= 20 {
		total.mustHaveMet(t)
	}
}
