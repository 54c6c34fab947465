package config

import (
	"crypto/tls"
	"net/url"
)

// checkPair wants a certificate and its key, or neither.
func (c *Config) checkPair(name, cert, key string) []error {
	switch {
	case cert == "" && key == "":
		return nil
	case cert == "" || key == "":
		return []error{c.wrong(name+"-cert", "TLS needs both --%s-cert and --%[1]s-key", name)}
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return []error{c.wrong(name+"-cert", "%s", err)}
	}
	return nil
}

// checkQuery wants a query side that is served to have a key: who asks it is a gateway, not anybody.
func (c *Config) checkQuery() []error {
	if c.QueryListen == "" {
		return nil
	}
	errs := c.checkPair("query", c.QueryCert, c.QueryKey)
	if err := listenAddress(c.QueryListen); err != nil {
		errs = append(errs, c.wrong("query-listen", "%q %s", c.QueryListen, err))
	}
	if err := c.checkPassword("customer-query-key", c.CustomerQueryKey, c.CustomerQueryKeyFile); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func (c *Config) checkCustomerQuery() []error {
	if len(c.CustomerQuery) == 0 {
		return nil
	}
	var errs []error
	for _, text := range c.CustomerQuery {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, c.wrong("customer-query", "a query side has an address like https://customer-1:9201"))
		}
	}
	if err := c.checkPassword("customer-query-key", c.CustomerQueryKey, c.CustomerQueryKeyFile); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// QueryWord returns what gateways show to the query side of the customer service.
func (c *Config) QueryWord() (string, error) {
	if c.CustomerQueryKeyFile != "" {
		return readSecret(c.CustomerQueryKeyFile)
	}
	return c.CustomerQueryKey, nil
}
