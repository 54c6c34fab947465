package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/login/issuertest"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/cmd/internal/system"
)

// What logging in needs is named before anything connects.
func TestPagesNeedALogin(t *testing.T) {
	good := []string{"--oidc-issuer", "https://i.example", "--oidc-client-id", "x", "--session-keys", "missing", "--pages-url", "https://u.example"}
	for want, args := range map[string][]string{
		"--oidc-issuer: needed with --pages":        {"--pages"},
		"--oidc-client-id: needed":                  {"--pages"},
		"--session-keys: needed":                    {"--pages"},
		"--pages-url: needed":                       {"--pages"},
		"--session-keys: has no effect":             {"--open", "--session-keys", "x"},
		"--pages-url: not a URL of https":           append([]string{"--pages"}, append(good, "--pages-url", "http://u.example")...),
		"--oidc-client-secret-file":                 append([]string{"--pages", "--oidc-client-secret-file", "missing"}, good...),
		"--oidc-audience: tokens need both":         {"--oidc-issuer", "https://i.example"},
		"--pages-url: not a URL of https, or of ht": append([]string{"--pages"}, append(good, "--pages-url", "https://u.example/x")...),
	} {
		code, _, stderr := execute(t.Context(), append([]string{"run"}, args...)...)
		if code != run.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}

// The binary serves pages to who logs in, and the API beside them to who has a key; a page's cookie opens no API.
func TestItServesPages(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s, err := system.New(ctx, system.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	issuer := issuertest.New(t, map[string]any{"utopia_role": "clerk"})
	dir, address := t.TempDir(), free(t)
	line, err := links.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, secret := filepath.Join(dir, "session-keys"), filepath.Join(dir, "secret")
	for file, text := range map[string]string{keys: line, secret: issuer.Secret} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- service.Run(spec())(running, []string{
			"run", "--brokers", s.Broker, "--registry", s.RegistryURL, "--link-keys", s.KeyFile, "--pages", "--pages-url", "http://" + address,
			"--session-keys", keys, "--oidc-issuer", issuer.URL, "--oidc-client-id", issuer.ClientID, "--oidc-client-secret-file", secret,
			"--listen", address, "--http", "", "--log-level", "error", "--drain-delay", "0s",
		}, io.Discard, io.Discard)
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	open := func(path string) (*http.Response, string) {
		resp, err := browser.Get("http://" + address + path)
		if err != nil {
			return nil, err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if resp, body := open("/readyz"); resp != nil && resp.StatusCode == http.StatusOK {
			break
		} else if time.Now().After(limit) {
			t.Fatal(body)
		}
	}
	resp, body := open("/register")
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/register" || !strings.Contains(body, "You are a clerk.") {
		t.Fatalf("%d %s\n%s", resp.StatusCode, resp.Request.URL, body)
	}
	if resp, body = open("/customers/c-1"); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "Nobody is known as c-1") {
		t.Errorf("%d\n%s", resp.StatusCode, body)
	}
	if resp, body = open("/v1/customers/c-1"); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d\n%s", resp.StatusCode, body)
	}
	if resp, body = open("/nowhere"); resp.StatusCode != http.StatusNotFound || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%d\n%s", resp.StatusCode, body)
	}
}
