package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Admin is the super user of a secured cluster.
const Admin = "admin"

// authority signs the nodes' certificates and nothing else. It lives as long as its cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	path        string // of the certificate, PEM: the value of --tls-ca
	password    string // of Admin
}

// valid is how long certificates hold: longer than any test.
const valid = 24 * time.Hour

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, path: filepath.Join(dir, "ca.pem"), password: rand.Text()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's own authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return a, os.WriteFile(a.path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// issue writes key and certificate of a node to a file as Kafka reads it.
func (a *authority) issue(node int, path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(node) + 1), Subject: pkix.Name{CommonName: fmt.Sprintf("node %d", node)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return os.WriteFile(path, text, 0o600)
}

// properties make a node's clients use TLS and SASL/SCRAM, and have only the rights that they were given. Nodes talk to each
// other without either, on ports that no client is told.
func (a *authority) properties(store string) map[string]string {
	const login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	return map[string]string{
		"listener.security.protocol.map":                       "CLIENTS:SASL_SSL,BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
		"listener.name.clients.ssl.keystore.type":              "PEM",
		"listener.name.clients.ssl.keystore.location":          store,
		"listener.name.clients.sasl.enabled.mechanisms":        "SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.clients.scram-sha-256.sasl.jaas.config": login,
		"listener.name.clients.scram-sha-512.sasl.jaas.config": login,
		"authorizer.class.name":                                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                          "User:ANONYMOUS;User:" + Admin,
	}
}

// CA is the file with the authority that signed the nodes' certificates, for --tls-ca; empty without Options.Secure.
func (c *Cluster) CA() string {
	if c.authority == nil {
		return ""
	}
	return c.authority.path
}

// AdminPassword is the super user's.
func (c *Cluster) AdminPassword() string { return c.authority.password }

// As are the options of a client that logs in to a secured cluster; without Options.Secure there are none to add.
func (c *Cluster) As(user, password string) ([]kgo.Opt, error) {
	if c.authority == nil {
		return nil, nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.authority.certificate)
	if password == "" {
		return nil, errors.New("kafka: a user without a password")
	}
	return []kgo.Opt{
		kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}),
		kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()),
	}, nil
}
