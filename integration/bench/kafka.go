package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"utopia/topics"
)

// kafka is how a run on a real cluster is done.
type kafka struct {
	brokers   string
	brokerPID int
	commands  int
	customers int
	rounds    int
	parts     string // of the run, separated by commas
	only      string // contenders, separated by commas; empty: all
	seconds   int    // of each measurement of latency
	backlog   int    // commands to warm up with before that
	table     int    // customers of the recovery
}

// The parts of a run.
const (
	partDrain   = "drain"
	partDelay   = "latency"
	partReturn  = "recovery"
	partRescale = "rescale"
	partScale   = "scale"
)

// kafkaReport is what a run on a real cluster found.
type kafkaReport struct {
	Seed    uint64               `json:"seed"`
	Here    surroundings         `json:"surroundings"`
	Setup   string               `json:"setup"`
	Drained map[string][]drained `json:"drained,omitempty"`
	Bytes   map[string]float64   `json:"bytesPerCommand,omitempty"` // on one broker's disk, by topic, not compressed
	Delays  []delay              `json:"latencyMillis,omitempty"`
	Returns []comeback           `json:"recovery,omitempty"`
	Rescale []rescaled           `json:"rescale,omitempty"`
	Scale   []scaled             `json:"scale,omitempty"`
	Seconds float64              `json:"seconds"`
}

// scaled is the cost of a command in another setting.
type scaled struct {
	Partitions int `json:"partitions"`
	Customers  int `json:"customers"`
	Instances  int `json:"instances"`
	drained
}

// kafka runs the customer service, its twin and the others side by side on a real cluster.
func (b *bench) kafka(ctx context.Context, k kafka) (*kafkaReport, error) {
	r := &kafkaReport{Seed: b.seed, Here: here(), Setup: fmt.Sprintf("%+v", k)}
	r.Here.Broker = "Apache Kafka " + kafkaVersion + ", one node"
	cluster, err := b.cluster(ctx, &k)
	if err != nil {
		return nil, err
	}
	defer cluster()
	br, err := dial(k.brokers)
	if err != nil {
		return nil, err
	}
	defer br.stop()
	v := &service{
		bench: b, br: br, brokerPID: k.brokerPID,
		life: life{seed: b.seed, commands: k.commands, customers: k.customers, registers: 5},
	}
	if v.twin, err = buildTwin(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, kafka, *kafkaReport) error
	}{
		{partDrain, v.drains}, {partDelay, v.delays}, {partReturn, v.comebacks}, {partRescale, v.rescales}, {partScale, v.scales},
	} {
		if slices.Contains(strings.Split(k.parts, ","), part.name) {
			if err := part.run(ctx, k, r); err != nil {
				return r, fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	r.Seconds = time.Since(b.began).Seconds()
	return r, nil
}

// among keeps the contenders that were asked for.
func (k kafka) among(all ...string) []string {
	if k.only == "" {
		return all
	}
	return slices.DeleteFunc(all, func(c string) bool { return !slices.Contains(strings.Split(k.only, ","), c) })
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

// drains measures all contenders on one log, there and back.
func (v *service) drains(ctx context.Context, k kafka, r *kafkaReport) error {
	if err := v.fill(ctx); err != nil {
		return err
	}
	r.Drained = map[string][]drained{}
	// The first trial of ours says what the others have to write.
	others := k.among(serviceRaw, servicePlain, serviceStock, "customer@2s", streamsName, streamsCached, streamsALO)
	for i := range 2 * k.rounds {
		for _, c := range append([]string{serviceOurs}, others...) {
			d, err := v.drain(ctx, c, 1)
			if err != nil {
				return err
			}
			r.Drained[c] = append(r.Drained[c], d)
		}
		slices.Reverse(others)
		if i == 0 {
			r.Bytes = map[string]float64{}
			for name, n := range v.onDisk {
				r.Bytes[name] = float64(n) / float64(k.commands)
			}
		}
	}
	return nil
}

// delays measures latency at two rates, there and back.
func (v *service) delays(ctx context.Context, k kafka, r *kafkaReport) error {
	if err := v.baseline(ctx); err != nil {
		return err
	}
	for _, rate := range []int{500, 2000} {
		p := pace{rate: rate, backlog: k.backlog, warm: 5 * time.Second, measure: time.Duration(k.seconds) * time.Second}
		contenders := k.among(plain, serviceRaw, serviceOurs, streamsName, "streams@10ms")
		for range 2 {
			for _, c := range contenders {
				d, err := v.delay(ctx, c, p)
				if err != nil {
					return err
				}
				r.Delays = append(r.Delays, d)
			}
			slices.Reverse(contenders)
		}
	}
	return nil
}

// baseline lets ours handle a short log, if it has not handled one: the sizes of what it writes are what others write.
func (v *service) baseline(ctx context.Context) error {
	if v.sizes != nil {
		return nil
	}
	whole := v.life
	defer func() { v.life = whole }()
	v.life.commands = 50_000
	if err := v.fill(ctx); err != nil {
		return err
	}
	_, err := v.drain(ctx, serviceOurs, 1)
	return err
}

func (v *service) comebacks(ctx context.Context, k kafka, r *kafkaReport) error {
	if err := v.fillNothing(ctx); err != nil {
		return err
	}
	contenders := k.among(serviceOurs, streamsName)
	for range 2 {
		for _, c := range contenders {
			found, err := v.comeback(ctx, c, k.table)
			if err != nil {
				return err
			}
			r.Returns = append(r.Returns, found)
		}
		slices.Reverse(contenders)
	}
	return nil
}

// fillNothing makes all topics.
func (v *service) fillNothing(ctx context.Context) error {
	whole := v.life
	defer func() { v.life = whole }()
	v.life.commands = 0
	return v.fill(ctx)
}

func (v *service) rescales(ctx context.Context, k kafka, r *kafkaReport) error {
	if err := v.fillNothing(ctx); err != nil {
		return err
	}
	whole := v.life
	defer func() { v.life = whole }()
	v.life.customers = 100_000
	for _, c := range k.among(serviceOurs, serviceOurs+"+"+withReady, streamsName, streamsAtOnce) {
		found, err := v.rescale(ctx, c, 500, 10*time.Second)
		if err != nil {
			return err
		}
		r.Rescale = append(r.Rescale, found)
	}
	return nil
}

// scales measures ours with other numbers of partitions, customers and instances, and the twin at the ends.
func (v *service) scales(ctx context.Context, k kafka, r *kafkaReport) error {
	whole, was := v.life, v.br.partitions
	defer func() { v.life, v.br.partitions = whole, was }()
	v.life.commands = k.commands / 3
	for _, c := range []struct {
		partitions           int32
		customers, instances int
		others               []string
	}{
		{1, hotKeys, 1, nil},
		{2, hotKeys, 1, nil},
		{4, hotKeys, 1, nil},
		{16, hotKeys, 1, nil},
		{8, hotKeys, 1, nil},
		{8, hotKeys, 2, nil},
		{8, hotKeys, 4, nil},
		{8, 100_000, 1, nil},
		{8, 1_000_000, 1, []string{streamsName}},
	} {
		v.br.partitions, v.life.customers = c.partitions, c.customers
		if err := v.fill(ctx); err != nil {
			return err
		}
		for _, name := range append([]string{serviceOurs}, k.among(c.others...)...) {
			d, err := v.drain(ctx, name, c.instances)
			if err != nil {
				return err
			}
			r.Scale = append(r.Scale, scaled{int(c.partitions), c.customers, c.instances, d})
		}
	}
	return nil
}
