//go:build kill

package kill

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"utopia/integration/live"
	"utopia/integration/traffic"
)

// seed makes a failing run again: go test -tags kill ./integration/kill -seed N. Processes do not run alike twice, but
// what is sent and where they are told to die is the same.
var seed = flag.Uint64("seed", 0, "seed of load and kills; 0: another one each time")

// atLeast is how many lives must have ended with SIGKILL.
const atLeast = 24

func TestKillsChangeNoVerdict(t *testing.T) {
	s := live.Seed(t, *seed)
	w := newWorld(t)
	keepers := w.Services()
	stopKillers := w.StartAll(keepers, s)
	t.Cleanup(func() {
		for _, k := range keepers {
			if t.Failed() {
				t.Logf("%s was killed: %v; the end of its log:\n%s", k.Name, k.Kills(), live.Tail(k.Log))
			}
		}
	})

	sending, stopSending := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stopSending()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 120) }()
	w.KillUntil(sending, keepers, rand.New(rand.NewPCG(s, 2)), atLeast)
	w.KillUnfinished(keepers[0])
	stopSending()
	if err := <-sent; err != nil {
		t.Fatalf("the traffic: %v", err)
	}
	stopKillers(func() { w.Settle(120*time.Second, live.Groups()...) })

	kills := 0
	for _, k := range keepers {
		t.Logf("%s was killed: %v", k.Name, k.Kills())
		kills += k.Deaths()
		for _, err := range k.Failures() {
			t.Error(err)
		}
	}
	t.Logf("%d records sent, %d kills", len(sender.Sent()), kills)
	if kills < atLeast {
		t.Errorf("%d kills, want at least %d", kills, atLeast)
	}
	var logs []string
	for _, k := range keepers {
		logs = append(logs, k.Log)
	}
	counted := w.Check(true, logs...)
	for _, what := range []string{
		"commands", "accepted", "refused", "duplicates", "dead letters", "moved", "mails asked for", "agreements", "aborted records",
	} {
		if counted[what] == 0 {
			t.Errorf("the checker saw no %s: the run tested less than it should", what)
		}
	}
	t.Log(w.Command("customer", "rebuild", "--check"))
}
