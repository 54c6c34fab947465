package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how long an answer may take.
const patience = 30 * time.Second

// wires are keep-alive connections of one thread, which waits for all of them in one call.
type wires struct {
	to     unix.Sockaddr
	epoll  int
	all    []*wire
	free   []*wire   // the one used last is used next, as in the pools of HTTP clients
	queue  []due     // what waits for one
	last   time.Time // when somebody answered
	events []unix.EpollEvent
	ready  []*wire
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
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &wires{to: &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}, epoll: epoll, events: make([]unix.EpollEvent, busy)}, nil
}

func (w *wires) close() {
	for _, one := range w.all {
		_ = unix.Close(one.fd)
	}
	_ = unix.Close(w.epoll)
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	one := &wire{fd: fd, in: make([]byte, 0, 4096)}
	w.all = append(w.all, one)
	return one, errors.Join(
		unix.Connect(fd, w.to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true),
		unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(w.all) - 1)}), //nolint:gosec // at most busy
	)
}

// wait waits for answers, and no longer than it is told, to the microsecond: epoll_pwait2(2), since Linux 5.11. The scheduler is not
// told that the thread waits: to be let in again takes longer than most answers.
func (w *wires) wait(most time.Duration) ([]*wire, error) {
	timeout := unix.NsecToTimespec(int64(min(most, 5*time.Millisecond)))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return nil, fmt.Errorf("epoll_pwait2: %w", errno)
	}
	if now := time.Now(); n > 0 || w.last.IsZero() {
		w.last = now
	} else if now.Sub(w.last) > patience {
		return nil, fmt.Errorf("%w: no answer for %v", errVoid, patience)
	}
	w.ready = w.ready[:0]
	if errno == 0 {
		for _, e := range w.events[:n] {
			w.ready = append(w.ready, w.all[e.Fd])
		}
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
	w.in = append(w.in, make([]byte, 4096)...)[:len(w.in)]
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
