// Package pages is what a person sees in a browser: the page behind a link of a mail, for customers; and, where they are
// wanted, pages of the customers, for whoever may act for all of them, and the inbox of the development mail server. They
// are rendered here, without a framework; two small scripts make them nicer, and they work without.
//
// The package asks commands and reads public views through small interfaces; it knows no broker and keeps nothing. Package login
// says who looks at a page, package access whether they may; a page that the policy does not name cannot be mounted.
package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/flow"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/timeline"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// maxForm bounds what is read of a form, in bytes.
const maxForm = 64 << 10

// Asker sends a command to the customer service and waits for its reply; *ask.Client is one.
type Asker interface {
	Ask(ctx context.Context, key string, cmd schemas.Command) (schemas.ReplyFields, error)
}

// View answers from a public state topic; a *processors.View is one.
type View[T schemas.Record] interface {
	Get(key string) (T, error)
	After(ctx context.Context, r processors.Receipt) (T, error)
}

// CustomerView is a View of the customers that finds them; processors.Customers is one.
type CustomerView interface {
	View[*schemas.CustomerState]
	Search(s processors.Search, cursor string, limit int) (processors.CustomerPage, error)
	Waiting(waitsFor, cursor string, limit int) (processors.CustomerPage, error)
}

// Timeline tells what has happened about a customer, page by page; timeline.Sources is one.
type Timeline interface {
	Read(ctx context.Context, id, before string, limit int) (timeline.Page, error)
}

// Inbox holds mails that were sent; *smtpd.Server is one.
type Inbox interface{ Mails() []smtpd.Mail }

// Config is what the pages need. Keys, Ask and Customers are enough for the page behind a link.
type Config struct {
	Keys      links.Keys
	Ask       Asker
	Customers CustomerView
	Wait      time.Duration // for a reply; 0 means 10 s
	// Limit says whether somebody may post a link now, and otherwise when again; nil: always.
	Limit  func(*http.Request) (again time.Duration, ok bool)
	Logger *slog.Logger
	Now    func() time.Time // nil: the clock

	// Clerk, if set, adds the pages of the customers, for those whom Login knows.
	Clerk *Clerk
	Login *Login
	// Banner is at the top of every page: what this is for, and whom its reader acts as.
	Banner string
}

// Clerk is what the pages of the customers need beside.
type Clerk struct {
	Billing       View[*schemas.BillingState]
	Notifications View[*schemas.NotificationState]
	// Timeline is what has happened about a customer; timeline.Sources is one.
	Timeline Timeline
	// Live tells how much is in the topics; without it that is not known.
	Live catalogue.Live
	// Letters, if set, adds the pages of the dead letters.
	Letters Letters
	// Webhooks, if set, are shown: who is told of changes, and how that goes.
	Webhooks Webhooks
	// Flow, if set, adds the picture of how records flow.
	Flow Flow
	// Sample is people who may be registered with one click.
	Sample []schemas.RegisterCustomer
	// Inbox, if set, adds the development mail pages.
	Inbox Inbox
	// Type says for a mail's text what to type in a terminal for its links.
	Type func(text string) []Typed
	// Terminal is what to type for a start.
	Terminal string
	// Links are shown on the first page: name and address.
	Links []Place
}

// Typed is what to type, and what for.
type Typed struct{ What, Line string }

// Place is a page, by name.
type Place struct{ Name, Path string }

// handler serves the pages.
type handler struct {
	cfg        Config
	dictionary *dictionary
	templates  *template.Template
	assets     map[string]string // path by file name
	picture    flow.Picture

	caller   access.Caller // of a page that is for some roles
	roles    map[string][]access.Role
	patterns []string // that were registered
	unnamed  []string // that were not, because nobody may open them
}

// New returns the pages. Every answer that changes something is refused when another site's page has sent it.
func New(cfg Config) (http.Handler, error) {
	h := &handler{cfg: cfg, assets: map[string]string{}, roles: access.Pages(), picture: flow.NewGraph().Draw()}
	if h.cfg.Logger == nil {
		h.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if h.cfg.Wait == 0 {
		h.cfg.Wait = 10 * time.Second
	}
	var err error
	if h.dictionary, err = readDictionary(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := h.serveAssets(mux); err != nil {
		return nil, err
	}
	h.templates, err = template.New("").Funcs(h.functions()).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	mux.HandleFunc("GET /confirm", h.ask)
	mux.HandleFunc("POST /confirm", h.post)
	mux.HandleFunc("/", h.missing)
	if cfg.Clerk != nil {
		if cfg.Login == nil {
			return nil, errors.New("pages: pages for some need to know who looks at them")
		}
		h.loginPages(mux)
		h.clerkPages(mux)
		if err := h.allNamed(); err != nil {
			return nil, err
		}
	}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(h.foreign))
	return h.unbroken(guard.Handler(mux)), nil
}

func (h *handler) clerkPages(mux *http.ServeMux) {
	h.page(mux, "GET /{$}", (*handler).front)
	h.page(mux, "GET /customers/{$}", (*handler).customers)
	h.page(mux, "POST /customers/{$}", (*handler).find)
	h.page(mux, "GET /waiting", (*handler).waiting)
	h.page(mux, "GET /customers/{id}", (*handler).customer)
	h.page(mux, "GET /customers/{id}/versions", (*handler).versions)
	h.page(mux, "GET /customers/{id}/timeline", (*handler).timeline)
	h.page(mux, "GET /customers/{id}/move", (*handler).moveForm)
	h.page(mux, "POST /customers/{id}/move", (*handler).move)
	h.page(mux, "GET /register", (*handler).registerForm)
	h.page(mux, "POST /register", (*handler).register)
	h.page(mux, "GET /topics", (*handler).topics)
	h.page(mux, "GET /topics/{topic}", (*handler).topic)
	h.page(mux, "GET /schemas", (*handler).schemas)
	h.page(mux, "GET /schemas/{name}", (*handler).schema)
	if h.cfg.Clerk.Webhooks != nil {
		h.page(mux, "GET /webhooks", (*handler).webhooks)
	}
	if h.cfg.Clerk.Letters != nil {
		h.page(mux, "GET /dead-letters", (*handler).letters)
		h.page(mux, "GET /dead-letters/{topic}/{partition}/{offset}", (*handler).letter)
		h.page(mux, "POST /dead-letters/{topic}/{partition}/{offset}", (*handler).decide)
	}
	if h.cfg.Clerk.Flow != nil {
		h.page(mux, "GET /flow", (*handler).flow)
		h.page(mux, "GET /flow/stream", (*handler).flowStream)
	}
	if h.cfg.Clerk.Inbox != nil {
		h.page(mux, "GET /dev/mail/{$}", (*handler).mails)
		h.page(mux, "GET /dev/mail/read/{id}", (*handler).mail)
		h.page(mux, "GET /dev/mail/read/{id}/html", (*handler).mailHTML)
	}
}

func (h *handler) now() time.Time {
	if h.cfg.Now != nil {
		return h.cfg.Now()
	}
	return time.Now()
}

// serveAssets serves style sheet and scripts under names with their hash, so that browsers may keep them for ever.
func (h *handler) serveAssets(mux *http.ServeMux) error {
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return fmt.Errorf("assets: %w", err)
	}
	for _, f := range files {
		b, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			return fmt.Errorf("assets: %w", err)
		}
		sum := sha256.Sum256(b)
		path := "/assets/" + hex.EncodeToString(sum[:6]) + "/" + f.Name()
		h.assets[f.Name()] = path
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.ServeContent(w, r, f.Name(), time.Time{}, bytes.NewReader(b))
		})
	}
	return nil
}

// page is what every template gets.
type page struct {
	Title  string
	Lang   string // empty: English
	Script string
	Place  string   // the path of the place that it belongs to
	Wide   bool     // a picture needs room
	Asks   []string // what the page behind a link can ask
	Data   any

	Banner string
	Places []Place
	Whom   string // who looks at it
	Choice bool   // they have chosen that, and may choose again
}

// policy allows nothing but what is served from here; no page can be put into another site's frame.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (h *handler) show(w http.ResponseWriter, status int, name string, p page) {
	if p.Lang == "" {
		p.Lang = "en"
	}
	p.Banner, p.Whom = h.cfg.Banner, whom(h.caller)
	p.Choice = h.cfg.Login != nil && h.cfg.Login.OIDC == nil
	p.Places = h.places()
	var b bytes.Buffer
	if err := h.templates.ExecuteTemplate(&b, name, p); err != nil {
		h.cfg.Logger.Error("a page cannot be written", slog.String("page", name), slog.Any("error", err))
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cache-Control", "no-store")
	head.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone, or has it
}

// places are those that the caller may go to.
func (h *handler) places() []Place {
	if h.cfg.Clerk == nil || h.caller.Role == "" {
		return nil
	}
	var all []Place
	add := func(name, pattern, path string) {
		if h.may(pattern) {
			all = append(all, Place{name, path})
		}
	}
	add("Customers", "GET /customers/{$}", "/customers/")
	add("Waiting", "GET /waiting", "/waiting")
	if h.caller.Role == access.CustomerRole {
		add("You", "GET /customers/{id}", "/customers/"+h.caller.Customer)
	}
	add("Register", "GET /register", "/register")
	if h.cfg.Clerk.Inbox != nil {
		add("Mails", "GET /dev/mail/{$}", "/dev/mail/")
	}
	if h.cfg.Clerk.Flow != nil {
		add("Flow", "GET /flow", "/flow")
	}
	add("Topics", "GET /topics", "/topics")
	add("Schemas", "GET /schemas", "/schemas")
	if h.cfg.Clerk.Webhooks != nil {
		add("Webhooks", "GET /webhooks", "/webhooks")
	}
	if h.cfg.Clerk.Letters != nil {
		add("Dead letters", "GET /dead-letters", "/dead-letters")
	}
	return all
}

// note is a page of one sentence and a way on.
type note struct{ Text, Path, Link string }

func (h *handler) note(w http.ResponseWriter, status int, title string, n note) {
	h.show(w, status, "note", page{Title: title, Data: n})
}

// unreadable answers for a view that has no answer: nobody of that id, or not ready yet.
func (h *handler) unreadable(w http.ResponseWriter, id string, err error) {
	var notReady *eos.NotReadyError
	switch {
	case errors.Is(err, processors.ErrNotFound):
		h.note(w, http.StatusNotFound, "No such customer", note{
			fmt.Sprintf("Nobody is known as %s, or everything about them was erased.", id), "/customers/", "Find a customer",
		})
	case errors.As(err, &notReady), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		h.note(w, http.StatusServiceUnavailable, "Not there yet", note{
			"The view is still catching up with the log. Nothing is lost; load this page again in a moment.", "/customers/", "All customers",
		})
	default:
		h.cfg.Logger.Error("a view does not answer", slog.Any("error", err))
		h.note(w, http.StatusInternalServerError, "No answer", note{"The view does not answer; the log says why.", "/", "The first page"})
	}
}
