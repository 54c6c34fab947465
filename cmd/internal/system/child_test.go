package system

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
)

// serve runs a broker process in this one and returns its address and what ends it.
func serve(t *testing.T, dir string) (addr string, stop func()) {
	t.Helper()
	in, hold := io.Pipe()
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- ServeBroker(t.Context(), dir, 0, in, out) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), brokerReady)
	if !ok {
		t.Fatal(line)
	}
	return addr, func() {
		_ = hold.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// A broker that was killed leaves transactions open in its files. The next one ends them with markers, so that readers
// reach the end of the log and nothing of them is ever shown.
func TestABrokerThatWasKilledLeavesNothingOpen(t *testing.T) {
	dir, crashed := t.TempDir(), filepath.Join(t.TempDir(), "crashed")
	c, err := startBroker(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	addr := c.ListenAddrs()[0]
	adm := kadm.NewClient(client(t, addr))
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	writer := client(t, addr, kgo.TransactionalID("w"), kgo.DefaultProduceTopic("t"))
	write := func(text string) *kgo.Record {
		t.Helper()
		r := kgo.StringRecord(text)
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := writer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := kafkaclient.EndTransaction(t.Context(), writer, kgo.TryCommit, write("committed")); err != nil {
		t.Fatal(err)
	}
	write("open")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil { // what the disk holds when the broker is killed now
		t.Fatal(err)
	}
	c.Close()

	for range 2 { // the second start finds it closed in order
		addr, stop := serve(t, crashed)
		ends, err := kadm.NewClient(client(t, addr)).ListEndOffsets(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		stable, err := kadm.NewClient(client(t, addr)).ListCommittedOffsets(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		end, _ := ends.Lookup("t", 0)
		if s, _ := stable.Lookup("t", 0); s.Offset != end.Offset || end.Offset != 4 { // two records and a marker for each
			t.Fatalf("stable %d, end %d", s.Offset, end.Offset)
		}
		reader := client(t, addr, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
		var texts []string
		for last := int64(-1); last < end.Offset-1; {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			fetches := reader.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatal("the reader does not reach the end of the log")
			}
			cancel()
			fetches.EachRecord(func(r *kgo.Record) {
				last = r.Offset
				if !r.Attrs.IsControl() {
					texts = append(texts, string(r.Value))
				}
			})
		}
		if len(texts) != 1 || texts[0] != "committed" {
			t.Fatal(texts)
		}
		reader.Close()
		stop()
		if _, err := os.Stat(filepath.Join(crashed, "broker-closed")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABusyPortIsNamedWithTheFlagThatChangesIt(t *testing.T) {
	c, err := startBroker("", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, _ := strings.Cut(c.ListenAddrs()[0], ":")
	var n int
	for _, d := range port {
		n = n*10 + int(d-'0')
	}
	_, err = startBroker("", n)
	if !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), "--kafka-port") {
		t.Fatal(err)
	}
}
