package mailer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"utopia/cmd/internal/smtpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func checkFiles(t *testing.T, dir, want string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 || all[0].Name() != want {
		t.Fatalf("%v (%v), want %s", all, err, want)
	}
	if info, err := all[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v (%v)", info.Mode(), err)
	}
}

// startSMTP runs a mail server until the test ends.
func startSMTP(t *testing.T, opts smtpd.Options) (*smtpd.Server, string) {
	t.Helper()
	ln, err := smtpd.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	s := smtpd.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("mail server: %v", err)
		}
	})
	return s, addr
}

// certificate makes a server's and a client's side of TLS for 127.0.0.1.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func TestSMTPSender(t *testing.T) {
	server, client := certificate(t)
	known := func(u, p string) bool { return u == "utopia" && p == "secret" }
	refuse := func(_, to string) error {
		switch {
		case strings.HasPrefix(to, "full"):
			return smtpd.Reject(452, "mailbox of full@example.org is full")
		case strings.HasPrefix(to, "gone"):
			return smtpd.Reject(550, "no such user gone@example.org")
		case strings.HasPrefix(to, "auth"):
			return smtpd.Reject(530, "authentication required")
		}
		return nil
	}
	for name, tc := range map[string]struct {
		opts smtpd.Options
		cfg  SMTPConfig
		to   string
		code string // empty: sent
		temp bool
	}{
		"in the clear":                              {cfg: SMTPConfig{Encryption: NoTLS}},
		"with STARTTLS":                             {opts: smtpd.Options{TLS: server}, cfg: SMTPConfig{TLS: client}},
		"with implicit TLS":                         {opts: smtpd.Options{TLS: server, Implicit: true}, cfg: SMTPConfig{Encryption: ImplicitTLS, TLS: client}},
		"with STARTTLS and a password":              {opts: smtpd.Options{TLS: server, Auth: known}, cfg: SMTPConfig{TLS: client, Username: "utopia", Password: "secret"}},
		"with implicit TLS and a password":          {opts: smtpd.Options{TLS: server, Implicit: true, Auth: known}, cfg: SMTPConfig{Encryption: ImplicitTLS, TLS: client, Username: "utopia", Password: "secret"}},
		"a wrong password is mended by an operator": {opts: smtpd.Options{TLS: server, Auth: known}, cfg: SMTPConfig{TLS: client, Username: "utopia", Password: "x"}, code: codeAuth, temp: true},
		"no STARTTLS, no mail":                      {cfg: SMTPConfig{}, code: codeConnect, temp: true},
		"an unknown authority":                      {opts: smtpd.Options{TLS: server}, cfg: SMTPConfig{}, code: codeTLS, temp: true},
		"an unknown authority, implicit TLS":        {opts: smtpd.Options{TLS: server, Implicit: true}, cfg: SMTPConfig{Encryption: ImplicitTLS}, code: codeTLS, temp: true},
		"TLS to a server without":                   {cfg: SMTPConfig{Encryption: ImplicitTLS, TLS: client}, code: codeTLS, temp: true},
		"a full mailbox":                            {opts: smtpd.Options{Refuse: refuse}, cfg: SMTPConfig{Encryption: NoTLS}, to: "full@example.org", code: "smtp_452_4.0.0", temp: true},
		"no such user":                              {opts: smtpd.Options{Refuse: refuse}, cfg: SMTPConfig{Encryption: NoTLS}, to: "gone@example.org", code: "smtp_550_5.0.0"},
		"a server that wants a password":            {opts: smtpd.Options{Refuse: refuse}, cfg: SMTPConfig{Encryption: NoTLS}, to: "auth@example.org", code: codeAuth, temp: true},
		"a script that the server takes":            {cfg: SMTPConfig{Encryption: NoTLS}, to: "用户@例え.jp"},
		"a mail that is too long":                   {opts: smtpd.Options{MaxBytes: 100}, cfg: SMTPConfig{Encryption: NoTLS}, code: "smtp_552_5.3.4"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, addr := startSMTP(t, tc.opts)
			tc.cfg.Addr = addr
			s, err := NewSMTPSender(tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := toSend()
			if tc.to != "" {
				r.Recipient = tc.to
			}
			m, err := testComposer(t).compose(r, noon)
			if err != nil {
				t.Fatal(err)
			}
			checkSent(t, srv, m, s.Send(t.Context(), m), tc.code, tc.temp)
		})
	}
}

func checkSent(t *testing.T, srv *smtpd.Server, m *Message, err error, code string, temporary bool) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Fatal(err)
		}
		got := srv.Mails()
		if len(got) != 1 || got[0].MessageID != m.MessageID || got[0].To[0] != m.To || got[0].From != m.From || got[0].HTML == "" {
			t.Fatalf("%+v", got)
		}
		return
	}
	var f *Failure
	if !errors.As(err, &f) || f.Code != code || f.Temporary != temporary {
		t.Fatalf("%v, want %s, temporary %v", err, code, temporary)
	}
	if strings.Contains(err.Error(), "example.org") {
		t.Fatalf("the error names the recipient: %v", err)
	}
}

func TestSMTPSenderWithoutAServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	defer func() { _ = ln.Close() }() // accepts in the kernel and never answers
	m, err := testComposer(t).compose(toSend(), noon)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSMTPSender(SMTPConfig{Addr: addr, Encryption: NoTLS})
	if err != nil {
		t.Fatal(err)
	}
	slow, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f *Failure
	if err := s.Send(slow, m); !errors.As(err, &f) || f.Code != codeTimeout || !f.Temporary {
		t.Errorf("a silent server: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, end)
	if err := s.Send(ended, m); !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown in between: %v", err)
	}
	_ = ln.Close()
	if err := s.Send(t.Context(), m); !errors.As(err, &f) || f.Code != codeConnect || !f.Temporary {
		t.Errorf("no server: %v", err)
	}
}

func TestSMTPConfigThatCannotWork(t *testing.T) {
	for _, cfg := range []SMTPConfig{
		{Addr: "mail.example.com"},
		{Addr: "mail.example.com:0"},
		{Addr: ":25"},
		{Addr: "mail.example.com:25", Encryption: "ssl"},
		{Addr: "mail.example.com:25", Encryption: NoTLS, Username: "u", Password: "canary"},
	} {
		_, err := NewSMTPSender(cfg)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s %s: %v", cfg.Addr, cfg.Encryption, err)
		}
	}
}
