package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"utopia/processors"
	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// form is what a person has typed, and what is wrong with it.
type form struct {
	Command   string // the command's id, made with the form: sent twice, it has one outcome
	ID        string
	Name      string
	Email     string
	Language  string
	Reason    string
	Effective string // a date
	Address   postal.Fields
	Wrong     map[string]string // what is wrong, by field
	Trouble   string            // what is wrong with the whole

	Heading   string
	Countries []country
	Languages []country
	Fields    []field
	New       bool // a registration
	Current   *schemas.CustomerState
}

// field is one of an address on the form.
type field struct {
	postal.FormField
	Name, Value, Wrong, Autocomplete string
	Unlisted                         bool // the value is none of the options
}

// names are the form's names of the fields, and what browsers call them.
func fieldName(f postal.Field) (name, autocomplete string) {
	switch f {
	case postal.Region:
		return "region", "address-level1"
	case postal.City:
		return "city", "address-level2"
	case postal.District:
		return "district", "address-level3"
	case postal.PostCode:
		return "postcode", "postal-code"
	case postal.SortingCode:
		return "sortingcode", "off"
	case postal.Street:
		return "street", "street-address"
	case postal.Country:
		return "country", "country"
	case postal.Whole:
	}
	return "country", "off"
}

func value(a postal.Fields, f postal.Field) string {
	return map[postal.Field]string{
		postal.Region: a.Region, postal.City: a.City, postal.District: a.District, postal.PostCode: a.PostCode,
		postal.SortingCode: a.SortingCode, postal.Street: a.Street,
	}[f]
}

func newCommandID() string { return uuid.Must(uuid.NewV7()).String() }

// parseForm reads a bounded form and returns the status of the answer to one that cannot be read, otherwise 200.
func parseForm(w http.ResponseWriter, r *http.Request) int {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	var big *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &big):
		return http.StatusRequestEntityTooLarge
	case err != nil:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// readForm reads what was typed. ok is false if it has been answered already.
func (h *handler) readForm(w http.ResponseWriter, r *http.Request) (f form, ok bool) {
	if status := parseForm(w, r); status != http.StatusOK {
		h.note(w, status, "This form cannot be read", note{"It is damaged or too large. Nothing was sent.", "/customers/", "Customers"})
		return form{}, false
	}
	text := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f = form{
		Command: text("command"), ID: text("id"), Name: text("name"), Email: text("email"), Language: text("language"),
		Reason: text("reason"), Effective: text("effective"), Wrong: map[string]string{},
		Address: postal.Fields{
			Country: text("country"), Region: text("region"), City: text("city"), District: text("district"), PostCode: text("postcode"),
			SortingCode: text("sortingcode"), Street: strings.ReplaceAll(text("street"), "\r\n", "\n"),
		},
	}
	if !topics.ValidID(f.Command) {
		f.Command = newCommandID()
	}
	return f, true
}

// showForm shows a form, with what was typed so far.
func (h *handler) showForm(w http.ResponseWriter, status int, f form) {
	f.Countries, f.Languages = countries(), languages()
	for _, ff := range postal.Form(f.Address.Country) {
		one := field{FormField: ff, Value: value(f.Address, ff.Field)}
		one.Name, one.Autocomplete = fieldName(ff.Field)
		one.Wrong = f.Wrong[one.Name]
		one.Unlisted = one.Value != ""
		for _, o := range ff.Options {
			one.Unlisted = one.Unlisted && o.Key != one.Value
		}
		f.Fields = append(f.Fields, one)
	}
	p := page{Title: f.Heading, Script: "live.js", Place: "/customers/", Data: f}
	if f.New {
		p.Place = "/register"
	}
	if len(f.Wrong) > 0 || f.Trouble != "" {
		p.Title = "Not yet: " + p.Title
	}
	h.show(w, status, "form", p)
}

func (h *handler) registerForm(w http.ResponseWriter, r *http.Request) {
	f := form{
		New: true, Heading: "Register a customer", Command: newCommandID(), ID: "c-" + newCommandID()[24:], Language: "en",
		Address: postal.Fields{Country: "NL"},
	}
	for _, s := range h.cfg.Clerk.Sample {
		if s.CustomerID == r.URL.Query().Get("sample") {
			f.ID, f.Name, f.Email, f.Language, f.Address = s.CustomerID, s.Name, s.Email, s.Language, postal.Fields(s.Address)
		}
	}
	h.showForm(w, http.StatusOK, f)
}

func (h *handler) register(w http.ResponseWriter, r *http.Request) {
	f, ok := h.readForm(w, r)
	if !ok {
		return
	}
	f.New, f.Heading = true, "Register a customer"
	if r.PostForm.Get("do") == "country" {
		h.showForm(w, http.StatusOK, f)
		return
	}
	if !topics.ValidID(f.ID) {
		f.Wrong["id"] = "An id is 1 to 64 letters, digits or . _ ~ -"
	}
	name, err := customer.ParseName(f.Name)
	f.wrong("name", err)
	email, err := postal.ParseEmail(f.Email)
	f.wrong("email", err)
	language, err := customer.ParseLanguage(f.Language)
	f.wrong("language", err)
	address := f.parseAddress()
	h.send(w, r, f, &schemas.RegisterCustomer{
		CustomerID: f.ID, Meta: schemas.Metadata{CommandID: f.Command}, Name: string(name), Email: string(email), Language: string(language),
		Address: address,
	})
}

func (h *handler) moveForm(w http.ResponseWriter, r *http.Request) {
	c, err := h.cfg.Customers.Get(r.PathValue("id"))
	if err != nil {
		h.unreadable(w, r.PathValue("id"), err)
		return
	}
	h.showForm(w, http.StatusOK, form{
		Heading: "Another address for " + c.Name, Command: newCommandID(), ID: c.CustomerID, Current: c, Reason: schemas.ReasonMoved,
		Address: postal.Fields{Country: c.Address.Address.Country},
	})
}

func (h *handler) move(w http.ResponseWriter, r *http.Request) {
	c, err := h.cfg.Customers.Get(r.PathValue("id"))
	if err != nil {
		h.unreadable(w, r.PathValue("id"), err)
		return
	}
	f, ok := h.readForm(w, r)
	if !ok {
		return
	}
	f.ID, f.Current, f.Heading = c.CustomerID, c, "Another address for "+c.Name
	if r.PostForm.Get("do") == "country" {
		h.showForm(w, http.StatusOK, f)
		return
	}
	if f.Reason != schemas.ReasonMoved && f.Reason != schemas.ReasonCorrected {
		f.Wrong["reason"] = "Say whether the customer has moved or the address was wrong."
	}
	var effective time.Time
	if f.Effective != "" {
		if effective, err = time.Parse(time.DateOnly, f.Effective); err != nil {
			f.Wrong["effective"] = "This is no date like 2026-01-31."
		}
	}
	address := f.parseAddress()
	h.send(w, r, f, &schemas.RequestAddressChange{
		CustomerID: f.ID, Meta: schemas.Metadata{CommandID: f.Command}, Address: address, Reason: f.Reason, EffectiveAt: schemas.Millis(effective),
	})
}

// wrong notes what is wrong with a field.
func (f *form) wrong(name string, err error) {
	if err != nil {
		f.Wrong[name] = sentence(err)
	}
}

// parseAddress asks the country's rules. What is missing is named all at once, what else is wrong one by one.
func (f *form) parseAddress() schemas.Address {
	a, err := postal.Parse(f.Address)
	var bad *postal.FieldError
	if !errors.As(err, &bad) {
		return schemas.Address(a.Fields())
	}
	name, _ := fieldName(bad.Field)
	f.Wrong[name] = sentence(bad.Err)
	if errors.Is(bad.Err, postal.ErrMissing) {
		f.Wrong[name] = "The " + string(bad.Field) + " is missing."
		for _, ff := range postal.Form(f.Address.Country) {
			if name, _ := fieldName(ff.Field); ff.Required && value(f.Address, ff.Field) == "" {
				f.Wrong[name] = ff.Label + " is missing."
			}
		}
	}
	return schemas.Address{}
}

// sentence makes an error one.
func sentence(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// send sends a form's command, unless something is wrong with it, and leads to the customer's page.
func (h *handler) send(w http.ResponseWriter, r *http.Request, f form, command schemas.Command) {
	if len(f.Wrong) > 0 {
		h.showForm(w, http.StatusUnprocessableEntity, f)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Wait)
	defer cancel()
	reply, err := h.cfg.Ask.Ask(ctx, f.ID, command)
	switch {
	case err != nil:
		h.cfg.Logger.Warn("a form's command has no reply yet", slog.String("command", f.Command), slog.Any("error", err))
		f.Trouble = "There is no reply yet. The command may still be handled; sending this form again is safe and gets its one outcome."
		w.Header().Set("Retry-After", "5")
		h.showForm(w, http.StatusServiceUnavailable, f)
	case reply.Outcome != schemas.OutcomeAccepted:
		f.Trouble = "The customer service has refused this: " + reply.Message + "."
		f.Command = newCommandID() // what is sent next is something else
		h.showForm(w, http.StatusConflict, f)
	default:
		receipt := processors.Receipt{Aggregate: "customer", Key: reply.Key, Version: reply.Version}
		http.Redirect(w, r, "/customers/"+f.ID+"?after="+receipt.String(), http.StatusSeeOther)
	}
}
