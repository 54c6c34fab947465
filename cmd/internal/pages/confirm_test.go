package pages_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/pages"
	"utopia/processors"
	"utopia/processors/customer"
	"utopia/processors/postal"
)

func token(s string) url.Values { return url.Values{"token": {s}} }

// TestWhatALinkLeadsTo: each way a link can go has its page, its status and its effect.
func TestWhatALinkLeadsTo(t *testing.T) {
	confirm := func(tn *town) string { return tn.link(t, processors.PurposeConfirm, "x1") }
	reject := func(tn *town) string { return tn.link(t, processors.PurposeCancel, "x1") }
	for name, tc := range map[string]struct {
		link   func(*town) string
		before func(*town)
		status int
		says   string
		moved  bool
	}{
		"confirmed": {link: confirm, status: 200, says: "Your new address is in effect", moved: true},
		"the whole link was pasted": {
			link:   func(tn *town) string { return " https://example.org/confirm#" + confirm(tn) + "\n" },
			status: 200, says: "Your new address is in effect", moved: true,
		},
		"rejected": {link: reject, status: 200, says: "Your address stays as it is"},
		"expired": {
			link: confirm, status: 410, says: "could be used until 2026-03-04 12:00 UTC",
			before: func(tn *town) { tn.now = tn.now.Add(72 * hours) },
		},
		"just in time": {
			link: confirm, status: 200, says: "Your new address is in effect", moved: true,
			before: func(tn *town) { tn.now = tn.now.Add(72*hours - time.Millisecond) },
		},
		"expired, reject": {
			link: reject, status: 410, says: "This link has expired",
			before: func(tn *town) { tn.now = tn.now.Add(73 * hours) },
		},
		"used by the other link": {
			link: confirm, status: 409, says: "used already",
			before: func(tn *town) { tn.must(t, "c-1", customer.CancelChange{}) },
		},
		"superseded": {
			link: confirm, status: 410, says: "There is a newer request",
			before: func(tn *town) {
				tn.must(t, "c-1", customer.RequestChange{ChangeID: "x2", Address: porto, Reason: customer.ReasonCorrected})
			},
		},
		"superseded, reject": {
			link: reject, status: 410, says: "There is a newer request",
			before: func(tn *town) {
				tn.must(t, "c-1", customer.RequestChange{ChangeID: "x2", Address: porto, Reason: customer.ReasonCorrected})
			},
		},
		"closed meanwhile": {
			link: confirm, status: 410, says: "This link does nothing any more",
			before: func(tn *town) { tn.must(t, "c-1", customer.Close{}) },
		},
		"waits for its date": {
			link: confirm, status: 200, says: "It takes effect on 2026-03-11 12:00 UTC",
			before: func(tn *town) {
				tn.must(t, "c-1", customer.RequestChange{ChangeID: "x1", Address: porto, Reason: customer.ReasonMoved, EffectiveAt: tn.now.Add(240 * hours)})
			},
		},
		"overtaken by a fact": {
			link: confirm, status: 200, says: "A newer address is in effect already",
			before: func(tn *town) {
				tn.must(t, "c-1", customer.RecordFact{Source: "crm", FactID: "f1", OccurredAt: tn.now.Add(hours), Address: elsewhere("Breda"), Verified: true})
			},
		},
		"no answer": {
			link: confirm, status: 503, says: "Nothing is lost",
			before: func(tn *town) { tn.down = errSlo },
		},
	} {
		t.Run(name, func(t *testing.T) {
			tn := asks(t)
			link := tc.link(tn)
			if tc.before != nil {
				tc.before(tn)
			}
			before := tn.rows["c-1"].Address.Address
			w := post(tn.pages(t, nil), "/confirm", token(link))
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) {
				t.Errorf("%d, want %d and %q:\n%s", w.Code, tc.status, tc.says, w.Body)
			}
			if got := tn.rows["c-1"].Address.Address; (got == porto) != tc.moved || !tc.moved && got != before {
				t.Errorf("the address is %+v", got)
			}
			if tc.status == 503 && (w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `value="`+link+`"`)) {
				t.Error("nothing to try again with")
			}
		})
	}
}

func elsewhere(city string) postal.Address {
	f := gouda.Fields()
	f.City = city
	return postal.Restore(f)
}

// A link that is posted again, by impatience or a retry, is one command with one outcome.
func TestALinkIsUsedOnce(t *testing.T) {
	for _, purpose := range []string{processors.PurposeConfirm, processors.PurposeCancel} {
		tn := asks(t)
		link, h := tn.link(t, purpose, "x1"), tn.pages(t, nil)
		if w := post(h, "/confirm", token(link)); w.Code != http.StatusOK {
			t.Fatalf("%d\n%s", w.Code, w.Body)
		}
		version := tn.rows["c-1"].Version
		w := post(h, "/confirm", token(link))
		if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "used already") || tn.rows["c-1"].Version != version {
			t.Errorf("%s again: %d\n%s", purpose, w.Code, w.Body)
		}
	}
}

func TestAThousandPostsHaveOneSuccess(t *testing.T) {
	tn := asks(t)
	link := tn.link(t, processors.PurposeConfirm, "x1")
	handlers := []http.Handler{tn.pages(t, nil), tn.pages(t, nil), tn.pages(t, nil)}
	var successes, used atomic.Int64
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			switch post(handlers[i%3], "/confirm", token(link)).Code {
			case http.StatusOK:
				successes.Add(1)
			case http.StatusConflict:
				used.Add(1)
			}
		})
	}
	all.Wait()
	if successes.Load() != 1 || used.Load() != 999 || tn.rows["c-1"].Version != 3 {
		t.Errorf("%d successes, %d used, version %d", successes.Load(), used.Load(), tn.rows["c-1"].Version)
	}
}

// Whoever tries tokens gets one answer, whatever is wrong with them, and the customer service is not asked.
func TestAForgerLearnsNothing(t *testing.T) {
	tn := asks(t)
	h := tn.pages(t, nil)
	good := tn.link(t, processors.PurposeConfirm, "x1")
	other, err := links.ParseKeys(strings.NewReader("k2:" + strings.Repeat("QUFB", 11) + "\nk1:" + strings.Repeat("QUFC", 11)))
	if err != nil {
		t.Fatal(err)
	}
	retired, err := links.Sign(other, links.Claims{Purpose: processors.PurposeConfirm, Subject: "c-1", Change: "x1", ExpiresAt: tn.now.Add(hours)})
	if err != nil {
		t.Fatal(err)
	}
	expiredForgery := strings.Replace(retired, "k2", "k1", 1)
	want := ""
	for name, bad := range map[string]string{
		"nothing": "", "a word": "hello", "cut off": good[:len(good)-2], "another key": retired, "another signature": expiredForgery,
		"another purpose": tn.link(t, "reset_password", "x1"), "whatever change there is": tn.link(t, processors.PurposeCancel, ""),
		"markup": `<script>alert(1)</script>`, "long": strings.Repeat("x", 5000), "changed": strings.Replace(good, ".", ".A", 2),
	} {
		w := post(h, "/confirm", token(bad))
		if want == "" {
			want = w.Body.String()
		}
		if w.Code != http.StatusBadRequest || w.Body.String() != want || !strings.Contains(want, "This link does not work") {
			t.Errorf("%s: %d\n%s", name, w.Code, w.Body)
		}
	}
	if tn.asked != 0 {
		t.Errorf("the customer service was asked %d times", tn.asked)
	}
}

// Mail scanners open every link.
func TestOpeningALinkChangesNothing(t *testing.T) {
	tn := asks(t)
	h := tn.pages(t, nil)
	link := tn.link(t, processors.PurposeConfirm, "x1")
	for range 50 {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, path := range []string{"/confirm", "/confirm?token=" + link} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
				if w.Code != http.StatusOK || strings.Contains(w.Body.String(), link) {
					t.Fatalf("%s %s: %d", method, path, w.Code)
				}
			}
		}
	}
	if tn.asked != 0 || tn.rows["c-1"].Version != 2 {
		t.Errorf("asked %d times", tn.asked)
	}
}

func TestThePageSaysWhatToDoWithoutScripts(t *testing.T) {
	body := get(asks(t).pages(t, nil), "/confirm").Body.String()
	for _, want := range []string{
		"<noscript><p class=\"sheet\" role=\"note\">Your browser runs no scripts here.", `<label for="token">Link from the mail</label>`,
		`data-ask="confirm" hidden`, `data-ask="cancel" hidden`, `<form method="post" action="/confirm">`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
}

// Another site's page cannot post, whatever it says about itself.
func TestCrossSitePostsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		head   []string
		status int
	}{
		"our page":               {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, 200}, // Referrer-Policy: no-referrer makes it null
		"typed by hand":          {[]string{"Sec-Fetch-Site", "none"}, 200},
		"no browser":             {nil, 200},
		"another site":           {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another host of ours":   {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"an old browser, abroad": {[]string{"Origin", "https://evil.example"}, 403},
		"an old browser, ours":   {[]string{"Origin", "http://localhost:8080"}, 200},
	} {
		tn := asks(t)
		w := post(tn.pages(t, nil), "/confirm", token(tn.link(t, processors.PurposeConfirm, "x1")), tc.head...)
		if w.Code != tc.status || (tn.asked == 0) != (tc.status == 403) {
			t.Errorf("%s: %d, asked %d times", name, w.Code, tn.asked)
		}
		if tc.status == 403 && !strings.Contains(w.Body.String(), "did not come from our page") {
			t.Errorf("%s:\n%s", name, w.Body)
		}
	}
}

func TestAnOversizedPostIsRefused(t *testing.T) {
	tn := asks(t)
	if w := post(tn.pages(t, nil), "/confirm", token(strings.Repeat("x", 65<<10))); w.Code != http.StatusRequestEntityTooLarge || tn.asked != 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestTheReadersLanguage(t *testing.T) {
	tn := asks(t)
	h := tn.pages(t, nil)
	for accept, want := range map[string]struct{ lang, says string }{
		"":                        {"en", "This link does not work"},
		"de-AT,de;q=0.9,en;q=0.1": {"de", "Dieser Link funktioniert nicht"},
		"ja,nl;q=0.5":             {"nl", "Deze link werkt niet"},
		"fr":                      {"fr", "Ce lien ne fonctionne pas"},
		"xx;;;":                   {"en", "This link does not work"},
	} {
		w := post(h, "/confirm", token("x"), "Accept-Language", accept)
		if !strings.Contains(w.Body.String(), `<html lang="`+want.lang+`">`) || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%q:\n%s", accept, w.Body)
		}
	}
}

// Every answer keeps what a page may do within bounds, and the token in nobody's log.
func TestHeadersAndLogs(t *testing.T) {
	tn := asks(t)
	var log bytes.Buffer
	h := tn.pages(t, func(c *pages.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	link := tn.link(t, processors.PurposeConfirm, "x1")
	tn.down = errSlo
	for name, w := range map[string]*httptest.ResponseRecorder{
		"ask": get(h, "/confirm"), "later": post(h, "/confirm", token(link)), "invalid": post(h, "/confirm", token("x")),
		"foreign": post(h, "/confirm", token(link), "Sec-Fetch-Site", "cross-site"),
	} {
		for header, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s: %q", name, header, got)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
				t.Errorf("%s: policy %q", name, csp)
			}
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), link[:20]) || strings.Contains(log.String(), "ada@") || strings.Contains(log.String(), "c-1 ") {
		t.Errorf("log:\n%s", &log)
	}
}

// Who posts too often is told so by a page that has what they posted, and nothing happens until they may.
func TestTooManyLinksAreAnsweredWithAPage(t *testing.T) {
	tn := asks(t)
	full := true
	h := tn.pages(t, func(c *pages.Config) {
		c.Limit = func(*http.Request) (time.Duration, bool) { return 1500 * time.Millisecond, !full }
	})
	link := tn.link(t, processors.PurposeConfirm, "x1")
	w := post(h, "/confirm", token(link), "Accept-Language", "de")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d, again in %s", w.Code, w.Header().Get("Retry-After"))
	}
	if text := w.Body.String(); !strings.Contains(text, "Zu viele Antworten") || !strings.Contains(text, token(link).Get("token")) {
		t.Errorf("%s", text)
	}
	if tn.asked != 0 {
		t.Errorf("%d commands", tn.asked)
	}
	full = false
	if w := post(h, "/confirm", token(link)); w.Code != http.StatusOK {
		t.Errorf("later: %d %s", w.Code, w.Body)
	}
}
