package run

import "crypto/tls"

// Certificate is TLS with a certificate whose files are read at each handshake, so that they can be renewed without a restart.
func Certificate(cert, key string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}}
}
