package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"utopia/cmd/internal/links"
	"utopia/schemas"
)

// names is a name server that answers each question with the next address, so that a name can mean another one every time.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	var asked atomic.Int64
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			for {
				if answerName(server, addresses, &asked) != nil {
					return
				}
			}
		}()
		return client, nil // a stream: two bytes of length before each message
	}}
}

func answerName(conn net.Conn, addresses []string, asked *atomic.Int64) error {
	size := make([]byte, 2)
	if _, err := io.ReadFull(conn, size); err != nil {
		return err
	}
	b := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	ip := netip.MustParseAddr(addresses[int(asked.Load())%len(addresses)])
	q := m.Questions[0]
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch {
	case q.Type == dnsmessage.TypeA && ip.Is4():
		asked.Add(1)
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && !ip.Is4():
		asked.Add(1)
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
	}
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...))
	return err
}

func testKeys(t *testing.T) links.Keys {
	t.Helper()
	line, err := links.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := links.ParseKeys(strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func hook(target string) *schemas.WebhookState {
	return &schemas.WebhookState{WebhookFields: schemas.WebhookFields{WebhookID: "w-1", URL: target, Secret: schemas.WebhookSecret{Version: 1, At: 1, KeyID: "k1"}}}
}

// dial asks for a URL and wants to hear why not.
func dial(client *http.Client, target string) error {
	resp, err := client.Get(target)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

// inside lists addresses that no webhook may have.
func inside() []string {
	return []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.0.8",
		"::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1",
		"2001:db8::1", "2002:7f00:1::", "2001::1", "100::1", "fec0::1",
	}
}

// Neither as a number nor behind a name is anything inside called: a server there sees no connection at all.
func TestNothingInsideIsCalled(t *testing.T) {
	var hits atomic.Int64
	canary := func(network, address string) string {
		l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
		if err != nil {
			t.Skip("no ", address)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				hits.Add(1)
				_ = conn.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	port := canary("tcp", "127.0.0.1:0")
	_ = canary("tcp", "127.0.0.1:8443") // a port that is allowed
	guard, keys := Guard{}, testKeys(t)
	for _, ip := range inside() {
		host := ip
		if strings.Contains(ip, ":") {
			host = "[" + ip + "]"
		}
		if err := guard.Check("https://" + host + "/"); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", ip, err)
		}
		c := &httpCaller{guard: guard, client: guard.client(nil, names(t, ip)), keys: keys}
		for _, target := range []string{"https://inside.example.org:8443/", "https://inside.example.org./"} {
			if out := c.call(t.Context(), hook(target), message{id: "x"}); out.code != codeRefused {
				t.Errorf("%s behind %s: %s", ip, target, out.code)
			}
		}
		// Even without the look at the URL.
		if err := dial(c.client, "https://"+host+":8443/"); !errors.Is(err, ErrAddress) {
			t.Errorf("dialled %s: %v", ip, err)
		}
	}
	for target, want := range map[string]error{
		"http://example.org/": ErrScheme, "ftp://example.org/": ErrScheme, "https://u:p@example.org/": ErrTarget, "https:///x": ErrTarget,
		"https://example.org:22/": ErrPort, "https://example.org:" + port + "/": ErrPort, "https://127.0.0.1:" + port + "/": ErrPort,
	} {
		if err := guard.Check(target); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", target, err, want)
		}
	}
	// A name that means another address each time: what is dialled is checked, not what was looked up before.
	rebinding := guard.client(nil, names(t, "127.0.0.1", "10.0.0.1"))
	for range 3 {
		if err := dial(rebinding, "https://rebinding.example.org:8443/"); !errors.Is(err, ErrAddress) {
			t.Errorf("rebinding: %v", err)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections inside", n)
	}
	if err := (Guard{}).Check("https://example.org/hook?x=1"); err != nil {
		t.Error(err)
	}
	if err := (Guard{Loopback: true}).Check("http://10.0.0.1/"); !errors.Is(err, ErrAddress) {
		t.Errorf("development lets more in than loopback: %v", err)
	}
}

// The environment's proxy would be dialled in the place of the address that is checked.
func TestNoProxyIsObeyed(t *testing.T) {
	transport, ok := Guard{}.client(nil, nil).Transport.(*http.Transport)
	if !ok || transport.Proxy != nil {
		t.Error("a proxy may be used")
	}
}

// What a receiver answers cannot lead anywhere, and cannot take more than its time and size.
func TestAnAnswerIsAStatus(t *testing.T) {
	var elsewhere atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("/fine", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	defer plain.Close()
	defer secure.Close()
	guard := Guard{Loopback: true}
	client := guard.client(nil, nil)
	defer client.CloseIdleConnections()
	c := &httpCaller{guard: guard, client: client, keys: testKeys(t)}
	for path, want := range map[string]outcome{
		"/moved": {code: "status_307"}, "/large": {code: Taken}, "/busy": {code: "status_429", after: 2 * time.Minute}, "/gone": {code: codeGone},
		"/fine": {code: Taken},
	} {
		if out := c.call(t.Context(), hook(plain.URL+path), message{id: "x"}); out != want {
			t.Errorf("%s: %+v, want %+v", path, out, want)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("followed %d times", n)
	}
	if out := c.call(t.Context(), hook(secure.URL+"/fine"), message{id: "x"}); out.code != codeTLS {
		t.Errorf("a certificate that nobody trusts: %+v", out)
	}
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := guard.client(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil)
	defer trusting.CloseIdleConnections()
	if out := (&httpCaller{guard: guard, client: trusting, keys: c.keys}).call(t.Context(), hook(secure.URL+"/fine"), message{id: "x"}); !out.taken() {
		t.Errorf("a certificate that is trusted: %+v", out)
	}
	if out := (&httpCaller{guard: guard, client: client}).call(t.Context(), hook(plain.URL+"/fine"), message{id: "x"}); out.code != codeKey {
		t.Errorf("without the key: %+v", out)
	}
	plain.Close()
	if out := c.call(t.Context(), hook(plain.URL+"/fine"), message{id: "x"}); out.code != codeConnect {
		t.Errorf("nobody there: %+v", out)
	}
}
