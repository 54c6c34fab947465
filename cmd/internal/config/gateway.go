package config

import (
	"crypto/tls"
	"net/url"
	"time"
)

// maxDrainDelay leaves most of the five seconds that a binary has to stop to the requests that are under way.
const maxDrainDelay = 1500 * time.Millisecond

func (c *Config) checkGateway() []error {
	errs := c.checkHTTP()
	if err := listenAddress(c.Listen); err != nil {
		errs = append(errs, c.wrong("listen", "%q %s", c.Listen, err))
	}
	if (c.ListenCert == "") != (c.ListenKey == "") {
		errs = append(errs, c.wrong("listen-cert", "TLS needs both --listen-cert and --listen-key"))
	} else if c.ListenCert != "" {
		if _, err := tls.LoadX509KeyPair(c.ListenCert, c.ListenKey); err != nil {
			errs = append(errs, c.wrong("listen-cert", "%s", err))
		}
	}
	errs = append(errs, c.checkCallers()...)
	if c.Rate < 0 {
		errs = append(errs, c.wrong("rate", "%g is less than nothing", c.Rate))
	}
	if c.PublicRate < 0 {
		errs = append(errs, c.wrong("public-rate", "%g is less than nothing", c.PublicRate))
	}
	if c.MaxStreams < 1 {
		errs = append(errs, c.wrong("max-streams", "%d is not at least 1", c.MaxStreams))
	}
	if c.CallerStreams < 1 {
		errs = append(errs, c.wrong("max-streams-per-caller", "%d is not at least 1", c.CallerStreams))
	}
	if c.DrainDelay < 0 || c.DrainDelay > maxDrainDelay {
		errs = append(errs, c.wrong("drain-delay", "%s is not between 0s and %s", c.DrainDelay, maxDrainDelay))
	}
	return errs
}

// checkCallers wants to know who may call: there is no default that lets anybody in.
func (c *Config) checkCallers() []error {
	var errs []error
	if c.APIKeys == "" && c.OIDCIssuer == "" && !c.Open {
		errs = append(errs, c.wrong("api-keys", "nobody could call: name a file of keys (gateway new-api-key), or --oidc-issuer; for development, --open"))
	}
	if c.Open && !loopback(c.Listen) {
		errs = append(errs, c.wrong("open", "lets everybody do everything, so --listen must be a loopback address"))
	}
	if c.APIKeys != "" {
		if _, err := readSecret(c.APIKeys); err != nil {
			errs = append(errs, c.wrong("api-keys", "%s", err))
		}
	}
	if (c.OIDCIssuer == "") != (c.OIDCAudience == "") {
		errs = append(errs, c.wrong("oidc-audience", "tokens need both --oidc-issuer and --oidc-audience"))
	}
	if c.OIDCIssuer != "" {
		u, err := url.Parse(c.OIDCIssuer)
		if err != nil || u.Host == "" || (u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Host))) {
			errs = append(errs, c.wrong("oidc-issuer", "not a URL with https"))
		}
	}
	return errs
}
