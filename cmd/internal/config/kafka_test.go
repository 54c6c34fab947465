package config_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/config"
)

// authority makes a self-signed certificate for 127.0.0.1 and returns it with
// the PEM files that hold it.
func authority(t *testing.T) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"kafka.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, content := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err = tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair, certFile, keyFile
}

func ping(t *testing.T, c *config.Config, timeout time.Duration) error {
	t.Helper()
	opts, err := c.Options("test")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return cl.Ping(ctx)
}

func TestTLSTrustsTheGivenAuthorityAndShowsTheClientCertificate(t *testing.T) {
	server, ca, _ := authority(t)
	client, clientCert, clientKey := authority(t)
	leaf, err := x509.ParseCertificate(client.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(leaf)
	cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}))
	defer cluster.Close()
	brokers := "--brokers=" + cluster.ListenAddrs()[0]
	right := []string{brokers, "--tls", "--tls-ca", ca, "--tls-cert", clientCert, "--tls-key", clientKey, "--tls-server-name", "kafka.test"}
	c, _, err := load(t, config.Kafka, nil, right...)
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(t, c, 20*time.Second); err != nil {
		t.Errorf("the right certificates are refused: %v", err)
	}
	for name, args := range map[string][]string{
		"wrong authority":       {brokers, "--tls", "--tls-ca", clientCert, "--tls-cert", clientCert, "--tls-key", clientKey, "--tls-server-name", "kafka.test"},
		"no client certificate": {brokers, "--tls", "--tls-ca", ca, "--tls-server-name", "kafka.test"},
		"another server name":   {brokers, "--tls", "--tls-ca", ca, "--tls-cert", clientCert, "--tls-key", clientKey, "--tls-server-name", "other.test"},
		"no TLS":                {brokers},
	} {
		c, _, err := load(t, config.Kafka, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(t, c, time.Second); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSASLTakesUpARotatedPassword(t *testing.T) {
	for mechanism, method := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(method, "ann", "new"))
			defer cluster.Close()
			file := write(t, "password", "old\n")
			c, _, err := load(t, config.Kafka, nil, "--brokers", cluster.ListenAddrs()[0], "--sasl", mechanism, "--sasl-user", "ann", "--sasl-password-file", file)
			if err != nil {
				t.Fatal(err)
			}
			if err := ping(t, c, time.Second); err == nil {
				t.Fatal("the old password is accepted")
			}
			if err := os.WriteFile(file, []byte("new\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := ping(t, c, 20*time.Second); err != nil {
				t.Fatalf("the new password is refused: %v", err)
			}
		})
	}
}
