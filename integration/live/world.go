package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/traffic"
)

// Build compiles the binaries into dir as they are shipped, but with the points at which they can be told to die.
func Build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-tags", "kill", "-o", dir + "/"}, binaries()...)...)
	cmd.Dir = "../.." // of a test's package
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Seed is the seed that was chosen, or another one each time for 0, and says how to run it again.
func Seed(t *testing.T, chosen uint64) uint64 {
	t.Helper()
	if chosen == 0 {
		chosen = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d; processes do not run alike twice, but what is sent and where they are told to die is the same with -seed %d", chosen, chosen)
	return chosen
}

// World is a cluster, a registry and the binaries.
type World struct {
	T        *testing.T
	Bin      string // where the binaries are
	Dir      string // for state and logs
	Brokers  string // as --brokers wants them
	Registry string
	Extra    []string  // environment of the binaries beside what they all need
	Login    []kgo.Opt // how clients of the test itself log in
	Client   *kgo.Client
	Admin    *kadm.Client
}

// New is a world around a cluster and a registry that exist, with topics and schemas. apply are flags of topics apply.
func New(t *testing.T, bin, brokers, registry string, apply ...string) *World {
	t.Helper()
	w := &World{T: t, Dir: t.TempDir(), Bin: bin, Brokers: brokers, Registry: registry}
	w.SetUp(apply...)
	return w
}

// SetUp connects, and makes topics and schemas.
func (w *World) SetUp(apply ...string) {
	w.T.Helper()
	w.Connect()
	w.CLI(append([]string{"topics", "apply", "--partitions", "4"}, apply...)...)
	w.CLI("schemas", "register")
}

// With is the same world with the clock of another test: its state and logs are its own.
func (w *World) With(t *testing.T) *World {
	t.Helper()
	other := *w
	other.T, other.Dir = t, t.TempDir()
	return &other
}

// Connect opens the test's own client.
func (w *World) Connect() {
	w.T.Helper()
	client, err := kgo.NewClient(append(w.Options(), kgo.ProducerLinger(0), kgo.RecordPartitioner(traffic.Place()))...)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(client.Close)
	w.Client, w.Admin = client, kadm.NewClient(client)
}

// Options are what clients of the test need to connect. They look a topic's leader up again soon after it has moved.
func (w *World) Options() []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(w.Seeds()...), kgo.MetadataMinAge(50 * time.Millisecond)}, w.Login...)
}

// CLI runs the command line of the system and fails the test if it fails.
func (w *World) CLI(args ...string) string {
	w.T.Helper()
	return w.Command("utopia", args...)
}

// Command runs a binary to its end and fails the test if it fails.
func (w *World) Command(binary string, args ...string) string {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.Bin, binary), args...)
	cmd.Env = w.Environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.T.Fatalf("%s %s: %v\n%s", binary, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Environment points the binaries at this world.
func (w *World) Environment() []string {
	all := append(os.Environ(), "UTOPIA_BROKERS="+w.Brokers, "UTOPIA_REGISTRY="+w.Registry, "UTOPIA_LOG_FORMAT=json")
	return append(all, w.Extra...)
}

// Seeds are the brokers' addresses.
func (w *World) Seeds() []string { return strings.Split(w.Brokers, ",") }

// Lags says how many records each group has not handled; complete tells whether every group has begun.
func (w *World) Lags(ctx context.Context, groups ...string) (lags map[string]int64, complete bool, err error) {
	described, err := w.Admin.Lag(ctx, groups...)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, false, err
	}
	lags, complete = map[string]int64{}, true
	for _, group := range groups {
		l, ok := described[group]
		complete = complete && ok && len(l.Lag) > 0
		lags[group] = -1 // it has not begun
		if len(l.Lag) > 0 {
			lags[group] = 0
		}
		for _, topic := range l.Lag {
			for _, partition := range topic {
				lags[group] += partition.Lag
			}
		}
	}
	return lags, complete, nil
}

// Settle waits until nothing is under way any more: several looks in a row at no lag, because one record may cause another.
func (w *World) Settle(within time.Duration, groups ...string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), within)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last := "nobody answered"
	for quiet := 0; quiet < 8; {
		lags, complete, err := w.Lags(ctx, groups...)
		quiet++
		if err != nil || !complete {
			quiet = 0
		}
		for _, lag := range lags {
			if lag > 0 {
				quiet = 0
			}
		}
		if ctx.Err() == nil {
			last = fmt.Sprint(lags, err)
		}
		select {
		case <-ctx.Done():
			w.T.Fatalf("the system did not come to rest within %v: %s", within, last)
		case <-tick.C:
		}
	}
}

// FreePort is a loopback port that nothing listens on.
func (w *World) FreePort() int {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener that is closed at once
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
}

// binaries are all that a world needs.
func binaries() []string {
	return []string{"./cmd/customer", "./cmd/billing", "./cmd/notification", "./cmd/mail", "./cmd/gateway", "./cmd/webhook", "./cmd/utopia", "./integration/check"}
}

// root is the module's directory.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
