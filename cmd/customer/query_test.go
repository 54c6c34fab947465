package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/history"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/cmd/internal/system/systemtest"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// The binary as it is deployed serves the past of customers to who has the key; which commands led to which events.
func TestTheBinaryServesItsQuerySide(t *testing.T) {
	s := systemtest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	word := filepath.Join(t.TempDir(), "query-key")
	if err := os.WriteFile(word, []byte("the key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- service.Run(spec())(running, []string{
			"run", "--brokers", s.Broker, "--registry", s.RegistryURL, "--state-dir", t.TempDir(), "--http", "", "--dev", "--log-level", "error",
			"--query-listen", address, "--customer-query-key-file", word,
		}, io.Discard, &stderr)
	}()
	c, err := ask.New(t.Context(), ask.Config{Client: s.Client, IDs: s.IDs, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Ask(ctx, "ada", &schemas.CloseCustomer{CustomerID: "ada", Meta: schemas.Metadata{CommandID: "close-ada"}}); err != nil {
		t.Fatal(err)
	}
	client := history.NewClient([]string{"http://" + address}, "the key")
	var p history.Page
	for len(p.Entries) == 0 {
		if p, err = client.Entries(ctx, "ada", "", 10); ctx.Err() != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if e := p.Entries[0]; e.ID != "close-ada" || e.Type != "CloseCustomer" {
		t.Errorf("%+v", e)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

func TestAQuerySideNeedsAKey(t *testing.T) {
	base := []string{"run", "--state-dir", t.TempDir(), "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1"}
	for want, args := range map[string][]string{
		"--customer-query-key-file: a password is needed": {"--query-listen", ":9201"},
		`--query-listen: "here" is not host:port`:         {"--query-listen", "here"},
		"--query-cert: TLS needs both":                    {"--query-listen", ":9201", "--query-cert", "missing"},
	} {
		var stderr bytes.Buffer
		err := service.Run(spec())(t.Context(), append(base, args...), io.Discard, &stderr)
		if got := fmt.Sprint(stderr.String()); run.ExitCode(err) != run.ExitUsage || !strings.Contains(got, want) {
			t.Errorf("%v: exit %d, %s", args, run.ExitCode(err), got)
		}
	}
}
