package pages_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/login"
	"utopia/cmd/internal/login/issuertest"
	"utopia/cmd/internal/pages"
)

var (
	update   = flag.Bool("update", false, "write testdata/matrix.txt again")
	trailing = regexp.MustCompile(` +\n`)
)

// locked are the pages with a log-in at an issuer, and what makes a session.
func locked(t *testing.T, tn *town) (http.Handler, *login.Sessions, *issuertest.Issuer) {
	t.Helper()
	issuer := issuertest.New(t, map[string]any{"utopia_role": "clerk"})
	l := anybody(t, access.Caller{})
	l.OIDC = login.NewOIDC(login.OIDCConfig{
		Issuer: issuer.URL, ClientID: issuer.ClientID, Secret: issuer.Secret, Base: "http://localhost:8080", Sessions: l.Sessions, Client: issuer.Client(),
	})
	return tn.clerk(t, func(c *pages.Config) { c.Login = l }, flowing), l.Sessions, issuer
}

func ask(h http.Handler, s *login.Sessions, c access.Caller, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8080"+path, nil)
	if c.Role != "" {
		w := httptest.NewRecorder()
		s.Begin(w, c)
		r.AddCookie(w.Result().Cookies()[0])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Who may open what, asked of every page as every role: the answers are in testdata/matrix.txt, where a change is seen.
func TestWhoMayOpenWhat(t *testing.T) {
	h, s, _ := locked(t, asks(t))
	callers := []access.Caller{{}}
	for _, role := range access.Roles() {
		c := access.Caller{Name: string(role), Role: role}
		if role == access.CustomerRole {
			c.Customer = "c-1"
		}
		callers = append(callers, c)
	}
	callers = append(callers, access.Caller{Name: "another", Role: access.CustomerRole, Customer: "c-2"})
	var b strings.Builder
	fmt.Fprintf(&b, "%-48s %-8s", "page", "nobody")
	for _, c := range callers[1:] {
		fmt.Fprintf(&b, " %-8s", c.Name)
	}
	b.WriteString("\n")
	for _, pattern := range slices.Sorted(maps.Keys(access.Pages())) {
		method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "{$}", ""), " ")
		path = strings.NewReplacer("/customers/{id}", "/customers/c-1", "{id}", "1", "{topic}", "crm.changes.v1.dlq", "{partition}", "0", "{offset}", "0", "{name}", "utopia.mail.SendMail").Replace(path)
		fmt.Fprintf(&b, "%-48s", pattern)
		for _, c := range callers {
			w := ask(h, s, c, method, path)
			verdict := "yes"
			switch {
			case w.Code == http.StatusForbidden:
				verdict = "403"
			case w.Code == http.StatusUnauthorized, w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/login"):
				verdict = "log in"
			case c.Role == "" || strings.Contains(w.Body.String(), "No such page"):
				t.Errorf("%s as %s: %d", pattern, c.Name, w.Code)
			}
			fmt.Fprintf(&b, " %-8s", verdict)
		}
		b.WriteString("\n")
	}
	const file = "testdata/matrix.txt"
	got := trailing.ReplaceAllString(b.String(), "\n")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("go test ./cmd/internal/pages -run WhoMayOpenWhat -update, if this is meant (-want +got):\n%s", diff)
	}
}

// A partner's page says that there is a customer, at which version, in which country; not who.
func TestAPartnerDoesNotSeeWho(t *testing.T) {
	h, s, _ := locked(t, asks(t))
	w := ask(h, s, access.Caller{Name: "p", Role: access.Partner}, http.MethodGet, "/customers/c-1")
	has(t, w, 200, "Netherlands", "Versions applied: Customer 2", "You are a partner.")
	for _, personal := range []string{"Ada", "ada@example.org", "Gouda", "2801", "Markt"} {
		if strings.Contains(w.Body.String(), personal) {
			t.Errorf("the page has %q", personal)
		}
	}
}

// From a page, to the issuer, and back to that page; and out again. The page behind a link is for everybody.
func TestLoggingInAndOut(t *testing.T) {
	h, _, issuer := locked(t, asks(t))
	w := get(h, "/customers/c-1?after=customer/c-1@2")
	if w.Code != http.StatusSeeOther {
		t.Fatal(w.Code)
	}
	w = get(h, w.Header().Get("Location"))
	cookies := w.Result().Cookies()
	follow := *issuer.Client()
	follow.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := follow.Get(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	with := func(method, path string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(method, "http://localhost:8080"+path, nil), httptest.NewRecorder()
		for _, c := range cookies {
			r.AddCookie(c)
		}
		h.ServeHTTP(w, r)
		return w
	}
	w = with(http.MethodGet, back.RequestURI())
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/customers/c-1?after=customer/c-1@2" {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	cookies = w.Result().Cookies()
	has(t, with(http.MethodGet, "/customers/c-1"), 200, "You are a clerk.", "Log out", "Ada &lt;b&gt;")
	if w = with(http.MethodPost, "/logout"); w.Code != http.StatusSeeOther || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("%d %v", w.Code, w.Result().Cookies())
	}
	has(t, get(h, "/logged-out"), 200, "You are logged out here.")
	has(t, get(h, "/login/callback?state=x&code=y"), 400, "was not begun in this browser")
	has(t, get(h, "/confirm"), 200, "Link from the mail")
	has(t, get(h, "/nowhere"), 404, "No such page")
	if w = post(h, "/customers/c-1/move", url.Values{"do": {"send"}}); w.Code != http.StatusUnauthorized {
		t.Errorf("a form of nobody: %d", w.Code)
	}
}

// In development people choose who they are, and see what those see.
func TestChoosingWhoOneIs(t *testing.T) {
	tn := asks(t)
	h := tn.clerk(t)
	has(t, get(h, "/"), 200, "Here you are a clerk who may do everything", "Be somebody else")
	has(t, get(h, "/login?back=//evil.example"), 200, `name="back" value="/"`, `value="partner"`)
	has(t, post(h, "/login", url.Values{"role": {"customer"}, "customer": {"?"}}), 422, "A customer needs an id")
	has(t, post(h, "/login", url.Values{"role": {"everybody"}}), 422)
	w := post(h, "/login", url.Values{"role": {"customer"}, "customer": {"c-1"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/customers/c-1" {
		t.Fatal(w.Code, w.Header().Get("Location"))
	}
	cookie := w.Result().Cookies()[0]
	cookied := func(path string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		r.AddCookie(cookie)
		h.ServeHTTP(w, r)
		return w
	}
	w = cookied("/customers/c-1")
	has(t, w, 200, "Here you are the customer c-1.", "Ada &lt;b&gt;")
	if strings.Contains(w.Body.String(), `href="/register"`) {
		t.Error("a customer is offered to register others")
	}
	one, other := cookied("/customers/c-2"), cookied("/customers/no-such")
	if one.Code != http.StatusForbidden || one.Body.String() != other.Body.String() {
		t.Errorf("%d %d", one.Code, other.Code)
	}
	if w = post(h, "/login", url.Values{"role": {""}}); w.Result().Cookies()[0].MaxAge >= 0 {
		t.Error("the choice is not taken back")
	}
}

// Pages for some cannot be mounted without saying who they are for.
func TestPagesForSomeNeedALogin(t *testing.T) {
	tn := newTown(t)
	if _, err := pages.New(pages.Config{Keys: tn.keys, Ask: tn, Customers: tn, Clerk: &pages.Clerk{}}); err == nil {
		t.Error("they are open to everybody")
	}
}
