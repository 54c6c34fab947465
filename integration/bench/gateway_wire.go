package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long an answer may take.
const patience = 30 * time.Second

// wires are keep-alive connections of one thread, which waits for all of them in one call.
type wires struct {
	to    unix.Sockaddr
	poll  *poller
	all   []*wire
	free  []*wire   // the one used last is used next, as in the pools of HTTP clients
	queue []due     // what waits for one
	last  time.Time // when somebody answered
	ready []*wire
}

// wire is a connection with the request that is under way on it.
type wire struct {
	due
	call

	fd  int
	in  []byte // of the answer so far
	end int    // its length, 0 while that is not known
}

func newWires(address string) (*wires, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &wires{to: &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}, poll: poll}, nil
}

func (w *wires) close() {
	for _, one := range w.all {
		_ = unix.Close(one.fd)
	}
	w.poll.close()
}

// idle is a connection on which nothing is under way, nil if there may be no more.
func (w *wires) idle() (*wire, error) {
	if last := len(w.free) - 1; last >= 0 {
		one := w.free[last]
		w.free = w.free[:last]
		return one, nil
	}
	if len(w.all) == busy {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	unix.CloseOnExec(fd)
	one := &wire{fd: fd, in: make([]byte, 0, 4096)}
	w.all = append(w.all, one)
	return one, errors.Join(
		unix.Connect(fd, w.to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true),
		w.poll.add(fd, len(w.all)-1),
	)
}

// wait waits for answers, and no longer than it is told.
func (w *wires) wait(most time.Duration) ([]*wire, error) {
	ready, err := w.poll.wait(most)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); len(ready) > 0 || w.last.IsZero() {
		w.last = now
	} else if now.Sub(w.last) > patience {
		return nil, fmt.Errorf("%w: no answer for %v", errVoid, patience)
	}
	w.ready = w.ready[:0]
	for _, i := range ready {
		w.ready = append(w.ready, w.all[i])
	}
	return w.ready, nil
}

// send sends a request, which is smaller than what a socket takes at once.
func (w *wire) send(d due, c call) error {
	w.due, w.call, w.in, w.end = d, c, w.in[:0], 0
	text := c.text()
	n, err := unix.Write(w.fd, []byte(text))
	if err == nil && n < len(text) {
		err = fmt.Errorf("%w: %d of %d bytes could be sent", errVoid, n, len(text))
	}
	return err
}

// read reads what is there; true at the end of a right answer.
func (w *wire) read() (whole bool, err error) {
	w.in = slices.Grow(w.in, 4096)
	n, err := unix.Read(w.fd, w.in[len(w.in):cap(w.in)])
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: the connection was closed", errVoid)
	}
	if err != nil {
		return false, err
	}
	w.in = w.in[:len(w.in)+n]
	if w.end == 0 {
		if err := w.measure(); err != nil {
			return false, err
		}
	}
	if w.end == 0 || len(w.in) < w.end {
		return false, nil
	}
	return true, w.right(w.in)
}

// measure finds out how long the answer will be, once its head is there.
func (w *wire) measure() error {
	head, _, ok := bytes.Cut(w.in, []byte("\r\n\r\n"))
	if !ok {
		return nil
	}
	_, rest, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	if !ok || err != nil {
		return fmt.Errorf("%w: an answer without its length: %s", errVoid, head)
	}
	w.end = len(head) + 4 + length
	return nil
}
