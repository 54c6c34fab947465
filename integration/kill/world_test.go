//go:build kill

package kill

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"utopia/integration/traffic"
)

const root = "../.."

// roleVariable makes this test binary a broker instead.
const roleVariable = "UTOPIA_KILL_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVariable); dir != "" {
		if err := serve(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "broker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs a broker that keeps its data in dir until stdin ends.
func serve(dir string, stdin io.Reader, stdout io.Writer) error {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.DataDir(dir), kfake.ClusterID("kills"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
	)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if _, err := fmt.Fprintln(stdout, cluster.ListenAddrs()[0]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// build compiles the binaries as they are shipped, but with the points at which they can be told to die.
func build(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-tags", "kill", "-o", dir + "/"}, packages...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// world is a broker, a registry and the binaries.
type world struct {
	t        *testing.T
	bin      string
	dir      string
	broker   string
	registry string
	client   *kgo.Client
	admin    *kadm.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(),
		bin: build(t, "./cmd/customer", "./cmd/billing", "./cmd/notification", "./cmd/mail", "./cmd/utopia", "./integration/check"),
	}
	w.broker = w.startBroker()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	w.registry = registry.URL()
	w.connect()
	w.cli("topics", "apply", "--partitions", "4", "--replicas", "1", "--min-in-sync", "1")
	w.cli("schemas", "register")
	return w
}

// connect opens the test's own client.
func (w *world) connect() {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.broker), kgo.ProducerLinger(0), kgo.RecordPartitioner(traffic.Place()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.client, w.admin = client, kadm.NewClient(client)
}

func (w *world) startBroker() string {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+filepath.Join(w.dir, "broker"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		w.t.Fatalf("the broker did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// cli runs the command line of the system and fails the test if it fails.
func (w *world) cli(args ...string) string {
	w.t.Helper()
	return w.command("utopia", args...)
}

func (w *world) command(binary string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, binary), args...)
	cmd.Env = w.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", binary, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// environment points the binaries at this world.
func (w *world) environment() []string {
	return append(os.Environ(), "UTOPIA_BROKERS="+w.broker, "UTOPIA_REGISTRY="+w.registry, "UTOPIA_LOG_FORMAT=json")
}

// lags says how many records each group has not handled; complete tells whether every group has begun.
func (w *world) lags(ctx context.Context, groups ...string) (lags map[string]int64, complete bool, err error) {
	described, err := w.admin.Lag(ctx, groups...)
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

// settle waits until nothing is under way any more: several looks in a row at no lag, because one record may cause another.
func (w *world) settle(within time.Duration, groups ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last := "nobody answered"
	for quiet := 0; quiet < 8; {
		lags, complete, err := w.lags(ctx, groups...)
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
			w.t.Fatalf("the system did not come to rest within %v: %s", within, last)
		case <-tick.C:
		}
	}
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
}
