package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"utopia/processors"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// customersShown is how many customers a page has.
const customersShown = 50

// What a search can look at.
const (
	byAny   = "any"
	byName  = "name"
	byCity  = "city"
	byEmail = "email"
	byID    = "id"
)

type customerList struct {
	Find      string
	By        string // what was looked at
	Ways      []choice
	Customers []*schemas.CustomerState
	Next      string // the cursor
	Sample    []schemas.RegisterCustomer
	Trouble   string
}

// choice is one of a few.
type choice struct{ Key, Name string }

func ways() []choice {
	return []choice{{byAny, "anything"}, {byName, "the name"}, {byCity, "the city"}, {byEmail, "the e-mail address"}, {byID, "the id"}}
}

// customers lists all customers by id. The cursor in the address has an id in it, nothing else.
func (h *handler) customers(w http.ResponseWriter, r *http.Request) {
	h.list(w, customerList{By: byAny}, processors.Search{}, r.URL.Query().Get("from"))
}

// find looks for customers. It is posted: what people are called, and where they get mail, would stay in the browser's history and in the logs of
// proxies if it were in the address.
func (h *handler) find(w http.ResponseWriter, r *http.Request) {
	if status := parseForm(w, r); status != http.StatusOK {
		h.note(w, status, "This form cannot be read", note{"It is damaged or too large.", "/customers/", "Customers"})
		return
	}
	l := customerList{Find: strings.TrimSpace(r.PostForm.Get("find")), By: r.PostForm.Get("by")}
	if !slices.ContainsFunc(ways(), func(c choice) bool { return c.Key == l.By }) {
		l.By = byAny
	}
	if l.Find == "" {
		http.Redirect(w, r, "/customers/", http.StatusSeeOther)
		return
	}
	if topics.ValidID(l.Find) && (l.By == byAny || l.By == byID) {
		if _, err := h.cfg.Customers.Get(l.Find); err == nil {
			http.Redirect(w, r, "/customers/"+l.Find, http.StatusSeeOther)
			return
		}
	}
	if l.By == byAny {
		l.By = h.best(l.Find)
	}
	s, trouble := search(l.By, l.Find)
	if l.Trouble = trouble; trouble != "" {
		h.showList(w, http.StatusUnprocessableEntity, l)
		return
	}
	h.list(w, l, s, r.PostForm.Get("from"))
}

// best is the first way that finds somebody.
func (h *handler) best(text string) string {
	for _, by := range []string{byEmail, byName, byCity, byID} {
		s, trouble := search(by, text)
		if trouble != "" {
			continue
		}
		if page, err := h.cfg.Customers.Search(s, "", 1); err == nil && (len(page.Customers) > 0 || page.Next != "") {
			return by
		}
	}
	return byName
}

// search is what to look for, or why there can be nothing.
func search(by, text string) (s processors.Search, trouble string) {
	switch by {
	case byEmail:
		email, err := postal.ParseEmail(text)
		if err != nil {
			return s, "This is no whole e-mail address."
		}
		s.Email = string(email)
	case byCity:
		s.City = text
	case byID:
		if !topics.ValidID(text) {
			return s, "An id is 1 to 64 letters, digits or . _ ~ -"
		}
		s.ID = text
	default:
		s.Name = text
	}
	return s, ""
}

func (h *handler) list(w http.ResponseWriter, l customerList, s processors.Search, from string) {
	page, err := h.cfg.Customers.Search(s, from, customersShown)
	switch {
	case errors.Is(err, processors.ErrNoWord):
		l.Trouble = "There is no letter and no digit in it."
		h.showList(w, http.StatusUnprocessableEntity, l)
	case errors.Is(err, processors.ErrCursor):
		h.note(w, http.StatusBadRequest, "No such page", note{"Its address was not made here.", "/customers/", "All customers"})
	case err != nil:
		h.unreadable(w, "", err)
	default:
		l.Customers, l.Next = page.Customers, page.Next
		if len(l.Customers) == 0 && l.Next == "" && l.Find == "" {
			l.Sample = h.cfg.Clerk.Sample
		}
		h.showList(w, http.StatusOK, l)
	}
}

func (h *handler) showList(w http.ResponseWriter, status int, l customerList) {
	l.Ways = ways()
	h.show(w, status, "customers", page{Title: "Customers", Place: "/customers/", Data: l})
}

// waitingList is the changes that wait, the oldest first.
type waitingList struct {
	For       string // empty: whatever
	Ways      []choice
	Customers []*schemas.CustomerState
	Next      string
}

// waiting shows what waits, since when, and what for. Its address has times and ids in it, nothing else.
func (h *handler) waiting(w http.ResponseWriter, r *http.Request) {
	l := waitingList{For: r.URL.Query().Get("for"), Ways: []choice{
		{"", "anything"}, {processors.WaitsForConfirmation, "the customer’s answer"}, {processors.WaitsForMail, "a mail that arrives"}, {processors.WaitsForDate, "their date"},
	}}
	page1, err := h.cfg.Customers.Waiting(l.For, r.URL.Query().Get("from"), customersShown)
	switch {
	case errors.Is(err, processors.ErrCursor), errors.Is(err, processors.ErrWaitsFor):
		h.note(w, http.StatusBadRequest, "No such page", note{"Its address was not made here.", "/waiting", "All changes that wait"})
	case err != nil:
		h.unreadable(w, "", err)
	default:
		l.Customers, l.Next = page1.Customers, page1.Next
		h.show(w, http.StatusOK, "waiting", page{Title: "Changes that wait", Place: "/waiting", Data: l})
	}
}
