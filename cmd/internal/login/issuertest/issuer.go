// Package issuertest is an OpenID Connect issuer in the process of a test: it lets whoever asks in, as whom the test has said,
// and checks of the relying party what a real one does. It is for tests only.
package issuertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Issuer is one. Its fields may be changed between requests, under Lock.
type Issuer struct {
	*httptest.Server
	sync.Mutex
	ClientID, Secret string
	Claims           map[string]any // beside the registered ones; they may replace those
	Refuse, Down     bool
	Now              func() time.Time

	id    string // of the only key
	key   *rsa.PrivateKey
	codes map[string]url.Values // what was asked for, by code
}

// New starts an issuer.
func New(tb testing.TB, claims map[string]any) *Issuer {
	tb.Helper()
	i := &Issuer{ClientID: "utopia-pages", Secret: "s3cret", Claims: claims, Now: time.Now, codes: map[string]url.Values{}}
	i.Rotate(tb, "one")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.about)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.Lock()
		defer i.Unlock()
		if i.Down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	tb.Cleanup(i.Close)
	return i
}

// Rotate makes a new key, called id, the only one.
func (i *Issuer) Rotate(tb testing.TB, id string) {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	i.Lock()
	defer i.Unlock()
	i.id, i.key = id, key
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) about(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": i.id,
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != i.ClientID || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" {
		http.Error(w, "not as agreed", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}}
	if i.Refuse {
		back.Set("error", "access_denied")
	} else {
		code := rand.Text()
		i.codes[code] = q
		back.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	code := r.PostFormValue("code")
	asked, ok := i.codes[code]
	delete(i.codes, code) // once
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != i.ClientID || secret != i.Secret || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	now := i.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": i.ClientID, "sub": "somebody", "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	maps.Copy(claims, i.Claims)
	answer(w, http.StatusOK, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": i.sign(claims)})
}

// Sign makes a token with these claims and no others.
func (i *Issuer) Sign(claims map[string]any) string {
	i.Lock()
	defer i.Unlock()
	return i.sign(claims)
}

func (i *Issuer) sign(claims map[string]any) string { return Sign(i.key, i.id, claims) }

// Sign makes a token of whoever has the key, and says that its key is called id.
func Sign(key *rsa.PrivateKey, id string, claims map[string]any) string {
	part := func(v any) string {
		b, _ := json.Marshal(v) // plain values
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": "RS256", "kid": id}) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
