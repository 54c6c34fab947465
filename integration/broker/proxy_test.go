//go:build broker

package broker

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// link passes connections on to an address. Either direction can be slow or cut: what is held back then arrives when the link
// has healed, unless somebody has hung up meanwhile, as in a network.
type link struct {
	address       string // where it listens
	to            string
	towards, back way

	mu       sync.Mutex
	listener net.Listener // nil while it is down
}

// newLink listens until the test ends.
func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{address: l.Addr().String(), to: to, towards: newWay(), back: newWay(), listener: l}
	go k.serve(l)
	t.Cleanup(func() {
		k.down()
		k.Heal()
	})
	return k
}

func (k *link) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go k.join(in, k.to)
	}
}

// down refuses connections, as the port of a node that is gone does: to take one and hang up would look like a node that wants
// TLS.
func (k *link) down() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != nil {
		_ = k.listener.Close()
		k.listener = nil
	}
}

// up takes connections again once somebody listens at the other end, or ctx ends.
func (k *link) up(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != nil {
		return nil
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", k.to); err == nil {
			_ = c.Close()
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	l, err := net.Listen("tcp", k.address)
	if err != nil {
		return err
	}
	k.listener = l
	go k.serve(l)
	return nil
}

func (k *link) join(in net.Conn, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		_ = in.Close()
		return
	}
	var end sync.Once
	over := func() { end.Do(func() { _ = in.Close(); _ = out.Close() }) }
	go func() {
		defer over()
		k.back.copy(in, out)
	}()
	defer over()
	k.towards.copy(out, in)
}

// Cut lets nothing pass in the given directions.
func (k *link) Cut(towards, back bool) {
	if towards {
		k.towards.cut()
	}
	if back {
		k.back.cut()
	}
}

// Slow holds everything back for a time, in both directions.
func (k *link) Slow(wait time.Duration) {
	k.towards.slow(wait)
	k.back.slow(wait)
}

// Heal lets everything pass.
func (k *link) Heal() {
	for _, w := range []*way{&k.towards, &k.back} {
		w.slow(0)
		w.heal()
	}
}

// way is one direction of a link.
type way struct {
	mu   *sync.Mutex
	wait time.Duration
	open chan struct{} // closed while something can pass
}

func newWay() way {
	w := way{mu: new(sync.Mutex), open: make(chan struct{})}
	close(w.open)
	return w
}

func (w *way) slow(wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wait = wait
}

func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
		w.open = make(chan struct{})
	default: // it is cut
	}
}

func (w *way) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}

func (w *way) copy(out io.Writer, in io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		wait, open := w.wait, w.open
		w.mu.Unlock()
		time.Sleep(wait)
		<-open
		if _, err := out.Write(buffer[:n]); err != nil {
			return
		}
	}
}
