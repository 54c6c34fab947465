package gateway

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// issuer is an OpenID Connect issuer in this process.
type issuer struct {
	*httptest.Server
	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
	down bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]*rsa.PrivateKey{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		var all []map[string]string
		for id, k := range i.keys {
			all = append(all, map[string]string{
				"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
				"n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.E)).Bytes()),
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": all})
	})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		down := i.down
		i.mu.Unlock()
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// rotate makes id the only key.
func (i *issuer) rotate(t *testing.T, id string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = map[string]*rsa.PrivateKey{id: k}
}

func (i *issuer) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// token signs the claims of a clerk, changed by change.
func (i *issuer) token(t *testing.T, id string, now time.Time, change map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": i.URL, "aud": "utopia", "sub": "somebody", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "utopia_role": "clerk"}
	maps.Copy(claims, change)
	i.mu.Lock()
	defer i.mu.Unlock()
	return sign(t, i.keys[id], map[string]any{"alg": "RS256", "kid": id}, claims)
}

func sign(t *testing.T, k *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestWhoseTokensAreGood(t *testing.T) {
	i, now := newIssuer(t), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	i.rotate(t, "one")
	tokens := NewTokens(i.URL, "utopia", i.Client(), func() time.Time { return now })
	caller := func(token string) (Caller, error) { return tokens.caller(t.Context(), token) }
	c, err := caller(i.token(t, "one", now, nil))
	if err != nil || c.Role != Clerk || c.Name != "token somebody" {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = caller(i.token(t, "one", now, map[string]any{"utopia_role": "customer", "utopia_customer": "c-17"})); err != nil || c.Customer != "c-17" {
		t.Fatalf("%+v %v", c, err)
	}
	forger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := i.token(t, "one", now, nil)
	for name, token := range map[string]string{
		"expired":             i.token(t, "one", now, map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		"not yet valid":       i.token(t, "one", now, map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"another audience":    i.token(t, "one", now, map[string]any{"aud": "elsewhere"}),
		"another issuer":      i.token(t, "one", now, map[string]any{"iss": "https://evil.example"}),
		"no role":             i.token(t, "one", now, map[string]any{"utopia_role": ""}),
		"a role of its own":   i.token(t, "one", now, map[string]any{"utopia_role": "everybody"}),
		"a customer's, whose": i.token(t, "one", now, map[string]any{"utopia_role": "customer"}),
		"another's signature": sign(t, forger, map[string]any{"alg": "RS256", "kid": "one"}, map[string]any{"iss": i.URL, "aud": "utopia", "sub": "x", "exp": now.Add(time.Hour).Unix(), "utopia_role": "clerk"}),
		"no signature":        base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + good[len("x"):][:10] + ".",
		"cut off":             good[:len(good)-4],
		"not a token":         "a.b.c",
	} {
		if c, err := caller(token); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}

	// A new key is taken up, and the old one is good no more.
	old := i.token(t, "one", now, nil)
	i.rotate(t, "two")
	if _, err := caller(i.token(t, "two", now, nil)); err != nil {
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
	i, now := newIssuer(t), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	i.rotate(t, "one")
	i.setDown(true)
	g := Bare(t, func(c *Config) { c.Tokens = NewTokens(i.URL, "utopia", i.Client(), func() time.Time { return now }) })
	ask := func() int {
		return Local(t, g.Handler(), http.MethodPost, "/v1/customers/c-1/closure", "", "Authorization", "Bearer "+i.token(t, "one", now, nil)).Status
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("%d", got)
	}
	i.setDown(false)
	if _, err := g.cfg.Tokens.caller(t.Context(), i.token(t, "one", now, nil)); !errors.Is(err, ErrIssuer) {
		t.Errorf("asked again at once: %v", err)
	}
	now = now.Add(2 * time.Second)
	if c, err := g.cfg.Tokens.caller(t.Context(), i.token(t, "one", now, nil)); err != nil || c.Role != Clerk {
		t.Errorf("%+v %v", c, err)
	}
}
