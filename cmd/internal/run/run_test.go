package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedBuffer collects a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func cluster(t *testing.T) []kgo.Opt {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

func TestExitCodes(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"success":          {nil, run.ExitOK},
		"failure":          {boom, run.ExitFailure},
		"usage":            {run.Usagef("unknown flag: %w", boom), run.ExitUsage},
		"wrapped usage":    {fmt.Errorf("produce: %w", run.Usage(boom)), run.ExitUsage},
		"configuration":    {fmt.Errorf("x: %w", config.ErrInvalid), run.ExitUsage},
		"a printed report": {run.Quiet(boom), run.ExitFailure},
	} {
		if got := run.ExitCode(tc.err); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if run.Usage(nil) != nil || run.Usage(boom).Error() != "boom" || !errors.Is(run.Usage(boom), boom) {
		t.Error("Usage changes the error")
	}
	if !run.IsQuiet(fmt.Errorf("x: %w", run.Quiet(boom))) || run.IsQuiet(boom) {
		t.Error("IsQuiet")
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestReadyFollowsTheParts(t *testing.T) {
	var mu sync.Mutex
	recovering := errors.New("recovered 40 of 100 records")
	setReady := func() { mu.Lock(); recovering = nil; mu.Unlock() }
	s := &run.Server{Log: quiet(), Client: cluster(t), Metrics: http.NotFoundHandler()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx,
			run.Part{Name: "customer", Run: waitForEnd, Ready: func() error { mu.Lock(); defer mu.Unlock(); return recovering }},
			run.Part{Name: "view", Run: waitForEnd})
	}()
	eventually(t, "parts are asked", func() bool {
		code, body := get(t, s.Handler(), "/readyz")
		return code == http.StatusServiceUnavailable && body == "customer: recovered 40 of 100 records"
	})
	if code, body := get(t, s.Handler(), "/livez"); code != http.StatusOK || body != "ok" {
		t.Errorf("/livez %d %s", code, body)
	}
	setReady()
	if code, body := get(t, s.Handler(), "/readyz"); code != http.StatusOK || body != "ok" {
		t.Errorf("/readyz %d %s", code, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("a stop on request is no failure: %v", err)
	}
	if code, body := get(t, s.Handler(), "/readyz"); code != http.StatusServiceUnavailable || body != "stopping" {
		t.Errorf("/readyz after the stop %d %s", code, body)
	}
}

func waitForEnd(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAPartThatCannotGoOnEndsTheOthers(t *testing.T) {
	boom := errors.New("another process runs as instance a")
	s := &run.Server{Log: quiet(), Client: cluster(t)}
	err := s.Serve(t.Context(),
		run.Part{Name: "customer", Run: func(context.Context) error { return boom }},
		run.Part{Name: "view", Run: waitForEnd})
	if !errors.Is(err, boom) || err.Error() != "customer: another process runs as instance a" {
		t.Fatal(err)
	}
}

func TestTheAddressServesAndATakenOneIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	taken := &run.Server{Log: quiet(), HTTP: address, Client: cluster(t)}
	if err := taken.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "--http "+address) {
		t.Fatalf("a port in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := &run.Server{Log: quiet(), HTTP: address, Client: cluster(t)}
	go func() { done <- s.Serve(ctx, run.Part{Name: "p", Run: waitForEnd}) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "answers over TCP", func() bool {
		resp, err := client.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAClusterThatIsDownAtStartIsWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	port := int(netip.MustParseAddrPort(address).Port())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	s := &run.Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Client: []kgo.Opt{kgo.SeedBrokers(address)}}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, run.Part{Name: "p", Run: func(ctx context.Context) error { close(started); return waitForEnd(ctx) }})
	}()
	eventually(t, "the wait is said", func() bool {
		return strings.Contains(log.String(), "no broker answers; check --brokers") && strings.Contains(log.String(), address)
	})
	if code, body := get(t, s.Handler(), "/readyz"); code != http.StatusServiceUnavailable || body != "waiting for the cluster" {
		t.Errorf("/readyz %d %s", code, body)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port))
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer c.Close()
	select {
	case <-started:
	case <-time.After(30 * time.Second):
		t.Fatal("not started after the cluster came up")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestASignalWhileTheClusterIsDownEndsWithoutFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log lockedBuffer
	s := &run.Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}}
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, run.Part{Name: "p", Run: func(context.Context) error { return errors.New("started") }})
	}()
	eventually(t, "first attempt", func() bool { return strings.Contains(log.String(), "no broker answers") })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
