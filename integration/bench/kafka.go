package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"utopia/topics"
)

// kafkaReport is what a run on a real cluster found.
type kafkaReport struct {
	Seed    uint64               `json:"seed"`
	Here    surroundings         `json:"surroundings"`
	Drained map[string][]drained `json:"drained"`
	Seconds float64              `json:"seconds"`
}

// kafka is how a run on a real cluster is done.
type kafka struct {
	brokers   string
	brokerPID int
	commands  int
	customers int
	rounds    int
	only      string // contenders, separated by commas; empty: all
}

// kafka runs the customer service, its twin and the others side by side on a real cluster.
func (b *bench) kafka(ctx context.Context, k kafka) (*kafkaReport, error) {
	r := &kafkaReport{Seed: b.seed, Here: here(), Drained: map[string][]drained{}}
	br, err := dial(k.brokers)
	if err != nil {
		return nil, err
	}
	defer br.stop()
	v := &service{
		bench: b, br: br, brokerPID: k.brokerPID, commit: 100 * time.Millisecond,
		life: life{seed: b.seed, commands: k.commands, customers: k.customers, registers: 5},
	}
	if v.twin, err = buildTwin(ctx); err != nil {
		return nil, err
	}
	if err := v.fill(ctx); err != nil {
		return nil, err
	}
	contenders := k.contenders()
	for range 2 * k.rounds {
		for _, c := range contenders {
			d, err := v.drain(ctx, c, 1)
			if err != nil {
				return nil, err
			}
			r.Drained[c] = append(r.Drained[c], d)
		}
		slices.Reverse(contenders[1:]) // ours goes first, once: the others write what it wrote
	}
	r.Seconds = time.Since(b.began).Seconds()
	return r, nil
}

// contenders are who takes part, ours first: the others write what it wrote.
func (k kafka) contenders() []string {
	all := []string{serviceOurs, serviceRaw, servicePlain, serviceStock, streamsName, streamsCached}
	if k.only == "" {
		return all
	}
	return append(all[:1], strings.Split(k.only, ",")...)
}

// fill writes the log of commands that every contender handles. The broker's time stamps are part of what comes out, so
// all read the same log.
func (v *service) fill(ctx context.Context) error {
	if err := v.br.forget(ctx, topics.Customer); err != nil {
		return err
	}
	if err := v.br.renew(ctx, topics.All()...); err != nil {
		return err
	}
	began := time.Now()
	var err error
	if v.want, err = v.life.write(ctx, v.br); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	v.outputs = nil
	v.say("%d commands are on the log after %.1f s", v.life.commands, time.Since(began).Seconds())
	return nil
}
