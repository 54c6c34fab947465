package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/system"
	"utopia/cmd/internal/system/systemtest"
	"utopia/processors"
)

// world is the whole system in this process; gateways are started beside it.
type world struct {
	*system.System
	t *testing.T
}

func start(t *testing.T) *world {
	t.Helper()
	return &world{systemtest.Start(t), t}
}

// instance is one running gateway.
type instance struct {
	*gateway.Gateway
	url    string
	t      *testing.T
	doc    *document
	cut    *cut
	stop   func()
	server *httptest.Server
}

// gateway starts one more.
func (w *world) gateway(change ...func(*gateway.Config)) *instance {
	w.t.Helper()
	views, err := gateway.OpenViews(processors.ViewOptions{Client: w.Client, IDs: w.IDs})
	if err != nil {
		w.t.Fatal(err)
	}
	i := &instance{t: w.t, cut: &cut{}}
	cfg := gateway.Config{
		Client: append(append([]kgo.Opt{}, w.Client...), kgo.Dialer(i.cut.dial)), IDs: w.IDs, Views: views, Links: w.Keys, Open: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	if i.Gateway, err = gateway.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	if cfg.Listen == nil {
		i.server = httptest.NewServer(i.Handler())
		i.url = i.server.URL
	}
	var once sync.Once
	i.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("the gateway ended with: %v", err)
			}
			if i.server != nil {
				i.server.Close()
			}
		})
	}
	w.t.Cleanup(i.stop)
	gateway.Eventually(w.t, time.Minute, "a gateway is ready", func() bool { return i.Ready() == nil })
	if i.server != nil {
		i.doc = readDocument(w.t, i.url)
	}
	return i
}

// do sends a request and checks that the answer is one that the API's document describes.
func (i *instance) do(method, path, body string, headers ...string) gateway.Answered {
	i.t.Helper()
	a, err := gateway.Over(context.Background(), method, i.url+path, body, headers...)
	if err != nil {
		i.t.Fatal(err)
	}
	i.doc.check(i.t, method, path, a)
	return a
}

const (
	address = `{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}`
	berlin  = `{"country":"DE","city":"Berlin","postCode":"10115","street":["Invalidenstr. 117"]}`
)

func person(id string) string {
	return `{"name":"Grace Hopper","email":"` + id + `@example.org","language":"en","address":` + address + `}`
}

// register makes a customer, for whom the link of a requested change is then waited for.
func (i *instance) register(id string) {
	i.t.Helper()
	if a := i.do(http.MethodPut, "/v1/customers/"+id, person(id)); a.Status != http.StatusOK {
		i.t.Fatalf("register %s: %d %s", id, a.Status, a.Body)
	}
}

// link waits for the token of a purpose in the mails to a customer.
func (w *world) link(id, purpose string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	token := ""
	_, err := w.Inbox.Wait(ctx, func(m smtpd.Mail) bool {
		if len(m.To) != 1 || m.To[0] != id+"@example.org" {
			return false
		}
		for field := range strings.FieldsSeq(m.Text) {
			if c, err := links.Verify(w.Keys, links.Token(field), time.Now()); err == nil && c.Purpose == purpose {
				token = links.Token(field)
				return true
			}
		}
		return false
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// cut is a cable to the cluster that can be pulled.
type cut struct {
	gone atomic.Bool
	mu   sync.Mutex
	open []io.Closer
}

func (c *cut) dial(ctx context.Context, network, host string) (net.Conn, error) {
	if c.gone.Load() {
		return nil, errors.New("the cable is pulled")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone.Load() { // pulled while it dialled
		_ = conn.Close()
		return nil, errors.New("the cable is pulled")
	}
	c.open = append(c.open, conn)
	return conn, nil
}

func (c *cut) pull() {
	c.gone.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}

func (c *cut) plug() { c.gone.Store(false) }

// listening starts a gateway with a listener of its own, which it drains when it stops.
func (w *world) listening(change ...func(*gateway.Config)) *instance {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	i := w.gateway(append(change, func(c *gateway.Config) {
		c.Listen = func(context.Context) (net.Listener, error) { return l, nil }
	})...)
	i.url = "http://" + l.Addr().String()
	i.doc = readDocument(w.t, i.url)
	return i
}
