package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// firstCompiler is enough for what does not run hot.
const firstCompiler = "-XX:TieredStopAtLevel=1"

// node is one broker and controller.
type node struct {
	id         int
	dir, parts string
	heap       string
	warm       bool

	clients, brokers, controllers string // addresses that it listens on
	advertised                    string // the one that clients are told

	mu sync.Mutex
	p  *process
}

func (n *node) log() string        { return filepath.Join(n.dir, "log") }
func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.p
}

// prepare writes the node's properties.
func (n *node) prepare(common map[string]string, o Options, a *authority) error {
	advertise := o.Advertise
	if advertise == nil {
		advertise = func(_ Listener, _ int, address string) (string, error) { return address, nil }
	}
	clients, err := advertise(Clients, n.id, n.clients)
	if err != nil {
		return err
	}
	brokers, err := advertise(Brokers, n.id, n.brokers)
	if err != nil {
		return err
	}
	n.advertised = clients
	p := maps.Clone(common)
	p["node.id"] = fmt.Sprint(n.id)
	p["log.dirs"] = filepath.Join(n.dir, "data")
	p["listeners"] = fmt.Sprintf("%s://%s,%s://%s,%s://%s", Clients, n.clients, Brokers, n.brokers, controllers, n.controllers)
	p["advertised.listeners"] = fmt.Sprintf("%s://%s,%s://%s", Clients, clients, Brokers, brokers)
	if err := os.MkdirAll(n.dir, 0o750); err != nil {
		return err
	}
	if a != nil {
		store := filepath.Join(n.dir, "server.pem")
		if err := a.issue(n.id, store); err != nil {
			return err
		}
		maps.Copy(p, a.properties(store))
	}
	return os.WriteFile(n.properties(), []byte(propertiesFile(p)), 0o600)
}

// java is the command line of one of Kafka's programs.
func (n *node) java(jvm []string, main string, args ...string) []string {
	all := append(jvm, "-cp", filepath.Join(n.parts, "kafka", "*"),
		"-Dlog4j2.configurationFile="+filepath.Join(n.parts, "log4j2.properties"), main)
	return append(all, args...)
}

// format gives the node's data directory its cluster and the features it begins with.
func (n *node) format(ctx context.Context, cluster string, transactions int, a *authority) error {
	args := []string{"format", "--cluster-id", cluster, "--config", n.properties()}
	if transactions != 0 {
		args = append(args, "--feature", fmt.Sprintf("transaction.version=%d", transactions))
	}
	if a != nil {
		args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", Admin, a.password))
	}
	cmd := exec.CommandContext(ctx, "java", n.java([]string{firstCompiler, "-Xmx128m"}, "kafka.tools.StorageTool", args...)...) //nolint:gosec // our own words
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format node %d: %w\n%s", n.id, err, out)
	}
	return nil
}

func (n *node) start() error {
	heap := n.heap
	if heap == "" {
		heap = "512m"
	}
	// As Kafka's own start script does.
	jvm := []string{
		"-Xmx" + heap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-Djava.awt.headless=true",
	}
	if !n.warm {
		jvm = append(jvm, firstCompiler)
	}
	p, err := startProcess(n.log(), "java", n.java(jvm, "kafka.Kafka", n.properties())...)
	if err != nil {
		return fmt.Errorf("node %d: %w", n.id, err)
	}
	n.mu.Lock()
	n.p = p
	n.mu.Unlock()
	return nil
}

// failed returns an error if the node ended by itself with one.
func (n *node) failed() error {
	end, over := n.process().ended()
	if !over || end == nil || strings.Contains(end.Error(), "signal") { // somebody stopped it
		return nil
	}
	text := tail(n.log())
	if strings.Contains(text, "Address already in use") {
		return fmt.Errorf("node %d: %w", n.id, errPort)
	}
	return fmt.Errorf("node %d ended by itself: %w\n%s", n.id, end, text)
}

// tail is the end of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
