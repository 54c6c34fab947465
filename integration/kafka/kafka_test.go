//go:build broker

package kafka_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"utopia/integration/kafka"
)

// parentVariable makes this test binary a parent that starts a cluster, says where it is, and waits to be killed.
const parentVariable = "UTOPIA_KAFKA_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		parent(dir)
	}
	os.Exit(m.Run())
}

func parent(dir string) {
	c, err := kafka.Run(context.Background(), dir, kafka.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, c.Brokers())
	select {}
}

// A node is killed and comes back with what it had; the version of transactions is the one that was asked for.
func TestNodesComeBackWithTheirData(t *testing.T) {
	for name, want := range map[string]struct {
		options kafka.Options
		version int16
	}{
		"one node, transactions 1":    {kafka.Options{Transactions: 1}, 1},
		"three nodes, transactions 2": {kafka.Options{Nodes: 3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafka.Start(t, want.options)
			client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.DefaultProduceTopic("things"), kgo.ConsumeTopics("things"))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			admin := kadm.NewClient(client)
			if got := transactionVersion(t, client); got != want.version {
				t.Errorf("transaction.version is %d, want %d", got, want.version)
			}
			if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, "things"); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(t.Context(), kgo.StringRecord("kept")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c.Kill(1)
			if err := c.Start(1); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			if err := c.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.Stop(1); err != nil {
				t.Fatal(err)
			}
			if err := c.Start(1); err != nil {
				t.Fatal(err)
			}
			fetches := client.PollFetches(ctx)
			if fetches.NumRecords() != 1 || string(fetches.Records()[0].Value) != "kept" {
				t.Fatalf("%d records: %v", fetches.NumRecords(), fetches.Err())
			}
		})
	}
}

func TestKafkaEndsWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.TrimSpace(address)), kgo.RetryTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); client.Ping(t.Context()) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("the broker outlives its parent")
		}
	}
}

func TestRegistryRefusesWhatIsNotCompatible(t *testing.T) {
	client, err := sr.NewClient(sr.URLs(kafka.StartRegistry(t).URL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range client.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatFullTransitive}, "things") {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	thing := func(field string) sr.Schema {
		return sr.Schema{Schema: fmt.Sprintf(`{"type":"record","name":"Thing","fields":[{"name":%q,"type":"string"}]}`, field)}
	}
	if _, err := client.CreateSchema(t.Context(), "things", thing("a")); err != nil {
		t.Fatal(err)
	}
	if s, err := client.CreateSchema(t.Context(), "things", thing("b")); err == nil {
		t.Fatalf("a registry that takes everything tests nothing: %+v", s)
	}
}

// transactionVersion asks a broker which version of transactions the cluster has.
func transactionVersion(t *testing.T, client *kgo.Client) int16 {
	t.Helper()
	request := kmsg.NewPtrApiVersionsRequest()
	request.ClientSoftwareName, request.ClientSoftwareVersion = "utopia", "test"
	response, err := request.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range response.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel
		}
	}
	return 0
}
