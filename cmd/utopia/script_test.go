package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/system"
	"utopia/cmd/internal/system/systemtest"
	"utopia/cmd/utopia/scripttest"
	"utopia/topics"
)

// The scripts type what a user types. The command runs in processes of its own;
// the system that it talks to runs in the test's.

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"utopia": main})
}

// TestScriptsWithoutCluster runs what needs no cluster, and what must fail before
// it connects: nothing listens on the broker's port.
func TestScriptsWithoutCluster(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script/alone", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]scripttest.Command{"exits": scripttest.Exits, "cluster": startCluster, "registry": startRegistry, "setting": setTopic},
		Setup: func(env *testscript.Env) error {
			env.Setenv("UTOPIA_BROKERS", "127.0.0.1:1")
			env.Setenv("UTOPIA_REGISTRY", "http://127.0.0.1:1")
			env.Setenv("__FANG_TEST_WIDTH", "100")
			return nil
		},
	})
}

// TestScripts runs what needs the whole system. Each script has customers of its
// own.
func TestScripts(t *testing.T) {
	s := systemtest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script/system", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: scripttest.System{
			Produce: func(ctx context.Context, r *kgo.Record) error { return produce(ctx, s, r) },
			Link: func(ctx context.Context, purpose, address string) (string, error) {
				return link(ctx, s, purpose, address)
			},
		}.Commands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("UTOPIA_BROKERS", s.Broker)
			env.Setenv("UTOPIA_REGISTRY", s.RegistryURL)
			env.Setenv("LINK_KEYS", s.KeyFile)
			env.Setenv("WEBHOOK_KEYS", s.WebhookFile)
			env.Setenv("__FANG_TEST_WIDTH", "100")
			return nil
		},
	})
}

// startCluster starts a broker of the script's own, without any topic:
// cluster [NAME=VALUE...] with broker settings.
func startCluster(ts *testscript.TestScript, _ bool, args []string) {
	settings := map[string]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		settings[name] = value
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(settings))
	ts.Check(err)
	ts.Defer(c.Close)
	ts.Setenv("UTOPIA_BROKERS", c.ListenAddrs()[0])
}

// setTopic changes a topic of the script's broker, as somebody's hand would: setting TOPIC NAME VALUE.
func setTopic(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: setting TOPIC NAME VALUE")
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("UTOPIA_BROKERS")))
	ts.Check(err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: args[1], Value: &args[2]}}
	responses, err := kadm.NewClient(cl).AlterTopicConfigs(ctx, set, args[0])
	ts.Check(err)
	for _, r := range responses {
		ts.Check(r.Err)
	}
}

// startRegistry starts an empty schema registry of the script's own.
func startRegistry(ts *testscript.TestScript, _ bool, _ []string) {
	r := srfake.New()
	ts.Defer(r.Close)
	ts.Setenv("UTOPIA_REGISTRY", r.URL())
}

// link waits for a mail in the system's inbox.
func link(ctx context.Context, s *system.System, purpose, address string) (found string, err error) {
	_, err = s.Inbox.Wait(ctx, func(m smtpd.Mail) bool {
		if !slices.Contains(m.To, address) {
			return false
		}
		for _, field := range strings.Fields(m.Text) {
			if !strings.Contains(field, "#") {
				continue
			}
			if c, err := links.Verify(s.Keys, links.Token(field), time.Now()); err == nil && c.Purpose == purpose {
				found = field
				return true
			}
		}
		return false
	})
	return found, err
}

// produce refuses a topic that is not ours, which the broker would make.
func produce(ctx context.Context, s *system.System, r *kgo.Record) error {
	if _, ok := topics.ByName(r.Topic); !ok {
		return fmt.Errorf("no topic %s", r.Topic)
	}
	cl, err := kgo.NewClient(s.Client...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.ProduceSync(ctx, r).FirstErr()
}

func TestTheWholeTreeTeaches(t *testing.T) {
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, now: time.Now})
	teaches(t, root)
}

// exampleWidth is what the help shows of an example's line on a terminal of 80 columns; the rest is cut off, and what is
// cut off cannot be typed.
const exampleWidth = 74

// teaches checks that every command says what it does and shows how.
func teaches(t *testing.T, c *cobra.Command) {
	t.Helper()
	if c.Short == "" || strings.HasSuffix(c.Short, ".") {
		t.Errorf("%s: short text %q", c.CommandPath(), c.Short)
	}
	if len(c.Commands()) == 0 && c.Example == "" && !c.Hidden {
		t.Errorf("%s has no example", c.CommandPath())
	}
	for l := range strings.Lines(c.Example) {
		if l != "\n" && !strings.Contains(l, c.Root().Name()) && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "kcat") && !strings.HasPrefix(l, "echo") && !strings.HasPrefix(l, "  ") {
			t.Errorf("%s: the example %q is none of ours", c.CommandPath(), l)
		}
		if n := len(strings.TrimRight(l, "\n")); n > exampleWidth {
			t.Errorf("%s: the example %q has %d columns: help on a terminal of 80 cuts it off at %d", c.CommandPath(), l, n, exampleWidth)
		}
	}
	for _, sub := range c.Commands() {
		teaches(t, sub)
	}
}
