package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"utopia/integration/traffic"
)

// Nodes are brokers that can be killed and started again.
type Nodes interface {
	Kill(node int)
	Stop(node int) error
	Start(node int) error
	Ready(ctx context.Context) error
}

// Link is the way to a node.
type Link interface {
	Cut(towards, back bool)
	Slow(wait time.Duration)
	Heal()
}

// Storm is everything at once: load, binaries that are killed at random and at each point of a transaction, instances that
// join, leave, stand still beyond their time-outs, are replaced and are killed for good; and, where there are such, nodes that
// are killed and links that are cut. It ends when it was long enough and there were enough kills, or fails.
type Storm struct {
	Seed      uint64
	Kills     int           // of binaries, at least
	For       time.Duration // at least
	Instances int           // of the customer service at most, of which two always stay
	Rate      int           // records a second
	Returns   bool          // whoever is killed comes back at once: the broker waits for its place for minutes
	Nodes     Nodes         // may be nil
	Links     map[int]Link  // by node; may be empty

	w       *World
	keepers []*Keeper
	comers  []*Keeper // of the keepers, those that join and leave
	met     tally
}

// patience is how long a storm may take beyond its time to have enough kills.
const patience = 4

// reportEvery is how often a storm says how far it is.
const reportEvery = time.Minute

// standstill is longer than the session and transaction time-outs of the binaries, 30 s and 10 s.
const standstill = 35 * time.Second

// tally counts by name.
type tally struct {
	mu sync.Mutex
	of map[string]int
}

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]int{}
	}
	t.of[what] += n
}

// Run lets the storm pass over a world, lets everybody come to rest, and judges. where is what it ran on, for the report.
func (s *Storm) Run(w *World, where string) {
	w.T.Helper()
	s.w, s.keepers = w, w.Services()
	for n := 3; n <= s.Instances; n++ {
		k := w.Keep(fmt.Sprintf("customer-%d", n), "customer")
		k.Leave(syscall.SIGTERM) // it comes later
		s.keepers, s.comers = append(s.keepers, k), append(s.comers, k)
	}
	for _, k := range s.keepers {
		k.Lenient = s.Nodes != nil || len(s.Links) > 0
	}
	w.T.Cleanup(func() {
		for _, k := range s.keepers {
			if w.T.Failed() {
				w.T.Logf("%s was killed: %v, went through %v; the end of its log:\n%s", k.Name, k.Kills(), k.WentThrough(), Tail(k.Log))
			}
		}
	})
	stop := w.StartAll(s.keepers, s.Seed)
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s.Seed, 1)))
	if err != nil {
		w.T.Fatal(err)
	}
	sending, stopSending := context.WithCancel(w.T.Context())
	defer stopSending()
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, s.Rate) }()
	if err := s.blow(sent); err != nil {
		w.T.Fatal(err)
	}
	stopSending()
	if err := <-sent; err != nil {
		w.T.Fatalf("the traffic: %v", err)
	}
	stop(func() { w.Settle(6*time.Minute, Groups()...) })
	s.judge(where, sender)
}

// judge is the checker's verdict, and whether the storm was one.
func (s *Storm) judge(where string, sender *traffic.Traffic) {
	t := s.w.T
	t.Helper()
	var logs []string
	for _, k := range s.keepers {
		if _, err := os.Stat(k.Log); err == nil {
			logs = append(logs, k.Log)
		}
		for _, err := range k.Failures() {
			t.Error(err)
		}
	}
	s.w.Present(sender.Sent())
	checked := s.w.Check(true, logs...)
	for _, what := range []string{"commands", "accepted", "refused", "duplicates", "dead letters", "moved", "mails asked for", "agreements", "aborted records"} {
		if checked[what] == 0 {
			t.Errorf("the checker saw no %s: the run tested less than it should", what)
		}
	}
	t.Log(s.w.Command("customer", "rebuild", "--check"))
	met := s.counted()
	for _, what := range s.wanted() {
		if met[what] == 0 {
			t.Errorf("no %s: the run tested less than it should", what)
		}
	}
	t.Logf("met: %v", met)
	verdict := "0"
	if t.Failed() {
		verdict = "**failed**"
	}
	t.Logf("for integration/RESULTS.md:\n| %s | `%s` | %s | %d | %d s | %d (%d) | %d + %d | %d | %d | %d | %d, %d, %d | %d | %d | %s |",
		time.Now().Format(time.DateOnly), commit(t), where, s.Seed, met["seconds"], met["kills"], met["open transactions at a kill"],
		met["node kills"], met["node stops"], met["rebalances"], met["standstills"], met["fencings"],
		met["cuts both ways"], met["cuts one way"], met["slow links"], checked["records"], checked["aborted records"], verdict)
}

// wanted are the faults without which a storm of this kind and length has tested less than it should.
func (s *Storm) wanted() []string {
	all := []string{"kills", "open transactions at a kill", "rebalances"}
	if s.For >= time.Minute {
		all = append(all, "fencings")
	}
	if s.For >= 3*time.Minute {
		all = append(all, "standstills", "members replaced")
	}
	if len(s.comers) > 0 {
		all = append(all, "joins", "stops in order")
	}
	if s.Nodes != nil {
		all = append(all, "node kills")
	}
	if len(s.Links) > 0 && s.For >= 2*time.Minute {
		all = append(all, "cuts both ways", "cuts one way", "slow links")
	}
	return all
}

// commit is what the tests were built from.
func commit(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// blow lets all faults happen at the same time.
func (s *Storm) blow(sent <-chan error) error {
	storm, over := context.WithCancelCause(s.w.T.Context())
	defer over(nil)
	var all sync.WaitGroup
	for i, fault := range []func(context.Context, *rand.Rand) error{s.kill, s.comeAndGo, s.standStill, s.replace, s.breakNodes, s.cut} {
		random := rand.New(rand.NewPCG(s.Seed, uint64(100+i))) //nolint:gosec // a small number
		all.Go(func() {
			if err := fault(storm, random); err != nil {
				over(err)
			}
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, reported := time.Now(), time.Now()
	var failed error
	for storm.Err() == nil && failed == nil {
		select {
		case err := <-sent:
			failed = fmt.Errorf("the traffic ended: %w", err)
		case <-tick.C:
			deaths := 0
			for _, k := range s.keepers {
				deaths += k.Deaths()
				failed = errors.Join(failed, k.Failed())
			}
			if deaths >= s.Kills && time.Since(began) >= s.For {
				over(nil)
			} else if time.Since(began) > patience*s.For+time.Minute {
				failed = fmt.Errorf("only %d kills in %v", deaths, time.Since(began))
			}
			if time.Since(reported) > reportEvery {
				reported = time.Now()
				s.w.T.Logf("after %v of %v: %v", time.Since(began).Round(time.Second), s.For, s.counted())
			}
		case <-storm.Done():
		}
	}
	over(nil)
	all.Wait()
	s.met.add("seconds", int(time.Since(began).Seconds()))
	if cause := context.Cause(storm); cause != nil && !errors.Is(cause, context.Canceled) {
		failed = errors.Join(failed, cause)
	}
	return failed
}

// counted adds up what everybody went through.
func (s *Storm) counted() map[string]int {
	s.met.mu.Lock()
	all := maps.Clone(s.met.of)
	s.met.mu.Unlock()
	if all == nil {
		all = map[string]int{}
	}
	for _, k := range s.keepers {
		for what, n := range k.WentThrough() {
			all[what] += n
		}
		for _, n := range k.Kills() {
			all["kills"] += n
		}
	}
	generations, members := s.logged()
	all["rebalances"], all["members replaced"] = generations, members
	return all
}

// logged counts the generations of all groups and the members that were given up, as the binaries have said it.
func (s *Storm) logged() (generations, members int) {
	seen := map[string]bool{}
	for _, k := range s.keepers {
		b, err := os.ReadFile(k.Log)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			s.w.T.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var said struct {
				Msg, Group string
				Generation int
			}
			if json.Unmarshal([]byte(line), &said) != nil {
				continue // cut off by a kill
			}
			switch {
			case said.Msg == "partitions assigned":
				seen[fmt.Sprint(said.Group, said.Generation)] = true
			case strings.HasPrefix(said.Msg, "the group member is replaced"):
				members++
			}
		}
	}
	return len(seen), members
}
