package login_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/login"
	"utopia/cmd/internal/login/issuertest"
)

const (
	first  = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"
	second = "k2:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI"
)

func sessions(t *testing.T, file string, now *time.Time) *login.Sessions {
	t.Helper()
	keys, err := login.ParseKeys(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	s, err := login.NewSessions(keys, true, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// carrying is a request with the cookies that an answer has set.
func carrying(method, target string, from *httptest.ResponseRecorder) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, c := range from.Result().Cookies() {
		r.AddCookie(c)
	}
	return r
}

// A session is known to every gateway with the keys, also while they are rotated; it ends unused after an hour and in any case
// after eight, and nobody can make or change one.
func TestSessions(t *testing.T) {
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	begun := now
	s := sessions(t, first, &now)
	w := httptest.NewRecorder()
	s.Begin(w, access.Caller{Name: "token ada", Role: access.Clerk})
	cookie := w.Result().Cookies()[0]
	if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%+v", cookie)
	}
	if strings.Contains(cookie.Value, "ada") {
		t.Error("the cookie can be read")
	}
	who := func(s *login.Sessions, value string) (*httptest.ResponseRecorder, bool) {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		c, ok := s.Who(w, r)
		if ok && (c.Name != "token ada" || c.Role != access.Clerk || c.Open) {
			t.Errorf("%+v", c)
		}
		return w, ok
	}
	for file, want := range map[string]bool{first: true, second + "\n" + first: true, second: false, strings.Replace(second, "k2", "k1", 1): false} {
		if _, ok := who(sessions(t, file, &now), cookie.Value); ok != want {
			t.Errorf("with keys %.2s: %v", file, ok)
		}
	}
	for i := range len(cookie.Value) - 1 { // the last digit has bits that base64 ignores
		changed := []byte(cookie.Value)
		changed[i] ^= 1
		if _, ok := who(s, string(changed)); ok {
			t.Fatalf("changed at %d it is still good", i)
		}
	}
	value := cookie.Value
	for now.Sub(begun) < 9*time.Hour { // in use, it lives for eight hours
		w, ok := who(s, value)
		if want := now.Sub(begun) < login.Lifetime; ok != want {
			t.Fatalf("after %s: %v", now.Sub(begun), ok)
		}
		if set := w.Result().Cookies(); len(set) == 1 {
			value = set[0].Value
		}
		now = now.Add(30 * time.Minute)
	}
	now = begun.Add(login.Idle + time.Second)
	if _, ok := who(s, cookie.Value); ok {
		t.Error("unused for more than an hour it is still good")
	}
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	for path, want := range map[string]string{
		"/customers/c-1?after=x": "/customers/c-1?after=x", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/",
		"/\t/evil.example": "/", "/%2f/evil.example": "/", "javascript:alert(1)": "/", "/logout": "/", "/login?back=/": "/", "x": "/", "/\n": "/",
	} {
		if got := login.Back(path); got != want {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}

// A log-in may begin at one gateway and end at another; what comes back is taken once, by the browser that began, in time.
func TestLoggingIn(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	issuer := issuertest.New(t, map[string]any{"utopia_role": "operator"})
	s := sessions(t, first, &now)
	config := login.OIDCConfig{Issuer: issuer.URL, ClientID: issuer.ClientID, Secret: issuer.Secret, Base: "https://utopia.example", Sessions: s, Client: issuer.Client(), Now: clock}
	one, other := login.NewOIDC(config), login.NewOIDC(config)
	start := func() (*httptest.ResponseRecorder, string) {
		t.Helper()
		w := httptest.NewRecorder()
		if err := one.Start(w, httptest.NewRequest(http.MethodGet, "/login", nil), "/customers/c-1"); err != nil {
			t.Fatal(err)
		}
		client := *issuer.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := client.Get(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return w, resp.Header.Get("Location")
	}
	finish := func(began *httptest.ResponseRecorder, back string) (access.Caller, string, error) {
		return other.Finish(httptest.NewRecorder(), carrying(http.MethodGet, back, began))
	}
	began, back := start()
	if !strings.HasPrefix(back, "https://utopia.example/login/callback?") {
		t.Fatal(back)
	}
	c, to, err := finish(began, back)
	if err != nil || c != (access.Caller{Name: "token somebody", Role: access.Operator}) || to != "/customers/c-1" {
		t.Fatalf("%+v %q %v", c, to, err)
	}
	if _, _, err = finish(began, back); !errors.Is(err, login.ErrIdentity) {
		t.Errorf("a code that was used: %v", err)
	}
	_, back = start()
	if _, _, err = finish(began, back); !errors.Is(err, login.ErrFlow) {
		t.Errorf("what another browser began: %v", err)
	}
	if _, _, err = finish(httptest.NewRecorder(), back); !errors.Is(err, login.ErrFlow) {
		t.Errorf("what nobody began: %v", err)
	}
	began, back = start()
	u, _ := url.Parse(back)
	if _, _, err = finish(began, "/login/callback?state="+u.Query().Get("state")+"&code=guess"); !errors.Is(err, login.ErrIdentity) {
		t.Errorf("a guessed code: %v", err)
	}
	for name, tc := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"no role":           {map[string]any{}, login.ErrNoRole},
		"a role of its own": {map[string]any{"utopia_role": "everybody"}, login.ErrNoRole},
		"another nonce":     {map[string]any{"utopia_role": "clerk", "nonce": "x"}, login.ErrIdentity},
		"for another":       {map[string]any{"utopia_role": "clerk", "aud": "elsewhere"}, login.ErrIdentity},
		"expired":           {map[string]any{"utopia_role": "clerk", "exp": now.Add(-time.Hour).Unix()}, login.ErrIdentity},
	} {
		issuer.Lock()
		issuer.Claims = tc.claims
		issuer.Unlock()
		if c, _, err = finish(start()); !errors.Is(err, tc.want) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	began, back = start()
	now = now.Add(11 * time.Minute)
	if _, _, err = finish(began, back); !errors.Is(err, login.ErrFlow) {
		t.Errorf("too late: %v", err)
	}
	issuer.Lock()
	issuer.Refuse = true
	issuer.Unlock()
	if _, _, err = finish(start()); !errors.Is(err, login.ErrRefused) {
		t.Errorf("refused: %v", err)
	}
	issuer.Lock()
	issuer.Down = true
	issuer.Unlock()
	if err := login.NewOIDC(config).Start(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/login", nil), "/"); !errors.Is(err, login.ErrIssuer) {
		t.Errorf("an issuer that is away: %v", err)
	}
}
