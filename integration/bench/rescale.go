package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"utopia/topics"
)

// rescaled is what commands meet when instances come and go, under an open loop.
type rescaled struct {
	Contender      string  `json:"contender"`
	Rate           int     `json:"perSecond"`
	Customers      int     `json:"customers"`
	SessionSeconds float64 `json:"sessionTimeoutSeconds"`
	Before         float64 `json:"p99BeforeMillis"` // with one instance, undisturbed
	Events         []event `json:"events"`
	LagP99         float64 `json:"generatorLagP99"`
}

// event is one change of the group.
type event struct {
	What       string  `json:"what"`
	Moved      int     `json:"partitionsMoved"`
	WorstMoved float64 `json:"worstMovedMillis"` // the longest that a command to such a partition waited
	WorstOther float64 `json:"worstOtherMillis"` // to another partition
	Settled    float64 `json:"settledSeconds"`   // until no command waited longer than four times p99 before

	at time.Time
}

// rescale lets a second instance join, leave in order, join again and be killed, while commands come.
func (v *service) rescale(ctx context.Context, contender string, rate int, session time.Duration) (rescaled, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s, err := v.site(contender)
	if err != nil {
		return rescaled{}, err
	}
	if err := v.empty(ctx, s, v.life.customers); err != nil {
		return rescaled{}, err
	}
	l := v.life
	l.registers = 0
	st, err := newStream(v.br, l, topics.CustomerReplies.Name)
	if err != nil {
		return rescaled{}, err
	}
	defer st.close()
	dirs := []string{v.stateDir(s, "a"), v.stateDir(s, "b")}
	defer v.tidy(context.WithoutCancel(ctx), s, dirs...)
	first, err := v.enter(ctx, s, "a", dirs[0], session)
	if err != nil {
		return rescaled{}, err
	}
	defer first.stop()
	if _, _, err := st.both(ctx, rate, lasting(10*time.Second)); err != nil { // warm up
		return rescaled{}, err
	}
	out := rescaled{Contender: contender, Rate: rate, Customers: l.customers, SessionSeconds: session.Seconds()}
	arrived, late, err := st.both(ctx, rate, lasting(5*time.Second))
	if err != nil {
		return rescaled{}, err
	}
	out.Before = quantile(tooks(arrived), 0.99)
	var second *process
	defer func() {
		if second != nil {
			second.stop()
		}
	}()
	for _, step := range v.steps(ctx, s, dirs[1], session, &second) {
		e, lag, err := v.disturb(ctx, s, st, step, rate, out.Before)
		if err != nil {
			return rescaled{}, fmt.Errorf("%s %s: %w", contender, step.what, err)
		}
		out.Events = append(out.Events, e)
		late = append(late, lag...)
		v.say("%-18s the second instance %s: %d partitions move, %.0f ms there, %.0f ms elsewhere, settled after %.1f s (before: p99 %.1f ms)",
			contender, e.What, e.Moved, e.WorstMoved, e.WorstOther, e.Settled, out.Before)
	}
	out.LagP99 = quantile(late, 0.99)
	return out, nil
}

// step is something that is done to the group while commands come, until a span after it is done.
type step struct {
	what string
	do   func() error
	span time.Duration
}

func (v *service) steps(ctx context.Context, s site, dir string, session time.Duration, second **process) []step {
	join := func() (err error) { *second, err = v.enter(ctx, s, "b", dir, session); return err }
	return []step{
		{"joins", join, 12 * time.Second},
		{"leaves in order", func() error { (*second).stop(); *second = nil; return nil }, 10 * time.Second},
		{"joins again", join, 12 * time.Second},
		{"is killed", func() error { (*second).kill(); *second = nil; return nil }, session + 12*time.Second},
	}
}

func tooks(all []arrival) []time.Duration {
	out := make([]time.Duration, 0, len(all))
	for _, a := range all {
		out = append(out, a.took)
	}
	return out
}

// disturb takes a step while commands come, and looks at what they met.
func (v *service) disturb(ctx context.Context, s site, st *stream, do step, rate int, normal float64) (event, []time.Duration, error) {
	before, err := v.owners(ctx, s)
	if err != nil {
		return event{}, nil, err
	}
	e := event{What: do.what}
	var over atomic.Int64 // when the step was taken, since the beginning of the schedule; 0: not yet
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		e.at = time.Now()
		err := do.do()
		over.Store(int64(time.Since(began)))
		done <- err
	}()
	arrived, late, err := st.both(ctx, rate, func(elapsed time.Duration) bool {
		at := time.Duration(over.Load())
		return at == 0 || elapsed < at+do.span
	})
	if err := errors.Join(err, <-done); err != nil {
		return event{}, nil, err
	}
	after, err := v.owners(ctx, s)
	if err != nil {
		return event{}, nil, err
	}
	var moved, other []time.Duration
	settled := e.at
	for _, a := range arrived {
		if a.intended.Add(a.took).Before(e.at) {
			continue
		}
		if before[a.partition] != after[a.partition] {
			moved = append(moved, a.took)
		} else {
			other = append(other, a.took)
		}
		if float64(a.took.Milliseconds()) > 4*normal && a.intended.Add(a.took).After(settled) {
			settled = a.intended.Add(a.took)
		}
	}
	for p, owner := range after {
		if before[p] != owner {
			e.Moved++
		}
	}
	e.WorstMoved, e.WorstOther, e.Settled = quantile(moved, 1), quantile(other, 1), settled.Sub(e.at).Seconds()
	return e, late, nil
}

// owners tells which instance has which partition of the commands.
func (v *service) owners(ctx context.Context, s site) (map[int32]string, error) {
	group := topics.Customer
	if isTwin(s.contender) {
		group = s.application
	}
	described, err := v.br.admin.DescribeGroups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	owners := map[int32]string{}
	for _, m := range described[group].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			return nil, fmt.Errorf("%w: group %s has a member without a readable assignment", errVoid, group)
		}
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		if isTwin(s.contender) { // a thread's id is the instance's with its number
			name = strings.TrimRight(name, "-0123456789")
		}
		for _, t := range assigned.Topics {
			if t.Topic == topics.CustomerCommands.Name {
				for _, p := range t.Partitions {
					owners[p] = name
				}
			}
		}
	}
	return owners, nil
}
