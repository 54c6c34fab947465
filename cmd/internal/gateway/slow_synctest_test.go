//go:build synctests

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener without a network, so that time can be virtual.
type pipes struct {
	dialled chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.dialled <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Two thousand connections that send a byte a second, of a header or of a body, or nothing, hold up nobody and are closed when their time is
// over; so is one that does not read its answers.
func TestSlowCallers(t *testing.T) { synctest.Test(t, slowCallers) }

func slowCallers(t *testing.T) {
	const each = 500
	g, l := Bare(t, func(c *Config) { c.Open = true }), newPipes()
	server := g.server()
	served := make(chan error, 1)
	go func() { served <- serve(server, l) }()
	var slow sync.WaitGroup
	for what, one := range map[string]struct {
		head, drip string
		within     time.Duration
		status     string // of what it is told before the connection is closed
	}{
		"nothing":  {"", "", server.ReadHeaderTimeout, ""},
		"a header": {"POST /v1/confirmations HTTP/1.1\r\nHost: x\r\nX-Slow: ", "x", server.ReadHeaderTimeout, ""},
		"a body":   {"POST /v1/confirmations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n", " ", server.ReadTimeout, "408"},
		"a second request": {
			"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", server.IdleTimeout, "200",
		},
	} {
		for range each {
			c, err := l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			slow.Go(func() {
				began := time.Now()
				answer := make(chan string, 1)
				go func() { b, _ := io.ReadAll(c); answer <- string(b) }() // ends with the connection
				_, err := io.WriteString(c, one.head)
				for err == nil && time.Since(began) < 2*time.Minute {
					time.Sleep(time.Second)
					_, err = io.WriteString(c, one.drip)
					if one.drip == "" {
						break
					}
				}
				a := <-answer
				if took := time.Since(began); took > one.within+2*time.Second {
					t.Errorf("%s: closed after %v, want at most %v", what, took, one.within)
				}
				if one.status != "" && !strings.HasPrefix(a, "HTTP/1.1 "+one.status) {
					t.Errorf("%s: %.80q", what, a)
				}
			})
		}
	}
	time.Sleep(time.Second)
	client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	for range 100 { // while all of the others are there
		began := time.Now()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); resp.StatusCode != http.StatusOK || took > 0 {
			t.Errorf("%d after %v", resp.StatusCode, took)
		}
		_ = resp.Body.Close()
	}
	client.CloseIdleConnections()
	slow.Wait()
	deaf(t, l, server.WriteTimeout)
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// deaf asks and does not read the answer.
func deaf(t *testing.T, l *pipes, within time.Duration) {
	t.Helper()
	c, err := l.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(within + time.Second)
	n, err := io.Copy(io.Discard, bufio.NewReader(c))
	if err != nil || n > 1<<16 {
		t.Errorf("after %v it is still served: %d bytes, %v", within, n, err)
	}
}

// Who waits for as long as it may is answered then: the limits are on reading a request, not on waiting for its answer.
func TestALongWait(t *testing.T) { synctest.Test(t, longWait) }

func longWait(t *testing.T) {
	g, l := Bare(t), newPipes()
	server := g.server()
	server.Handler = g.outermost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusTeapot)
		case <-time.After(maxWait):
		}
	}))
	served := make(chan error, 1)
	go func() { served <- serve(server, l) }()
	client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	for _, body := range []string{"", "{}"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		_ = resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != http.StatusOK || took != maxWait {
			t.Errorf("%d after %v", resp.StatusCode, took)
		}
	}
	client.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
