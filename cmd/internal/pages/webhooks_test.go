package pages_test

import (
	"net/http"
	"strings"
	"testing"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/pages"
	"utopia/schemas"
)

// told is who is told of changes.
type told []*schemas.WebhookState

func (l told) Each(f func(string, *schemas.WebhookState) error) error {
	for _, w := range l {
		if err := f(w.WebhookID, w); err != nil {
			return err
		}
	}
	return nil
}

// Operators see how the calls of all webhooks go, and a partner those of its own.
func TestWebhooksAreShown(t *testing.T) {
	all := told{
		{WebhookFields: schemas.WebhookFields{WebhookID: "w-2", Status: "disabled", Owner: "shop", URL: "https://shop.example/<x>", Payload: "thin", DisabledReason: "gone", DisabledDetail: "status_410"}},
		{WebhookFields: schemas.WebhookFields{
			WebhookID: "w-1", Status: "active", URL: "https://crm.example/", Payload: "state", Events: []string{"CustomerMoved"},
			Troubles: []schemas.WebhookTrouble{{Partition: 3, Attempts: 5, Detail: "timeout"}},
		}},
	}
	see := func(c access.Caller) http.Handler {
		return newTown(t).clerk(t, func(cfg *pages.Config) { cfg.Clerk.Webhooks, cfg.Login = all, anybody(t, c) })
	}
	w := get(see(access.Caller{Name: "grace", Role: access.Operator}), "/webhooks")
	has(t, w, 200, `aria-current="page">Webhooks</a>`, "https://shop.example/&lt;x&gt;", "its receiver said that it is gone", "status_410", ">failing<", "timeout", "CustomerMoved")
	if text := w.Body.String(); strings.Index(text, "w-1") > strings.Index(text, "w-2") {
		t.Error("they are not in order")
	}
	w = get(see(access.Caller{Name: "shop", Role: access.Partner}), "/webhooks")
	has(t, w, 200, "w-2")
	if strings.Contains(w.Body.String(), "crm.example") {
		t.Error("a partner sees another's")
	}
	all = nil
	has(t, get(see(access.Caller{Name: "grace", Role: access.Operator}), "/webhooks"), 200, "There is none.")
}
