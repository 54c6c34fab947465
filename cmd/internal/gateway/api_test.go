package gateway_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/gateway"
	"utopia/processors"
)

// Every command and every query once, as the command line has them.
func TestTheWholeConversation(t *testing.T) {
	w := start(t)
	g := w.gateway()
	said := func(a gateway.Answered, status int, version int64) gateway.Answered {
		t.Helper()
		if a.Status != status {
			t.Fatalf("%d, want %d: %s", a.Status, status, a.Body)
		}
		if status == http.StatusOK && version > 0 {
			if want := `"` + strconv.FormatInt(version, 10) + `"`; a.Header.Get("ETag") != want || a.Header.Get("Utopia-Receipt") == "" {
				t.Errorf("ETag %s, want %s; receipt %q", a.Header.Get("ETag"), want, a.Header.Get("Utopia-Receipt"))
			}
		}
		return a
	}
	customer := func(after gateway.Answered) api.CustomerState {
		t.Helper()
		a := said(g.do(http.MethodGet, "/v1/customers/c-1", "", "Utopia-After", after.Header.Get("Utopia-Receipt")), http.StatusOK, 0)
		if age, err := strconv.ParseFloat(a.Header.Get("Utopia-Age"), 64); err != nil || age > 30 {
			t.Errorf("age %q", a.Header.Get("Utopia-Age"))
		}
		return gateway.Decoded[api.CustomerState](t, a)
	}
	a := said(g.do(http.MethodPut, "/v1/customers/c-1", person("c-1")), http.StatusOK, 1)
	if a.Header.Get("Idempotency-Key") == "" || a.Header.Get("Utopia-Receipt") != "customer/c-1@1" {
		t.Errorf("%v", a.Header)
	}
	if c := customer(a); c.Name != "Grace Hopper" || c.Version != 1 || c.Address.City != "Gouda" {
		t.Errorf("%+v", c)
	}
	if p := said(g.do(http.MethodPut, "/v1/customers/c-1", person("c-1")), http.StatusConflict, 0).Problem(t); p.Code != "already_registered" || p.Version != 1 {
		t.Errorf("%+v", p)
	}

	// By the link, and taken back by the other one.
	move := func() string {
		t.Helper()
		a := said(g.do(http.MethodPost, "/v1/customers/c-1/address-changes", `{"reason":"moved","address":`+berlin+`}`), http.StatusOK, 0)
		c := customer(a)
		if c.Pending == nil || c.Pending.ChangeID != a.Header.Get("Idempotency-Key") {
			t.Fatalf("%+v", c)
		}
		return c.Pending.ChangeID
	}
	move()
	said(g.do(http.MethodPost, "/v1/rejections", `{"token":"`+w.link("c-1", processors.PurposeCancel)+`"}`), http.StatusOK, 3)
	if p := said(g.do(http.MethodPost, "/v1/confirmations", `{"token":"`+w.link("c-1", processors.PurposeConfirm)+`"}`), http.StatusConflict, 0).Problem(t); p.Code != "no_pending_change" {
		t.Errorf("%+v", p)
	}
	if p := said(g.do(http.MethodPost, "/v1/rejections", `{"token":"`+w.link("c-1", processors.PurposeConfirm)+`"}`), http.StatusUnprocessableEntity, 0).Problem(t); p.Code != "link" {
		t.Errorf("a link for something else: %+v", p)
	}
	change := move()
	said(g.do(http.MethodDelete, "/v1/customers/c-1/address-changes/another", ""), http.StatusConflict, 0)
	said(g.do(http.MethodDelete, "/v1/customers/c-1/address-changes/"+change, ""), http.StatusOK, 5)
	move()
	said(g.do(http.MethodDelete, "/v1/customers/c-1/address-changes", `{}`), http.StatusOK, 7)
	change = move()
	a = said(g.do(http.MethodPost, "/v1/customers/c-1/address-changes/"+change+"/confirmation", ""), http.StatusOK, 9)
	if c := customer(a); c.Address.City != "Berlin" || c.Pending != nil {
		t.Errorf("%+v", c)
	}

	// The version that the caller has seen.
	if a := said(g.do(http.MethodPut, "/v1/customers/c-1/email", `{"email":"grace@new.example"}`, "If-Match", `"8"`), http.StatusPreconditionFailed, 0); a.Header.Get("ETag") != `"9"` || a.Problem(t).Version != 9 {
		t.Errorf("%s %s", a.Header.Get("ETag"), a.Body)
	}
	a = said(g.do(http.MethodPut, "/v1/customers/c-1/email", `{"email":"grace@new.example"}`, "If-Match", `"9"`), http.StatusOK, 10)
	customer(a)
	// Billing and notification, each as fresh as a receipt of the customer wants.
	b := said(g.do(http.MethodPut, "/v1/customers/c-1/billing/invoices/i-1", `{"amountCents":1250,"currency":"EUR","text":"Compiler"}`), http.StatusOK, 0)
	state := gateway.Decoded[api.BillingState](t, said(g.do(http.MethodGet, "/v1/customers/c-1/billing", "", "Utopia-After", b.Header.Get("Utopia-Receipt")), http.StatusOK, 0))
	if len(state.Open) != 1 || state.Open[0].Amount != "12.50 EUR" {
		t.Errorf("%+v", state)
	}
	said(g.do(http.MethodPut, "/v1/customers/c-1/billing/invoices/i-2", `{"amountCents":0,"currency":"EUR"}`), http.StatusUnprocessableEntity, 0)
	b = said(g.do(http.MethodPost, "/v1/customers/c-1/billing/invoices/i-1/payment", ""), http.StatusOK, 0)
	said(g.do(http.MethodPost, "/v1/customers/c-1/billing/invoices/i-9/payment", ""), http.StatusNotFound, 0)
	state = gateway.Decoded[api.BillingState](t, said(g.do(http.MethodGet, "/v1/customers/c-1/billing", "", "Utopia-After", b.Header.Get("Utopia-Receipt")), http.StatusOK, 0))
	if len(state.Open) != 0 {
		t.Errorf("%+v", state)
	}
	state = gateway.Decoded[api.BillingState](t, said(g.do(http.MethodGet, "/v1/customers/c-1/billing", "", "Utopia-After", "customer/c-1@10"), http.StatusOK, 0))
	if state.CustomerVersion < 10 || !strings.Contains(state.Address, "Berlin") {
		t.Errorf("%+v", state)
	}
	n := gateway.Decoded[api.NotificationState](t, said(g.do(http.MethodGet, "/v1/customers/c-1/notifications", "", "Utopia-After", "customer/c-1@10"), http.StatusOK, 0))
	if n.CustomerVersion < 10 || len(n.Notices) == 0 || len(n.Notices[0].Mails) == 0 {
		t.Fatalf("%+v", n)
	}
	mail := "notification/c-1/" + strconv.FormatInt(n.Notices[0].Version, 10) + "/1"
	path := "/v1/mails/" + strings.ReplaceAll(mail, "/", "%2F")
	gateway.Eventually(t, time.Minute, "the mail's status", func() bool { return g.do(http.MethodGet, path, "").Status == http.StatusOK })
	if m := gateway.Decoded[api.MailState](t, g.do(http.MethodGet, path, "")); m.ID != mail || m.Sender != "notification" {
		t.Errorf("%+v", m)
	}

	// The end.
	said(g.do(http.MethodPost, "/v1/customers/c-1/closure", ""), http.StatusOK, 11)
	a = said(g.do(http.MethodDelete, "/v1/customers/c-1", ""), http.StatusOK, 0)
	if a.Header.Get("Utopia-Receipt") != "customer/c-1@12:gone" {
		t.Errorf("%v", a.Header)
	}
	if p := said(g.do(http.MethodGet, "/v1/customers/c-1", "", "Utopia-After", "customer/c-1@12:gone"), http.StatusNotFound, 0).Problem(t); p.Code != "not_found" {
		t.Errorf("%+v", p)
	}
	said(g.do(http.MethodPut, "/v1/customers/c-1", person("c-1")), http.StatusGone, 0)
	said(g.do(http.MethodPut, "/v1/customers/c-2/email", `{"email":"x@new.example"}`), http.StatusNotFound, 0)
}

// A receipt that nobody has reached yet is waited for as long as the caller wants, and no longer.
func TestAReceiptFromTheFuture(t *testing.T) {
	g := start(t).gateway()
	g.register("c-1")
	began := time.Now()
	a := g.do(http.MethodGet, "/v1/customers/c-1", "", "Utopia-After", "customer/c-1@7", "Prefer", "wait=1")
	if p := a.Problem(t); p.Code != "receipt_not_reached" || a.Status != http.StatusGatewayTimeout || a.Header.Get("Retry-After") == "" || p.Version != 1 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second {
		t.Errorf("waited %s", took)
	}
}
