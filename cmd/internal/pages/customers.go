package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"utopia/processors"
	"utopia/schemas"
)

const (
	freshWithin = 2 * time.Second // how long a page waits for what was just asked
)

func (h *handler) front(w http.ResponseWriter, _ *http.Request) {
	c := h.cfg.Clerk
	data := struct {
		Terminal string
		Links    []Place
		Inbox    bool
	}{c.Terminal, c.Links, c.Inbox != nil}
	h.show(w, http.StatusOK, "front", page{Title: "A customer moves", Place: "/", Data: data})
}

// applied is how far a service has come with the customer's versions.
type applied struct {
	Service string
	Version int64
	Behind  bool
	Known   bool
}

type customerPage struct {
	*schemas.CustomerState
	Waits   string // why the pending change has not taken effect
	Applied []applied
	Billing *schemas.BillingState
	Notices []schemas.Notice
	Past    past
	Inbox   bool
	Line    string // which versions are applied
	Seen    string // how far everything on the page is
}

func (h *handler) customer(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c, err := h.fresh(r.Context(), id, r.URL.Query().Get("after"))
	if err != nil {
		h.unreadable(w, id, err)
		return
	}
	billing, notification := h.others(id)
	p := customerPage{CustomerState: c, Billing: billing, Inbox: h.cfg.Clerk.Inbox != nil, Waits: waits(c.Pending)}
	p.Applied = howFar(c, billing, notification)
	p.Line, p.Seen = line(p.Applied), howFresh(c, billing, notification)
	if notification != nil {
		p.Notices = notification.Notices
	}
	p.Past = h.past(r.Context(), id, "")
	h.show(w, http.StatusOK, "customer", page{Title: c.Name, Script: "live.js", Place: "/customers/", Data: p})
}

// fresh reads a customer, at least as of the receipt that a form's answer has put into the address.
func (h *handler) fresh(ctx context.Context, id, after string) (*schemas.CustomerState, error) {
	receipt, err := processors.ParseReceipt(after)
	if err != nil || receipt.Aggregate != "customer" || receipt.Key != id {
		return h.cfg.Customers.Get(id)
	}
	waiting, cancel := context.WithTimeout(ctx, freshWithin)
	defer cancel()
	c, err := h.cfg.Customers.After(waiting, receipt)
	if errors.Is(err, context.DeadlineExceeded) {
		return h.cfg.Customers.Get(id) // older than it could be; the page says which version it shows
	}
	return c, err
}

// others is what billing and notification have published about the customer, nil where they have not.
func (h *handler) others(id string) (*schemas.BillingState, *schemas.NotificationState) {
	billing, err := h.cfg.Clerk.Billing.Get(id)
	if err != nil {
		billing = nil
	}
	notification, err := h.cfg.Clerk.Notifications.Get(id)
	if err != nil {
		notification = nil
	}
	return billing, notification
}

func howFar(c *schemas.CustomerState, b *schemas.BillingState, n *schemas.NotificationState) []applied {
	all := []applied{{Service: "Customer", Version: c.Version, Known: true}, {Service: "Billing"}, {Service: "Notification"}}
	if b != nil {
		all[1].Version, all[1].Known = b.CustomerVersion, true
	}
	if n != nil {
		all[2].Version, all[2].Known = n.CustomerVersion, true
	}
	for i := range all {
		all[i].Behind = all[i].Version < c.Version
	}
	return all
}

func line(all []applied) string {
	var parts []string
	for _, a := range all {
		parts = append(parts, fmt.Sprintf("%s %d", a.Service, a.Version))
	}
	return strings.Join(parts, ", ")
}

// versions answers the script that keeps the page fresh.
func (h *handler) versions(w http.ResponseWriter, r *http.Request) {
	c, err := h.cfg.Customers.Get(r.PathValue("id"))
	if err != nil {
		h.unreadable(w, r.PathValue("id"), err)
		return
	}
	billing, notification := h.others(c.CustomerID)
	writeLine(w, howFresh(c, billing, notification))
}

// howFresh differs whenever something on the customer's page does: also an invoice, which is no version of the customer.
func howFresh(c *schemas.CustomerState, b *schemas.BillingState, n *schemas.NotificationState) string {
	fresh := fmt.Sprintf("customer %d", c.Version)
	if b != nil {
		fresh += fmt.Sprintf(", billing %d", b.Version)
	}
	if n != nil {
		fresh += fmt.Sprintf(", notification %d", n.Version)
	}
	return fresh
}

// waits says what a pending change waits for.
func waits(p *schemas.PendingChange) string {
	switch {
	case p == nil:
		return ""
	case processors.WaitsFor(p) == processors.WaitsForDate:
		return "It is confirmed and waits for its date."
	case processors.WaitsFor(p) == processors.WaitsForMail:
		return "It waits for the customer's answer, but the mail that asks for it did not arrive (" + p.Undeliverable + ")."
	}
	return "It waits for the customer to follow the link in the mail."
}
