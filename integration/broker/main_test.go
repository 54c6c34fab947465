//go:build broker

package broker

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"utopia/integration/kafka"
	"utopia/integration/live"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of load and kills; 0: another one each time")
	kills = flag.Int("kills", 12, "lives that must end with SIGKILL, for each version of transactions")

	// transactions are how many one transactional id makes in TestFacts; 70,000 go past two ends of its epochs.
	transactions = flag.Int("transactions", 200, "transactions of one transactional id")

	built    = flag.String("binaries", "", "folder with binaries that were built with -tags kill; empty: build them")
	binaries string // folder
	registry string // URL; its schemas are the same for every cluster
)

// TestMain builds the binaries and starts the registry once.
func TestMain(m *testing.M) {
	flag.Parse()
	code, err := within(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker tier:", err)
		code = 1
	}
	os.Exit(code)
}

func within(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "broker-tier-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binaries = *built; binaries == "" {
		binaries = filepath.Join(dir, "bin")
		if err := live.Build(context.Background(), binaries); err != nil {
			return 0, err
		}
	}
	r, err := kafka.RunRegistry(context.Background(), filepath.Join(dir, "registry"))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	registry = r.URL()
	return m.Run(), nil
}

// one is a cluster of one node with everything in place.
func one(t *testing.T, options kafka.Options) (*kafka.Cluster, *live.World) {
	t.Helper()
	c := kafka.Start(t, options)
	return c, live.New(t, binaries, c.Brokers(), registry, sizes(1)...)
}

// sizes are the flags that tell utopia how large a cluster is.
func sizes(nodes int) []string {
	return []string{"--replicas", fmt.Sprint(nodes), "--min-in-sync", fmt.Sprint(min(2, nodes))}
}
