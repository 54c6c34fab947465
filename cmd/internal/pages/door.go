package pages

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/login"
)

// Login says who looks at the pages.
type Login struct {
	Sessions *login.Sessions
	// OIDC logs people in; nil in development, where they choose who they are.
	OIDC *login.OIDC
	// Anybody is, in development, who somebody is who has not chosen.
	Anybody access.Caller
}

// who says who sends a request; ok is false if they have to log in first.
func (l *Login) who(w http.ResponseWriter, r *http.Request) (c access.Caller, ok bool) {
	if c, ok = l.Sessions.Who(w, r); ok {
		return c, true
	}
	return l.Anybody, l.OIDC == nil
}

// serve is a page: a method of the handler that has been told who looks at it.
type serve func(*handler, http.ResponseWriter, *http.Request)

// page registers a page for those roles that the policy names; a page that it does not name cannot be registered.
func (h *handler) page(mux *http.ServeMux, pattern string, f serve) {
	roles, ok := h.roles[pattern]
	if !ok {
		h.unnamed = append(h.unnamed, pattern)
		return
	}
	h.patterns = append(h.patterns, pattern)
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		caller, ok := h.cfg.Login.who(w, r)
		if !ok {
			h.outside(w, r)
			return
		}
		inside := h.as(caller)
		customer := ""
		if strings.Contains(pattern, " /customers/{id}") {
			customer = r.PathValue("id")
		}
		if !caller.May(roles, customer) { // whether there is such a customer or not
			inside.note(w, http.StatusForbidden, "Not for you", note{
				"Who you are here does not allow this page. Nothing was changed.", "/", "The first page",
			})
			return
		}
		f(inside, w, r)
	})
}

// as is the handler for one caller: what they need not see it has not got.
func (h *handler) as(c access.Caller) *handler {
	inside := *h
	inside.caller = c
	if !c.SeesPersons() {
		inside.cfg.Customers = maskedCustomers{h.cfg.Customers}
		masked := *h.cfg.Clerk
		masked.Billing, masked.Notifications = maskedBilling{h.cfg.Clerk.Billing}, maskedNotifications{h.cfg.Clerk.Notifications}
		masked.Timeline, masked.Inbox = noTimeline{}, nil
		inside.cfg.Clerk = &masked
	}
	return &inside
}

// may says whether the caller may open a page.
func (h *handler) may(pattern string) bool { return h.caller.May(h.roles[pattern], "") }

// outside answers somebody who has to log in first. A script of a page is not sent elsewhere: it could not go there.
func (h *handler) outside(w http.ResponseWriter, r *http.Request) {
	mode := r.Header.Get("Sec-Fetch-Mode")
	if r.Method == http.MethodGet && (mode == "" || mode == "navigate") {
		http.Redirect(w, r, "/login?"+url.Values{"back": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		return
	}
	h.note(w, http.StatusUnauthorized, "Log in first", note{"You are not logged in, or it was too long ago. Nothing was changed.", "/login", "Log in"})
}

func (h *handler) loginPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", h.login)
	mux.HandleFunc("POST /logout", h.logout)
	mux.HandleFunc("GET /logged-out", func(w http.ResponseWriter, _ *http.Request) {
		h.note(w, http.StatusOK, "Logged out", note{"You are logged out here. The one who knows your password may still know you.", "/login", "Log in"})
	})
	if h.cfg.Login.OIDC == nil {
		mux.HandleFunc("POST /login", h.choose)
		return
	}
	mux.HandleFunc("GET /login/callback", h.callback)
}

// people are the choices in development; a customer says also whose.
func people() []person {
	return []person{
		{"", "Everything", "a clerk and an operator at once"},
		{string(access.Clerk), "Clerk", "serves customers"},
		{string(access.Operator), "Operator", "looks after the system, and may erase a customer"},
		{string(access.Partner), "Partner", "works with customers and need not know who they are"},
		{string(access.CustomerRole), "Customer", "only about themselves"},
	}
}

type person struct{ Role, Name, What string }

type whoForm struct {
	Back, Wrong string
	Chosen      access.Role
	People      []person
}

func (h *handler) login(w http.ResponseWriter, r *http.Request) {
	back := login.Back(r.URL.Query().Get("back"))
	if h.cfg.Login.OIDC == nil {
		c, _ := h.cfg.Login.who(w, r)
		h.as(c).show(w, http.StatusOK, "choose", page{Title: "Who are you?", Data: whoForm{Back: back, Chosen: chosen(c), People: people()}})
		return
	}
	if err := h.cfg.Login.OIDC.Start(w, r, back); err != nil { //nolint:contextcheck // what is known of the issuer outlives the request
		h.notIn(w, err)
	}
}

func chosen(c access.Caller) access.Role {
	if c.Open {
		return ""
	}
	return c.Role
}

// choose makes a development user of a choice.
func (h *handler) choose(w http.ResponseWriter, r *http.Request) {
	if status := parseForm(w, r); status != http.StatusOK {
		h.note(w, status, "This form cannot be read", note{"It is damaged or too large. Nothing was changed.", "/login", "Choose again"})
		return
	}
	role, back := access.Role(r.PostForm.Get("role")), login.Back(r.PostForm.Get("back"))
	if role == "" {
		h.cfg.Login.Sessions.End(w)
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	c := access.Caller{Name: "development " + string(role), Role: role}
	if role == access.CustomerRole {
		c.Customer = strings.TrimSpace(r.PostForm.Get("customer"))
		back = "/customers/" + c.Customer
	}
	if !c.Valid() {
		before, _ := h.cfg.Login.who(w, r)
		h.as(before).show(w, http.StatusUnprocessableEntity, "choose", page{
			Title: "Who are you?", Data: whoForm{Back: back, Chosen: role, People: people(), Wrong: "A customer needs an id, such as c-17."},
		})
		return
	}
	h.cfg.Login.Sessions.Begin(w, c)
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (h *handler) callback(w http.ResponseWriter, r *http.Request) {
	c, back, err := h.cfg.Login.OIDC.Finish(w, r)
	if err != nil {
		h.notIn(w, err)
		return
	}
	h.cfg.Login.Sessions.Begin(w, c)
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (h *handler) logout(w http.ResponseWriter, r *http.Request) {
	h.cfg.Login.Sessions.End(w)
	http.Redirect(w, r, "/logged-out", http.StatusSeeOther)
}

// notIn says why a log-in came to nothing.
func (h *handler) notIn(w http.ResponseWriter, err error) {
	again := func(status int, title, text string) { h.note(w, status, title, note{text, "/login", "Log in again"}) }
	h.cfg.Logger.Warn("a log-in came to nothing", slog.String("why", reason(err)))
	switch {
	case errors.Is(err, login.ErrNoRole):
		again(http.StatusForbidden, "Nothing for you here", "We know who you are, but nobody has given you a role here. Ask whoever gives out accounts.")
	case errors.Is(err, login.ErrRefused):
		again(http.StatusForbidden, "Not logged in", "Where you log in, it was refused or broken off.")
	case errors.Is(err, login.ErrIssuer):
		w.Header().Set("Retry-After", "5")
		again(http.StatusServiceUnavailable, "Nobody can log in now", "Where people log in, nobody answers. Try again in a moment.")
	case errors.Is(err, login.ErrFlow):
		again(http.StatusBadRequest, "Not logged in", "This log-in was not begun in this browser, or more than ten minutes ago.")
	default:
		again(http.StatusBadRequest, "Not logged in", "What came back from where you log in is not good.")
	}
}

// reason is an error of a log-in without what the issuer or the browser has said, which may be anything.
func reason(err error) string {
	for _, known := range []error{login.ErrNoRole, login.ErrRefused, login.ErrIssuer, login.ErrFlow, login.ErrIdentity} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "unknown"
}

// whom says who the caller is, for the top of a page.
func whom(c access.Caller) string {
	switch {
	case c.Open:
		return "a clerk who may do everything, and whoever a mail was sent to"
	case c.Role == access.CustomerRole:
		return "the customer " + c.Customer
	case c.Role == "":
		return ""
	case c.Role == access.Operator:
		return "an operator"
	}
	return "a " + string(c.Role)
}

// missing answers for an address without a page.
func (h *handler) missing(w http.ResponseWriter, _ *http.Request) {
	h.note(w, http.StatusNotFound, "No such page", note{"There is nothing at this address.", "/", "The first page"})
}

// unbroken answers a defect with a page.
func (h *handler) unbroken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(v)
			}
			h.cfg.Logger.Error("a page met a defect", slog.String("route", r.Pattern), slog.String("stack", string(debug.Stack()))) // v may quote the request
			h.note(w, http.StatusInternalServerError, "This page has a defect", note{"Nothing is known to have changed; the log says more.", "/", "The first page"})
		}()
		next.ServeHTTP(w, r)
	})
}

func (h *handler) allNamed() error {
	if len(h.unnamed) > 0 {
		return fmt.Errorf("pages: nobody may open %s: name the roles in access.Pages", strings.Join(h.unnamed, ", "))
	}
	return nil
}
