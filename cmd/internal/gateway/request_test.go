package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(c *Config) { c.Open = true }

// Each malformed request has a status and a type, says where it is wrong, and repeats nothing of what it said.
func TestMalformedRequests(t *testing.T) {
	g := Bare(t, open)
	const address = `{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}`
	valid := `{"name":"Canary","email":"canary@example.org","address":` + address + `}`
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
		where              string
	}{
		"an unknown field":            {"PUT", "/v1/customers/c-1", strings.Replace(valid, `"name"`, `"nick":"Canary","name"`, 1), nil, 400, "malformed", "body.nick"},
		"a field in another case":     {"PUT", "/v1/customers/c-1", strings.Replace(valid, `"name"`, `"Name"`, 1), nil, 400, "malformed", "body body.Name"},
		"an unknown field deep down":  {"PUT", "/v1/customers/c-1", strings.Replace(valid, `"city"`, `"town":"Canary","city"`, 1), nil, 400, "malformed", "body.address.town"},
		"a missing field":             {"PUT", "/v1/customers/c-1", `{"name":"Canary","address":` + address + `}`, nil, 400, "malformed", "body"},
		"another type":                {"PUT", "/v1/customers/c-1/email", `{"email":["canary@example.org"]}`, nil, 400, "malformed", "body.email"},
		"no JSON":                     {"PUT", "/v1/customers/c-1/email", `{"email":"canary@example.org"`, nil, 400, "malformed", "body"},
		"two values":                  {"PUT", "/v1/customers/c-1/email", `{"email":"a@b.example"}{}`, nil, 400, "malformed", "body"},
		"null":                        {"PUT", "/v1/customers/c-1/email", `null`, nil, 400, "malformed", "body"},
		"not UTF-8":                   {"PUT", "/v1/customers/c-1/email", "{\"email\":\"\xff\"}", nil, 400, "malformed", "body"},
		"no body":                     {"PUT", "/v1/customers/c-1/email", ``, nil, 400, "malformed", ""},
		"a body where none is needed": {"POST", "/v1/customers/c-1/closure", `{"why":"Canary"}`, nil, 400, "malformed", "body.why"},
		"a reason that is none":       {"POST", "/v1/customers/c-1/address-changes", `{"reason":"Canary","address":` + address + `}`, nil, 400, "malformed", "body.reason"},
		"an id that is none":          {"GET", "/v1/customers/c%201", "", nil, 400, "malformed", "path.id"},
		"an id that is too long":      {"GET", "/v1/customers/" + strings.Repeat("x", 65), "", nil, 400, "malformed", "path.id"},
		"a key that is none":          {"POST", "/v1/customers/c-1/closure", "", []string{"Idempotency-Key", "Canary Canary"}, 400, "malformed", "header.Idempotency-Key"},
		"a weak tag":                  {"POST", "/v1/customers/c-1/closure", "", []string{"If-Match", `W/"1"`}, 400, "malformed", "header.If-Match"},
		"a list of tags":              {"POST", "/v1/customers/c-1/closure", "", []string{"If-Match", `"1", "2"`}, 400, "malformed", "header.If-Match"},
		"any version":                 {"POST", "/v1/customers/c-1/closure", "", []string{"If-Match", `*`}, 400, "malformed", "header.If-Match"},
		"a receipt that is none":      {"GET", "/v1/customers/c-1", "", []string{"Utopia-After", "Canary"}, 400, "malformed", "header.Utopia-After"},
		"another's receipt":           {"GET", "/v1/customers/c-1", "", []string{"Utopia-After", "customer/c-2@1"}, 400, "malformed", "header.Utopia-After"},
		"another aggregate's receipt": {"GET", "/v1/customers/c-1", "", []string{"Utopia-After", "billing/c-1@1"}, 400, "malformed", "header.Utopia-After"},
		"another language":            {"PUT", "/v1/customers/c-1/email", `<email/>`, []string{"Content-Type", "application/xml"}, 415, "unsupported_media_type", ""},
		"a form":                      {"PUT", "/v1/customers/c-1/email", `email=x`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", ""},
		"too large":                   {"PUT", "/v1/customers/c-1/email", `{"email":"` + strings.Repeat("x", 65<<10) + `"}`, nil, 413, "request_too_large", ""},
		"no such route":               {"GET", "/v1/nothing", "", nil, 404, "not_found", ""},
		"no such method":              {"PATCH", "/v1/customers/c-1", "", nil, 405, "method_not_allowed", ""},
		"another site's page":         {"PUT", "/v1/customers/c-1/email", `{"email":"a@b.example"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross_origin", ""},
		"another site's origin":       {"POST", "/v1/confirmations", `{"token":"x"}`, []string{"Origin", "https://evil.example"}, 403, "cross_origin", ""},
		"an address that is none":     {"PUT", "/v1/customers/c-1", strings.Replace(valid, "2801 JG", "Canary", 1), nil, 422, "post_code", ""},
		"an e-mail that is none":      {"PUT", "/v1/customers/c-1/email", `{"email":"Canary"}`, nil, 422, "email", ""},
		"a link that is none":         {"POST", "/v1/confirmations", `{"token":"Canary"}`, nil, 422, "link", ""},
		"a search for nobody":         {"POST", "/v1/customers/search", `{"email":"Canary"}`, nil, 422, "email", ""},
		"a cluster that is not there": {"PUT", "/v1/customers/c-1", valid, nil, 503, "unavailable", ""},
		"a view that is not there":    {"GET", "/v1/customers/c-1", "", nil, 503, "view_not_ready", ""},
	} {
		a := Local(t, g.Handler(), c.method, c.path, c.body, c.headers...)
		p := a.Problem(t)
		if a.Status != c.status || p.Status != c.status || p.Code != c.code || p.Type != "/problems/"+c.code || p.Title == "" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if where := faults(p); c.where != "" && where != c.where {
			t.Errorf("%s: wrong at %q, want %q: %s", name, where, c.where, a.Body)
		}
		if strings.Contains(strings.ToLower(string(a.Body)), "canary") {
			t.Errorf("%s: the answer repeats the request: %s", name, a.Body)
		}
		if a.Status == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: when to try again?", name)
		}
		if a.Status == 405 && a.Header.Get("Allow") != "DELETE, GET, PUT" {
			t.Errorf("%s: %q is allowed", name, a.Header.Get("Allow"))
		}
	}
}

func faults(p Problem) string {
	var all []string
	for _, f := range p.Faults {
		all = append(all, f.Location)
	}
	return strings.Join(all, " ")
}

func TestAPanicIsAProblemToo(t *testing.T) {
	g := Bare(t)
	h := g.outermost(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary@example.org") }))
	a := Local(t, h, http.MethodGet, "/", "")
	if p := a.Problem(t); p.Status != 500 || strings.Contains(string(a.Body), "canary") {
		t.Errorf("%s", a.Body)
	}
}

func TestHowLongToWait(t *testing.T) {
	for prefer, want := range map[string]string{
		"":                              "5s ",
		"wait=2":                        "2s wait=2",
		"handling=lenient, wait=7":      "7s wait=7",
		`return=minimal, Wait = "3"; x`: "3s wait=3",
		"return=minimal; wait=3":        "5s ",
		"wait=0":                        "0s wait=0",
		"wait=600":                      "30s wait=30",
		"wait=-1":                       "5s ",
		"wait=soon":                     "5s ",
		"respond-async, wait=10":        "0s respond-async",
		"wait=9999999999999999999999":   "5s ",
	} {
		d, applied := wait(prefer)
		if got := d.String() + " " + applied; got != want {
			t.Errorf("%q: %q, want %q", prefer, got, want)
		}
	}
}

// The pages that say what problems are load nothing from elsewhere.
func TestWhatIsThereToRead(t *testing.T) {
	g := Bare(t)
	docs := Local(t, g.Handler(), http.MethodGet, "/docs", "")
	if docs.Status != 200 || !strings.Contains(string(docs.Body), "/problems/version_conflict") || !strings.Contains(string(docs.Body), "/v1/confirmations") {
		t.Errorf("%d %s", docs.Status, docs.Body)
	}
	for _, elsewhere := range []string{"src=", "http://", "https://", "url("} {
		if strings.Contains(string(docs.Body), elsewhere) {
			t.Errorf("the page has %q", elsewhere)
		}
	}
	if a := Local(t, g.Handler(), http.MethodGet, "/problems/erased", ""); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := Local(t, g.Handler(), http.MethodGet, "/problems/none", ""); a.Problem(t).Code != "not_found" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := Local(t, g.Handler(), http.MethodGet, "/healthz", ""); a.Status != 200 {
		t.Error(a.Status)
	}
	if a := Local(t, g.Handler(), http.MethodGet, "/readyz", ""); a.Status != 503 {
		t.Error(a.Status)
	}
	doc := Decoded[struct{ OpenAPI string }](t, Local(t, g.Handler(), http.MethodGet, "/openapi.json", ""))
	if diff := cmp.Diff("3.1.0", doc.OpenAPI); diff != "" {
		t.Error(diff)
	}
}
