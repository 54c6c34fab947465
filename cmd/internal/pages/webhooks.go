package pages

import (
	"net/http"
	"slices"
	"strings"

	"utopia/schemas"
)

// Webhooks are those who are told of changes over HTTP; a *processors.View is one.
type Webhooks interface {
	Each(f func(id string, w *schemas.WebhookState) error) error
}

// webhooks shows who is told of changes and how that goes; a partner sees its own. Their secrets are nowhere.
func (h *handler) webhooks(w http.ResponseWriter, _ *http.Request) {
	var all []*schemas.WebhookState
	err := h.cfg.Clerk.Webhooks.Each(func(_ string, hook *schemas.WebhookState) error {
		if h.caller.Owns(hook.Owner) {
			all = append(all, hook)
		}
		return nil
	})
	if err != nil {
		h.unreadable(w, "", err)
		return
	}
	slices.SortFunc(all, func(a, b *schemas.WebhookState) int { return strings.Compare(a.WebhookID, b.WebhookID) })
	h.show(w, http.StatusOK, "webhooks", page{Title: "Webhooks", Place: "/webhooks", Data: all})
}
