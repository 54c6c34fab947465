// Package cluster compares the topic catalogue with a real cluster and looks
// after what runs there: plan, apply and check of topics, the doctor's findings,
// group offsets, and dead letters.
//
// It deliberately never deletes a topic or a record and never changes a
// partition count: keys would leave the partitions where their state is.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"utopia/topics"
)

// Sizes is what the catalogue leaves to the cluster.
type Sizes struct {
	Partitions  int32
	Replication int16
	MinInSync   int
}

// ReplicatedSizes returns the sizes for a cluster of three brokers or more.
func ReplicatedSizes() Sizes {
	return Sizes{Partitions: topics.Partitions, Replication: topics.Replication, MinInSync: topics.MinInSync}
}

// EmbeddedSizes returns the sizes for the single embedded broker.
func EmbeddedSizes() Sizes {
	return Sizes{Partitions: topics.EmbeddedPartitions, Replication: 1, MinInSync: 1}
}

// Check says whether the sizes fit each other.
func (s Sizes) Check() error {
	switch {
	case s.Partitions < 1:
		return fmt.Errorf("%d partitions: at least 1 is needed", s.Partitions)
	case s.Replication < 1:
		return fmt.Errorf("%d replicas: at least 1 is needed", s.Replication)
	case s.MinInSync < 1 || s.MinInSync > int(s.Replication):
		return fmt.Errorf("min.insync.replicas %d does not fit %d replicas", s.MinInSync, s.Replication)
	}
	return nil
}

// Action is what apply can do about a topic.
type Action string

// The actions.
const (
	Create Action = "create"
	Alter  Action = "alter"
	// Fixed marks a difference that apply never touches: partitions and replicas.
	Fixed Action = "fixed"
)

// Difference is one setting of one topic that is not as the catalogue has it.
type Difference struct {
	Setting string `json:"setting"`
	Have    string `json:"have"` // empty where the topic does not exist
	Want    string `json:"want"`
}

// Change is what one topic needs.
type Change struct {
	Topic       string       `json:"topic"`
	Action      Action       `json:"action"`
	Differences []Difference `json:"differences"`
}

// Plan is the difference between the catalogue and a cluster.
type Plan struct {
	Changes []Change `json:"changes"`
	AsIs    int      `json:"asIs"` // topics that need nothing

	sizes Sizes
	found Sizes // what the topics that exist have; zero where they do not agree
	exist int   // how many exist
}

// Names of the differences that are no topic configuration.
const (
	partitionsSetting  = "partitions"
	replicationSetting = "replicas"
)

// Compare asks the cluster about the wanted topics. It changes nothing.
func Compare(ctx context.Context, adm *kadm.Client, wanted []topics.Topic, sizes Sizes) (Plan, error) {
	if err := sizes.Check(); err != nil {
		return Plan{}, err
	}
	names := make([]string, 0, len(wanted))
	for _, t := range wanted {
		names = append(names, t.Name)
	}
	// Asking for authorised operations is how kadm goes past the client's cache,
	// which does not know yet what was created a moment ago.
	have, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), names...)
	if err != nil {
		return Plan{}, fmt.Errorf("list topics: %w", err)
	}
	configs, err := topicConfigs(ctx, adm, have)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{sizes: sizes}
	for _, t := range wanted {
		detail := have[t.Name]
		if detail.Err != nil && !errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return Plan{}, fmt.Errorf("topic %s: %w", t.Name, detail.Err)
		}
		p.note(detail)
		changes := changesOf(t, sizes, detail, configs[t.Name])
		p.Changes = append(p.Changes, changes...)
		if len(changes) == 0 {
			p.AsIs++
		}
	}
	return p, nil
}

// note keeps the sizes that the topics have in common.
func (p *Plan) note(detail kadm.TopicDetail) {
	if len(detail.Partitions) == 0 {
		return
	}
	replicas := detail.Partitions.NumReplicas()
	s := Sizes{
		Partitions: int32(len(detail.Partitions)), Replication: int16(replicas), //nolint:gosec // Kafka numbers partitions by int32, replicas by int16
		MinInSync: max(1, min(p.sizes.MinInSync, replicas)),
	}
	if p.exist == 0 {
		p.found = s
	} else if p.found != s {
		p.found = Sizes{}
	}
	p.exist++
}

// Found returns the sizes that all topics of the cluster have in common; ok is false where there are none.
func (p Plan) Found() (s Sizes, ok bool) { return p.found, p.found != Sizes{} }

// ErrOtherPartitions is returned where topics would be made with another number of partitions than those that exist.
var ErrOtherPartitions = errors.New("a key must have the same partition in every topic")

// topicConfigs reads the effective settings, defaults included, of the topics
// that exist.
func topicConfigs(ctx context.Context, adm *kadm.Client, have kadm.TopicDetails) (map[string]map[string]string, error) {
	var exist []string
	for _, d := range have {
		if d.Err == nil {
			exist = append(exist, d.Topic)
		}
	}
	out := map[string]map[string]string{}
	if len(exist) == 0 {
		return out, nil
	}
	slices.Sort(exist)
	described, err := adm.DescribeTopicConfigs(ctx, exist...)
	if err != nil {
		return nil, fmt.Errorf("describe topic settings: %w", err)
	}
	for _, r := range described {
		if r.Err != nil {
			return nil, fmt.Errorf("describe settings of topic %s: %w", r.Name, r.Err)
		}
		out[r.Name] = map[string]string{}
		for _, c := range r.Configs {
			out[r.Name][c.Key] = c.MaybeValue()
		}
	}
	return out, nil
}

// settingsOf returns the full topic configuration that is wanted for a topic with so many replicas. More replicas in sync than
// there are can never be: such a topic takes no record at all.
func settingsOf(t topics.Topic, minInSync, replicas int) map[string]string {
	c := maps.Clone(t.Config())
	c["min.insync.replicas"] = strconv.Itoa(min(minInSync, replicas))
	return c
}

func changesOf(t topics.Topic, sizes Sizes, detail kadm.TopicDetail, have map[string]string) []Change {
	if len(detail.Partitions) == 0 {
		want := settingsOf(t, sizes.MinInSync, int(sizes.Replication))
		c := Change{Topic: t.Name, Action: Create, Differences: []Difference{
			{Setting: partitionsSetting, Want: strconv.Itoa(int(sizes.Partitions))},
			{Setting: replicationSetting, Want: strconv.Itoa(int(sizes.Replication))},
		}}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			c.Differences = append(c.Differences, Difference{Setting: k, Want: want[k]})
		}
		return []Change{c}
	}
	var changes []Change
	fixed := Change{Topic: t.Name, Action: Fixed}
	if n := len(detail.Partitions); n != int(sizes.Partitions) {
		fixed.Differences = append(fixed.Differences, Difference{partitionsSetting, strconv.Itoa(n), strconv.Itoa(int(sizes.Partitions))})
	}
	if have := replicasOf(detail.Partitions); have != strconv.Itoa(int(sizes.Replication)) {
		fixed.Differences = append(fixed.Differences, Difference{replicationSetting, have, strconv.Itoa(int(sizes.Replication))})
	}
	if len(fixed.Differences) > 0 {
		changes = append(changes, fixed)
	}
	want := settingsOf(t, sizes.MinInSync, max(detail.Partitions.NumReplicas(), 1))
	alter := Change{Topic: t.Name, Action: Alter}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if have[k] != want[k] {
			alter.Differences = append(alter.Differences, Difference{k, have[k], want[k]})
		}
	}
	if len(alter.Differences) > 0 {
		changes = append(changes, alter)
	}
	return changes
}

// replicasOf says how many replicas the partitions have. One partition with fewer than
// the others is drift too: that one is lost with its brokers.
func replicasOf(all kadm.PartitionDetails) string {
	var counts []int
	for _, p := range all {
		counts = append(counts, len(p.Replicas))
	}
	least, most := slices.Min(counts), slices.Max(counts)
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// Count returns how many changes have the given action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}

// Drifted tells whether the cluster differs from the catalogue.
func (p Plan) Drifted() bool { return len(p.Changes) > 0 }

// Apply creates and alters what the plan says, and calls done after each topic.
// It goes on after a topic that fails, returns all failures, and returns when the
// brokers know the new topics. Nothing is ever
// deleted; a topic that somebody else created meanwhile is an error, so that its
// settings are looked at first. ErrOtherPartitions, before anything is done, if
// new topics would not fit the others.
func (p Plan) Apply(ctx context.Context, adm *kadm.Client, done func(Change)) error {
	if n := p.found.Partitions; p.exist > 0 && n != 0 && n != p.sizes.Partitions && p.Count(Create) > 0 {
		return fmt.Errorf("nothing applied: %d topic(s) would be made with %d partitions, and the other %d have %d: %w; say --partitions %d",
			p.Count(Create), p.sizes.Partitions, p.exist, n, ErrOtherPartitions, n)
	}
	var errs []error
	var created []string
	for _, c := range p.Changes {
		var err error
		switch c.Action {
		case Create:
			if err = p.create(ctx, adm, c); err == nil {
				created = append(created, c.Topic)
			}
		case Alter:
			err = alter(ctx, adm, c)
		case Fixed:
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s topic %s: %w", c.Action, c.Topic, err))
			continue
		}
		done(c)
	}
	return errors.Join(append(errs, awaitVisible(ctx, adm, created))...)
}

func (p Plan) create(ctx context.Context, adm *kadm.Client, c Change) error {
	configs := map[string]*string{}
	for _, d := range c.Differences {
		if d.Setting != partitionsSetting && d.Setting != replicationSetting {
			configs[d.Setting] = &d.Want
		}
	}
	resp, err := adm.CreateTopic(ctx, p.sizes.Partitions, p.sizes.Replication, configs, c.Topic)
	if err != nil {
		return withMessage(err, resp.ErrMessage)
	}
	return nil
}

func alter(ctx context.Context, adm *kadm.Client, c Change) error {
	var set []kadm.AlterConfig
	for _, d := range c.Differences {
		set = append(set, kadm.AlterConfig{Op: kadm.SetConfig, Name: d.Setting, Value: &d.Want})
	}
	responses, err := adm.AlterTopicConfigs(ctx, set, c.Topic)
	if err != nil {
		return err
	}
	for _, r := range responses {
		if r.Err != nil {
			return withMessage(r.Err, r.ErrMessage)
		}
	}
	return nil
}

// withMessage adds the broker's own words to an error code.
func withMessage(err error, message string) error {
	if message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, message)
}
