//go:build kill

package kill

import (
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"utopia/integration/traffic"
	"utopia/schemas"
)

// seed makes a failing run again: go test -tags kill ./integration/kill -seed N. Processes do not run alike twice, but
// what is sent and where they are told to die is the same.
var seed = flag.Uint64("seed", 0, "seed of load and kills; 0: another one each time")

// atLeast is how many lives must have ended with SIGKILL.
const atLeast = 24

// linkKeys sign the links of mails that nobody opens.
const linkKeys = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

// groups are everybody who must have come to an end.
func groups() []string { return []string{"customer", "billing", "notification", "mail", "mail-mailer"} }

func TestKillsChangeNoVerdict(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d", s)
	w := newWorld(t)
	keepers := w.services()
	stopKillers := w.startAll(keepers, s)
	t.Cleanup(func() {
		for _, k := range keepers {
			if t.Failed() {
				t.Logf("%s was killed: %v; the end of its log:\n%s", k.name, k.kills, tail(k.log))
			}
		}
	})

	sending, stopSending := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stopSending()
	sender, err := traffic.New(w.client, w.ids(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 120) }()
	w.killUntil(sending, keepers, rand.New(rand.NewPCG(s, 2)))
	stopSending()
	if err := <-sent; err != nil {
		t.Fatalf("the traffic: %v", err)
	}
	stopKillers(func() { w.settle(120*time.Second, groups()...) })

	kills := 0
	for _, k := range keepers {
		t.Logf("%s was killed: %v", k.name, k.kills)
		kills += k.deaths()
		for _, err := range k.failures {
			t.Error(err)
		}
	}
	t.Logf("%d records sent, %d kills", len(sender.Sent()), kills)
	if kills < atLeast {
		t.Errorf("%d kills, want at least %d", kills, atLeast)
	}
	var logs []string
	for _, k := range keepers {
		logs = append(logs, k.log)
	}
	counted := w.check(true, logs...)
	for _, what := range []string{
		"commands", "accepted", "refused", "duplicates", "dead letters", "moved", "mails asked for", "agreements", "aborted records",
	} {
		if counted[what] == 0 {
			t.Errorf("the checker saw no %s: the run tested less than it should", what)
		}
	}
	t.Log(w.command("customer", "rebuild", "--check"))
}

// ids asks the registry, as every producer does.
func (w *world) ids() schemas.IDs {
	w.t.Helper()
	ids, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{w.registry}})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// services are the binaries as they are deployed, the customer service twice.
func (w *world) services() []*keeper {
	keys := filepath.Join(w.dir, "link-keys")
	if err := os.WriteFile(keys, []byte(linkKeys), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return []*keeper{
		w.keep("customer-1", "customer"), w.keep("customer-2", "customer"), w.keep("billing-1", "billing"),
		w.keep("notification-1", "notification"),
		w.keep("mail-1", "mail", "--mail-dir", filepath.Join(w.dir, "mails"), "--link-keys", keys,
			"--mail-from", "utopia@example.org", "--base-url", "http://127.0.0.1/"),
	}
}

// startAll starts the keepers. The returned function lets everybody live unharmed, calls settled, and stops them in order.
func (w *world) startAll(keepers []*keeper, seed uint64) (stop func(settled func())) {
	harmful, endHarm := context.WithCancel(w.t.Context())
	unharmed, end := context.WithCancel(w.t.Context())
	var all sync.WaitGroup
	for i, k := range keepers {
		random := rand.New(rand.NewPCG(seed, uint64(10+i))) //nolint:gosec // a small number
		all.Go(func() { k.run(unharmed, harmful, random) })
	}
	w.t.Cleanup(func() { endHarm(); end(); all.Wait() })
	return func(settled func()) {
		endHarm()
		for _, k := range keepers { // a life that is still to end at some point is ended now
			if k.doomed() {
				k.kill()
			}
		}
		settled()
		end()
		all.Wait()
	}
}

// killUntil kills at random times until there were enough deaths.
func (w *world) killUntil(ctx context.Context, keepers []*keeper, random *rand.Rand) {
	w.t.Helper()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(500+random.IntN(2500)) * time.Millisecond):
		}
		kills := 0
		for _, k := range keepers {
			kills += k.deaths()
			if err := k.failed(); err != nil {
				w.t.Fatalf("after %d kills: %v", kills, err)
			}
		}
		if kills >= atLeast {
			return
		}
		keepers[random.IntN(len(keepers))].kill()
	}
}

// report is what the checker says.
type report struct {
	Counted    map[string]int64 `json:"counted"`
	Violations []map[string]any `json:"violations"`
}

// check runs the independent checker over the log and the logs.
func (w *world) check(aborts bool, logs ...string) map[string]int64 {
	w.t.Helper()
	args := []string{"-brokers", w.broker, "-registry", w.registry, "-schemas", filepath.Join(root, "schemas"), "-canary", traffic.Canary, "-o", "json"}
	if aborts {
		args = append(args, "-want-aborts")
	}
	for _, log := range logs {
		args = append(args, "-logs", log)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "check"), args...)
	out, err := cmd.Output()
	var r report
	if broken := json.Unmarshal(out, &r); broken != nil {
		w.t.Fatalf("the checker: %v, %v\n%s", err, broken, out)
	}
	w.t.Logf("counted: %v", r.Counted)
	for i, v := range r.Violations {
		if i == 20 {
			break
		}
		w.t.Errorf("violation: %v", v)
	}
	if err != nil || len(r.Violations) > 0 {
		w.t.Errorf("the checker found %d violations: %v", len(r.Violations), err)
	}
	return r.Counted
}

// tail is the end of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
