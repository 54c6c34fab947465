package main

import (
	"context"
	"io"
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
	"utopia/cmd/internal/system/systemtest"
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
	s := systemtest.Start(t)
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
	running, stop := context.WithCancel(t.Context())
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
	type answer struct {
		status          int
		url, kind, body string
	}
	open := func(path string) answer {
		resp, err := browser.Get("http://" + address + path)
		if err != nil {
			return answer{body: err.Error()}
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Request.URL.Path, resp.Header.Get("Content-Type"), string(b)}
	}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if a := open("/readyz"); a.status == http.StatusOK {
			break
		} else if time.Now().After(limit) {
			t.Fatal(a)
		}
	}
	if a := open("/register"); a.status != http.StatusOK || a.url != "/register" || !strings.Contains(a.body, "You are a clerk.") {
		t.Fatal(a)
	}
	if a := open("/customers/c-1"); a.status != http.StatusNotFound || !strings.Contains(a.body, "Nobody is known as c-1") {
		t.Error(a)
	}
	if a := open("/flow"); a.status != http.StatusOK || !strings.Contains(a.body, "customer.commands.v1") || !strings.Contains(a.body, "As of ") {
		t.Error(a)
	}
	if a := open("/v1/customers/c-1"); a.status != http.StatusUnauthorized || a.kind != "application/problem+json" {
		t.Error(a)
	}
	if a := open("/nowhere"); a.status != http.StatusNotFound || !strings.HasPrefix(a.kind, "text/html") {
		t.Error(a)
	}
}
