package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxCommitInterval leaves half of the engine's transaction timeout of 10 s for
// the commit itself.
const maxCommitInterval = 5 * time.Second

// validate asks everything that needs no connection. It returns all problems.
func (c *Config) validate() error {
	var errs []error
	for _, part := range []struct {
		set   Set
		check func() []error
	}{
		{Kafka, c.checkBrokers},
		{Kafka, c.checkTLS},
		{Kafka, c.checkSASL},
		{Registry, c.checkRegistry},
		{Service, c.checkService},
		{Log, c.checkLog},
		{Links, c.checkLinks},
		{Mail, c.checkMail},
		{Gateway, c.checkGateway},
		{WebhookKeys, c.checkWebhookKeys},
		{Webhook, c.checkWebhook},
		{Query, c.checkQuery},
	} {
		if c.sets&part.set != 0 {
			errs = append(errs, part.check()...)
		}
	}
	return errors.Join(errs...)
}

// wrong names the setting and, where it is not a flag, the place it came from.
func (c *Config) wrong(name, format string, args ...any) error {
	from := ""
	if origin := c.origins[name]; origin != "" && origin != "flag" {
		from = " (from " + origin + ")"
	}
	return fmt.Errorf("--%s%s: %s", name, from, fmt.Sprintf(format, args...))
}

func (c *Config) checkBrokers() []error {
	if len(c.Brokers) == 0 {
		return []error{c.wrong("brokers", "name at least one broker, for example %s", DefaultBroker)}
	}
	var errs []error
	for _, b := range c.Brokers {
		if err := hostPort(b); err != nil {
			errs = append(errs, c.wrong("brokers", "%q %s", b, err))
		}
	}
	return errs
}

// hostPort says what is missing in host:port.
func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("is not host:port")
	}
	if host == "" {
		return errors.New("has no host")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("has no valid port: %q", port)
	}
	return nil
}

func (c *Config) checkTLS() []error {
	var errs []error
	if !c.TLS {
		for name, value := range map[string]string{"tls-ca": c.TLSCA, "tls-cert": c.TLSCert, "tls-key": c.TLSKey, "tls-server-name": c.TLSServerName} {
			if value != "" {
				errs = append(errs, c.wrong(name, "has no effect without --tls"))
			}
		}
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return errs
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, c.wrong("tls-cert", "a client certificate needs both --tls-cert and --tls-key"))
	}
	if len(errs) == 0 {
		if _, err := c.tlsConfig(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (c *Config) checkSASL() []error {
	if c.SASL == "" {
		if c.SASLUser != "" || c.SASLPassword != "" || c.SASLPasswordFile != "" {
			return []error{c.wrong("sasl", "user or password given, but no mechanism; say --sasl scram-sha-512")}
		}
		return nil
	}
	var errs []error
	if !slices.Contains([]string{saslPlain, saslScram256, saslScram512}, c.SASL) {
		errs = append(errs, c.wrong("sasl", "%q is none of %s, %s, %s", c.SASL, saslPlain, saslScram256, saslScram512))
	}
	if c.SASLUser == "" {
		errs = append(errs, c.wrong("sasl-user", "needed with --sasl"))
	}
	if err := c.checkPassword("sasl-password", c.SASLPassword, c.SASLPasswordFile); err != nil {
		errs = append(errs, err)
	}
	if c.SASL == saslPlain && !c.TLS && !allLoopback(c.Brokers) {
		errs = append(errs, c.wrong("sasl", "plain sends the password in the clear; add --tls or use scram-sha-512"))
	}
	return errs
}

// checkPassword wants exactly one of the two places, and a file that can be read.
func (c *Config) checkPassword(name, value, path string) error {
	variable := envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	switch {
	case value == "" && path == "":
		return c.wrong(name+"-file", "a password is needed: name a file or set %s", variable)
	case value != "" && path != "":
		return c.wrong(name+"-file", "given twice, also as %s (from %s)", name, c.origins[name])
	case path != "":
		if _, err := readSecret(path); err != nil {
			return c.wrong(name+"-file", "%s", err)
		}
	}
	return nil
}

// readSecret returns the content of a file without the newline at its end.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return s, nil
}

func allLoopback(hostPorts []string) bool {
	return !slices.ContainsFunc(hostPorts, func(hp string) bool { return !loopback(hp) })
}

// loopback tells whether host:port can only be reached from this machine.
func loopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (c *Config) checkRegistry() []error {
	u, err := url.Parse(c.Registry)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return []error{c.wrong("registry", "not a URL like %s", DefaultRegistry)}
	}
	if u.User != nil {
		return []error{c.wrong("registry", "a URL with a password in it ends up in logs; use --registry-user and --registry-password-file")}
	}
	if c.RegistryUser == "" {
		if c.RegistryPassword != "" || c.RegistryPasswordFile != "" {
			return []error{c.wrong("registry-user", "needed with a password")}
		}
		return nil
	}
	if err := c.checkPassword("registry-password", c.RegistryPassword, c.RegistryPasswordFile); err != nil {
		return []error{err}
	}
	return nil
}

func (c *Config) checkService() []error {
	var errs []error
	if c.StateDir == "" {
		errs = append(errs, c.wrong("state-dir", "name a directory that is kept between starts, for example --state-dir /var/lib/utopia"))
	}
	if c.Instance != "" && !validInstance(c.Instance) {
		errs = append(errs, c.wrong("instance", "%q: up to 64 letters, digits and . _ - are allowed", c.Instance))
	}
	if c.CommitInterval <= 0 || c.CommitInterval > maxCommitInterval {
		errs = append(errs, c.wrong("commit-interval", "%s is not between 1ms and %s", c.CommitInterval, maxCommitInterval))
	}
	if c.RestartWithin < 0 || c.RestartWithin > 10*time.Minute {
		errs = append(errs, c.wrong("restart-within", "%s is not between 0s and 10m", c.RestartWithin))
	}
	return append(errs, c.checkHTTP()...)
}

func (c *Config) checkHTTP() []error {
	if c.HTTP != "" {
		if err := listenAddress(c.HTTP); err != nil {
			return []error{c.wrong("http", "%q %s", c.HTTP, err)}
		}
	}
	return nil
}

// listenAddress also accepts :port, which listens on every address.
func listenAddress(s string) error {
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	return hostPort(s)
}

func validInstance(s string) bool {
	if len(s) > 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '.' && r != '_' && r != '-'
	})
}

func (c *Config) checkLog() []error {
	var errs []error
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, c.wrong("log-format", "%q is neither text nor json", c.LogFormat))
	}
	if _, err := level(c.LogLevel); err != nil {
		errs = append(errs, c.wrong("log-level", "%q is none of debug, info, warn, error", c.LogLevel))
	}
	return errs
}

func (c *Config) checkLinks() []error {
	if c.LinkKeys == "" {
		return nil // the commands that need keys ask for them
	}
	if _, err := readSecret(c.LinkKeys); err != nil {
		return []error{c.wrong("link-keys", "%s", err)}
	}
	return nil
}

func (c *Config) checkWebhookKeys() []error {
	if c.WebhookKeys == "" {
		return nil // the commands that need keys ask for them
	}
	if _, err := readSecret(c.WebhookKeys); err != nil {
		return []error{c.wrong("webhook-keys", "%s", err)}
	}
	return nil
}

func (c *Config) checkWebhook() []error {
	u, err := url.Parse(c.APIURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return []error{c.wrong("api-url", "receivers need the address of the gateway, for example --api-url https://api.example.org")}
	}
	return nil
}

func (c *Config) checkMail() []error {
	var errs []error
	switch {
	case c.SMTP == "" && c.MailDir == "":
		errs = append(errs, c.wrong("smtp", "name the mail server, or --mail-dir to write mails to files or (-) to print them"))
	case c.SMTP != "" && c.MailDir != "":
		errs = append(errs, c.wrong("mail-dir", "either this or --smtp, not both"))
	case c.SMTP != "":
		if err := hostPort(c.SMTP); err != nil {
			errs = append(errs, c.wrong("smtp", "%q %s", c.SMTP, err))
		}
	}
	if !slices.Contains([]string{"starttls", "tls", "none"}, c.SMTPTLS) {
		errs = append(errs, c.wrong("smtp-tls", "%q is none of starttls, tls, none", c.SMTPTLS))
	}
	if c.SMTPUser != "" {
		if err := c.checkPassword("smtp-password", c.SMTPPassword, c.SMTPPasswordFile); err != nil {
			errs = append(errs, err)
		}
		if c.SMTPTLS == "none" && !loopback(c.SMTP) {
			errs = append(errs, c.wrong("smtp-tls", "none sends the password in the clear"))
		}
	}
	if _, err := mail.ParseAddress(c.MailFrom); err != nil {
		errs = append(errs, c.wrong("mail-from", "name the sender, for example --mail-from 'Utopia <no-reply@example.org>'"))
	}
	if u, err := url.Parse(c.BaseURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		errs = append(errs, c.wrong("base-url", "links need the address people reach, for example --base-url https://customers.example.org"))
	}
	return errs
}
