//go:build synctests

package simulation

import (
	"encoding/json"
	"testing"
)

// once are schedules that failed once, as a failing seed prints them after it has been shrunk. They run with every test.
func once() map[string]struct {
	seed     uint64
	schedule string
} {
	return map[string]struct {
		seed     uint64
		schedule string
	}{
		// The remembered topic ids had no checksum: a process refused to start, with a sentence about topics.
		"a flipped bit in the memory of topics": {60, ``},
		// Damage that shows when a partition is opened: Goka lost what kind of error it was.
		"a flipped bit in a table": {112, `[{"kind":"bit flip","place":"mail-0","at":6110000000,"for":10890000000,"n":257947}]`},
		// One unexpected answer of a broker during a recovery ended the process.
		"an unexpected answer about offsets": {121, `[{"kind":"truncate","place":"billing-0","at":25850000000,"for":11825000000,"n":786564},` +
			`{"kind":"refuse","at":28902000000,"key":"ListOffsets","err":"UNKNOWN_SERVER_ERROR","n":1}]`},
		// A misplaced repetition waited in a partition that nobody could read, until its command was long forgotten: the checker knows the window now.
		"a repetition from outside the window": {149, ``},
	}
}

func TestWhatFailedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range once() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planOf(c.seed)
			if c.schedule != "" {
				if err := json.Unmarshal([]byte(c.schedule), &p.faults); err != nil {
					t.Fatal(err)
				}
			}
			if r := p.run(t, ""); r.failed() {
				report(t, p, r, "")
			}
		})
	}
}
