package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"utopia/cmd/internal/api"
	"utopia/processors"
	"utopia/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Bare is a gateway that is not run: routing, limits and rights need no cluster.
func Bare(tb testing.TB, change ...func(*Config)) *Gateway {
	tb.Helper()
	v, err := OpenViews(processors.ViewOptions{IDs: schemas.NewMemoryIDs()})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := Config{IDs: schemas.NewMemoryIDs(), Views: v, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// Answered is an answer with its body read.
type Answered struct {
	Status int
	Header http.Header
	Body   []byte
}

func (a Answered) Problem(tb testing.TB) Problem {
	tb.Helper()
	var p Problem
	if err := json.Unmarshal(a.Body, &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
		tb.Fatalf("not a problem: %d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
	}
	return p
}

func (a Answered) Outcome(tb testing.TB) api.Outcome {
	tb.Helper()
	return Decoded[api.Outcome](tb, a)
}

// Decoded reads a body.
func Decoded[T any](tb testing.TB, a Answered) (v T) {
	tb.Helper()
	if err := json.Unmarshal(a.Body, &v); err != nil {
		tb.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return v
}

// Local sends a request through a handler, without a network.
func Local(tb testing.TB, h http.Handler, method, path, body string, headers ...string) Answered {
	tb.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	SetAll(r, headers)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return Answered{w.Code, w.Header(), w.Body.Bytes()}
}

// SetAll sets NAME, VALUE pairs.
func SetAll(r *http.Request, headers []string) {
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
}

// Over sends a request over a connection.
func Over(ctx context.Context, method, url, body string, headers ...string) (Answered, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return Answered{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	SetAll(r, headers)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return Answered{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return Answered{resp.StatusCode, resp.Header, b}, err
}

// Eventually polls.
func Eventually(tb testing.TB, within time.Duration, what string, ok func() bool) {
	tb.Helper()
	limit := time.Now().Add(within)
	for !ok() {
		if time.Now().After(limit) {
			tb.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
