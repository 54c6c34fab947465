package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"utopia/cmd/internal/access"
)

// Errors of tokens.
var (
	// ErrToken says that a token is not good: forged, expired, for somebody else, or without a role that we know.
	ErrToken = errors.New("the token is not good")
	// ErrIssuer says that the issuer of tokens, or its keys, cannot be reached. A token may be good all the same.
	ErrIssuer = errors.New("the issuer of tokens does not answer")
)

// Claims of a JWT beside the registered ones.
type tokenClaims struct {
	Role     string `json:"utopia_role"`
	Customer string `json:"utopia_customer"`
}

// Tokens verifies JWTs of one OpenID Connect issuer for one audience. The issuer's keys are looked up when they are needed
// first, and again when a token names one that is not known: rotated keys are taken up without a restart.
type Tokens struct {
	issuer, audience string
	client           *http.Client
	now              func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time // when discovery failed last
}

// NewTokens makes Tokens; nothing is asked yet. client nil is one with a time limit of five seconds; now nil is time.Now.
func NewTokens(issuer, audience string, client *http.Client, now func() time.Time) *Tokens {
	if client == nil {
		client = &http.Client{Timeout: 5 * time.Second}
	}
	if now == nil {
		now = time.Now
	}
	return &Tokens{issuer: issuer, audience: audience, client: client, now: now}
}

// discover asks the issuer where its keys are, once; after a failure at most once a second.
func (t *Tokens) discover() (*oidc.IDTokenVerifier, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.verifier != nil {
		return t.verifier, nil
	}
	if t.now().Sub(t.failed) < time.Second {
		return nil, ErrIssuer
	}
	ctx := oidc.ClientContext(context.Background(), t.client) // outlives the request: keys are looked up with it later
	provider, err := oidc.NewProvider(ctx, t.issuer)
	if err != nil {
		t.failed = t.now()
		return nil, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	t.verifier = provider.VerifierContext(ctx, &oidc.Config{ClientID: t.audience, Now: t.now})
	return t.verifier, nil
}

// caller verifies a token and says whose it is. ErrToken, ErrIssuer.
func (t *Tokens) caller(ctx context.Context, raw string) (Caller, error) {
	verifier, err := t.discover() //nolint:contextcheck // see there
	if err != nil {
		return Caller{}, err
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		if strings.Contains(err.Error(), "fetching keys") { // the library has no error of its own for it
			return Caller{}, fmt.Errorf("%w: %w", ErrIssuer, err)
		}
		return Caller{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	var claims tokenClaims
	if err := token.Claims(&claims); err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	c, ok := access.FromClaims(token.Subject, claims.Role, claims.Customer)
	if !ok {
		return Caller{}, ErrToken
	}
	c.Until = token.Expiry
	return c, nil
}
