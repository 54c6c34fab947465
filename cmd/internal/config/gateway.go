package config

import (
	"net"
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
	errs = append(errs, c.checkPair("listen", c.ListenCert, c.ListenKey)...)
	errs = append(errs, c.checkCallers()...)
	errs = append(errs, c.checkPages()...)
	errs = append(errs, c.checkCustomerQuery()...)
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
	if c.APIKeys == "" && c.OIDCIssuer == "" && !c.Open && !c.Pages {
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
	if c.OIDCAudience != "" && c.OIDCIssuer == "" || c.OIDCIssuer != "" && c.OIDCAudience == "" && !c.Pages {
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

// checkPages wants everything that logging in needs, and nothing that would have no effect.
func (c *Config) checkPages() []error {
	needed := []struct{ name, value, why string }{
		{"oidc-issuer", c.OIDCIssuer, "pages need somewhere to log in"},
		{"oidc-client-id", c.OIDCClientID, "who the pages are at the issuer"},
		{"session-keys", c.SessionKeys, "sessions are sealed with them; mail new-link-key --out makes a file"},
		{"pages-url", c.PagesURL, "where the issuer sends people back to"},
	}
	var errs []error
	for _, n := range needed {
		switch {
		case c.Pages && n.value == "":
			errs = append(errs, c.wrong(n.name, "needed with --pages: %s", n.why))
		case !c.Pages && n.value != "" && n.name != "oidc-issuer":
			errs = append(errs, c.wrong(n.name, "has no effect without --pages"))
		}
	}
	if c.Pages && c.PagesURL != "" && !ownURL(c.PagesURL) {
		errs = append(errs, c.wrong("pages-url", "not a URL of https, or of http on a loopback address, without a path"))
	}
	if c.OIDCClientSecret != "" || c.OIDCClientSecretFile != "" {
		if !c.Pages {
			errs = append(errs, c.wrong("oidc-client-secret-file", "has no effect without --pages"))
		} else if err := c.checkPassword("oidc-client-secret", c.OIDCClientSecret, c.OIDCClientSecretFile); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// ownURL says whether pages can be served under a URL: a session must not travel in the clear.
func ownURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(host)
}

// ClientSecret returns the secret of --oidc-client-id, empty for a public client.
func (c *Config) ClientSecret() (string, error) {
	if c.OIDCClientSecretFile != "" {
		return readSecret(c.OIDCClientSecretFile)
	}
	return c.OIDCClientSecret, nil
}
