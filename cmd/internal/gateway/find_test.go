package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/gateway"
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
