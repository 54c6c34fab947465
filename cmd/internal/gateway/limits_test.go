package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/links"
	"utopia/processors"
)

func linkKeys(tb testing.TB) links.Keys {
	tb.Helper()
	k, err := links.ParseKeys(strings.NewReader("test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// A hundred thousand guesses: none is a link, and most are not even looked at.
func TestGuessingALinkIsHopeless(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := Bare(t, func(c *Config) {
		c.Links, c.PublicRate = linkKeys(t), 1
		c.Now = func() time.Time { return now }
	})
	good, err := links.Sign(linkKeys(t), links.Claims{Purpose: processors.PurposeConfirm, Subject: "c-1", Change: "x", ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	status := map[int]int{}
	for i := range 100_000 {
		guess := []byte(good)
		guess[len(guess)-1-i%43] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i%26]
		a := Local(t, g.Handler(), http.MethodPost, "/v1/confirmations", `{"token":"`+string(guess)+`"}`)
		if string(guess) == good {
			continue
		}
		status[a.Status]++
		if a.Status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
			t.Fatal("429 without Retry-After")
		}
	}
	if status[http.StatusUnprocessableEntity] > 20 || status[http.StatusTooManyRequests] < 99_000 || len(status) != 2 {
		t.Errorf("by status: %v", status)
	}
}

// Guesses of tokens are counted by address, and a good key from that address waits like the others.
func TestGuessingAKeyIsHopeless(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	keys, err := ParseKeys(strings.NewReader(KeyLine("desk", Clerk, "", "good")))
	if err != nil {
		t.Fatal(err)
	}
	g := Bare(t, func(c *Config) { c.Keys, c.Now = keys, func() time.Time { return now } })
	status := map[int]int{}
	for i := range 10_000 {
		status[Local(t, g.Handler(), http.MethodGet, "/v1/customers/c-1", "", "Authorization", fmt.Sprintf("Bearer guess-%d", i)).Status]++
	}
	if status[http.StatusUnauthorized] != 50 || status[http.StatusTooManyRequests] != 9_950 {
		t.Errorf("by status: %v", status)
	}
	now = now.Add(time.Minute)
	if a := Local(t, g.Handler(), http.MethodGet, "/v1/customers/c-1", "", "Authorization", "Bearer good"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a good key later: %d %s", a.Status, a.Body) // the view is not run
	}
}

func TestEachCallerHasALimitOfItsOwn(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLimits(2, 4)
	for i := range 6 {
		again, ok := l.allow("a", now)
		if ok != (i < 4) || (!ok && again != 500*time.Millisecond) {
			t.Errorf("call %d: %v, again in %s", i, ok, again)
		}
	}
	if _, ok := l.allow("b", now); !ok {
		t.Error("another caller has to wait, too")
	}
	if _, ok := l.allow("a", now.Add(500*time.Millisecond)); !ok {
		t.Error("waiting as long as it said is not enough")
	}
	if _, ok := newLimits(0, 0).allow("a", now); !ok {
		t.Error("no limit is one")
	}
}

func TestCallersAreForgotten(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLimits(1, 1)
	for i := range 3 * mostCallers {
		l.allow(fmt.Sprint(i), now)
	}
	if len(l.by) > mostCallers {
		t.Errorf("%d callers are remembered", len(l.by))
	}
}

func TestAnAddressIsTheLastThatOurProxySaw(t *testing.T) {
	g := Bare(t, func(c *Config) { c.AddressHeader, c.PublicRate = "X-Forwarded-For", 0.1 })
	try := func(forwarded string) int {
		return Local(t, g.Handler(), http.MethodPost, "/v1/confirmations", `{"token":"x"}`, "X-Forwarded-For", forwarded).Status
	}
	for forwarded, want := range map[string]int{"192.0.2.1": 422} {
		if got := try(forwarded); got != want {
			t.Errorf("%s: %d", forwarded, got)
		}
	}
	for _, forwarded := range []string{"192.0.2.1", "198.51.100.7, 192.0.2.1", "::ffff:192.0.2.1"} {
		if got := try(forwarded); got != http.StatusTooManyRequests {
			t.Errorf("%s is another address: %d", forwarded, got)
		}
	}
	if got := try("2001:db8::1"); got != 422 {
		t.Errorf("%d", got)
	}
	if got := try("2001:db8::ffff:2"); got != http.StatusTooManyRequests {
		t.Errorf("another address of the same network: %d", got)
	}
}
