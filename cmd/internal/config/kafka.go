package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	saslPlain    = "plain"
	saslScram256 = "scram-sha-256"
	saslScram512 = "scram-sha-512"

	// metadataMinAge: a topic's leader is looked up again after 20 ms instead of
	// the client's 5 s. A commit that meets NOT_LEADER or CONCURRENT_TRANSACTIONS
	// would otherwise wait for the next look-up, up to five seconds.
	metadataMinAge = 20 * time.Millisecond
	// firstRetry: the client's first retry waits 250 ms by default, longer than a
	// whole transaction.
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second
)

// Options returns what every Kafka client of this process shares: brokers,
// client id (utopia-<role>, and the instance if it is named), TLS, SASL and
// retries. It reads the certificate files; errors name the flag.
func (c *Config) Options(role string) ([]kgo.Opt, error) {
	id := "utopia-" + role
	if c.Instance != "" {
		id += "-" + c.Instance
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(id),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(retryAfter),
	}
	if c.TLS {
		t, err := c.tlsConfig()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL != "" {
		mechanism, err := c.mechanism()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// retryAfter doubles from 5 ms to 1 s and spreads by a quarter, so that many
// instances do not come back to a restarted broker in step.
func retryAfter(fails int) time.Duration {
	wait := lastRetry
	if fails < 8 {
		wait = firstRetry << max(fails-1, 0)
	}
	return wait*3/4 + time.Duration(rand.Int64N(int64(wait)/2))
}

// tlsConfig trusts --tls-ca alone if it is given. The client certificate is read
// at each handshake, so that it can be renewed without a restart.
func (c *Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, c.wrong("tls-ca", "%s", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, c.wrong("tls-ca", "%s holds no PEM certificate", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		cert, key := c.TLSCert, c.TLSKey
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			return nil, c.wrong("tls-cert", "%s", err)
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
	}
	return t, nil
}

// mechanism reads the password file at each new session, so that a rotated
// password is taken up without a restart.
func (c *Config) mechanism() (sasl.Mechanism, error) {
	user, password, path := c.SASLUser, c.SASLPassword, c.SASLPasswordFile
	secret := func() (string, error) {
		if path == "" {
			return password, nil
		}
		return readSecret(path)
	}
	scramAuth := func(context.Context) (scram.Auth, error) {
		s, err := secret()
		return scram.Auth{User: user, Pass: s}, err
	}
	switch c.SASL {
	case saslPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			s, err := secret()
			return plain.Auth{User: user, Pass: s}, err
		}), nil
	case saslScram256:
		return scram.Sha256(scramAuth), nil
	case saslScram512:
		return scram.Sha512(scramAuth), nil
	default:
		return nil, errors.New("--sasl: unknown mechanism " + c.SASL)
	}
}
