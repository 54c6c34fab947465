package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"utopia/topics"
)

type callerKey struct{}

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// admit asks who calls, whether they may, and whether they call too often. It is the only way to a route.
func (g *Gateway) admit(ctx huma.Context, next func(huma.Context)) {
	allowed := g.policy[ctx.Operation().OperationID]
	address := g.address(ctx)
	if slices.Contains(allowed, Everybody) {
		if again, ok := g.public.allow(address, g.now()); !ok {
			g.refuse(ctx, problem(codeRate).with("Retry-After", seconds(again)))
			return
		}
		next(ctx)
		return
	}
	caller, p := g.authenticate(ctx, address)
	if p != nil {
		g.refuse(ctx, p)
		return
	}
	if again, ok := g.callers.allow(caller.Name, g.now()); !ok {
		g.refuse(ctx, problem(codeRate).with("Retry-After", seconds(again)))
		return
	}
	customer, named := subject(ctx)
	if !caller.May(allowed, customer) || caller.Role == CustomerRole && !named {
		g.refuse(ctx, problem(codeForbidden)) // whether there is such a customer or not
		return
	}
	next(huma.WithValue(ctx, callerKey{}, caller))
}

// subject is the customer that a request is about. One that is about any customer, and does not name one, is about all.
func subject(ctx huma.Context) (customer string, named bool) {
	switch path := ctx.Operation().Path; {
	case strings.HasPrefix(path, "/v1/customers/{id}"):
		return ctx.Param("id"), true
	case strings.HasPrefix(path, "/v1/feeds/"):
		customer = ctx.Query("customer")
		return customer, customer != ""
	}
	return "", true
}

func (g *Gateway) refuse(ctx huma.Context, p *Problem) {
	for name, values := range p.headers {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = g.api.Marshal(ctx.BodyWriter(), "application/json", p) // the caller is gone, or has it
}

func (g *Gateway) authenticate(ctx huma.Context, address string) (Caller, *Problem) {
	header := ctx.Header("Authorization")
	if header == "" && g.cfg.Open {
		return Caller{Name: "development", Role: Clerk, Open: true}, nil
	}
	now := g.now()
	if again, ok := g.failures.peek(address, now); !ok { // guesses are not even looked at
		return Caller{}, problem(codeRate).with("Retry-After", seconds(again))
	}
	scheme, token, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "bearer") && token != "" {
		if caller, ok := g.cfg.Keys.caller(token); ok {
			return caller, nil
		}
		if g.cfg.Tokens != nil && strings.Count(token, ".") == 2 {
			caller, err := g.cfg.Tokens.caller(ctx.Context(), token)
			switch {
			case err == nil:
				return caller, nil
			case errors.Is(err, ErrIssuer):
				return Caller{}, problem(codeUnavailable).because("the issuer of tokens cannot be asked").with("Retry-After", "5")
			}
		}
	}
	_, _ = g.failures.allow(address, now)
	return Caller{}, problem(codeUnauthorized).with("WWW-Authenticate", `Bearer realm="utopia"`)
}

// address is where a request comes from: of an IPv6 address the network, which is what one household has.
func (g *Gateway) address(ctx huma.Context) string {
	return g.network(ctx.RemoteAddr(), ctx.Header(g.cfg.AddressHeader))
}

// addressOf is the same of a request that is not the API's.
func (g *Gateway) addressOf(r *http.Request) string {
	return g.network(r.RemoteAddr, r.Header.Get(g.cfg.AddressHeader))
}

func (g *Gateway) network(remoteAddr, header string) string {
	host := remote(remoteAddr)
	if g.cfg.AddressHeader != "" {
		all := strings.Split(header, ",") // the last one is what our own proxy has seen
		if last := strings.TrimSpace(all[len(all)-1]); last != "" {
			host = last
		}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}

func remote(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// Keys are API keys, known by the SHA-256 of each. A key is 32 random bytes, so that its hash tells nothing.
type Keys struct{ byHash map[[sha256.Size]byte]Caller }

// Len is the number of keys.
func (k Keys) Len() int { return len(k.byHash) }

func (k Keys) caller(key string) (Caller, bool) {
	c, ok := k.byHash[sha256.Sum256([]byte(key))]
	return c, ok
}

// LoadKeys reads a file of API keys: see ParseKeys.
func LoadKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return Keys{}, fmt.Errorf("API keys: %w", err)
	}
	defer func() { _ = f.Close() }()
	k, err := ParseKeys(f)
	if err != nil {
		return Keys{}, fmt.Errorf("API keys %s: %w", path, err)
	}
	return k, nil
}

// ErrKeyFile says that a line is not NAME ROLE SHA256 [CUSTOMER].
var ErrKeyFile = errors.New("want NAME ROLE SHA256 and, for the role customer alone, the customer's id")

// ParseKeys reads one key a line: NAME ROLE SHA256 [CUSTOMER], the hash in hexadecimal; # begins a comment. Errors name the line.
func ParseKeys(r io.Reader) (Keys, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return Keys{}, err
	}
	k := Keys{byHash: map[[sha256.Size]byte]Caller{}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		hash, c, err := parseKey(words)
		if err != nil {
			return Keys{}, fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := k.byHash[hash]; ok {
			return Keys{}, fmt.Errorf("line %d: this key is there twice", n)
		}
		k.byHash[hash] = c
	}
	return k, nil
}

func parseKey(words []string) (hash [sha256.Size]byte, c Caller, err error) {
	if len(words) < 3 || len(words) > 4 {
		return hash, c, ErrKeyFile
	}
	c = Caller{Name: words[0], Role: Role(words[1])}
	if len(words) == 4 {
		c.Customer = words[3]
	}
	sum, err := hex.DecodeString(words[2])
	switch {
	case err != nil || len(sum) != sha256.Size:
		return hash, c, fmt.Errorf("%w: the hash is not 64 hexadecimal digits", ErrKeyFile)
	case !slices.Contains(Roles(), c.Role):
		return hash, c, fmt.Errorf("%w: the role is none of %v", ErrKeyFile, Roles())
	case (c.Role == CustomerRole) != topics.ValidID(c.Customer):
		return hash, c, ErrKeyFile
	}
	copy(hash[:], sum)
	return hash, c, nil
}

// KeyLine is the line of a key file for a key.
func KeyLine(name string, role Role, customer, key string) string {
	sum := sha256.Sum256([]byte(key))
	return strings.TrimSpace(strings.Join([]string{name, string(role), hex.EncodeToString(sum[:]), customer}, " "))
}
