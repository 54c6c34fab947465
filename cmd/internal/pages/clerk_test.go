package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/pages"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/timeline"
	"utopia/processors/customer"
	"utopia/schemas"
)

func has(t *testing.T, w *httptest.ResponseRecorder, status int, wanted ...string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("%d, want %d:\n%s", w.Code, status, w.Body)
	}
	for _, want := range wanted {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, w.Body)
		}
	}
}

func TestFindingACustomer(t *testing.T) {
	tn := asks(t)
	h := tn.clerk(t)
	has(t, get(h, "/"), 200, "You act as a clerk.", `href="/register"`, `href="/dev/mail/"`)
	has(t, get(h, "/customers/"), 200, `<a href="/customers/c-1" dir="auto">Ada &lt;b&gt;</a>`, "change waits")
	find := func(text, by string) *httptest.ResponseRecorder {
		return post(h, "/customers/", url.Values{"find": {text}, "by": {by}})
	}
	has(t, find("ada", "any"), 200, "Ada &lt;b&gt;", "Found by the name", `value="ada"`)
	has(t, find("GOUD", "any"), 200, "Ada &lt;b&gt;", "Found by the city")
	has(t, find("ada@example.org", "any"), 200, "Ada &lt;b&gt;", "Found by the e-mail address")
	has(t, find("C-", "any"), 200, "Ada &lt;b&gt;", "Found by the id")
	has(t, find("GOUD", "name"), 200, "Nobody here matches.")
	has(t, find("ada@", "email"), 422, "This is no whole e-mail address.", `aria-invalid="true"`)
	has(t, find("a b", "id"), 422, "An id is 1 to 64")
	has(t, find("!", "name"), 422, "no letter and no digit")
	has(t, post(h, "/customers/", url.Values{"find": {"a"}, "from": {"?"}}), 400, "No such page")
	has(t, post(h, "/customers/", url.Values{"find": {strings.Repeat("x", 70<<10)}}), 413)
	has(t, get(h, "/customers/?from=%3F"), 400, "No such page")
	for text, where := range map[string]string{"c-1": "/customers/c-1", " ": "/customers/"} {
		if w := find(text, "any"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != where {
			t.Errorf("%q: %d %s", text, w.Code, w.Header().Get("Location"))
		}
	}
	has(t, get(h, "/customers/c-2"), 404, "Nobody is known as c-2")
	has(t, get(newTown(t).clerk(t), "/customers/"), 200, "There is nobody here yet.", `/register?sample=s-1`, "Ōe &lt;i&gt;")
}

// Pages follow each other: all customers by an address, found ones by a form, because a search has personal data in it.
func TestAListHasPages(t *testing.T) {
	tn := newTown(t)
	for i := range 51 {
		tn.must(t, fmt.Sprintf("c-%02d", i), customer.Register{Name: "Ada", Email: "ada@example.org", Address: gouda})
	}
	h := tn.clerk(t)
	has(t, get(h, "/customers/"), 200, `href="/customers/?from=c-49"`, "c-49")
	has(t, get(h, "/customers/?from=c-49"), 200, `href="/customers/c-50"`)
	w := post(h, "/customers/", url.Values{"find": {"ada"}, "by": {"name"}})
	has(t, w, 200, `name="from" value="c-49"`, `name="by" value="name"`)
	if strings.Contains(w.Body.String(), "?from=") || w.Body.Len() > 100<<10 {
		t.Errorf("a page of %d bytes with a search in an address", w.Body.Len())
	}
	w = post(h, "/customers/", url.Values{"find": {"ada"}, "by": {"name"}, "from": {"c-49"}})
	has(t, w, 200, `href="/customers/c-50"`)
	if strings.Contains(w.Body.String(), "The next ones") {
		t.Error("a page behind the last one")
	}
}

func TestWhatWaits(t *testing.T) {
	tn := asks(t)
	h := tn.clerk(t)
	tn.now = tn.now.Add(5 * hours)
	has(t, get(h, "/waiting"), 200, "Ada &lt;b&gt;", "5 hours", "It waits for the customer to follow the link in the mail.", "expires in 67 hours", `href="/waiting" aria-current="true"`)
	has(t, get(h, "/waiting?for=date"), 200, "No change waits for that.", `href="/waiting?for=date" aria-current="true"`)
	tn.must(t, "c-1", customer.RecordUndeliverable{Mail: 2, Detail: "recipient"})
	has(t, get(h, "/waiting?for=mail"), 200, "did not arrive (recipient)")
	has(t, get(h, "/waiting?for=bus"), 400, "No such page")
	has(t, get(h, "/waiting?from=%3F"), 400, "No such page")
}

func TestTheCustomersPage(t *testing.T) {
	tn := asks(t)
	tn.past = timeline.Page{Next: "0a", Entries: []timeline.Entry{
		{ID: "r-1", Kind: "command", Type: "RegisterCustomer", Outcome: "accepted", At: schemas.Millis(tn.now)},
		{ID: "c-1/1", Kind: "event", Type: "CustomerRegistered", Version: 1, Cause: "r-1", At: schemas.Millis(tn.now)},
		{ID: "billing/c-1@1", Kind: "applied", Service: "billing", Version: 1, Cause: "c-1/1", At: schemas.Millis(tn.now)},
		{ID: "k-1", Kind: "command", Type: "ConfirmAddressChange", Change: "r-1", Outcome: "refused", Refusal: "<other>", At: schemas.Millis(tn.now)},
	}}
	h := tn.clerk(t)
	w := get(h, "/customers/c-1?after=customer/c-1@2")
	has(t, w, 200, "It waits for the customer to follow the link in the mail.", "4 March 2026, 12:00 UTC</time> (in 3 days)", "12.50 EUR",
		"Versions applied: Customer 2, Billing 1, Notification 0", "Netherlands", `href="/customers/c-1/move"`)
	for _, path := range []string{"/customers/c-1", "/customers/c-1/timeline"} {
		w := get(h, path)
		has(t, w, 200, "Register customer</strong>", "Confirm address change</strong>", "refused (&lt;other&gt;)", `href="#command-r-1"`, `href="/customers/c-1/timeline?before=0a"`)
		body := w.Body.String() // each effect is in the list of its cause
		command, event, applied, end := strings.Index(body, `id="command-r-1"`), strings.Index(body, `id="event-c-1/1"`), strings.Index(body, "Billing has applied"), strings.Index(body, `id="command-k-1"`)
		if command > event || event > applied || applied > end || strings.Count(body[command:applied], "led to:") != 2 {
			t.Errorf("%s: %d %d %d %d", path, command, event, applied, end)
		}
	}
	has(t, get(h, "/customers/c-1/timeline?before=%3F"), 400, "No such page")
	has(t, get(h, "/customers/c-9/timeline"), 404, "Nobody is known as c-9")
	tn.past.Partial = true
	has(t, get(h, "/customers/c-1"), 200, "The query side of the customer service does not answer")
	has(t, get(h, "/customers/c-1/versions"), 200, "customer 2, billing 5")
	tn.must(t, "c-1", customer.RecordUndeliverable{Mail: 2, Detail: "recipient"})
	has(t, get(h, "/customers/c-1"), 200, "did not arrive (recipient)")
	tn.must(t, "c-1", customer.Close{})
	if w := get(h, "/customers/c-1"); strings.Contains(w.Body.String(), "/move") {
		t.Error("a closed customer can be moved")
	}
}

// TestMovingACustomer: the form asks for what the country needs, says what is wrong where it is wrong, and keeps what was typed.
func TestMovingACustomer(t *testing.T) {
	tn := asks(t)
	h := tn.clerk(t)
	has(t, get(h, "/customers/c-1/move"), 200, "Another address for Ada &lt;b&gt;", `value="NL" selected`, ">Postal code</label>", `name="command" value="0`)

	us := url.Values{"do": {"country"}, "country": {"US"}, "street": {"1 Navy Way"}, "reason": {"moved"}, "command": {"m-1"}}
	has(t, post(h, "/customers/c-1/move", us), 200, ">ZIP code</label>", ">State</label>", `<option value="VA">Virginia</option>`, "1 Navy Way</textarea>", `value="m-1"`)
	us.Set("do", "send")
	w := post(h, "/customers/c-1/move", us)
	has(t, w, 422, `role="alert"`, `<a href="#city">City is missing.</a>`, `<a href="#region">State is missing.</a>`, `<a href="#postcode">ZIP code is missing.</a>`, `aria-invalid="true" aria-describedby="city-why"`, "1 Navy Way</textarea>", "<title>Not yet: ")
	if tn.asked != 0 {
		t.Error("half an address was sent")
	}
	us.Set("city", "Arlington")
	us.Set("region", "VA")
	us.Set("postcode", "22202")
	for range 2 { // a double click
		if w := post(h, "/customers/c-1/move", us); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/customers/c-1?after=customer/c-1@3" {
			t.Fatalf("%d %s\n%s", w.Code, w.Header().Get("Location"), w.Body)
		}
	}
	if s := tn.rows["c-1"]; s.Version != 3 || s.Change.ID != "m-1" || s.Change.Address.Fields().City != "Arlington" {
		t.Errorf("%+v", s)
	}
	same := url.Values{"do": {"send"}, "country": {"NL"}, "city": {"Gouda"}, "postcode": {"2801 JG"}, "street": {"Markt 1"}, "reason": {"moved"}, "command": {"m-2"}}
	w = post(h, "/customers/c-1/move", same)
	has(t, w, 409, "has refused this: this is the customer&#39;s address already.")
	if strings.Contains(w.Body.String(), `value="m-2"`) {
		t.Error("what is sent next would get the refusal again")
	}
	bad := url.Values{"do": {"send"}, "country": {"XX"}, "reason": {"bored"}, "effective": {"soon"}}
	has(t, post(h, "/customers/c-1/move", bad), 422, `href="#country"`, `href="#reason"`, `href="#effective"`)
	tn.down = errSlo
	same.Set("command", "m-3")
	has(t, post(h, "/customers/c-1/move", same), 503, "sending this form again is safe", `value="m-3"`)
	has(t, post(h, "/customers/c-9/move", same), 404)
	has(t, post(h, "/customers/c-1/move", us, "Sec-Fetch-Site", "cross-site"), 403)
}

func TestRegisteringSomebody(t *testing.T) {
	tn := newTown(t)
	h := tn.clerk(t)
	has(t, get(h, "/register"), 200, "Register a customer", `id="language"`)
	has(t, get(h, "/register?sample=s-1"), 200, `value="Ōe &lt;i&gt;"`, ">Prefecture</label>", `<option value="東京都" selected>`, "ja (English letters)")
	form := url.Values{
		"do": {"send"}, "id": {"c 1"}, "name": {"\"><script>"}, "email": {"nobody"}, "language": {"xx_"}, "country": {"NL"}, "city": {"Gouda"},
		"postcode": {"2801 JG"}, "street": {"Markt 1\r\nachter"}, "command": {"r-1"},
	}
	has(t, post(h, "/register", form), 422, `href="#id"`, `href="#email"`, `href="#language"`, `value="&#34;&gt;&lt;script&gt;"`)
	form.Set("id", "c-1")
	form.Set("email", "ada@example.org")
	form.Set("language", "nl")
	if w := post(h, "/register", form); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/customers/c-1?after=customer/c-1@1" {
		t.Fatalf("%d %s\n%s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if a := tn.rows["c-1"].Address.Address; a.Fields().Street != "Markt 1\nachter" {
		t.Errorf("%+v", a)
	}
	big := url.Values{"name": {strings.Repeat("x", 70<<10)}}
	has(t, post(h, "/register", big), 413, "damaged or too large")
}

func TestTheInbox(t *testing.T) {
	tn := asks(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tn.mails = []smtpd.Mail{
		{ID: 1, To: []string{"ada@example.org"}, Subject: "First <b>", Text: "Hello <script>", HTML: "<head></head><script>x</script><a href='/confirm#t'>x</a>", ReceivedAt: at, Language: "nl"},
		{ID: 2, To: []string{"bob@example.org"}, Subject: "Second", Text: "plain", ReceivedAt: at},
	}
	h := tn.clerk(t)
	w := get(h, "/dev/mail/")
	has(t, w, 200, "First &lt;b&gt;", "Second", `data-seen="2"`)
	if body := w.Body.String(); strings.Index(body, "Second") > strings.Index(body, "First") {
		t.Error("not newest first")
	}
	has(t, get(h, "/dev/mail/?seen=1"), 200, "2")
	if w := get(h, "/dev/mail/?to=ada@example.org"); strings.Contains(w.Body.String(), "Second") {
		t.Error("somebody else's mail")
	}
	has(t, get(h, "/dev/mail/read/1"), 200, "Hello &lt;script&gt;", `sandbox="allow-top-navigation-by-user-activation"`, `src="/dev/mail/read/1/html"`)
	if w := get(h, "/dev/mail/read/2"); strings.Contains(w.Body.String(), "<iframe") {
		t.Error("a frame for a mail without HTML")
	}
	w = get(h, "/dev/mail/read/1/html")
	has(t, w, 200, `<head><base target="_top">`)
	for _, want := range []string{"sandbox allow-top-navigation-by-user-activation;", "default-src 'none'", "frame-ancestors 'self'"} {
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, want) || strings.Contains(csp, "allow-scripts") {
			t.Errorf("policy %q", csp)
		}
	}
	has(t, get(h, "/dev/mail/read/3"), 404, "No such mail")
	has(t, get(h, "/dev/mail/read/x/html"), 404)
}

// Without a clerk there is the page behind a link, and nothing about anybody.
func TestThePublicPagesAreOne(t *testing.T) {
	h := asks(t).pages(t, func(c *pages.Config) { c.Banner = "" })
	for _, path := range []string{"/", "/customers/", "/customers/c-1", "/register", "/dev/mail/", "/dev/mail/read/1"} {
		if w := get(h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if body := get(h, "/confirm").Body.String(); strings.Contains(body, "banner") {
		t.Error("a banner without a text")
	}
}

func TestAssetsAreKept(t *testing.T) {
	h := asks(t).pages(t, nil)
	body := get(h, "/confirm").Body.String()
	_, rest, _ := strings.Cut(body, `href="/assets/`)
	path, _, _ := strings.Cut(rest, `"`)
	w := get(h, "/assets/"+path)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Type"), "text/css") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %v", path, w.Code, w.Header())
	}
}
