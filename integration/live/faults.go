package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// pause waits for a time between two; false when the storm is over.
func pause(ctx context.Context, random *rand.Rand, from, to time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(from + time.Duration(random.Int64N(int64(to-from)))):
		return true
	}
}

// one chooses among those that satisfy something; nil if there is none.
func one(random *rand.Rand, keepers []*Keeper, ok func(*Keeper) bool) *Keeper {
	var able []*Keeper
	for _, k := range keepers {
		if ok(k) {
			able = append(able, k)
		}
	}
	if len(able) == 0 {
		return nil
	}
	return able[random.IntN(len(able))]
}

// kill ends lives at random times, several a second if there are as many that work. The points of a transaction are the keepers'
// own matter.
func (s *Storm) kill(ctx context.Context, random *rand.Rand) error {
	for pause(ctx, random, 100*time.Millisecond, 500*time.Millisecond) {
		if k := one(random, s.keepers, (*Keeper).AtWork); k != nil && pause(ctx, random, 0, time.Second) {
			k.Kill()
		}
	}
	return nil
}

// comeAndGo lets instances of the customer service join, leave in order, and die without being started again for a while. One
// is killed and never comes back while the storm lasts.
func (s *Storm) comeAndGo(ctx context.Context, random *rand.Rand) error {
	var never *Keeper
	for pause(ctx, random, time.Second, 3*time.Second) {
		k := one(random, s.comers, func(k *Keeper) bool { return k != never })
		switch {
		case k == nil:
		case k.Away():
			k.Return()
			s.met.add("joins", 1)
		case !k.AtWork() && k.Age() < 20*time.Second: // or it stands still
		case random.IntN(4) == 0 && !s.Returns:
			k.Leave(syscall.SIGKILL)
			s.met.add("kills without a restart", 1)
			if never == nil {
				never = k
				s.met.add("killed for good", 1)
			}
		default:
			k.Leave(syscall.SIGTERM)
		}
	}
	for _, k := range s.comers {
		if k != never {
			k.Return()
		}
	}
	return nil
}

// standStill stops instances for longer than their sessions and transactions last. Not all the time: who joins meanwhile has to
// wait for the session's end, and nothing else happens.
func (s *Storm) standStill(ctx context.Context, random *rand.Rand) error {
	for pause(ctx, random, 5*time.Second, 50*time.Second) {
		k := one(random, s.keepers, (*Keeper).AtWork)
		if k == nil || !k.Pause() {
			continue
		}
		if k.Open(ctx) {
			s.met.add("standstills with an open transaction", 1)
		}
		whole := pause(ctx, random, standstill, standstill+time.Second)
		if k.Resume() && whole {
			s.met.add("standstills", 1)
		}
	}
	return nil
}

// replace starts processes with the names of others.
func (s *Storm) replace(ctx context.Context, random *rand.Rand) error {
	for pause(ctx, random, 5*time.Second, 20*time.Second) {
		if k := one(random, s.keepers, func(k *Keeper) bool { return k.binary != "mail" && k.binary != "webhook" && k.AtWork() }); k != nil {
			if err := k.Replace(); err != nil {
				return fmt.Errorf("replace %s: %w", k.Name, err)
			}
		}
	}
	return nil
}

// breakNodes kills nodes, or stops them in order, one after the other, and starts them again.
func (s *Storm) breakNodes(ctx context.Context, random *rand.Rand) error {
	if s.Nodes == nil {
		return nil
	}
	for pause(ctx, random, 2*time.Second, 6*time.Second) {
		node := 1 + random.IntN(3)
		if random.IntN(4) == 0 {
			if err := s.Nodes.Stop(node); err != nil {
				return err
			}
			s.met.add("node stops", 1)
		} else {
			s.Nodes.Kill(node)
			s.met.add("node kills", 1)
		}
		pause(ctx, random, 100*time.Millisecond, 4*time.Second)
		if err := s.Nodes.Start(node); err != nil {
			return err
		}
		ready, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute) // also after the storm
		err := s.Nodes.Ready(ready)
		cancel()
		if err != nil {
			return fmt.Errorf("node %d does not come back: %w", node, err)
		}
	}
	return nil
}

// cut cuts the way to a node, in one direction or both, or makes it slow, for a time from a blink to beyond a session.
func (s *Storm) cut(ctx context.Context, random *rand.Rand) error {
	if len(s.Links) == 0 {
		return nil
	}
	var nodes []int
	for node := range s.Links {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	for pause(ctx, random, 3*time.Second, 10*time.Second) {
		link := s.Links[nodes[random.IntN(len(nodes))]]
		switch random.IntN(4) {
		case 0:
			link.Cut(true, true)
			s.met.add("cuts both ways", 1)
		case 1:
			link.Cut(true, false)
			s.met.add("cuts one way", 1)
		case 2:
			link.Cut(false, true)
			s.met.add("cuts one way", 1)
		default:
			link.Slow(time.Duration(20+random.IntN(300)) * time.Millisecond)
			s.met.add("slow links", 1)
		}
		longest := 5 * time.Second
		if random.IntN(6) == 0 {
			longest = standstill
		}
		pause(ctx, random, 100*time.Millisecond, longest)
		link.Heal()
	}
	return nil
}
