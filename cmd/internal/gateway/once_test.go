package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"utopia/cmd/internal/gateway"
	"utopia/processors"
)

// The same key gets the first answer again, through another instance and after both have gone; another body is refused.
func TestTheSameKeyGetsTheFirstAnswer(t *testing.T) {
	w := start(t)
	one, two := w.gateway(), w.gateway()
	body := person("c-1")
	first := one.do(http.MethodPut, "/v1/customers/c-1", body, "Idempotency-Key", `"k-1"`)
	again := two.do(http.MethodPut, "/v1/customers/c-1", body, "Idempotency-Key", "k-1")
	if f, a := first.Outcome(t), again.Outcome(t); first.Status != 200 || again.Status != 200 || f.Repeat || !a.Repeat || a.Version != f.Version || a.CommandID != "k-1" {
		t.Errorf("%s\n%s", first.Body, again.Body)
	}
	one.stop()
	three := w.gateway()
	if a := three.do(http.MethodPut, "/v1/customers/c-1", body, "Idempotency-Key", "k-1"); a.Status != 200 || !a.Outcome(t).Repeat {
		t.Errorf("after a restart: %d %s", a.Status, a.Body)
	}
	other := three.do(http.MethodPut, "/v1/customers/c-1", strings.Replace(body, "Gouda", "Delft", 1), "Idempotency-Key", "k-1")
	if p := other.Problem(t); other.Status != http.StatusUnprocessableEntity || p.Code != "id_reused" {
		t.Errorf("%d %s", other.Status, other.Body)
	}
	refused := two.do(http.MethodPut, "/v1/customers/c-1", body, "Idempotency-Key", "k-2").Problem(t)
	same := three.do(http.MethodPut, "/v1/customers/c-1", body, "Idempotency-Key", "k-2").Problem(t)
	if refused.Code != "already_registered" || refused.Repeat || same.Code != refused.Code || !same.Repeat {
		t.Errorf("%+v\n%+v", refused, same)
	}
}

// A command that is not waited for has a status URL, which every instance serves, also one that was not there then.
func TestTheStatusOfACommand(t *testing.T) {
	w := start(t)
	one, two := w.gateway(), w.gateway()
	a := one.do(http.MethodPut, "/v1/customers/c-1", person("c-1"), "Prefer", "respond-async", "Idempotency-Key", "k-1")
	if o := a.Outcome(t); a.Status != http.StatusAccepted || o.Outcome != "pending" || a.Header.Get("Retry-After") == "" || a.Header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	where := a.Header.Get("Location")
	settled := func(i *instance, path, want string) gateway.Answered {
		t.Helper()
		var a gateway.Answered
		gateway.Eventually(t, time.Minute, want, func() bool {
			a = i.do(http.MethodGet, path, "")
			return a.Status == 200 && a.Outcome(t).Outcome == want
		})
		return a
	}
	if a := settled(two, where, "accepted"); a.Header.Get("Utopia-Receipt") != "customer/c-1@1" || a.Header.Get("ETag") != `"1"` {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	b := two.do(http.MethodPut, "/v1/customers/c-1", person("c-1"), "Prefer", "wait=0")
	if o := settled(one, b.Header.Get("Location"), "refused").Outcome(t); o.Refusal != "already_registered" || o.Version != 1 {
		t.Errorf("%+v", o)
	}
	one.stop()
	three := w.gateway()
	settled(three, where, "accepted")
	settled(three, "/v1/commands/k-1", "accepted")

	now := fmt.Sprint(time.Now().UnixMilli())
	if a := three.do(http.MethodGet, "/v1/commands/k-9?sent="+now, ""); a.Status != 200 || a.Outcome(t).Outcome != "pending" {
		t.Errorf("what was sent just now is pending: %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"/v1/commands/k-9", "/v1/commands/k-9?sent=1000000", "/v1/commands/k-1?customer=c-2"} {
		if a := three.do(http.MethodGet, path, ""); a.Status != 404 || a.Problem(t).Code != "unknown_command" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// The status of a command is told from that of another with the same id: of another service, or with another body.
func TestTheStatusOfTheSameKey(t *testing.T) {
	w := start(t)
	g := w.gateway()
	where := func(path, body string) string {
		t.Helper()
		a := g.do(http.MethodPut, path, body, "Prefer", "respond-async", "Idempotency-Key", "k-1")
		if a.Status != http.StatusAccepted {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a.Header.Get("Location")
	}
	body := person("c-1")
	first := where("/v1/customers/c-1", body)
	invoice := where("/v1/customers/c-1/billing/invoices/i-1", `{"amountCents":1250,"currency":"EUR"}`)
	other := where("/v1/customers/c-1", strings.Replace(body, "Gouda", "Delft", 1))
	again := where("/v1/customers/c-1", body)
	for where, want := range map[string]string{
		first: "accepted customer/c-1  false", invoice: "accepted billing/c-1  false", other: "refused customer/c-1 id_reused false",
		again: "accepted customer/c-1  true",
	} {
		var got string
		gateway.Eventually(t, time.Minute, want, func() bool {
			o := g.do(http.MethodGet, where, "").Outcome(t)
			about, _, _ := strings.Cut(o.Receipt, "@") // billing may have heard of the customer before
			got = fmt.Sprintf("%s %s %s %t", o.Outcome, about, o.Refusal, o.Repeat)
			return o.Outcome != "pending"
		})
		if got != want {
			t.Errorf("%s: %s, not %s", where, got, want)
		}
	}
	if o := g.do(http.MethodGet, "/v1/commands/k-1?customer=c-1", "").Outcome(t); o.Outcome != "accepted" || o.Repeat {
		t.Errorf("by its id alone: %+v", o)
	}
	for _, input := range []string{"x", "billing.events.v1/0/0", "customer.commands.v1/0/-1"} {
		if a := g.do(http.MethodGet, "/v1/commands/k-1?input="+input, ""); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", input, a.Status, a.Body)
		}
	}
}

// A customer may know what became of its own commands.
func TestTheStatusOfAnothersCommand(t *testing.T) {
	w := start(t)
	lines := gateway.KeyLine("ada", gateway.CustomerRole, "c-1", "ada") + "\n" + gateway.KeyLine("bob", gateway.CustomerRole, "c-2", "bob") +
		"\n" + gateway.KeyLine("desk", gateway.Clerk, "", "desk") + "\n" + gateway.KeyLine("shop", gateway.Partner, "", "shop")
	keys, err := gateway.ParseKeys(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	g := w.gateway(func(c *gateway.Config) { c.Open, c.Keys = false, keys })
	as := func(key string, headers ...string) []string { return append(headers, "Authorization", "Bearer "+key) }
	if a := g.do(http.MethodPut, "/v1/customers/c-1", person("c-1"), as("desk", "Idempotency-Key", "k-1")...); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for key, want := range map[string]int{"ada": 200, "bob": 404, "desk": 200} {
		gateway.Eventually(t, time.Minute, key, func() bool { return g.do(http.MethodGet, "/v1/commands/k-1", "", as(key)...).Status == want })
	}
	// What a partner sees of a customer is not who it is.
	a := g.do(http.MethodGet, "/v1/customers/c-1", "", as("shop", "Utopia-After", "customer/c-1@1")...)
	if a.Status != 200 || !strings.Contains(string(a.Body), `"country":"NL"`) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, personal := range []string{"Grace", "example.org", "Gouda", "Markt", "2801"} {
		if strings.Contains(string(a.Body), personal) {
			t.Errorf("a partner sees %s in %s", personal, a.Body)
		}
	}
}

// A thousand confirm at once, through three gateways: one has moved the customer.
func TestAThousandConfirmations(t *testing.T) {
	w := start(t)
	all := []*instance{w.gateway(), w.gateway(), w.gateway()}
	all[0].register("c-1")
	if a := all[0].do(http.MethodPost, "/v1/customers/c-1/address-changes", `{"reason":"moved","address":`+berlin+`}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	body := `{"token":"` + w.link("c-1", processors.PurposeConfirm) + `"}`
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for i := range 1000 {
		wg.Go(func() {
			a := gateway.Local(t, all[i%3].Handler(), http.MethodPost, "/v1/confirmations", body, "Prefer", "wait=30")
			what := fmt.Sprint(a.Status)
			if a.Status != 200 {
				what = a.Problem(t).Code
			}
			mu.Lock()
			defer mu.Unlock()
			count[what]++
		})
	}
	wg.Wait()
	if count["200"] != 1 || count["no_pending_change"] != 999 {
		t.Errorf("%v", count)
	}
}

// Queries are answered while the cluster is away, and say how old the answer is; commands are refused, with a time to come again.
func TestTheClusterGoesAway(t *testing.T) {
	w := start(t)
	g := w.gateway()
	g.register("c-1")
	a := g.do(http.MethodGet, "/v1/customers/c-1", "", "Utopia-After", "customer/c-1@1")
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.cut.pull()
	gateway.Eventually(t, time.Minute, "commands are refused", func() bool {
		a := g.do(http.MethodPut, "/v1/customers/c-2", person("c-2"), "Idempotency-Key", "k-2", "Prefer", "wait=1")
		return a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != ""
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last answer: %d %v %s", a.Status, a.Header, a.Body)
		}
	})
	gateway.Eventually(t, time.Minute, "the age grows", func() bool {
		a = g.do(http.MethodGet, "/v1/customers/c-1", "")
		age, err := strconv.ParseFloat(a.Header.Get("Utopia-Age"), 64)
		return a.Status == 200 && err == nil && age > 3
	})
	if err := g.Ready(); err != nil {
		t.Errorf("it can answer queries and is not ready: %v", err)
	}
	g.cut.plug()
	gateway.Eventually(t, time.Minute, "commands are taken again, with one outcome", func() bool {
		return g.do(http.MethodPut, "/v1/customers/c-2", person("c-2"), "Idempotency-Key", "k-2").Status == 200
	})
}

// One of two gateways is stopped and started again and again under load; who gets no answer sends the command again to any of
// them. Every command has one outcome, and every customer one version for each that was accepted.
func TestGatewaysAreRestartedUnderLoad(t *testing.T) {
	w := start(t)
	steady := w.gateway()
	var moving atomic.Pointer[instance]
	moving.Store(w.gateway())
	done := make(chan struct{})
	var restarts sync.WaitGroup
	restarts.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
			}
			old := moving.Load()
			if old.server != nil { // its callers are cut off, as by a crash; the next one is drained
				moving.Store(w.listening())
				old.server.CloseClientConnections()
			} else {
				moving.Store(w.gateway())
			}
			old.stop()
		}
	})
	const callers, each = 8, 30
	var load sync.WaitGroup
	var resent, later atomic.Int64
	for c := range callers {
		load.Go(func() {
			for n := 0; n < each || resent.Load() == 0 && n < 20*each; n++ { // until somebody was cut off
				id := fmt.Sprintf("c-%d-%d", c, n)
				for try := 0; ; try++ {
					i := steady
					if (n+try)%2 == 0 {
						i = moving.Load()
					}
					a, err := gateway.Over(context.Background(), http.MethodPut, i.url+"/v1/customers/"+id, person(id), "Idempotency-Key", "k")
					if err == nil && a.Status == 200 {
						break
					}
					if err == nil && a.Status == 202 {
						later.Add(1)
					}
					if resent.Add(1); try > 100 {
						t.Errorf("%s: %v %d %s", id, err, a.Status, a.Body)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	load.Wait()
	close(done)
	restarts.Wait()
	moving.Load().stop()
	for c := range callers {
		for n := range each {
			id := url.PathEscape(fmt.Sprintf("c-%d-%d", c, n))
			if a := steady.do(http.MethodGet, "/v1/customers/"+id, "", "Utopia-After", "customer/"+id+"@1"); a.Header.Get("ETag") != `"1"` {
				t.Errorf("%s: %s %s", id, a.Header.Get("ETag"), a.Body)
			}
		}
	}
	if resent.Load() == 0 {
		t.Error("no request was cut off: this has tested nothing")
	}
	t.Logf("%d requests were sent again, %d were answered with a status URL", resent.Load(), later.Load())
}
