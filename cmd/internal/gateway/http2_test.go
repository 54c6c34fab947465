package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"utopia/cmd/internal/gateway"
)

// A browser or a load balancer sends everything over one connection (HTTP/2): commands do not wait for each other, a stream beside them
// hears of what they did, and a gateway that stops in order ends it.
func TestManyRequestsOverOneConnection(t *testing.T) {
	w := start(t)
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := w.gateway(func(c *gateway.Config) {
		c.Listen = func(context.Context) (net.Listener, error) { return l, nil }
		c.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS13}
	})
	var dialled atomic.Int64
	trusting, _ := certified.Client().Transport.(*http.Transport)
	transport := &http.Transport{
		TLSClientConfig: trusting.TLSClientConfig.Clone(), ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	balancer := &http.Client{Transport: transport, Timeout: time.Minute}
	do := func(method, path, body string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+l.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return nil
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := balancer.Do(r)
		if err != nil {
			t.Error(err)
			return nil
		}
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Errorf("%s %s: %s %s", method, path, resp.Proto, resp.Status)
		}
		return resp
	}
	stream := do(http.MethodGet, streamPath, "")
	if t.Failed() {
		return
	}
	defer func() { _ = stream.Body.Close() }()
	var heard atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				heard.Add(1)
			}
		}
	}()
	const people = 100
	var all sync.WaitGroup
	for n := range people {
		all.Go(func() {
			if resp := do(http.MethodPut, fmt.Sprintf("/v1/customers/h-%d", n), person(fmt.Sprintf("h-%d", n))); resp != nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	gateway.Eventually(t, time.Minute, "the stream has told of everybody", func() bool { return heard.Load() == people })
	i.stop()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the stream did not end")
	}
}
