package webhooks

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"code.dny.dev/ssrf"
)

// What a guard refuses before anything is connected.
var (
	// ErrScheme says that a URL is not https.
	ErrScheme = errors.New("only https URLs are called")
	// ErrPort says that a URL has another port than those that are allowed.
	ErrPort = errors.New("only the ports 443 and 8443 are called")
	// ErrTarget says that a URL names nobody who could be called, or more than that.
	ErrTarget = errors.New("the URL needs a host, and no user name")
	// ErrAddress says that a URL names an address that no outsider has.
	ErrAddress = errors.New("only public addresses are called")
)

// Guard says what may be called: https at ports 443 and 8443 of public addresses. The addresses are checked when they are dialled, after
// the name was resolved, so that a name that means another address the second time (DNS rebinding) gains nothing.
type Guard struct {
	// Loopback also allows http, loopback addresses and any port. For development.
	Loopback bool
}

// Check refuses what is wrong with a URL whatever its name resolves to. ErrScheme, ErrTarget, ErrPort, ErrAddress.
func (g Guard) Check(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil:
		return ErrTarget
	case u.Scheme != "https" && (u.Scheme != "http" || !g.Loopback):
		return ErrScheme
	}
	if port := u.Port(); !g.Loopback && port != "" && port != "443" && port != "8443" {
		return ErrPort
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && g.guardian().SafeAddr(ip) != nil {
		return ErrAddress
	}
	return nil
}

// guardian knows the IANA registries of special-purpose addresses, and allows global unicast addresses alone: no IPv4 address
// in another form gets through.
func (g Guard) guardian() *ssrf.Guardian {
	if !g.Loopback {
		return ssrf.New(ssrf.WithNetworks("tcp4", "tcp6"), ssrf.WithPorts(443, 8443))
	}
	return ssrf.New(ssrf.WithNetworks("tcp4", "tcp6"), ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8")), ssrf.WithAllowedV6Prefixes(netip.MustParsePrefix("::1/128")))
}

const (
	// attemptWithin is the longest that one call may take.
	attemptWithin = 15 * time.Second
	// maxAnswer is what is read of an answer, so that its connection can be used again. Nothing of it is kept.
	maxAnswer = 16 << 10
)

// client calls what the guard allows and follows nobody elsewhere. It obeys no proxy of the environment: behind one, the address that
// is dialled would be the proxy's.
func (g Guard) client(roots *tls.Config, resolver *net.Resolver) *http.Client {
	guardian := g.guardian()
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Control: guardian.Safe, Resolver: resolver}
	return &http.Client{
		Timeout:       attemptWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrProhibitedNetwork) {
					return nil, errors.Join(ErrAddress, err)
				}
				return conn, err
			},
			TLSClientConfig: roots, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: attemptWithin,
			MaxResponseHeaderBytes: 16 << 10, DisableCompression: true, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: inFlight, MaxIdleConns: 256, IdleConnTimeout: 90 * time.Second,
		},
	}
}
