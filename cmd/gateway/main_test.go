package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/cmd/internal/system/systemtest"
)

func execute(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	err := service.Run(spec())(ctx, args, &out, &errs)
	return run.ExitCode(err), out.String(), errs.String()
}

// There is no default that lets anybody in, and each wrong setting is named.
func TestNobodyIsLetInByDefault(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "api-keys")
	if err := os.WriteFile(keys, []byte("a clerk "+strings.Repeat("0a", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--api-keys: nobody could call":    nil,
		"must be a loopback address":       {"--open", "--listen", ":8090"},
		"--api-keys: open":                 {"--api-keys", "missing"},
		"--oidc-audience":                  {"--oidc-issuer", "https://issuer.example"},
		"--oidc-issuer: not a URL":         {"--oidc-issuer", "http://issuer.example", "--oidc-audience", "a"},
		"--listen-cert":                    {"--api-keys", keys, "--listen-cert", "missing"},
		"--rate":                           {"--api-keys", keys, "--rate", "-1"},
		"--max-streams:":                   {"--api-keys", keys, "--max-streams", "0"},
		"--max-streams-per-caller":         {"--api-keys", keys, "--max-streams-per-caller", "-1"},
		"--customer-query-key-file: a pas": {"--api-keys", keys, "--customer-query", "http://customer-1:9201"},
		"--customer-query: a query side":   {"--api-keys", keys, "--customer-query", "customer-1:9201"},
		"--drain-delay":                    {"--api-keys", keys, "--drain-delay", "1m"},
		`--listen: "nowhere" is not host`:  {"--api-keys", keys, "--listen", "nowhere"},
		"--link-keys: links that confirm":  {"--api-keys", keys},
	} {
		code, _, stderr := execute(t.Context(), append([]string{"run"}, args...)...)
		if code != run.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}

func TestANewKeyIsInTheFileByItsHash(t *testing.T) {
	code, line, key := execute(t.Context(), "new-api-key", "--name", "ada", "--role", "customer", "--customer", "c-17")
	key = strings.TrimSpace(key)
	if code != run.ExitOK || !strings.HasPrefix(key, "utopia_") || strings.Contains(line, key) {
		t.Fatal(code, line, key)
	}
	if want := gateway.KeyLine("ada", gateway.CustomerRole, "c-17", key) + "\n"; line != want {
		t.Errorf("%q, want %q", line, want)
	}
	if _, err := gateway.ParseKeys(strings.NewReader(line)); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"--name", "a b", "--role", "clerk"}, {"--name", "a", "--role", "chief"}, {"--name", "a", "--role", "customer"}, {"--name", "a", "--role", "clerk", "--customer", "c"}} {
		if code, _, _ := execute(t.Context(), append([]string{"new-api-key"}, args...)...); code != run.ExitUsage {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}

// The binary as an operator runs it: who has a key is served, and at the end /readyz says so first, requests that wait are
// answered, and nothing is cut off.
func TestItServesAndDrains(t *testing.T) {
	s := systemtest.Start(t)
	dir, address := t.TempDir(), free(t)
	keys := filepath.Join(dir, "api-keys")
	if err := os.WriteFile(keys, []byte(gateway.KeyLine("desk", gateway.Clerk, "", "secret")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- service.Run(spec())(running, []string{
			"run", "--brokers", s.Broker, "--registry", s.RegistryURL, "--link-keys", s.KeyFile, "--api-keys", keys,
			"--listen", address, "--http", "", "--state-dir", dir, "--log-level", "error", "--drain-delay", "500ms",
		}, io.Discard, &stderr)
	}()
	send := func(method, path, body string, headers ...string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for limit := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("not within a minute: %s\n%s", what, stderr.String())
			}
		}
	}
	until("ready", func() bool { status, err := send(http.MethodGet, "/readyz", ""); return err == nil && status == 200 })
	const person = `{"name":"Ada","email":"ada@example.org","address":{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}}`
	if status, err := send(http.MethodPut, "/v1/customers/c-1", person); status != 401 {
		t.Fatal(status, err)
	}
	if status, err := send(http.MethodPut, "/v1/customers/c-1", person, "Authorization", "Bearer secret"); status != 200 {
		t.Fatal(status, err)
	}
	type answer struct {
		status int
		err    error
	}
	waiting := make(chan answer, 1)
	go func() {
		status, err := send(http.MethodGet, "/v1/customers/c-1", "", "Authorization", "Bearer secret", "Utopia-After", "customer/c-1@9", "Prefer", "wait=30")
		waiting <- answer{status, err}
	}()
	time.Sleep(100 * time.Millisecond) // until the request is there: nothing tells
	began := time.Now()
	stop()
	until("unready while it still serves", func() bool { status, _ := send(http.MethodGet, "/readyz", ""); return status == 503 })
	if a := <-waiting; a.status != http.StatusGatewayTimeout || a.err != nil {
		t.Errorf("a request that waited: %d %v", a.status, a.err)
	}
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
