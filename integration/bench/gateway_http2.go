package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// together is how many requests of a session may be under way: Go's servers allow 250.
const together = 200

// multiplexed are sessions that take turns.
type multiplexed struct {
	sessions []*session
	next     int
}

// multiplex opens the sessions, without TLS and without asking for it in HTTP/1.1 first.
func (l *requests) multiplex(ctx context.Context) (*multiplexed, error) {
	m := &multiplexed{}
	for i := range l.sessions {
		s, err := l.open(ctx, l.random(i))
		if err != nil {
			m.finish()
			return nil, err
		}
		m.sessions = append(m.sessions, s)
	}
	return m, nil
}

func (m *multiplexed) add(d due) {
	m.sessions[m.next].add(d)
	m.next = (m.next + 1) % len(m.sessions)
}

func (m *multiplexed) finish() {
	for _, s := range m.sessions {
		s.finish()
	}
}

// session is an HTTP/2 connection that costs the generator little: what is due at the same moment is one write.
type session struct {
	l      *requests
	random *rand.Rand
	conn   net.Conn
	wake   chan struct{} // there is something to send, or nothing more to come
	reads  sync.WaitGroup
	sends  sync.WaitGroup

	buffer bytes.Buffer // of the sender
	out    *http2.Framer
	head   bytes.Buffer
	encode *hpack.Encoder
	stream uint32

	mu    sync.Mutex
	queue []due
	under map[uint32]*exchange
	over  bool // nothing more comes
}

// exchange is a request under way.
type exchange struct {
	due
	call

	status int
	answer []byte
}

func (l *requests) open(ctx context.Context, random *rand.Rand) (*session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	s := &session{l: l, random: random, conn: conn, wake: make(chan struct{}, 1), stream: 1, under: map[uint32]*exchange{}}
	s.out = http2.NewFramer(&s.buffer, nil)
	s.encode = hpack.NewEncoder(&s.head)
	s.buffer.WriteString(http2.ClientPreface)
	const window = 1 << 30                                                                  // more than all answers together
	_ = s.out.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}) // into memory
	_ = s.out.WriteWindowUpdate(0, window)
	_ = s.out.WriteSettingsAck()
	if _, err := conn.Write(s.buffer.Bytes()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.reads.Go(func() { s.end(s.read()) })
	s.sends.Go(s.send)
	return s, nil
}

func (s *session) add(d due) {
	s.mu.Lock()
	s.queue = append(s.queue, d)
	s.mu.Unlock()
	s.nudge()
}

func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish waits for the answers.
func (s *session) finish() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.nudge()
	s.sends.Wait()
	_ = s.conn.Close()
	s.reads.Wait()
}

// send sends what is due until everything is answered.
func (s *session) send() {
	for range s.wake {
		s.mu.Lock()
		now := s.queue[:min(len(s.queue), together-len(s.under))]
		s.queue = s.queue[len(now):]
		if s.over && len(now) == 0 && len(s.under) == 0 {
			s.mu.Unlock()
			return
		}
		s.buffer.Reset()
		for _, d := range now {
			s.begin(&exchange{due: d, call: s.l.ask(d.n, s.random)})
		}
		s.mu.Unlock()
		if _, err := s.conn.Write(s.buffer.Bytes()); err != nil {
			s.end(err)
			return
		}
	}
}

func (s *session) begin(e *exchange) {
	s.head.Reset()
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: e.method}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "bench"}, {Name: ":path", Value: e.path}} {
		_ = s.encode.WriteField(f) // into memory
	}
	if e.body != "" {
		_ = s.encode.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/json"})
	}
	_ = s.out.WriteHeaders(http2.HeadersFrameParam{StreamID: s.stream, BlockFragment: s.head.Bytes(), EndHeaders: true, EndStream: e.body == ""})
	if e.body != "" {
		_ = s.out.WriteData(s.stream, true, []byte(e.body))
	}
	s.under[s.stream] = e
	s.stream += 2
}

// read takes answers until the connection ends.
func (s *session) read() error {
	in := http2.NewFramer(io.Discard, bufio.NewReaderSize(s.conn, 64<<10))
	in.SetReuseFrames()
	status := 0
	decode := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			status, _ = strconv.Atoi(f.Value)
		}
	})
	for {
		frame, err := in.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			if _, err := decode.Write(f.HeaderBlockFragment()); err != nil {
				return err
			}
			s.answered(f.StreamID, status, nil, f.StreamEnded())
		case *http2.DataFrame:
			s.answered(f.StreamID, 0, f.Data(), f.StreamEnded())
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return fmt.Errorf("%w: %v", errVoid, f)
		}
	}
}

// answered adds to an answer, which may be its end.
func (s *session) answered(stream uint32, status int, data []byte, whole bool) {
	s.mu.Lock()
	e := s.under[stream]
	if whole {
		delete(s.under, stream)
	}
	s.mu.Unlock()
	if e == nil {
		return
	}
	e.status = max(e.status, status)
	e.answer = append(e.answer, data...)
	if whole {
		s.l.done(e.n, time.Since(e.at), e.right(e.status, e.answer))
		s.nudge()
	}
}

// end is that of the connection: nothing more is answered.
func (s *session) end(err error) {
	s.mu.Lock()
	for stream, e := range s.under {
		s.l.done(e.n, 0, err)
		delete(s.under, stream)
	}
	s.queue = nil
	s.mu.Unlock()
	s.nudge()
}
