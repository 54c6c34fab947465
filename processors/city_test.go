package processors

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// cityPartitions is the partition count of every topic of a city.
const cityPartitions = 4

// cityPatience is how long a city waits for something that must happen. It is no measure of speed.
const cityPatience = 2 * time.Minute

// city is all groups on one embedded broker; each can be stopped and started again. It counts what the callbacks count.
type city struct {
	t       *testing.T
	ids     *schemas.MemoryIDs
	opts    []kgo.Opt
	client  *kgo.Client
	running map[string]func()     // stops a group
	disks   map[string]*vfs.MemFS // outlive their groups
	log     map[string][]*kgo.Record

	mu      sync.Mutex
	skipped map[string]int // group, topic and reason
}

// Outcome implements Counters.
func (c *city) Outcome(string, string) {}

// Skipped implements Counters.
func (c *city) Skipped(group, topic, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped[group+" "+topic+" "+reason]++
}

// Forgotten implements Counters.
func (c *city) Forgotten(string, time.Duration) {}

func (c *city) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skipped[what]
}

// newCity founds a city without groups.
func newCity(t *testing.T) *city {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	var names []string
	for _, topic := range topics.All() {
		config := topic.Config()
		delete(config, "min.insync.replicas") // one broker
		if err := cluster.CreateTopic(topic.Name, cityPartitions, config); err != nil {
			t.Fatal(err)
		}
		names = append(names, topic.Name)
	}
	c := &city{
		t: t, ids: schemas.NewMemoryIDs(), opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)},
		running: map[string]func(){}, disks: map[string]*vfs.MemFS{}, log: map[string][]*kgo.Record{}, skipped: map[string]int{},
	}
	if c.client, err = kgo.NewClient(append(append([]kgo.Opt{}, c.opts...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumeTopics(names...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	t.Cleanup(func() {
		for name := range c.running {
			c.stop(name)
		}
	})
	return c
}

// start runs groups; one that has run before finds its state directory again.
func (c *city) start(groups ...string) {
	c.t.Helper()
	constructors := map[string]func(Options) (*eos.Processor, error){
		topics.Customer: NewCustomer, topics.Billing: NewBilling, topics.Mail: NewMail, topics.Notification: NewNotification,
	}
	for _, name := range groups {
		if c.disks[name] == nil {
			c.disks[name] = vfs.NewMem()
		}
		p, err := constructors[name](Options{IDs: c.ids, Counters: c, Engine: eos.Config{
			Client: c.opts, Dir: "state", FS: c.disks[name], Instance: "one", Dev: true,
			Logger: slog.New(slog.DiscardHandler),
		}})
		if err != nil {
			c.t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		c.running[name] = func() {
			cancel()
			select {
			case err := <-done:
				if err != nil && !errors.Is(err, context.Canceled) {
					c.t.Errorf("%s stopped: %v", name, err)
				}
			case <-time.After(cityPatience):
				c.t.Errorf("%s does not stop", name)
			}
		}
	}
}

// stop ends a group in order.
func (c *city) stop(name string) {
	c.running[name]()
	delete(c.running, name)
}

// write produces a record; a nil record is a tombstone.
func (c *city) write(topic topics.Topic, key string, rec schemas.Record) {
	c.t.Helper()
	var value []byte
	if rec != nil {
		codec, err := schemas.NewCodec(topic.Name, c.ids)
		if err != nil {
			c.t.Fatal(err)
		}
		if value, err = codec.Append(nil, rec); err != nil {
			c.t.Fatal(err)
		}
	}
	c.writeBytes(topic, key, value)
}

func (c *city) writeBytes(topic topics.Topic, key string, value []byte) {
	c.t.Helper()
	r := &kgo.Record{Topic: topic.Name, Partition: topics.Partition(key, cityPartitions), Key: []byte(key), Value: value}
	if err := c.client.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
		c.t.Fatalf("produce: %v", err)
	}
}

// wait reads what is committed until done says so.
func (c *city) wait(what string, done func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), cityPatience)
	defer cancel()
	for !done() {
		poll, stop := context.WithTimeout(ctx, 50*time.Millisecond) // counters change without a record
		fetches := c.client.PollFetches(poll)
		stop()
		if ctx.Err() != nil {
			c.t.Fatalf("%s: not within %s", what, cityPatience)
		}
		fetches.EachRecord(func(r *kgo.Record) { c.log[r.Topic] = append(c.log[r.Topic], r) })
	}
}

// read decodes what has been seen of a topic; a tombstone is nil.
func (c *city) read(topic topics.Topic) []schemas.Record {
	c.t.Helper()
	l := &ledger{t: c.t, ids: c.ids, topics: map[string][]message{}}
	for _, r := range c.log[topic.Name] {
		l.topics[topic.Name] = append(l.topics[topic.Name], message{string(r.Key), r.Value})
	}
	return l.read(topic)
}

// newest is the last record with a key that was seen in a topic, the zero value if there is none.
func newest[T schemas.Record](c *city, topic topics.Topic, key string) T {
	c.t.Helper()
	var got T
	for i, rec := range c.read(topic) {
		if typed, ok := rec.(T); ok && string(c.log[topic.Name][i].Key) == key {
			got = typed
		}
	}
	return got
}

// letters are the reasons of the dead letters of a topic, with their details.
func (c *city) letters(topic topics.Topic) []string {
	var out []string
	for _, r := range c.log[topic.DLQ().Name] {
		var words []string
		for _, h := range r.Headers {
			if h.Key == eos.HeaderReason || h.Key == eos.HeaderDetail {
				words = append(words, string(h.Value))
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}
