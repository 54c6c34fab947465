package gateway

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"utopia/processors"
	"utopia/processors/billing"
	"utopia/processors/customer"
	"utopia/processors/mail"
	"utopia/processors/notification"
	"utopia/processors/webhook"
)

// Every refusal that a service can answer with has a status and a sentence, and the table has no other.
func TestEveryRefusalOfEveryCoreIsAProblem(t *testing.T) {
	codes := map[string]bool{}
	for _, core := range []struct {
		all  []error
		code func(error) string
	}{{customer.Refusals(), customer.Code}, {billing.Refusals(), billing.Code}, {mail.Refusals(), mail.Code}, {notification.Refusals(), notification.Code}, {webhook.Refusals(), webhook.Code}} {
		for _, err := range core.all {
			codes[core.code(err)] = true
		}
	}
	for _, code := range processors.Refusals() {
		codes[code] = true
	}
	table := refusalStatus()
	for code := range codes {
		p := problem(code)
		if table[code] == 0 || p.Title == "" || p.Status < 400 || p.Status > 499 || p.Type != "/problems/"+code {
			t.Errorf("%s: status %d in the table, %+v", code, table[code], p)
		}
	}
	for code := range table {
		if !codes[code] {
			t.Errorf("no service refuses with %s", code)
		}
	}
	for code := range ownKinds() {
		if codes[code] && code != codeLink {
			t.Errorf("%s is a refusal of a service, too", code)
		}
	}
	if len(codes) < 50 {
		t.Errorf("%d refusals", len(codes))
	}
}

func TestARefusalFromALaterReleaseIsStillAProblem(t *testing.T) {
	if p := problem("of_tomorrow"); p.Status != http.StatusConflict || p.Title == "" || p.Type != "/problems/of_tomorrow" {
		t.Errorf("%+v", p)
	}
}

// What is not in the policy nobody may do; what is in it is a route.
func TestThePolicyIsAboutEveryRoute(t *testing.T) {
	routes := map[string]bool{}
	g := Bare(t)
	for _, path := range g.api.OpenAPI().Paths {
		for _, op := range operations(path) {
			routes[op.OperationID] = true
			if len(g.policy[op.OperationID]) == 0 {
				t.Errorf("nobody may use %s", op.OperationID)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.policy)) {
		if !routes[id] {
			t.Errorf("there is no route %s", id)
		}
	}
}
