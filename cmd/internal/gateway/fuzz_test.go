package gateway

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// shot sends one request that anybody might, and says what no answer may be.
func shot(t *testing.T, g *Gateway, method, path, body, header, value string) {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" {
		return // net/http does not hand such a request on
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
	r.Method, r.URL, r.RequestURI = method, u, path
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=0")
	if header != "" {
		r.Header.Set(header, value)
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	switch {
	case w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusGatewayTimeout: // nothing is connected: what is well formed cannot be served
		t.Errorf("%s %q %q %s: %q: %d %s", method, path, body, header, value, w.Code, w.Body)
	case w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" && path != "/readyz":
		t.Errorf("%s %q: %d as %q", method, path, w.Code, w.Header().Get("Content-Type"))
	}
}

func FuzzRequests(f *testing.F) {
	f.Add("PUT", "/v1/customers/c-1", `{"name":"x","email":"a@b.example","address":{"country":"NL"}}`, "If-Match", `"1"`)
	f.Add("POST", "/v1/confirmations", `{"token":"v1.a.b.c"}`, "Idempotency-Key", "k")
	f.Add("GET", "/v1/mails/a%2Fb%2F1", ``, "Utopia-After", "mail/a/b/1@1")
	f.Add("GET", "/v1/commands/x?sent=-1&gone=maybe", ``, "Prefer", "wait=;,=")
	f.Add("DELETE", "/v1/customers/../x", "\xff", "Authorization", "Bearer a.b.c")
	f.Fuzz(func(t *testing.T, method, path, body, header, value string) {
		if slices.ContainsFunc([]byte(method+header), func(c byte) bool { return c <= ' ' || c >= 0x7f || c == ':' }) || method == "" {
			return
		}
		shot(t, Bare(t, open), method, path, body, header, value)
	})
}

// A hundred thousand requests made of right and wrong parts: each has an answer that the caller can act on, and leaves nothing
// behind.
func TestRandomRequests(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // not a secret
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	g := Bare(t, open)
	var paths []string
	for path := range g.api.OpenAPI().Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	values := []string{
		"c-1", "%2F", "..", "%00", strings.Repeat("x", 70), "é", `"1"`, "W/\"1\"", "-1", "9223372036854775808", "customer/c-1@1", "null", "wait=1", "text/plain", "🙂",
	}
	bodies := []string{
		"", "{}", "[]", "null", "1", `"x"`, "{", `{"token":"x"}`, `{"name":"é"}`, `{"city":"!"}`, `{"id":"c","cursor":"AAAA","limit":3}`, `{"email":"a@b.example"}`, `{"email":null}`, `{"email":{"email":[]}}`, "\xff\xfe",
		`{"amountCents":1e400,"currency":"EUR"}`, `{"amountCents":1.5,"currency":"EUR"}`, `{"reason":"moved","address":{"country":"NL","street":[1]}}`,
		`{"reason":"moved","effectiveAt":"0000-00-00","address":{"country":"NL"}}`, strings.Repeat("[", 10_000), strings.Repeat("x", maxBody+10),
	}
	var early uint64
	for n := range 100_000 {
		if n == 20_000 { // what is made once is there
			early = heap()
		}
		path := pick(paths...)
		for _, name := range []string{"{id}", "{change}", "{invoice}"} {
			path = strings.ReplaceAll(path, name, pick(values[:6]...))
		}
		if rnd.IntN(4) == 0 {
			path += "?" + pick("sent", "gone", "customer", "cursor", "limit", "waitsFor", "x") + "=" + url.QueryEscape(pick(values...))
		}
		header := pick("", "Idempotency-Key", "If-Match", "Prefer", "Utopia-After", "Utopia-Correlation-Id", "Content-Type", "Accept", "Origin", "Content-Encoding")
		shot(t, g, pick("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"), path, pick(bodies...), header, pick(values...))
		if t.Failed() {
			t.Fatalf("request %d of seed %d", n, seed)
		}
	}
	if late := heap(); late > early+1<<20 {
		t.Errorf("80,000 requests have left %d bytes", late-early)
	}
}

// heap is what is in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
