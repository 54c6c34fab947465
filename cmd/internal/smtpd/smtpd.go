// Package smtpd is a mail server for development and tests: it accepts every mail, delivers none, and shows the last ones.
//
// `utopia up` sends its mails here, so that a person can open the link in a mail that never left the machine. The
// package deliberately has no storage, no relay and no way to listen on anything but loopback: mails hold live links.
package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// ErrNotLoopback says that the address would let other machines read the mails.
var ErrNotLoopback = errors.New("the development mail server listens on loopback only")

const (
	defaultKeep     = 1000
	defaultMaxBytes = 4 << 20
	idleTimeout     = time.Minute
)

// Options of a server. The zero value keeps the last 1,000 mails of at most 4 MiB, without TLS and authentication.
type Options struct {
	Keep     int   // mails kept in memory; the oldest go first
	MaxBytes int64 // of one mail; a longer one is answered 552
	// Refuse, if set, is asked for every recipient; its error is the answer (use Reject). For tests of the sender.
	Refuse func(from, to string) error
	// Stall, if set, is called before a mail is accepted and may block. For tests of the sender.
	Stall func(to []string)
	TLS   *tls.Config // offers STARTTLS
	// Implicit makes the server speak TLS from the first byte instead.
	Implicit bool
	// Auth, if set, asks for PLAIN authentication before a mail.
	Auth   func(username, password string) bool
	Logger *slog.Logger
}

// Reject is an answer for Options.Refuse: a code of RFC 5321, section 4.2.3, and a text.
func Reject(code int, text string) error { return &smtp.SMTPError{Code: code, Message: text} }

// Server is the mail server. Make one with New.
type Server struct {
	opts Options

	mu    sync.Mutex
	mails []Mail
	last  int           // id of the newest mail
	added chan struct{} // closed and replaced when a mail arrives
}

// New makes a server; Serve runs it.
func New(opts Options) *Server {
	if opts.Keep <= 0 {
		opts.Keep = defaultKeep
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = defaultMaxBytes
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{opts: opts, added: make(chan struct{})}
}

// Listen opens a port for Serve. Errors: ErrNotLoopback, those of the network (a port in use).
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("mail server address %s: %w", addr, err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		_ = ln.Close()
		return nil, fmt.Errorf("mail server address %q: %w", host, ErrNotLoopback)
	}
	return ln, nil
}

// Serve accepts mails on ln until ctx is done; then it closes ln and every connection and returns nil.
// A mail that was answered 250 before is kept.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{server: s}, nil
	}))
	srv.Domain = "localhost"
	srv.MaxMessageBytes = s.opts.MaxBytes
	srv.MaxRecipients = 100
	srv.ReadTimeout, srv.WriteTimeout = idleTimeout, idleTimeout
	srv.EnableSMTPUTF8 = true
	conns := &tracked{Listener: ln, open: map[net.Conn]struct{}{}}
	if s.opts.Implicit {
		conns.tls = s.opts.TLS
	} else {
		srv.TLSConfig = s.opts.TLS
	}
	srv.ErrorLog = quiet{s.opts.Logger}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		conns.closeAll() // go-smtp's own Close does not wait, and its Shutdown does not close
		_ = srv.Shutdown(context.WithoutCancel(ctx))
	})
	err := srv.Serve(conns)
	if stop() { // not cancelled: the listener failed
		conns.closeAll()
		return errors.Join(err, srv.Shutdown(ctx))
	}
	<-ended
	return nil
}

// tracked knows the open connections, so that the server can end while a client keeps one idle.
type tracked struct {
	net.Listener
	tls    *tls.Config // nil: in the clear
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// Accept waits for a connection.
func (l *tracked) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.open[c] = struct{}{}
	if l.tls != nil { // outside of ours: the server looks for the type
		return tls.Server(&trackedConn{Conn: c, in: l}, l.tls), nil
	}
	return &trackedConn{Conn: c, in: l}, nil
}

func (l *tracked) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.open {
		_ = c.Close()
	}
}

type trackedConn struct {
	net.Conn
	in *tracked
}

// Close closes the connection.
func (c *trackedConn) Close() error {
	c.in.mu.Lock()
	delete(c.in.open, c.Conn)
	c.in.mu.Unlock()
	return c.Conn.Close()
}

// Mails returns the mails kept, oldest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Wait returns the oldest kept mail for which ok is true, waiting for one to arrive. Error: that of ctx.
func (s *Server) Wait(ctx context.Context, ok func(Mail) bool) (Mail, error) {
	for {
		s.mu.Lock()
		added := s.added
		i := slices.IndexFunc(s.mails, ok)
		var found Mail
		if i >= 0 {
			found = s.mails[i]
		}
		s.mu.Unlock()
		if i >= 0 {
			return found, nil
		}
		select {
		case <-added:
		case <-ctx.Done():
			return Mail{}, fmt.Errorf("waiting for a mail: %w", ctx.Err())
		}
	}
}

func (s *Server) add(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	m.ID = s.last
	if len(s.mails) >= s.opts.Keep {
		s.mails = slices.Delete(s.mails, 0, len(s.mails)-s.opts.Keep+1)
	}
	s.mails = append(s.mails, m)
	close(s.added)
	s.added = make(chan struct{})
}

// session is one connection; go-smtp calls it from one goroutine.
type session struct {
	server *Server
	authed bool
	from   string
	to     []string
}

// AuthMechanisms offers PLAIN where the options ask for authentication.
func (c *session) AuthMechanisms() []string {
	if c.server.opts.Auth == nil {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth checks name and password.
func (c *session) Auth(mech string) (sasl.Server, error) {
	if c.server.opts.Auth == nil || mech != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, username, password string) error {
		if !c.server.opts.Auth(username, password) {
			return smtp.ErrAuthFailed
		}
		c.authed = true
		return nil
	}), nil
}

// Mail begins a mail.
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.server.opts.Auth != nil && !c.authed {
		return smtp.ErrAuthRequired
	}
	c.from = from
	return nil
}

// Rcpt adds a recipient.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if refuse := c.server.opts.Refuse; refuse != nil {
		if err := refuse(c.from, to); err != nil {
			return err
		}
	}
	c.to = append(c.to, to)
	return nil
}

// Data takes the mail; go-smtp bounds the reader.
func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if c.server.opts.Stall != nil {
		c.server.opts.Stall(slices.Clone(c.to))
	}
	c.server.add(parse(c.from, c.to, raw, time.Now()))
	return nil
}

// Reset forgets the mail that has begun.
func (c *session) Reset() { c.from, c.to = "", nil }

// Logout ends the connection.
func (c *session) Logout() error { return nil }

// quiet takes go-smtp's log lines. They may quote what a client sent, so only the fact is logged.
type quiet struct{ log *slog.Logger }

// Printf logs that something happened.
func (q quiet) Printf(string, ...any) { q.log.Debug("mail connection ended badly") }

// Println logs that something happened.
func (q quiet) Println(...any) { q.log.Debug("mail connection ended badly") }

var _ smtp.AuthSession = (*session)(nil)
