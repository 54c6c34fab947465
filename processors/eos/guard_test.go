package eos

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// refusal runs an instance that must refuse to start.
func refusal(t *testing.T, w *world, change ...func(*Config)) error {
	t.Helper()
	i := w.newInstance("a", nil, change...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return i.proc.Run(ctx)
}

func TestTheGuardRefusesAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	onOldBrokers := func(c *worldConfig) { c.kfake = append(c.kfake, kfake.MaxVersions(kversion.V2_4_0())) }
	onOneBroker := func(c *worldConfig) { c.brokers = 1 }
	without := func(topic string) worldOption {
		return func(c *worldConfig) { c.without = append(c.without, topic) }
	}
	for name, test := range map[string]struct {
		opts []worldOption
		want []string
	}{
		"an unreplicated cluster":            {[]worldOption{onOneBroker}, []string{"has 1 replica(s) and min.insync.replicas=2 (and ", " other topics): losing a broker", "--dev"}},
		"one replica must answer":            {[]worldOption{withConfig(events, "min.insync.replicas", "1")}, []string{events, "min.insync.replicas=1"}},
		"producers set the time":             {[]worldOption{withConfig(commands, "message.timestamp.type", "CreateTime")}, []string{commands, "LogAppendTime"}},
		"a changelog that expires":           {[]worldOption{withConfig(tableName, "cleanup.policy", "delete")}, []string{tableName, "compact"}},
		"a changelog that expires and packs": {[]worldOption{withConfig(tableName, "cleanup.policy", "compact,delete")}, []string{tableName, "compact"}},
		"a topic is missing":                 {[]worldOption{without(events)}, []string{events, "topics apply"}},
		"dead letters have no topic":         {[]worldOption{without(letters)}, []string{letters, "topics apply"}},
		"partition counts differ": {
			[]worldOption{func(c *worldConfig) { c.counts[tableName] = 5 }},
			[]string{tableName, "5 partitions", "has 4"},
		},
		"brokers without stable offsets": {[]worldOption{onOldBrokers}, []string{"KIP-447", "2.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, test.opts...)
			defer w.close()
			err := refusal(t, w)
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("Run returned %v, want ErrRefused", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the refusal does not mention %q: %v", part, err)
				}
			}
			if n := strings.Count(err.Error(), "losing a broker"); n > 1 {
				t.Errorf("the same is said %d times: %v", n, err)
			}
		})
	}
}

func TestDevelopmentModeTakesAnUnreplicatedCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(c *worldConfig) { c.brokers = 1 })
	defer w.close()
	a := w.start("a", nil, func(c *Config) { c.Dev = true })
	a.ready()
	a.stop()
}

func TestAStateDirectoryIsUsedByOneProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	defer w.close()
	fs := vfs.NewCrashableMem()
	a := w.start("a", fs)
	a.ready()
	b := w.newInstance("b", fs)
	if err := b.proc.Run(t.Context()); !errors.Is(err, ErrStateLocked) {
		t.Errorf("the second process: %v, want ErrStateLocked", err)
	}
	a.stop()
}

func TestNewRefusesWhatCannotBeExactlyOnce(t *testing.T) {
	t.Parallel()
	valid := func() Config {
		return Config{
			Client: []kgo.Opt{kgo.SeedBrokers("localhost:1")}, Dir: "state",
			Graph:  goka.DefineGroup(groupName, goka.Input(commands, bytesCodec{}, nil), goka.Persist(bytesCodec{})),
			Inputs: map[string]Input{commands: {DeadLetters: letters}},
		}
	}
	if _, err := New(valid()); err != nil {
		t.Fatalf("a valid configuration: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"a join": {func(c *Config) {
			c.Graph = goka.DefineGroup(groupName, goka.Input(commands, bytesCodec{}, nil), goka.Join("other-table", bytesCodec{}))
		}, "outside the transaction"},
		"a look-up": {func(c *Config) {
			c.Graph = goka.DefineGroup(groupName, goka.Input(commands, bytesCodec{}, nil), goka.Lookup("other-table", bytesCodec{}))
		}, "outside the transaction"},
		"an input without dead letters":       {func(c *Config) { c.Inputs[commands] = Input{} }, "dead letters"},
		"an input that nothing is said of":    {func(c *Config) { c.Inputs = nil }, "says nothing about"},
		"an input that is not read":           {func(c *Config) { c.Inputs["other"] = Input{DeadLetters: letters} }, "does not read"},
		"no state directory":                  {func(c *Config) { c.Dir = "" }, "state directory"},
		"an instance that cannot be an id":    {func(c *Config) { c.Instance = "a/b" }, "instance"},
		"deadlines to a topic of others":      {func(c *Config) { c.Deadlines = &Deadlines{Topic: "other"} }, "does not read"},
		"commits rarer than the timeout":      {func(c *Config) { c.CommitInterval = time.Minute }, "transaction timeout"},
		"no graph":                            {func(c *Config) { c.Graph = nil }, "Graph"},
		"deadlines that cannot be worked out": {func(c *Config) { c.Deadlines = &Deadlines{Topic: commands} }, "Due"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := valid()
			test.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New returned %v, want something about %q", err, test.want)
			}
		})
	}
}
