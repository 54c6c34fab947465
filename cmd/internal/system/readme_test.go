package system

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheReadmesRequests sends what the README types with curl, in its order, to a running system.
func TestTheReadmesRequests(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := New(ctx, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ready, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if err := s.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if strings.HasPrefix(line, "curl ") {
				sent++
				curl(t, strings.ReplaceAll(line, "http://127.0.0.1:8080", s.HTTPURL))
			}
		}
	}
	if sent < 5 {
		t.Errorf("%d requests found", sent)
	}
	for _, path := range []string{"/docs", "/openapi.json", "/problems/erased"} {
		get(t, s.HTTPURL+path, http.StatusOK)
	}
}

// curl is as much of curl as the README needs.
func curl(t *testing.T, line string) {
	t.Helper()
	var words []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	method, url, body, stream := http.MethodGet, "", "", false
	headers := http.Header{}
	for i := 1; i < len(words); i++ {
		switch w := words[i]; w {
		case "-i":
		case "-N":
			stream = true
		case "-X", "-H", "-d":
			i++
			switch w {
			case "-X":
				method = words[i]
			case "-d":
				body = words[i]
			case "-H":
				name, value, _ := strings.Cut(words[i], ": ")
				headers.Set(name, value)
			}
		default:
			url = w
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = headers
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if stream { // until the first event
		events := bufio.NewScanner(resp.Body)
		for events.Scan() {
			if strings.HasPrefix(events.Text(), "data: {") && resp.StatusCode == http.StatusOK {
				return
			}
		}
		t.Errorf("%s: %d and no event: %v", line, resp.StatusCode, events.Err())
		return
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %v\n%s", line, resp.StatusCode, err, answer)
	}
}
