//go:build synctests

package simulation

import (
	"cmp"
	"encoding/json"
	"testing"
)

// failure is a seed, what its schedule was shrunk to, if that fails as well, and the most commands sent at a time; 0: as usual.
type failure struct {
	seed     uint64
	schedule string
	burst    int
}

// once are schedules that failed once, as a failing seed prints them after it has been shrunk. They run with every test.
func once() map[string]failure {
	return map[string]failure{
		// The remembered topic ids had no checksum: a process refused to start, with a sentence about topics.
		"a flipped bit in the memory of topics": {60, ``, 0},
		// Damage that shows when a partition is opened: Goka lost what kind of error it was.
		"a flipped bit in a table": {112, `[{"kind":"bit flip","place":"mail-0","at":6110000000,"for":10890000000,"n":257947}]`, 0},
		// One unexpected answer of a broker during a recovery ended the process.
		"an unexpected answer about offsets": {121, `[{"kind":"truncate","place":"billing-0","at":25850000000,"for":11825000000,"n":786564},` +
			`{"kind":"refuse","at":28902000000,"key":"ListOffsets","err":"UNKNOWN_SERVER_ERROR","n":1}]`, 0},
		// The client's Close waited for a broker that did not answer.
		"a mailer that stops while it is cut off": {69, `[{"kind":"refuse","at":444000000,"key":"TxnOffsetCommit","err":"NOT_COORDINATOR","n":2},` +
			`{"kind":"kill","place":"customer-0","at":802000000,"for":29368000000,"n":100},{"kind":"compaction","at":14842000000},` +
			`{"kind":"cut out","place":"mailer-0","at":16266000000,"for":31059000000},` +
			`{"kind":"refuse","at":16622000000,"key":"Produce","err":"OUT_OF_ORDER_SEQUENCE_NUMBER","n":3},` +
			`{"kind":"cut out","place":"mail-0","at":20875000000,"for":1914000000},{"kind":"night","at":21816000000,"for":234000000000000},` +
			`{"kind":"refuse","at":22890000000,"key":"SyncGroup","err":"NOT_COORDINATOR","n":2}]`, 0},
		// The last transaction of a topic was aborted: who read it showed a lag for ever. Fails in most runs.
		"a topic that ends with an aborted transaction": {11, `[{"kind":"stand still","place":"customer-1","at":20163000000,"for":30044000000}]`, 0},
		// Pebble's collection of statistics met a flipped bit, tried again without a pause, and no time went by any more.
		"damage that only the statistics meet": {755, ``, 0},
		// A misplaced repetition waited in a partition that nobody could read, until its command was long forgotten: the checker knows the window now.
		"a repetition from outside the window":                    {149, ``, 0},
		"a repetition from outside a window that facts fill, too": {5055, ``, 0},
		"a repetition from outside the window, now refused":       {234, ``, 0},
		// kfake's cleaner moved the start of a log that was being read, which Kafka's does not; the simulation makes up for it.
		"a table that is compacted while it is recovered": {6048, `[{"kind":"night","at":3366000000,"for":82800000000000},` +
			`{"kind":"kill","place":"mail-0","at":7280000000,"point":"offsets_added","n":1},` +
			`{"kind":"kill","place":"billing-0","at":12017000000,"point":"end_answered","n":1},{"kind":"compaction","at":12199000000}]`, 66},
	}
}

func TestWhatFailedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range once() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planOf(c.seed)
			p.burst = cmp.Or(c.burst, p.burst)
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
