//go:build broker

package broker

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slow passes connections on to an address, and holds what goes towards it back for a time that can be changed.
type slow struct {
	address string // where it listens
	wait    atomic.Int64
}

// newSlow listens until the test ends.
func newSlow(t *testing.T, to string) *slow {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{address: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go s.pass(in, to)
		}
	}()
	return s
}

func (s *slow) pass(in net.Conn, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		_ = in.Close()
		return
	}
	var end sync.Once
	over := func() { end.Do(func() { _ = in.Close(); _ = out.Close() }) }
	go func() {
		defer over()
		_, _ = io.Copy(in, out)
	}()
	defer over()
	buffer := make([]byte, 64<<10)
	for {
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(s.wait.Load()))
		if _, err := out.Write(buffer[:n]); err != nil {
			return
		}
	}
}
