package mailer

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// connection owns the network connection of one attempt: the mail library leaves it open where the greeting,
// encryption or authentication fails.
type connection struct {
	sender *SMTPSender
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (c *connection) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.conn = conn
	if c.sender.cfg.Encryption == ImplicitTLS {
		return tls.Client(conn, c.sender.cfg.TLS), nil // the handshake runs with the first read, under the deadline
	}
	return conn, nil
}

func (c *connection) opened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}
