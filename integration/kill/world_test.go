//go:build kill

package kill

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"utopia/integration/live"
)

// built saves the time to build them for every run.
var built = flag.String("binaries", "", "folder with binaries that were built with -tags kill; empty: build them")

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
	flag.Parse()
	code, err := within(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kill tier:", err)
		code = 1
	}
	os.Exit(code)
}

// within builds the binaries once for all tests.
func within(m *testing.M) (code int, err error) {
	if *built == "" {
		if *built, err = os.MkdirTemp("", "kill-tier-"); err != nil {
			return 0, err
		}
		defer func() { _ = os.RemoveAll(*built) }()
		if err := live.Build(context.Background(), *built); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
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

func newWorld(t *testing.T) *live.World {
	t.Helper()
	w, _ := newWorldAndBroker(t)
	return w
}

func newWorldAndBroker(t *testing.T) (*live.World, *os.Process) {
	t.Helper()
	address, broker := startBroker(t)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	return live.New(t, *built, address, registry.URL(), "--replicas", "1", "--min-in-sync", "1"), broker
}

// startBroker runs a broker that keeps its data, in a process of its own.
func startBroker(t *testing.T) (address string, broker *os.Process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker did not start: %v", err)
	}
	return strings.TrimSpace(line), cmd.Process
}
