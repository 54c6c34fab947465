//go:build synctests

package flow

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

// However many look, the cluster is asked once a second; while nobody does, every ten seconds; and what is old is not said.
func TestTheClusterIsAskedOnceASecond(t *testing.T) { synctest.Test(t, onceASecond) }

func onceASecond(t *testing.T) {
	name := topics.CustomerCommands.Name
	var asked atomic.Int64
	var away atomic.Bool
	m := New(Config{Logger: discard, Now: time.Now})
	m.look = func(context.Context) (sample, error) {
		n := asked.Add(1)
		if away.Load() {
			return sample{}, errors.New("away")
		}
		return sample{topics: map[string]catalogue.Count{name: {Partitions: 4, End: n}}}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	during := func(d time.Duration, looking bool) int64 {
		before := asked.Load()
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if looking {
				for range 3 {
					m.Count(name)
				}
			}
		}
		synctest.Wait()
		return asked.Load() - before
	}
	if n := during(time.Minute, false); n < 6 || n > 7 {
		t.Errorf("asked %d times in a minute in which nobody looked", n)
	}
	if n := during(time.Minute, true); n < 55 || n > 61 {
		t.Errorf("asked %d times in a minute in which three looked all the time", n)
	}
	if c, at, ok := m.Count(name); !ok || c.End < 60 || time.Since(at) > every {
		t.Errorf("%+v %v %v", c, at, ok)
	}
	during(looked, false)
	if n := during(time.Minute, false); n > 7 {
		t.Errorf("asked %d times after everybody had gone", n)
	}
	away.Store(true)
	during(old, true)
	if c, _, ok := m.Count(name); ok {
		t.Errorf("%+v is said although the cluster is away", c)
	}
	away.Store(false)
	during(2*every, true)
	if _, _, ok := m.Count(name); !ok {
		t.Error("the cluster is back, and nothing is known")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Rates are what came since the look before, by the time that passed; who listens gets each look once, and hears of it when the
// cluster is away.
func TestRatesLagAndDeadLetters(t *testing.T) { synctest.Test(t, ratesLagAndDeadLetters) }

func ratesLagAndDeadLetters(t *testing.T) {
	name := topics.CustomerCommands.Name
	began := time.Now()
	var away atomic.Bool
	m := New(Config{Logger: discard, Now: time.Now})
	m.look = func(context.Context) (sample, error) {
		if away.Load() {
			return sample{}, errors.New("away")
		}
		return sample{
			topics: map[string]catalogue.Count{name: {Partitions: 4, End: int64(7 * time.Since(began).Seconds())}, name + ".dlq": {Partitions: 4, Start: 2, End: 5}},
			lag:    map[string]map[string]int64{topics.Customer: {name: 3 + int64(2*time.Since(began).Seconds())}}, // falls behind
			behind: map[string]int64{topics.CustomerState.Name: 3},
		}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	var last Snapshot
	for n := range 5 {
		s, err := m.Next(ctx, last)
		if err != nil || s.At == last.At {
			t.Fatalf("%d: %v, %q after %q", n, err, s.At, last.At)
		}
		rate, dead := find(s, name).Rate, find(s, name).Dead
		if (rate != nil) != (n > 0) || n > 0 && *rate != 7 || dead == nil || *dead != 3 {
			t.Errorf("%d: rate %v, dead letters %v", n, rate, dead)
		}
		last = s
	}
	for _, e := range last.Edges {
		var rate, lag any // of five looks, a second apart
		switch {
		case e.From == name && e.To == Processor+"/customer":
			rate, lag = 5.0, int64(11)
		case e.To == View+"/"+topics.CustomerState.Name:
			rate, lag = 0.0, int64(3)
		}
		if !same(rate, e.Rate) || !same(lag, e.Lag) {
			t.Errorf("%s to %s: rate %v, lag %v", e.From, e.To, e.Rate, e.Lag)
		}
	}
	if other := find(last, topics.BillingCommands.Name); other.Rate != nil || other.Dead != nil {
		t.Errorf("what was not measured: %+v", other)
	}
	if text := string(last.Event()); !strings.HasPrefix(text, "event: flow\ndata: {") || !strings.HasSuffix(text, "}\n\n") || strings.Count(text, "\n") != 3 {
		t.Errorf("%q", text)
	}
	away.Store(true)
	asked := time.Now()
	s, err := m.Next(ctx, last)
	if err != nil || s.At != "" || find(s, name).Rate != nil || time.Since(asked) < old || time.Since(asked) > old+every {
		t.Errorf("%v, %q after %s without a cluster", err, s.At, time.Since(asked))
	}
	stop()
	if _, err := m.Next(ctx, last); err == nil {
		t.Error("it waits for ever")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func find(s Snapshot, id string) Node {
	for _, n := range s.Nodes {
		if n.ID == id {
			return n
		}
	}
	return Node{}
}

// same says whether a number is what is wanted: nil for one that is not known.
func same[N comparable](want any, got *N) bool {
	return (got == nil) == (want == nil) && (got == nil || *got == want)
}
