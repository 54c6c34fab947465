package pages_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/history"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/login"
	"utopia/cmd/internal/pages"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/timeline"
	"utopia/processors"
	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
)

// town is a customer service of the real rules without a log: what it is asked it decides at once, each command id once.
type town struct {
	keys links.Keys

	mu      sync.Mutex
	now     time.Time
	rows    map[string]customer.State
	answers map[string]schemas.ReplyFields
	asked   int
	down    error
	mails   []smtpd.Mail
	past    timeline.Page
}

func newTown(t *testing.T) *town {
	t.Helper()
	keys, err := links.ParseKeys(strings.NewReader("k1:" + strings.Repeat("QUFB", 11)))
	if err != nil {
		t.Fatal(err)
	}
	return &town{
		keys: keys, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), rows: map[string]customer.State{}, answers: map[string]schemas.ReplyFields{},
	}
}

func (tn *town) Ask(_ context.Context, key string, cmd schemas.Command) (schemas.ReplyFields, error) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.asked++
	if tn.down != nil {
		return schemas.ReplyFields{}, tn.down
	}
	id := cmd.Metadata().CommandID
	if known, ok := tn.answers[id]; ok {
		known.Repeat = true
		return known, nil
	}
	reply := schemas.ReplyFields{Key: key, CommandID: id, Outcome: schemas.OutcomeAccepted}
	if err := tn.decide(key, id, cmd); err != nil {
		reply.Outcome, reply.Refusal, reply.Message = schemas.OutcomeRefused, customer.Code(err), err.Error()
	}
	reply.Version = tn.rows[key].Version
	tn.answers[id] = reply
	return reply, nil
}

func (tn *town) decide(key, id string, cmd schemas.Command) error {
	var c customer.Command
	switch r := cmd.(type) {
	case *schemas.RegisterCustomer:
		c = customer.Register{Name: customer.Name(r.Name), Email: postal.Email(r.Email), Language: customer.Language(r.Language), Address: postal.Restore(postal.Fields(r.Address))}
	case *schemas.RequestAddressChange:
		c = customer.RequestChange{ChangeID: id, Address: postal.Restore(postal.Fields(r.Address)), Reason: customer.Reason(r.Reason), EffectiveAt: schemas.Time(r.EffectiveAt)}
	case *schemas.ConfirmAddressChange:
		c = customer.ConfirmChange{ChangeID: r.ChangeID, ExpiresAt: schemas.Time(r.ExpiresAt)}
	case *schemas.CancelAddressChange:
		c = customer.CancelChange{ChangeID: r.ChangeID}
	}
	return tn.apply(key, c)
}

func (tn *town) apply(key string, c customer.Command) error {
	events, err := customer.Decide(tn.rows[key], c, tn.now)
	for _, e := range events {
		tn.rows[key] = customer.Evolve(tn.rows[key], e)
	}
	return err
}

// must gives the core a command that it takes.
func (tn *town) must(t *testing.T, key string, c customer.Command) {
	t.Helper()
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if err := tn.apply(key, c); err != nil {
		t.Fatal(err)
	}
}

func (tn *town) Get(key string) (*schemas.CustomerState, error) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	s, ok := tn.rows[key]
	if !ok || s.Status == customer.StatusErased {
		return nil, processors.ErrNotFound
	}
	return public(key, s), nil
}

func (tn *town) After(_ context.Context, r processors.Receipt) (*schemas.CustomerState, error) {
	return tn.Get(r.Key)
}

// Search compares plainly; how customers are really found, processors tests.
func (tn *town) Search(s processors.Search, cursor string, limit int) (p processors.CustomerPage, err error) {
	if s.Name == "!" {
		return p, processors.ErrNoWord
	}
	begins := func(s, with string) bool { return strings.HasPrefix(strings.ToLower(s), strings.ToLower(with)) }
	return tn.page(cursor, limit, func(c *schemas.CustomerState) bool {
		return begins(c.Name, s.Name) && begins(c.Address.Address.City, s.City) && begins(c.CustomerID, s.ID) && (s.Email == "" || c.Email == s.Email)
	})
}

func (tn *town) Waiting(waitsFor, cursor string, limit int) (p processors.CustomerPage, err error) {
	if waitsFor == "bus" {
		return p, processors.ErrWaitsFor
	}
	return tn.page(cursor, limit, func(c *schemas.CustomerState) bool {
		return c.Pending != nil && (waitsFor == "" || waitsFor == processors.WaitsFor(c.Pending))
	})
}

func (tn *town) page(cursor string, limit int, keep func(*schemas.CustomerState) bool) (p processors.CustomerPage, err error) {
	if cursor == "?" {
		return p, processors.ErrCursor
	}
	for _, key := range slices.Sorted(maps.Keys(tn.rows)) {
		if c := public(key, tn.rows[key]); key > cursor && keep(c) {
			if len(p.Customers) == limit {
				p.Next = p.Customers[limit-1].CustomerID
				break
			}
			p.Customers = append(p.Customers, c)
		}
	}
	return p, nil
}

// Read is the timeline that a test has given.
func (tn *town) Read(_ context.Context, id, before string, _ int) (timeline.Page, error) {
	if before == "?" {
		return timeline.Page{}, history.ErrCursor
	}
	if _, ok := tn.rows[id]; !ok {
		return timeline.Page{}, processors.ErrNotFound
	}
	return tn.past, nil
}

func (tn *town) Mails() []smtpd.Mail { return tn.mails }

func public(key string, s customer.State) *schemas.CustomerState {
	c := &schemas.CustomerState{
		CustomerID: key, Version: s.Version, Status: string(s.Status), Name: string(s.Name), Email: string(s.Email), Language: string(s.Language),
		Address: schemas.Residence{Address: schemas.Address(s.Address.Address.Fields()), Version: s.Address.Version, Reason: string(s.Address.Reason), Verified: true},
	}
	if s.Change.Status != customer.NoChange {
		c.Pending = &schemas.PendingChange{
			ChangeID: s.Change.ID, Status: string(s.Change.Status), Reason: string(s.Change.Reason), RequestedAt: schemas.Millis(s.Change.RequestedAt),
			ExpiresAt: schemas.Millis(s.Change.ExpiresAt), EffectiveAt: schemas.Millis(s.Change.EffectiveAt), Undeliverable: s.Change.Undeliverable,
		}
	}
	return c
}

// view answers from a map.
type view[T any] map[string]T

func (v view[T]) Get(key string) (T, error) {
	row, ok := v[key]
	if !ok {
		return row, processors.ErrNotFound
	}
	return row, nil
}

func (v view[T]) After(_ context.Context, r processors.Receipt) (T, error) { return v.Get(r.Key) }

var (
	gouda  = postal.Restore(postal.Fields{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"})
	porto  = postal.Restore(postal.Fields{Country: "PT", City: "Porto", PostCode: "4050-014", Street: "Rua de Santa Catarina 12"})
	hours  = time.Hour
	errSlo = errors.New("no reply yet")
)

// asks is a town with c-1, who has been asked to confirm the change x1.
func asks(t *testing.T) *town {
	t.Helper()
	tn := newTown(t)
	tn.must(t, "c-1", customer.Register{Name: "Ada <b>", Email: "ada@example.org", Address: gouda})
	tn.must(t, "c-1", customer.RequestChange{ChangeID: "x1", Address: porto, Reason: customer.ReasonMoved})
	return tn
}

func (tn *town) pages(t *testing.T, change func(*pages.Config)) http.Handler {
	t.Helper()
	cfg := pages.Config{Keys: tn.keys, Ask: tn, Customers: tn, Now: func() time.Time { return tn.now }}
	if change != nil {
		change(&cfg)
	}
	h, err := pages.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (tn *town) clerk(t *testing.T, change ...func(*pages.Config)) http.Handler {
	t.Helper()
	return tn.pages(t, func(c *pages.Config) {
		c.Banner, c.Login = "You act as a clerk.", anybody(t, access.Caller{Name: "development", Role: access.Clerk, Open: true})
		c.Clerk = &pages.Clerk{
			Billing:       view[*schemas.BillingState]{"c-1": {CustomerID: "c-1", Version: 5, CustomerVersion: 1, Address: schemas.Address(gouda.Fields()), Open: []schemas.Invoice{{InvoiceID: "i-7", AmountCents: 1250, Currency: "EUR"}}}},
			Notifications: view[*schemas.NotificationState]{},
			Timeline:      tn,
			Letters:       newShelf(),
			Webhooks:      told(nil),
			Inbox:         tn,
			Sample:        []schemas.RegisterCustomer{{CustomerID: "s-1", Name: "Ōe <i>", Email: "oe@example.jp", Language: "ja", Address: schemas.Address{Country: "JP", Region: "東京都", PostCode: "100-0001", Street: "千代田1"}}},
		}
		for _, f := range change {
			f(c)
		}
	})
}

// anybody is a log-in where whoever has not chosen is c.
func anybody(t *testing.T, c access.Caller) *pages.Login {
	t.Helper()
	keys, err := login.RandomKeys()
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := login.NewSessions(keys, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &pages.Login{Sessions: sessions, Anybody: c}
}

// link signs what a mail's link asks for.
func (tn *town) link(t *testing.T, purpose, change string) string {
	t.Helper()
	token, err := links.Sign(tn.keys, links.Claims{Purpose: purpose, Subject: "c-1", Change: change, ExpiresAt: tn.now.Add(72 * hours)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func post(h http.Handler, path string, form url.Values, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://localhost:8080"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost:8080"+path, nil))
	return w
}
