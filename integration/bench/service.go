package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"utopia/topics"
)

// The contenders that do the work of the customer service, or write what it writes.
const (
	serviceOurs  = "customer"
	serviceRaw   = "rawService"
	servicePlain = "plainService" // the raw loop without transactions
	serviceStock = "stockService"
)

// service is the benchmark of the customer service on a real cluster.
type service struct {
	*bench
	br        *broker
	brokerPID int // 0: its CPU is not measured
	twin      *twin
	life      life
	want      told
	outputs   map[string]expected // what ours wrote the first time; nil: nothing yet
	sizes     map[string]int      // mean size of a value, by topic
	onDisk    map[string]int64    // bytes that the broker keeps, by topic, after ours
}

// withReady makes the customer service read the whole table before it joins, and keep copies of other instances' partitions.
const withReady = "ready"

// site is where one contender works in one trial.
type site struct {
	name        string // as in reports
	contender   string
	with        []string // options of the engine
	commit      time.Duration
	application string // of the twin
}

// site reads a contender's name: one that ends in @ and a duration commits at that interval instead of 100 ms, and what
// follows a + is an option of the engine.
func (v *service) site(name string) (site, error) {
	v.trials++
	s := site{name: name, commit: 100 * time.Millisecond, application: application(v.trials)}
	contender, interval, ok := strings.Cut(name, "@")
	options := strings.Split(contender, "+")
	s.contender, s.with = options[0], options[1:]
	if ok {
		var err error
		if s.commit, err = time.ParseDuration(interval); err != nil {
			return site{}, fmt.Errorf("contender %s: %w", name, err)
		}
	}
	return s, nil
}

// table is the topic that holds the contender's rows; empty: it starts with none.
func (s site) table() string {
	switch {
	case s.contender == serviceOurs:
		return topics.CustomerTable.Name
	case isTwin(s.contender):
		return changelog(s.application)
	}
	return ""
}

// handled is how many commands are done with: committed, or for stock Goka, which commits once a second, written.
func (v *service) handled(ctx context.Context, s site) (int64, error) {
	group := s.application
	switch s.contender {
	case serviceStock:
		return v.br.records(ctx, stockServiceTable)
	case serviceOurs:
		group = topics.Customer
	case serviceRaw, servicePlain:
		group = rawServiceGroup
	}
	return committed(ctx, v.br.admin, group, topics.CustomerCommands.Name)
}

// outputTopics are the catalogue's topics that the service writes.
func outputTopics() []topics.Topic {
	var all []topics.Topic
	for _, name := range serviceOutputs() {
		t, _ := topics.ByName(name)
		all = append(all, t)
	}
	return all
}

// clear empties all that contenders write, and writes the rows that s begins with.
func (v *service) clear(ctx context.Context, s site, customers int) error {
	err := errors.Join(
		v.br.forget(ctx, topics.Customer, rawServiceGroup, stockServiceGroup),
		v.br.drop(ctx, stockServiceTable),
		v.br.renew(ctx, outputTopics()...),
	)
	if err != nil {
		return err
	}
	if s.contender == serviceStock { // stock Goka makes its table itself, but does not wait for its leaders
		if err := v.br.createAs(ctx, topics.CustomerTable, stockServiceTable); err != nil {
			return err
		}
	}
	if name := s.table(); name != "" {
		if isTwin(s.contender) {
			if err := v.br.createAs(ctx, topics.CustomerTable, name); err != nil {
				return err
			}
		}
		if err := v.br.prefill(ctx, name, customers, customerRow); err != nil {
			return err
		}
	}
	if s.contender == serviceOurs {
		return v.br.begin(ctx, topics.Customer, customerInputs()...)
	}
	return nil
}

// empty is clear with an empty log of commands. The log goes first: a deleted topic takes the groups' offsets with it.
func (v *service) empty(ctx context.Context, s site, customers int) error {
	if err := v.br.renew(ctx, topics.CustomerCommands); err != nil {
		return err
	}
	return v.clear(ctx, s, customers)
}

// tidy removes what only this trial used.
func (v *service) tidy(ctx context.Context, s site, dirs ...string) {
	if isTwin(s.contender) {
		_ = v.br.drop(ctx, changelog(s.application))
	}
	for _, d := range dirs {
		_ = os.RemoveAll(d)
	}
}

// enter starts an instance of a contender and waits until it is ready. The directory is its own.
func (v *service) enter(ctx context.Context, s site, instance, dir string, session time.Duration) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a state directory: %w", err)
	}
	sp := spec{Contender: s.contender, Broker: v.br.address, Dir: dir, Commit: s.commit, Instance: instance, With: s.with, Session: session, Sizes: v.sizes}
	var p *process
	var err error
	if isTwin(s.contender) {
		p, err = v.twin.start(ctx, s.application, sp)
	} else {
		p, err = v.worker(ctx, sp)
	}
	if err != nil {
		return nil, err
	}
	if _, err := p.line(); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not become ready: %w", s.name, err)
	}
	return p, nil
}

func (v *service) stateDir(s site, instance string) string {
	return filepath.Join(v.dir, fmt.Sprintf("%s-%s-%s", s.contender, s.application, instance))
}
