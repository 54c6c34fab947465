package run_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"utopia/cmd/internal/run"
)

// A certificate that is renewed in its file is served at the next handshake, without a restart; old versions of TLS are not.
func TestARenewedCertificateIsServed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	served := run.Certificate(cert, key)
	for _, serial := range []int64{17, 18} {
		writeCertificate(t, serial, cert, key)
		if got, err := handshake(t, served, tls.VersionTLS12); err != nil || got != serial {
			t.Errorf("certificate %d, want %d; %v", got, serial, err)
		}
	}
	if _, err := handshake(t, served, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is served")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, served, tls.VersionTLS12); err == nil {
		t.Error("a certificate without its key is served")
	}
}

// handshake returns the serial number of what a server with this configuration shows.
func handshake(t *testing.T, served *tls.Config, highest uint16) (serial int64, err error) {
	t.Helper()
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	go func() { _ = tls.Server(there, served).HandshakeContext(t.Context()); _ = there.Close() }()
	c := tls.Client(here, &tls.Config{ //nolint:gosec // the test looks at the certificate itself
		InsecureSkipVerify: true, MaxVersion: highest, MinVersion: tls.VersionTLS10,
	})
	if err := c.HandshakeContext(t.Context()); err != nil {
		return 0, err
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func writeCertificate(t *testing.T, serial int64, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
