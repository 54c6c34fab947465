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
		// A flipped bit that nobody had read before the verdict, or that showed when the state was closed, which had no name.
		"damage that shows at the end": {1416, `[{"kind":"bit flip","place":"mail-0","at":23670000000,"for":9549000000,"n":692727}]`, 66},
		// Damage that a query meets ended an idle process only after a minute; until then it answered nobody.
		"damage that a query meets": {1597, `[{"kind":"bit flip","place":"mail-0","at":21965000000,"for":1596000000,"n":639257}]`, 66},
		// A request to leave the group waited for those before it on a connection that was cut, whatever its context said.
		"a mailer that leaves while it is cut off": {6073, `[{"kind":"cut","place":"mailer-0","at":9323000000,"for":30783000000},` +
			`{"kind":"skew","place":"customer-0","at":12231000000,"for":33070000000,"n":60},` +
			`{"kind":"stop","place":"mailer-0","at":18395000000,"for":5266000000,"n":677652},` +
			`{"kind":"skew","place":"customer-0","at":21538000000,"for":39974000000,"n":-60}]`, 66},
		// The witness took a refused question for an empty log, which was then compacted.
		"a compaction while nobody is told about offsets": {1242, `[{"kind":"refuse","at":3801000000,"key":"ListOffsets","err":"UNKNOWN_SERVER_ERROR","n":3},` +
			`{"kind":"compaction","at":7305000000}]`, 66},
		// A command was repeated before it was decided again, outside the window: the checker compared with the later decision.
		"a repetition between two decisions": {1237, `[{"kind":"hot key","at":17632000000,"for":24713000000,"n":1},` +
			`{"kind":"refuse","at":18313000000,"key":"JoinGroup","err":"NOT_COORDINATOR","n":3},{"kind":"cut","place":"billing-0","at":28165000000,"for":31176000000},` +
			`{"kind":"cut","place":"mail-0","at":28398000000,"for":29310000000}]`, 66},
		// A refusal of another body under a used id is remembered, too: the checker did not count it.
		"a repetition from outside a window that another body fills, too": {1627, `[{"kind":"no registry","at":4474000000,"for":17673000000,"n":1},` +
			`{"kind":"kill","place":"customer-1","at":5545000000,"for":2274000000,"point":"flush","n":3},` +
			`{"kind":"kill","place":"customer-0","at":13721000000,"for":19284000000,"n":100}]`, 66},
		// The checker did not know that another body may be decided outside the window, too.
		"another body from outside the window": {2110, `[{"kind":"no registry","at":17262000000,"for":17487000000,"n":1},` +
			`{"kind":"refuse","at":22618000000,"key":"OffsetFetch","err":"UNSTABLE_OFFSET_COMMIT","n":3},` +
			`{"kind":"hot key","at":26322000000,"for":23972000000,"n":6}]`, 66},
		// A client that closes ends its sessions at the brokers first, behind a request that waited for a connection.
		"a view that stops while it is cut off": {7168, `[{"kind":"cut in","place":"view-0","at":3245000000,"for":30914000000},` +
			`{"kind":"hot key","at":5672000000,"for":11989000000,"n":2},{"kind":"coordinators","at":17768000000},` +
			`{"kind":"night","at":18365000000,"for":230400000000000}]`, 66},
		// A row that remembered nothing but refusals was removed after a day: the checker did not know that it forgets.
		"a repetition after the row is gone": {7213, `[{"kind":"storm","place":"customer-0","at":1421000000,"for":18376000000,"n":5},` +
			`{"kind":"never back","place":"customer-1","at":2096000000,"point":"offsets_added","n":1},` +
			`{"kind":"stand still","place":"mail-0","at":8022000000,"for":3366000000},{"kind":"hot key","at":9172000000,"for":7329000000,"n":4},` +
			`{"kind":"kill","place":"mail-0","at":11454000000,"for":3145000000,"point":"end_answered","n":3},` +
			`{"kind":"night","at":22540000000,"for":165600000000000}]`, 66},
		// One unexpected answer to a fetch during a recovery ended the process.
		"an unexpected answer while a table is recovered": {7343, ``, 66},
		// State that is damaged twice has a name for that, also where Goka opens it; a view tried again for ever.
		"state that is damaged again after it was rebuilt": {13599, `[{"kind":"truncate","place":"customer-1","at":1639000000,"for":9940000000,"n":724628},` +
			`{"kind":"cut in","place":"billing-0","at":8115000000,"for":4752000000},` +
			`{"kind":"wipe","place":"customer-0","at":12693000000,"for":5321000000,"n":430764},` +
			`{"kind":"bit flip","place":"customer-1","at":12849000000,"for":2174000000,"n":527128}]`, 68},
		// A commit that waited for a connection held the mailer up that was to stop.
		"a mailer that is stopped while it is cut off and commits": {13977, `[{"kind":"cut out","place":"mailer-0","at":3628000000,"for":35493000000},` +
			`{"kind":"compaction","at":19302000000},{"kind":"stop","place":"mailer-0","at":19502000000,"for":7429000000,"n":942213}]`, 68},
		// The simulation let an instance stand still that was about to stop.
		"an instance that is stopped before it would stand still": {14326, `[{"kind":"night","at":4413000000,"for":126000000000000},` +
			`{"kind":"cut","place":"customer-0","at":7285000000,"for":20753000000},{"kind":"kill","place":"mail-0","at":14214000000,"point":"poll","n":1},` +
			`{"kind":"stop","place":"customer-0","at":15590000000,"for":12166000000,"n":655535},` +
			`{"kind":"refuse","at":16243000000,"key":"Heartbeat","err":"REBALANCE_IN_PROGRESS","n":3},` +
			`{"kind":"stand still","place":"customer-0","at":16453000000,"for":23134000000}]`, 68},
		// A dead instance asked for a producer id again and again: the link's error was not one that kgo pauses after.
		"a mailer that is killed while it reports": {16502, `[{"kind":"power cut","place":"billing-0","at":2978000000,"point":"produce","n":2},` +
			`{"kind":"cut in","place":"notification-0","at":7803000000,"for":3698000000},` +
			`{"kind":"stop","place":"mailer-0","at":8971000000,"for":14009000000,"n":449903},` +
			`{"kind":"bit flip","place":"mail-0","at":10413000000,"for":9768000000,"n":32417},{"kind":"night","at":17692000000,"for":190800000000000}]`, 68},
		// The check was the first to read a part of the index that was damaged, and did not wait for the view to read its rows again.
		"an index whose damage shows when somebody is looked for": {21505, `[{"kind":"hot key","at":2564000000,"for":5840000000,"n":9},` +
			`{"kind":"skew","place":"notification-0","at":4483000000,"for":10351000000,"n":60},` +
			`{"kind":"stop","place":"mailer-0","at":4878000000,"for":11057000000,"n":223438},` +
			`{"kind":"never back","place":"customer-1","at":5061000000,"point":"end_sent","n":1},` +
			`{"kind":"lose file","place":"notification-0","at":8373000000,"for":8196000000,"n":439185},` +
			`{"kind":"bit flip","place":"view-0","at":11157000000,"for":6474000000,"n":779941},` +
			`{"kind":"refuse","at":12967000000,"key":"TxnOffsetCommit","err":"INVALID_PRODUCER_EPOCH","n":3}]`, 68},
		// A view that was stopped while the registry hung asked it again for each row that it had to write; it also left out of its index whom it could not read.
		"a view that is stopped while the registry hangs": {13070, `[{"kind":"no registry","at":928000000,"for":13736000000,"n":2},` +
			`{"kind":"stop","place":"view-0","at":5337000000,"for":10687000000,"n":301615}]`, 68},
		// kfake forgot the session of a member whose connection was gone when its join was answered, and its partitions waited for ever.
		"an instance that is gone when its join is answered": {2098, ``, 66},
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
