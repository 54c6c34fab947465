package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"testing"
	"time"

	"utopia/cmd/internal/login/issuertest"
)

// token has the claims of a clerk, changed by change.
func token(i *issuertest.Issuer, now time.Time, change map[string]any) string {
	claims := map[string]any{"iss": i.URL, "aud": "utopia", "sub": "somebody", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "utopia_role": "clerk"}
	maps.Copy(claims, change)
	return i.Sign(claims)
}

func down(i *issuertest.Issuer, is bool) {
	i.Lock()
	defer i.Unlock()
	i.Down = is
}

func TestWhoseTokensAreGood(t *testing.T) {
	i, now := issuertest.New(t, nil), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tokens := NewTokens(i.URL, "utopia", i.Client(), func() time.Time { return now })
	caller := func(raw string) (Caller, error) { return tokens.caller(t.Context(), raw) }
	c, err := caller(token(i, now, nil))
	if err != nil || c.Role != Clerk || c.Name != "token somebody" {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = caller(token(i, now, map[string]any{"utopia_role": "customer", "utopia_customer": "c-17"})); err != nil || c.Customer != "c-17" {
		t.Fatalf("%+v %v", c, err)
	}
	forger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := token(i, now, nil)
	for name, raw := range map[string]string{
		"expired":             token(i, now, map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"not yet valid":       token(i, now, map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"another audience":    token(i, now, map[string]any{"aud": "elsewhere"}),
		"another issuer":      token(i, now, map[string]any{"iss": "https://evil.example"}),
		"no role":             token(i, now, map[string]any{"utopia_role": ""}),
		"a role of its own":   token(i, now, map[string]any{"utopia_role": "everybody"}),
		"a customer's, whose": token(i, now, map[string]any{"utopia_role": "customer"}),
		"another's signature": issuertest.Sign(forger, "one", map[string]any{"iss": i.URL, "aud": "utopia", "sub": "x", "exp": now.Add(time.Hour).Unix(), "utopia_role": "clerk"}),
		"no signature":        base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + good[len("x"):][:10] + ".",
		"cut off":             good[:len(good)-4],
		"not a token":         "a.b.c",
	} {
		if c, err := caller(raw); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}

	// A new key is taken up, and the old one is good no more.
	old := token(i, now, nil)
	i.Rotate(t, "two")
	if _, err := caller(token(i, now, nil)); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	// The library answers whoever waits for new keys before it keeps them.
	Eventually(t, time.Minute, "a key that was taken away is good no more", func() bool {
		_, err := caller(old)
		return errors.Is(err, ErrToken)
	})
}

// An issuer that cannot be asked is not the caller's fault, and is asked again.
func TestAnIssuerThatDoesNotAnswer(t *testing.T) {
	i, now := issuertest.New(t, nil), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	down(i, true)
	g := Bare(t, func(c *Config) { c.Tokens = NewTokens(i.URL, "utopia", i.Client(), func() time.Time { return now }) })
	ask := func() int {
		return Local(t, g.Handler(), http.MethodPost, "/v1/customers/c-1/closure", "", "Authorization", "Bearer "+token(i, now, nil)).Status
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("%d", got)
	}
	down(i, false)
	if _, err := g.cfg.Tokens.caller(t.Context(), token(i, now, nil)); !errors.Is(err, ErrIssuer) {
		t.Errorf("asked again at once: %v", err)
	}
	now = now.Add(2 * time.Second)
	if c, err := g.cfg.Tokens.caller(t.Context(), token(i, now, nil)); err != nil || c.Role != Clerk {
		t.Errorf("%+v %v", c, err)
	}
}
