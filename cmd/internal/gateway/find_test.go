package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/history"
	"utopia/cmd/internal/timeline"
)

type foundPage struct {
	Customers []api.CustomerState
	Next      string
}

type waitingPage struct {
	Changes []api.WaitingChange
	Next    string
}

// Customers are found by what is known of them, page by page, as fresh as the age says.
func TestFindingCustomers(t *testing.T) {
	g := start(t).gateway()
	for i, name := range []string{"Grace Hopper", "Émile Hoppe", "Ada Lovelace"} {
		id := fmt.Sprint("c-", i+1)
		if a := g.do(http.MethodPut, "/v1/customers/"+id, `{"name":"`+name+`","email":"`+id+`@example.org","address":`+address+`}`); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for _, id := range []string{"c-1", "c-3"} {
		a := g.do(http.MethodPost, "/v1/customers/"+id+"/address-changes", `{"reason":"moved","address":`+berlin+`}`)
		g.do(http.MethodGet, "/v1/customers/"+id, "", "Utopia-After", a.Header.Get("Utopia-Receipt"))
	}
	g.do(http.MethodGet, "/v1/customers/c-2", "", "Utopia-After", "customer/c-2@1")
	search := func(fields string) string {
		t.Helper()
		var ids []string
		for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
			a := g.do(http.MethodPost, "/v1/customers/search", `{"limit":1,"cursor":"`+cursor+`"`+fields+`}`)
			if a.Status != http.StatusOK || a.Header.Get("Utopia-Age") == "" || n > 5 {
				t.Fatalf("%s: %d %v %s", fields, a.Status, a.Header, a.Body)
			}
			p := gateway.Decoded[foundPage](t, a)
			for _, c := range p.Customers {
				ids = append(ids, c.ID)
			}
			cursor = p.Next
		}
		return strings.Join(ids, " ")
	}
	for fields, want := range map[string]string{
		``:                                "c-1 c-2 c-3",
		`,"name":"HOP"`:                   "c-2 c-1",
		`,"name":"hoppe emi"`:             "c-2",
		`,"city":"gou","name":"love"`:     "c-3",
		`,"email":"C-2@example.org"`:      "c-2",
		`,"id":"c-3"`:                     "c-3",
		`,"id":"c-3","name":"grace"`:      "",
		`,"email":"nobody@example.org"`:   "",
		`,"city":"","name":"","email":""`: "c-1 c-2 c-3",
	} {
		if got := search(fields); got != want {
			t.Errorf("%s: %q, want %q", fields, got, want)
		}
	}
	for body, status := range map[string]int{
		`{"email":"x"}`: 422, `{"name":"!"}`: 400, `{"cursor":"x"}`: 400, `{"limit":101}`: 400, `{"limit":-1}`: 400, `{"id":"a/b"}`: 400, `{"nom":"x"}`: 400,
	} {
		a := g.do(http.MethodPost, "/v1/customers/search", body)
		if a.Status != status || a.Problem(t).Code == "" {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}

	a := g.do(http.MethodGet, "/v1/address-changes/waiting?limit=1", "")
	p := gateway.Decoded[waitingPage](t, a)
	if len(p.Changes) != 1 || p.Changes[0].Customer != "c-1" || p.Changes[0].WaitsFor != "confirmation" || p.Changes[0].Receipt != "customer/c-1@2" || a.Header.Get("Utopia-Age") == "" {
		t.Fatalf("%v %s", a.Header, a.Body)
	}
	a = g.do(http.MethodGet, "/v1/address-changes/waiting?waitsFor=&cursor="+url.QueryEscape(p.Next), "")
	if p = gateway.Decoded[waitingPage](t, a); len(p.Changes) != 1 || p.Changes[0].Customer != "c-3" || p.Next != "" {
		t.Errorf("%s", a.Body)
	}
	if a := g.do(http.MethodGet, "/v1/address-changes/waiting?waitsFor=mail", ""); string(a.Body) != "{\"changes\":[]}\n" {
		t.Errorf("%s", a.Body)
	}
	for _, query := range []string{"?waitsFor=bus", "?cursor=x", "?limit=x"} {
		if a := g.do(http.MethodGet, "/v1/address-changes/waiting"+query, ""); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

// What has happened is there with what caused it, from the form to the mail to who has applied it; without the query side it says so.
func TestATimeline(t *testing.T) {
	w := start(t)
	past, err := history.New(history.Config{Client: w.Client, IDs: w.IDs})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- past.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	side := httptest.NewServer(past.Handler("secret"))
	defer side.Close()
	nobody := "http://127.0.0.1:1"
	g := w.gateway(func(c *gateway.Config) { c.History = history.NewClient([]string{nobody, side.URL}, "secret") })
	blind := w.gateway(func(c *gateway.Config) { c.History = history.NewClient([]string{nobody, side.URL}, "wrong") })
	gateway.Eventually(t, time.Minute, "the query side is ready", func() bool { return past.Ready() == nil })
	g.register("c-1")
	g.do(http.MethodPost, "/v1/customers/c-1/address-changes", `{"reason":"moved","address":`+berlin+`}`, "Idempotency-Key", "move-1")
	g.do(http.MethodPut, "/v1/customers/c-1", person("c-1"), "Idempotency-Key", "again")
	g.do(http.MethodPost, "/v1/customers/c-1/address-changes/move-1/confirmation", "", "Idempotency-Key", "yes")
	var p timeline.Page
	find := func(kind, id string) timeline.Entry {
		for _, e := range p.Entries {
			if e.Kind == kind && e.ID == id {
				return e
			}
		}
		return timeline.Entry{}
	}
	gateway.Eventually(t, time.Minute, "everybody has applied the move", func() bool {
		p = gateway.Decoded[timeline.Page](t, g.do(http.MethodGet, "/v1/customers/c-1/timeline", ""))
		return find("applied", "billing/c-1@3").ID != "" && find("mail", "customer/c-1/2/1").ID != "" && slices.ContainsFunc(p.Entries, func(e timeline.Entry) bool {
			return e.Kind == "mail" && e.Version == 3
		})
	})
	for _, want := range []struct{ kind, id, cause, kindOf, outcome string }{
		{"command", "move-1", "", "RequestAddressChange", "accepted"},
		{"event", "c-1/2", "move-1", "AddressChangeRequested", ""},
		{"event", "c-1/3", "yes", "CustomerMoved", ""},
		{"command", "again", "", "RegisterCustomer", "refused"},
		{"applied", "billing/c-1@3", "c-1/3", "", ""},
	} {
		if e := find(want.kind, want.id); e.Cause != want.cause || e.Type != want.kindOf || e.Outcome != want.outcome || e.At == 0 {
			t.Errorf("want %+v, got %+v", want, e)
		}
	}
	if e := find("mail", "customer/c-1/2/1"); e.Cause != "c-1/2" || p.Partial || find("command", "again").Refusal != "already_registered" {
		t.Errorf("%+v of %+v", e, p)
	}
	if text := string(g.do(http.MethodGet, "/v1/customers/c-1/timeline", "").Body); strings.Contains(text, "Hopper") || strings.Contains(text, "Berlin") || strings.Contains(text, "example.org") {
		t.Errorf("a timeline has personal data: %s", text)
	}

	// Page by page it is the same.
	var ids []string
	for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
		page := gateway.Decoded[timeline.Page](t, g.do(http.MethodGet, "/v1/customers/c-1/timeline?limit=1&cursor="+cursor, ""))
		for _, e := range page.Entries {
			if e.Kind == "command" || e.Kind == "event" {
				ids = append(ids, e.ID)
			}
		}
		if cursor = page.Next; n > 10 {
			t.Fatal("no end")
		}
	}
	if len(ids) != 7 {
		t.Errorf("page by page: %q", ids)
	}
	if a := g.do(http.MethodGet, "/v1/customers/c-1/timeline?cursor=x", ""); a.Status != http.StatusBadRequest {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := g.do(http.MethodGet, "/v1/customers/nobody/timeline", ""); a.Status != http.StatusNotFound {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	gateway.Eventually(t, time.Minute, "the other gateway knows what is public", func() bool {
		p = gateway.Decoded[timeline.Page](t, blind.do(http.MethodGet, "/v1/customers/c-1/timeline", ""))
		return find("applied", "billing/c-1@3").ID != ""
	})
	if !p.Partial || find("event", "c-1/3").Type != "CustomerMoved" {
		t.Errorf("without the query side: %+v", p)
	}
}
