//go:build broker

package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/integration/traffic"
)

// The whole system on a real Kafka, with both protocols of transactions: every command of the command line, then load while
// the binaries are killed at every point of a transaction, and the checker's verdict about all of it. Brokers are killed in
// TestThreeNodes: one without replicas forgets markers when it starts again (integration/BROKER.md).
func TestKillsOnARealBroker(t *testing.T) {
	for _, transactions := range []int{2, 1} {
		t.Run(fmt.Sprintf("transactions %d", transactions), func(t *testing.T) {
			s := live.Seed(t, *seed)
			_, w := one(t, kafka.Options{Transactions: transactions})
			// What was applied is there at once: a broker that has not heard of it would say that it differs.
			w.CLI(append([]string{"topics", "check", "--partitions", "4"}, sizes(1)...)...)
			keepers := w.Services()
			if transactions == 2 {
				alone := append([]*live.Keeper{keepers[0]}, keepers[2:]...) // one instance of each
				stop := w.Live(alone...)
				w.Settle(3*time.Minute, live.Groups()...)
				runScripts(t, w)
				stop()
			}
			underLoad(t, w, keepers, s)
		})
	}
}

func underLoad(t *testing.T, w *live.World, keepers []*live.Keeper, s uint64) {
	t.Helper()
	stopKillers := w.StartAll(keepers, s)
	t.Cleanup(func() { sayIfFailed(t, keepers) })
	sending, stopSending := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stopSending()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 120) }()
	random := rand.New(rand.NewPCG(s, 2))
	w.KillUntil(sending, keepers, random, *kills)
	w.KillUnfinished(keepers[0])
	stopSending()
	if err := <-sent; err != nil {
		t.Fatalf("the traffic: %v", err)
	}
	stopKillers(func() { w.Settle(4*time.Minute, live.Groups()...) })
	verdict(t, w, keepers, sender, true)
	if n := deaths(keepers); n < *kills {
		t.Errorf("%d kills, want at least %d", n, *kills)
	}
	t.Log(w.Command("customer", "rebuild", "--check"))
}

func deaths(keepers []*live.Keeper) int {
	n := 0
	for _, k := range keepers {
		n += k.Deaths()
	}
	return n
}

func sayIfFailed(t *testing.T, keepers []*live.Keeper) {
	t.Helper()
	for _, k := range keepers {
		if t.Failed() {
			t.Logf("%s was killed: %v; the end of its log:\n%s", k.Name, k.Kills(), live.Tail(k.Log))
		}
	}
}

// verdict is what must hold when everything has come to rest.
func verdict(t *testing.T, w *live.World, keepers []*live.Keeper, sender *traffic.Traffic, aborts bool) {
	t.Helper()
	var logs []string
	for _, k := range keepers {
		logs = append(logs, k.Log)
		t.Logf("%s was killed: %v", k.Name, k.Kills())
		for _, err := range k.Failures() {
			t.Error(err)
		}
	}
	w.Present(sender.Sent())
	counted := w.Check(aborts, logs...)
	for _, what := range []string{"commands", "accepted", "refused", "duplicates", "dead letters", "moved", "mails asked for", "agreements"} {
		if counted[what] == 0 {
			t.Errorf("the checker saw no %s: the run tested less than it should", what)
		}
	}
}
