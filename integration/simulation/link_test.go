//go:build synctests

package simulation

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errCut is what an operating system says of a host that cannot be reached. kgo pauses after an error of this kind only: after others a producer without an
// id asks for one again at once, for ever, and virtual time stands still.
var errCut = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}

// latency is how long an answer is on its way. Without it nothing would ever overlap: every record would have a transaction of its own.
const latency = time.Millisecond

// link is the network of one life of an instance. It can lose what goes either way, keep an instance waiting as if it stood still, and lose,
// change or delay single requests and answers. A dead one says nothing more.
type link struct {
	network *kfake.VirtualNetwork

	mu        sync.Mutex
	dead      bool
	frozen    chan struct{} // closed when the instance goes on
	noOut     bool
	noIn      bool
	connected chan struct{} // closed when the network is whole again
	hurry     chan struct{} // closed when nothing is to be held any more
	wires     map[*wire]struct{}
	rules     []*rule
}

// rule is about the next requests with a key.
type rule struct {
	key  kmsg.Key
	left int
	lose bool          // the answer
	err  int16         // in place of the answer's, if it is not 0
	hold time.Duration // the request
	hit  func()
}

func newLink(n *kfake.VirtualNetwork) *link {
	return &link{network: n, hurry: make(chan struct{}), wires: make(map[*wire]struct{})}
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.goOn()
	l.mu.Lock()
	dead, connected := l.dead, l.connected
	l.mu.Unlock()
	if dead {
		return nil, errCut
	}
	if connected != nil { // nobody answers the knock
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-connected:
			return nil, errCut
		}
	}
	conn, err := l.network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, l: l, asked: make(map[uint32]asked)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		_ = conn.Close()
		return nil, errCut
	}
	l.wires[w] = struct{}{}
	return w, nil
}

// die cuts everything for good.
func (l *link) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for w := range l.wires {
		_ = w.Conn.Close()
	}
	l.wires = nil
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
	if l.connected != nil {
		close(l.connected)
		l.connected = nil
	}
}

// freeze keeps every goroutine that uses the network, or asks for leave to go on, where it is. It says whether there was one to keep: there is none in an
// instance that is to stop in time.
func (l *link) freeze() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.frozen != nil || len(l.wires) == 0 || l.hurried() {
		return false
	}
	l.frozen = make(chan struct{})
	return true
}

func (l *link) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
}

// release holds no request any more, nor the instance: it is to stop, and in time.
func (l *link) release() {
	l.thaw()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hurried() {
		close(l.hurry)
	}
}

// hurried says whether release was called. The caller holds mu.
func (l *link) hurried() bool {
	select {
	case <-l.hurry:
		return true
	default:
		return false
	}
}

// goOn waits while the instance stands still.
func (l *link) goOn() {
	l.mu.Lock()
	frozen := l.frozen
	l.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// cut loses what goes out, what comes in, or both, until heal. It says whether there was something to cut.
func (l *link) cut(out, in bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.connected != nil || len(l.wires) == 0 {
		return false
	}
	l.noOut, l.noIn = out, in
	l.connected = make(chan struct{})
	return true
}

// heal connects again. Connections that lost something are reset.
func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected == nil {
		return
	}
	close(l.connected)
	l.noOut, l.noIn, l.connected = false, false, nil
	for w := range l.wires {
		if w.lossy {
			_ = w.Conn.Close()
			delete(l.wires, w)
		}
	}
}

func (l *link) add(r *rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = append(l.rules, r)
}

// take finds the rule for a request or an answer, and counts it.
func (l *link) take(key int16, of func(*rule) bool) *rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rules {
		if r.key.Int16() == key && r.left > 0 && of(r) {
			r.left--
			r.hit()
			return r
		}
	}
	return nil
}

// asked is a request whose answer is awaited.
type asked struct{ key int16 }

// wire is one connection. It sees whole requests and answers.
type wire struct {
	net.Conn
	l     *link
	lossy bool // under l.mu

	mu    sync.Mutex
	asked map[uint32]asked // by correlation id
	rest  []byte           // of the answer that is being read
}

// loses says whether a direction is cut, and remembers that the connection has lost something.
func (w *wire) loses(out bool) bool {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if out && w.l.noOut || !out && w.l.noIn {
		w.lossy = true
	}
	return w.lossy // once there is a gap, nothing behind it can be read
}

// Write notes requests: size, key, version, correlation id. The client writes each in one call.
func (w *wire) Write(b []byte) (int, error) {
	w.l.goOn()
	if len(b) >= 12 {
		key := int16(binary.BigEndian.Uint16(b[4:])) //nolint:gosec // A number on the wire.
		w.mu.Lock()
		w.asked[binary.BigEndian.Uint32(b[8:])] = asked{key}
		w.mu.Unlock()
		if r := w.l.take(key, func(r *rule) bool { return r.hold > 0 }); r != nil {
			select { // the client is not asked: unlike on a real network it waits for as long itself
			case <-time.After(r.hold):
			case <-w.l.hurry:
			}
			w.l.goOn()
		}
	}
	if w.loses(true) {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// Read gives out one answer after the other.
func (w *wire) Read(b []byte) (int, error) {
	for len(w.rest) == 0 {
		frame, err := w.next()
		if err == nil {
			time.Sleep(latency)
		}
		w.l.goOn()
		if err != nil {
			return 0, err
		}
		if w.loses(false) {
			continue
		}
		w.mu.Lock()
		id := binary.BigEndian.Uint32(frame[4:])
		q, ok := w.asked[id]
		delete(w.asked, id)
		w.mu.Unlock()
		if ok && !w.change(q.key, frame[8:]) {
			_ = w.Close()
			return 0, errCut
		}
		w.rest = frame
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// change applies the rules to an answer; false loses it, with its connection.
func (w *wire) change(key int16, body []byte) bool {
	r := w.l.take(key, func(r *rule) bool { return r.lose || r.err != 0 })
	switch {
	case r == nil:
		return true
	case r.lose:
		return false
	default:
		binary.BigEndian.PutUint16(body[1+4:], uint16(r.err)) //nolint:gosec // After the header's tags and the throttle time.
		return true
	}
}

func (w *wire) next() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.Conn, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err := io.ReadFull(w.Conn, frame[4:])
	return frame, err
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.l.mu.Lock()
	delete(w.l.wires, w)
	w.l.mu.Unlock()
	return w.Conn.Close()
}
