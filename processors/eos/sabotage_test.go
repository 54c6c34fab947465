//go:build synctests

package eos

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// The simulation is worth what it finds. Each mistake that the engine could make is made on purpose, and must be found within fifty seeds.
func TestTheSimulationFindsMistakes(t *testing.T) {
	t.Parallel()
	for _, mistake := range []string{
		"take any end for a commit",
		"ignore failed produces",
		"do not wait for what is in flight",
		"keep the client after a failure",
		"keep the rows of a failed transaction",
		"skip a changelog write",
		"store an offset too far",
		"drop a dead letter",
	} {
		t.Run(mistake, func(t *testing.T) {
			for seed := uint64(1); seed <= 50; seed++ {
				j := new(judge)
				synctest.Test(t, func(t *testing.T) {
					j.TB = t
					done := make(chan struct{})
					go func() { // a goroutine of its own, which the judge may end
						defer close(done)
						simulate(j, seed, func(c *Config) { c.sabotage = func(m string) bool { return m == mistake } })
					}()
					<-done
				})
				if j.Failed() {
					t.Logf("found by seed %d: %s", seed, j.first)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// judge takes the place of a test that is expected to fail.
type judge struct {
	testing.TB
	mu    sync.Mutex
	first string
}

// Errorf notes the first failure.
func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.first == "" {
		j.first = head(fmt.Sprintf(format, args...))
	}
}

// Error is Errorf.
func (j *judge) Error(args ...any) { j.Errorf("%s", fmt.Sprint(args...)) }

// Fatalf ends the simulation.
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
	return j.first != ""
}

// Logf is silent: a failure is what is wanted.
func (j *judge) Logf(string, ...any) {}
