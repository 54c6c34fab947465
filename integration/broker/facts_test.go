//go:build broker

package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/integration/traffic"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// Facts of integration/BROKER.md about one processor, each on the same cluster of one node. The order matters where one
// leaves the group as the next finds it.
func TestFacts(t *testing.T) {
	c, w := one(t, kafka.Options{Properties: map[string]string{"log.cleaner.backoff.ms": "200"}})
	for _, fact := range []struct {
		name string
		show func(t *testing.T, w *live.World)
	}{
		{"SIGTERM leaves the group at once", leavesAtOnce},
		{"every commit bumps the epoch, and none stalls", epochsGrow},
		{"who timed out starts over, who was replaced ends", timedOutOrReplaced},
		{"who comes back in time takes nobody's partitions", comesBackInTime},
		{"open offsets are told to nobody", offsetsWaitForTheEnd},
		{"who waits for an answer gives up in time", func(t *testing.T, w *live.World) { t.Helper(); givesUp(t, c, w) }},
		{"a deletion outlives its tombstone", tombstoneGone},
		{"lost offsets are a refusal that says how to go on", offsetsLost},
		{"a deleted topic ends the processor and is a refusal", topicDeleted},
	} {
		if !t.Run(fact.name, func(t *testing.T) { fact.show(t, w.With(t)) }) {
			return
		}
	}
}

// members returns the partitions of the commands topic that each instance of the customer group has, by client id.
func members(ctx context.Context, w *live.World) (map[string][]int32, error) {
	described, err := w.Admin.DescribeGroups(ctx, topics.Customer)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, err
	}
	found := map[string][]int32{}
	for _, m := range described[topics.Customer].Members {
		found[m.ClientID] = nil
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == topics.CustomerCommands.Name {
					found[m.ClientID] = append(found[m.ClientID], t.Partitions...)
				}
			}
		}
	}
	return found, nil
}

// shared waits until n instances share all four partitions.
func shared(w *live.World, n int) time.Duration {
	w.T.Helper()
	return w.Until(2*time.Minute, fmt.Sprintf("%d instances share the partitions", n), func() (bool, error) {
		found, err := members(w.T.Context(), w)
		have := 0
		for _, partitions := range found {
			if len(partitions) == 0 {
				return false, err
			}
			have += len(partitions)
		}
		return len(found) == n && have == topics.EmbeddedPartitions, err
	})
}

// A static member that merely closed would keep its partitions for the session timeout of 30 s.
func leavesAtOnce(t *testing.T, w *live.World) {
	t.Helper()
	first, second := w.Spawn("leaver", "customer"), w.Spawn("stayer", "customer")
	shared(w, 2)
	began := time.Now()
	first.Stop()
	stopped := time.Since(began)
	taken := shared(w, 1)
	t.Logf("SIGTERM to the end %v; the other had all partitions %v later", stopped, taken)
	if stopped+taken > 20*time.Second {
		t.Errorf("the partitions waited %v", stopped+taken)
	}
	second.Stop()
}

// asker sends commands and hears the replies.
func asker(w *live.World) *ask.Client {
	w.T.Helper()
	client, err := ask.New(w.T.Context(), ask.Config{
		Client: w.Options(), IDs: w.IDs(), Commands: topics.CustomerCommands, Replies: topics.CustomerReplies,
	})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(client.Close)
	return client
}

// register asks for a registration and returns how long the answer took.
func register(w *live.World, client *ask.Client, customer string) time.Duration {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	reply, err := client.Ask(ctx, customer, &schemas.RegisterCustomer{
		CustomerID: customer, Name: traffic.Canary, Email: "a@example.org", Language: "en",
		Address: schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"},
	})
	if err != nil {
		w.T.Fatalf("register %s: %v", customer, err)
	}
	if reply.Outcome != schemas.OutcomeAccepted {
		w.T.Fatalf("register %s: %+v", customer, reply)
	}
	return time.Since(began)
}

// Transactions that follow each other closely: each waits for the markers of the one before (CONCURRENT_TRANSACTIONS), and
// none may stall until the client's next look-up, which takes five seconds. Each gets an epoch of its own; epochs end at
// 32,767, and the id then goes on as another producer. With -transactions 70000 it does so twice.
func epochsGrow(t *testing.T, w *live.World) {
	t.Helper()
	p := w.Spawn("epochs", "customer")
	shared(w, 1)
	client := asker(w)
	register(w, client, "epoch-first")
	var count epochs
	count.add(transaction(w, "customer-epochs"))
	var took []time.Duration
	for i := range *transactions {
		took = append(took, register(w, client, fmt.Sprintf("epoch-%d", i)))
		if i%100 == 0 {
			count.add(transaction(w, "customer-epochs"))
		}
	}
	count.add(transaction(w, "customer-epochs"))
	slices.Sort(took)
	t.Logf("%d transactions of one id, %d times as a new producer, for %d commands, each after the answer to the one before: p50 %v, p95 %v, longest %v",
		count.transactions, count.producers, *transactions, took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
	if count.transactions < *transactions {
		t.Errorf("only %d transactions", count.transactions)
	}
	if least := *transactions / lastEpoch; count.producers < least {
		t.Errorf("a new producer %d times, want %d", count.producers, least)
	}
	if took[len(took)*95/100] > time.Second {
		t.Errorf("p95 is %v", took[len(took)*95/100])
	}
	p.Stop()
}

// lastEpoch is where a producer's epochs end.
const lastEpoch = 32767

// epochs counts the transactions of an id: with transactions of version 2 each has an epoch of its own.
type epochs struct {
	last                    *txn
	transactions, producers int
}

func (e *epochs) add(now txn) {
	switch {
	case e.last == nil:
	case e.last.producer == now.producer:
		e.transactions += int(now.epoch) - int(e.last.epoch)
	default:
		e.producers++
		e.transactions += lastEpoch - int(e.last.epoch) + int(now.epoch)
	}
	e.last = &now
}

// txn is what the coordinator knows of a transactional id.
type txn struct {
	state    string
	producer int64
	epoch    int16
}

func transaction(w *live.World, id string) txn {
	w.T.Helper()
	described, err := w.Admin.DescribeTransactions(w.T.Context(), id)
	if err == nil {
		err = described[id].Err
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return txn{described[id].State, described[id].ProducerID, described[id].ProducerEpoch}
}

// The broker answers both an instance whose transaction it has timed out and one whose id another process has taken with
// an error about its epoch. The first goes on with a new client; the second ends, or the two would fence each other for
// ever.
func timedOutOrReplaced(t *testing.T, w *live.World) {
	t.Helper()
	p := w.Spawn("sleeper", "customer", "--commit-interval", "2s")
	shared(w, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(ctx, 200) }()
	asleep := false
	for deadline := time.Now().Add(3 * time.Minute); !asleep; { // it must stand still with a transaction open
		if time.Now().After(deadline) {
			t.Fatal("no transaction was open when it was stopped")
		}
		time.Sleep(200 * time.Millisecond)
		p.Signal(syscall.SIGSTOP)
		if asleep = transaction(w, "customer-sleeper").state == "Ongoing"; !asleep {
			p.Signal(syscall.SIGCONT)
		}
	}
	aborted := w.Until(2*time.Minute, "the broker aborts its transaction", func() (bool, error) {
		return !strings.Contains("Ongoing PrepareAbort PrepareEpochFence", transaction(w, "customer-sleeper").state), nil
	})
	t.Logf("the broker aborted the transaction %v after the instance fell asleep", aborted)
	p.Signal(syscall.SIGCONT)
	w.Until(2*time.Minute, "it starts over", func() (bool, error) { return p.Said("the group member is replaced"), nil })
	stop()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	register(w, asker(w), "after-the-sleep")
	if !p.Running() {
		t.Fatal("it ended because a transaction had timed out")
	}

	other := w.SpawnAs("sleeper", "sleeper-2", "customer")
	if code := p.Ended(2 * time.Minute); code != 1 {
		t.Errorf("the older of two processes with one instance name ended with exit code %d, want 1", code)
	}
	if !p.Said("another process runs as this instance") {
		t.Error("it does not say why it ended")
	}
	register(w, asker(w), "after-the-takeover")
	if !other.Running() {
		t.Error("the younger ended too")
	}
	w.Settle(2*time.Minute, topics.Customer)
	other.Stop()
}

// Kafka forgets the offsets of a group that was idle for seven days; an operator can do the same at once.
func offsetsLost(t *testing.T, w *live.World) {
	t.Helper()
	if _, err := w.Admin.DeleteGroup(t.Context(), topics.Customer); err != nil {
		t.Fatal(err)
	}
	p := w.Spawn("forgetful", "customer")
	if code := p.Ended(2 * time.Minute); code == 0 || code == -1 {
		t.Errorf("exit code %d", code)
	}
	if !p.Said("no committed offset", "utopia offsets set") {
		t.Error("it does not say how to go on")
	}
	w.CLI("offsets", "set", topics.Customer, "--to", "end", "--yes")
	again := w.Spawn("forgetful", "customer")
	register(w, asker(w), "after-the-loss")
	again.Stop()
}
