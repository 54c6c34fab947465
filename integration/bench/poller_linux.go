package main

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets that can be read.
type poller struct {
	fd     int
	events []unix.EpollEvent
	ready  []int
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &poller{fd: fd, events: make([]unix.EpollEvent, busy)}, nil
}

func (p *poller) close() { _ = unix.Close(p.fd) }

// add begins to wait for a socket, which has a number.
func (p *poller) add(socket, number int) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)}) //nolint:gosec // small
}

// wait returns the numbers of those that can be read, after some time at most, to the microsecond: epoll_pwait2(2), since Linux 5.11.
// The scheduler is not told that the thread waits: to be let in again takes longer than most answers.
func (p *poller) wait(most time.Duration) ([]int, error) {
	timeout := unix.NsecToTimespec(int64(min(most, 5*time.Millisecond)))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if errno != 0 && !errors.Is(errno, unix.EINTR) {
		return nil, fmt.Errorf("epoll_pwait2: %w", errno)
	}
	p.ready = p.ready[:0]
	if errno == 0 {
		for _, e := range p.events[:n] {
			p.ready = append(p.ready, int(e.Fd))
		}
	}
	return p.ready, nil
}
