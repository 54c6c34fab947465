package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Encryption says how the connection to a mail server is protected.
type Encryption string

// The kinds of encryption. The zero value is StartTLS: a mail server that does not offer it gets nothing.
const (
	StartTLS    Encryption = "starttls" // required
	ImplicitTLS Encryption = "tls"      // from the first byte, usually port 465
	NoTLS       Encryption = "none"     // for a server on this machine
)

// ParseEncryption reads a flag's value.
func ParseEncryption(s string) (Encryption, error) {
	switch e := Encryption(s); e {
	case StartTLS, ImplicitTLS, NoTLS:
		return e, nil
	}
	return "", fmt.Errorf("%q is not an encryption: starttls, tls or none", s)
}

// SMTPConfig says how to reach a mail server.
type SMTPConfig struct {
	Addr       string // host:port
	Encryption Encryption
	TLS        *tls.Config // nil: the system's authorities, the host's name
	Username   string      // empty: no authentication
	Password   string      // never sent over an unencrypted connection
	Hello      string      // the name to greet with; empty: that of the machine
}

// errInsecureAuth says what would happen with these flags.
var errInsecureAuth = errors.New("a password is not sent over an unencrypted connection; use starttls or tls")

// SMTPSender hands mails to a mail server, one connection each.
type SMTPSender struct {
	cfg  SMTPConfig
	host string
	port int
}

// NewSMTPSender checks the configuration; it does not connect.
func NewSMTPSender(cfg SMTPConfig) (*SMTPSender, error) {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("mail server %q: %w", cfg.Addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		return nil, fmt.Errorf("mail server %q: not host:port", cfg.Addr)
	}
	if cfg.Encryption == "" {
		cfg.Encryption = StartTLS
	}
	if _, err := ParseEncryption(string(cfg.Encryption)); err != nil {
		return nil, err
	}
	if cfg.Username != "" && cfg.Encryption == NoTLS {
		return nil, errInsecureAuth
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.TLS.ServerName == "" {
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.ServerName = host
	}
	return &SMTPSender{cfg: cfg, host: host, port: int(n)}, nil
}

// Send hands the mail over. Answers 4xx and everything about the connection are temporary, answers 5xx permanent.
// A connection that breaks after the mail's last byte is temporary too, although the server may have taken the mail:
// a second copy is better than none.
func (s *SMTPSender) Send(ctx context.Context, m *Message) error {
	c := &connection{sender: s}
	defer c.close()
	client, err := gomail.NewClient(s.host, s.options(ctx, c)...)
	if err != nil {
		return &Failure{Code: codeConnect, Temporary: true, Err: errors.New("the client cannot be made")}
	}
	// The library's connection has one deadline, set when it is made, and no context: closing it is what ends it early.
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return c.dialFailure(ctx, err)
	}
	if utf8, _ := session.Extension("SMTPUTF8"); !utf8 && !isASCII(m.To) {
		return &Failure{Code: codeUTF8, Err: errors.New("the mail server does not take addresses of this script")}
	}
	if err := client.SendWithSMTPClient(session, m.msg); err != nil && !m.msg.IsDelivered() {
		return sendFailure(ctx, err)
	}
	if stop() {
		_ = client.CloseWithSMTPClient(session) // QUIT; the mail is theirs whatever they answer
	}
	return nil
}

func (s *SMTPSender) options(ctx context.Context, c *connection) []gomail.Option {
	timeout := 30 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(d), time.Millisecond)
	}
	opts := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(timeout), gomail.WithTLSConfig(s.cfg.TLS),
		gomail.WithDialContextFunc(c.dial), gomail.WithoutRset(), gomail.WithTLSPolicy(gomail.TLSMandatory),
	}
	switch s.cfg.Encryption {
	case StartTLS:
	case ImplicitTLS:
		opts = append(opts, gomail.WithSSL())
	case NoTLS:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.cfg.Hello != "" {
		opts = append(opts, gomail.WithHELO(s.cfg.Hello))
	}
	if s.cfg.Username != "" {
		opts = append(opts, gomail.WithUsername(s.cfg.Username), gomail.WithPassword(s.cfg.Password),
			// Not the library's discovery: it takes implicit TLS over our own connection for none. PLAIN and LOGIN check
			// for themselves that the connection is encrypted.
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlain,
				gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5))
	}
	return opts
}

// statusFailure is an answer of the mail server. One about our name and password (RFC 4954, section 6) says nothing about
// the mail: an operator mends it while the mails wait.
func statusFailure(code int, enhanced string) *Failure {
	switch code {
	case 530, 534, 535, 538:
		return &Failure{Code: codeAuth, Temporary: true, Err: fmt.Errorf("the mail server does not know us: %d", code)}
	}
	name := "smtp_" + strconv.Itoa(code)
	if enhanced != "" {
		name += "_" + enhanced
	}
	return &Failure{Code: name, Temporary: code < 500, Err: fmt.Errorf("the mail server answered %d", code)}
}

// dialFailure classifies what happened before the mail was offered. Nothing of it is the mail's fault, so all of it is
// temporary.
func (c *connection) dialFailure(ctx context.Context, err error) error {
	f := &Failure{Code: codeConnect, Temporary: true, Err: errors.New("no session with the mail server")}
	var answer *textproto.Error
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case isTimeout(ctx, err):
		f.Code = codeTimeout
	case errors.As(err, &cert), errors.As(err, &record):
		f.Code, f.Err = codeTLS, fmt.Errorf("no encrypted connection: %w", err)
	case errors.As(err, &answer):
		status := statusFailure(answer.Code, "")
		f.Code, f.Err = status.Code, status.Err
	case c.opened():
		f.Err = fmt.Errorf("no session with the mail server: %w", err) // what it lacks: STARTTLS, AUTH; no person in it
	default:
		f.Err = fmt.Errorf("no connection to the mail server: %w", err)
	}
	return f
}

func sendFailure(ctx context.Context, err error) error {
	var answer *gomail.SendError
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case errors.As(err, &answer) && answer.ErrorCode() != 0:
		return statusFailure(answer.ErrorCode(), answer.EnhancedStatusCode())
	case isTimeout(ctx, err):
		return &Failure{Code: codeTimeout, Temporary: true, Err: errors.New("the mail server was too slow")}
	}
	// The library's error quotes the recipient.
	return &Failure{Code: codeConnect, Temporary: true, Err: errors.New("the connection to the mail server broke")}
}

func isTimeout(ctx context.Context, err error) bool {
	var slow net.Error
	return ctx.Err() != nil || (errors.As(err, &slow) && slow.Timeout())
}
