package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"utopia/cmd/internal/access"
)

// What can go wrong with a log-in.
var (
	// ErrFlow says that the browser comes back from a log-in that was not begun here, or too long ago.
	ErrFlow = errors.New("this log-in was not begun here, or too long ago")
	// ErrRefused says that the issuer did not let them in.
	ErrRefused = errors.New("the issuer refused")
	// ErrIdentity says that what the issuer has sent is not good.
	ErrIdentity = errors.New("the issuer's answer is not good")
	// ErrNoRole says that they are who they say they are, and may do nothing here.
	ErrNoRole = errors.New("no role was given")
	// ErrIssuer says that the issuer does not answer.
	ErrIssuer = errors.New("the issuer does not answer")
)

// OIDC logs people in at an OpenID Connect issuer: authorization code with PKCE (RFC 7636), state and nonce. All gateways with
// the same session keys share one log-in; it may begin at one and end at another.
type OIDC struct {
	cfg OIDCConfig

	mu       sync.Mutex
	provider *oidc.Provider
	failed   time.Time
}

// OIDCConfig says where, and as whom.
type OIDCConfig struct {
	Issuer, ClientID, Secret string // no secret: a public client
	Base                     string // the pages' own URL; the issuer sends people back to Base/login/callback
	Sessions                 *Sessions
	Client                   *http.Client     // nil: one with a time limit of five seconds
	Now                      func() time.Time // nil: the clock
}

// NewOIDC makes a log-in; the issuer is asked when it is needed first.
func NewOIDC(cfg OIDCConfig) *OIDC {
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &OIDC{cfg: cfg}
}

// flow is what the browser keeps, sealed, while somebody logs in elsewhere.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Back     string `json:"b"`
	Ends     int64  `json:"e"`
}

// Start sends the browser to the issuer. back is where it goes in the end; see Back. Error: ErrIssuer.
func (o *OIDC) Start(w http.ResponseWriter, r *http.Request, back string) error {
	provider, err := o.discover()
	if err != nil {
		return err
	}
	f := flow{random(), random(), oauth2.GenerateVerifier(), Back(back), o.cfg.Now().Add(flowLifetime).Unix()}
	o.cfg.Sessions.write(w, flowCookie, f, flowLifetime)
	http.Redirect(w, r, o.oauth(provider).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
	return nil
}

// Finish takes what the issuer has sent the browser back with, once, and says who it is and where to go.
// Errors: ErrFlow, ErrRefused, ErrIdentity, ErrNoRole, ErrIssuer.
func (o *OIDC) Finish(w http.ResponseWriter, r *http.Request) (c access.Caller, back string, err error) {
	var f flow
	ok := o.cfg.Sessions.read(r, flowCookie, &f)
	o.cfg.Sessions.clear(w, flowCookie)
	query := r.URL.Query()
	if !ok || !o.cfg.Now().Before(time.Unix(f.Ends, 0)) || subtle.ConstantTimeCompare([]byte(f.State), []byte(query.Get("state"))) != 1 {
		return c, "", ErrFlow
	}
	if query.Get("error") != "" {
		return c, "", ErrRefused
	}
	provider, err := o.discover() //nolint:contextcheck // outlives the request
	if err != nil {
		return c, "", err
	}
	ctx := oidc.ClientContext(r.Context(), o.cfg.Client)
	tokens, err := o.oauth(provider).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var answered *oauth2.RetrieveError
		if errors.As(err, &answered) && answered.Response.StatusCode < http.StatusInternalServerError {
			return c, "", fmt.Errorf("%w: %s", ErrIdentity, answered.ErrorCode)
		}
		return c, "", fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	c, err = o.identify(ctx, provider, tokens, f.Nonce)
	return c, f.Back, err
}

func (o *OIDC) identify(ctx context.Context, provider *oidc.Provider, tokens *oauth2.Token, nonce string) (c access.Caller, err error) {
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return c, ErrIdentity
	}
	token, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: o.cfg.ClientID, Now: o.cfg.Now}).Verify(ctx, raw)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	var claims struct {
		Role     string `json:"utopia_role"`
		Customer string `json:"utopia_customer"`
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 || token.Claims(&claims) != nil {
		return c, ErrIdentity
	}
	c, ok = access.FromClaims(token.Subject, claims.Role, claims.Customer)
	if !ok {
		return access.Caller{}, ErrNoRole
	}
	return c, nil
}

func (o *OIDC) oauth(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.Secret, Endpoint: provider.Endpoint(),
		RedirectURL: o.cfg.Base + "/login/callback", Scopes: []string{oidc.ScopeOpenID},
	}
}

// discover asks the issuer where things are, once; after a failure at most once a second.
func (o *OIDC) discover() (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider != nil {
		return o.provider, nil
	}
	if o.cfg.Now().Sub(o.failed) < time.Second {
		return nil, ErrIssuer
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.cfg.Client), o.cfg.Issuer)
	if err != nil {
		o.failed = o.cfg.Now()
		return nil, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	o.provider = provider
	return provider, nil
}
