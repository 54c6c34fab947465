//go:build foreign

package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

const (
	root     = "../.."
	patience = 3 * time.Minute
)

// system is a running `utopia up`.
type system struct {
	bin      string // the command line
	broker   string
	registry string
}

// up builds the command line and runs the whole system on free ports until the test ends.
func up(t *testing.T) *system {
	t.Helper()
	s := &system{bin: filepath.Join(t.TempDir(), "utopia")}
	run(t, root, nil, "go", "build", "-o", s.bin, "./cmd/utopia")
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, s.bin, "up", "--kafka-port", "0", "--registry-port", "0", "--http-port", "0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addresses := make(chan [2]string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		banner(out, addresses)
	}()
	t.Cleanup(func() {
		kill()
		<-read
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("utopia up: %v", err)
		}
		if t.Failed() {
			t.Logf("utopia up said:\n%s", stderr.String())
		}
	})
	select {
	case a, ok := <-addresses:
		if !ok {
			t.Fatal("utopia up ended before it was up")
		}
		s.broker, s.registry = a[0], a[1]
	case <-time.After(patience):
		t.Fatal("utopia up is not up")
	}
	return s
}

// banner reads the addresses that a person reads, and then everything else.
func banner(out io.Reader, addresses chan<- [2]string) {
	defer close(addresses)
	var found [2]string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch name {
		case "Kafka":
			found[0] = strings.TrimSpace(value)
		case "registry":
			found[1] = strings.TrimSpace(value)
		}
		if found[0] != "" && found[1] != "" {
			addresses <- found
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
}

// run runs a program to its end and returns what it printed.
func run(t *testing.T, dir string, stdin io.Reader, name string, args ...string) []byte {
	t.Helper()
	return runIn(t, dir, nil, stdin, name, args...)
}

// runIn is run with an environment; nil is ours.
func runIn(t *testing.T, dir string, env []string, stdin io.Reader, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // the first installation is the slowest
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return out
}

// tool finds a program. Continuous checks have all of them; elsewhere the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// sent is a record that a client has stored.
type sent struct {
	Key       string `json:"key"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// checkMoved reads the commands topic: each record in the wrong partition was sent on once, to the right one, no other was.
// It returns how many were sent on.
func (s *system) checkMoved(t *testing.T, all []sent) int {
	t.Helper()
	want := map[string]bool{}
	last := map[int32]int64{}
	for _, r := range all {
		last[r.Partition] = max(last[r.Partition], r.Offset)
		if topics.Partition(r.Key, topics.EmbeddedPartitions) != r.Partition {
			want[fmt.Sprintf("%s/%d/%d", topics.CustomerCommands.Name, r.Partition, r.Offset)] = true
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker), kgo.ConsumeTopics(topics.CustomerCommands.Name), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := map[string]bool{}
	for seen := 0; seen < len(all)+len(want); {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records sent on: %v", len(got), len(want), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			for _, h := range r.Headers {
				if h.Key != "utopia-moved-from" {
					continue
				}
				if got[string(h.Value)] || topics.Partition(string(r.Key), topics.EmbeddedPartitions) != r.Partition {
					t.Errorf("record %s was sent on twice or to partition %d", h.Value, r.Partition)
				}
				got[string(h.Value)] = true
			}
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	return len(got)
}

// TestPython: librdkafka places keys by CRC32; every command is answered all the same, once, and Python decodes replies,
// states and changes by what the embedded registry says.
func TestPython(t *testing.T) {
	tool(t, "python3")
	python := strings.TrimSpace(string(run(t, ".", nil, "sh", "python/install.sh")))
	s := up(t)
	out := run(t, ".", nil, python, "-B", "python/move.py", "--brokers", s.broker, "--registry", s.registry, "--sent")
	var got struct {
		Customers int
		Cities    []string
		Names     []string
		Pending   int
		Events    []string
		Refusal   string
		Sent      []sent
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := got.Sent
	got.Sent = nil
	want := got
	want.Customers, want.Cities, want.Names = 12, []string{"Gouda"}, []string{"Zoë Müller"}
	want.Pending, want.Events, want.Refusal = 0, []string{"Amsterdam to Gouda"}, "not_registered"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if moved := s.checkMoved(t, all); len(all) != 3*12+1 || moved == 0 {
		t.Fatalf("%d commands, %d sent on: the default partitioner was not tried", len(all), moved)
	}
}

// TestKcat: bytes made by `utopia encode` are produced by kcat, with its default partitioner.
func TestKcat(t *testing.T) {
	kcat := tool(t, "kcat")
	s := up(t)
	dir := t.TempDir()
	var all []sent
	for i := range 8 {
		key := fmt.Sprintf("kcat-%d", i)
		register := fmt.Sprintf(`{"customerId":%q,"name":"Ada","email":"ada@example.org","metadata":{"commandId":"register-%d"},
			"address":{"country":"NL","city":"Amsterdam","postCode":"1012 JS","street":"Dam 1"}}`, key, i)
		file := filepath.Join(dir, key+".bin")
		run(t, dir, strings.NewReader(register), s.bin, "encode", topics.CustomerCommands.Name, "--type", "RegisterCustomer", "--registry", s.registry, "--out", file)
		run(t, dir, nil, kcat, "-P", "-b", s.broker, "-t", topics.CustomerCommands.Name, "-k", key, file)
	}
	// kcat prints nothing about where it stored; the topic says.
	replies := map[string]string{}
	for deadline := time.Now().Add(patience); len(replies) < 8; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 8 replies", len(replies))
		}
		out := run(t, dir, nil, s.bin, "consume", topics.CustomerReplies.Name, "--brokers", s.broker, "--registry", s.registry, "--value", "-o", "json")
		for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
			var r struct{ CommandID, Outcome, Key string }
			if err := dec.Decode(&r); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			replies[r.CommandID] = r.Outcome + " " + r.Key
		}
	}
	for i := range 8 {
		if got, want := replies[fmt.Sprintf("register-%d", i)], fmt.Sprintf("accepted kcat-%d", i); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	lines := run(t, dir, nil, kcat, "-C", "-q", "-e", "-b", s.broker, "-t", topics.CustomerCommands.Name, "-f", "%k %p %o %h\n")
	for line := range strings.Lines(string(lines)) {
		var r sent
		if n, _ := fmt.Sscanf(line, "%s %d %d", &r.Key, &r.Partition, &r.Offset); n == 3 && !strings.Contains(line, "utopia-moved-from") {
			all = append(all, r)
		}
	}
	if moved := s.checkMoved(t, all); len(all) != 8 || moved == 0 {
		t.Fatalf("%d commands, %d sent on: the default partitioner was not tried", len(all), moved)
	}
}

// TestJava runs the reference client, which needs Maven and its downloads: only where UTOPIA_JAVA is set.
func TestJava(t *testing.T) {
	if os.Getenv("UTOPIA_JAVA") == "" {
		t.Skip("set UTOPIA_JAVA=1 to build and run the Java client")
	}
	mvn := tool(t, "mvn")
	s := up(t)
	out := run(t, "java", nil, mvn, "--batch-mode", "--quiet", "compile", "exec:java", "-Dbroker="+s.broker, "-Dregistry="+s.registry)
	if !strings.Contains(string(out), "accepted") || !strings.Contains(string(out), "Gouda") {
		t.Fatalf("%s", out)
	}
}
