// Package timeline puts together what has happened about a customer, and what caused what: commands and events from the query side of the customer
// service, and what the others publish, from their public states: mails and their fate, notices, invoices, and who has applied which version. It reads no
// private topic of anybody, and nothing in it is personal.
package timeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"utopia/cmd/internal/history"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// Kinds of entries, beside history.Command and history.Event.
const (
	Mail    = "mail"
	Notice  = "notice"
	Invoice = "invoice"
	Applied = "applied"
)

// ErrCursor says that a cursor is none of this timeline.
var ErrCursor = history.ErrCursor

// View answers from a public state; a *processors.View is one.
type View[T schemas.Record] interface{ Get(key string) (T, error) }

// History is the query side of the customer service: a *history.Index or a *history.Client.
type History interface {
	Entries(ctx context.Context, id, before string, limit int) (history.Page, error)
}

// Sources are where a timeline comes from. History and Outcome may be nil.
type Sources struct {
	History       History
	Customers     View[*schemas.CustomerState]
	Billing       View[*schemas.BillingState]
	Notifications View[*schemas.NotificationState]
	Mails         View[*schemas.MailState]
	// Outcome is what is remembered of a command's outcome.
	Outcome func(commandID, customer string) (schemas.ReplyFields, bool)
}

// Entry is one thing that happened.
type Entry struct {
	ID          string `json:"id" doc:"Of the command, event (CUSTOMER/VERSION), mail, notice, invoice or applied version"`
	Kind        string `json:"kind" enum:"command,event,mail,notice,invoice,applied"`
	Type        string `json:"type" doc:"The record's name; of a notice what it tells; empty otherwise"`
	Service     string `json:"service" doc:"Whose it is"`
	At          int64  `json:"at" doc:"When, in milliseconds since 1970; of an applied version when it came about"`
	Version     int64  `json:"version,omitempty" doc:"The customer's version that it made, or is about"`
	Cause       string `json:"cause,omitempty" doc:"The id of what it followed from, which may be on another page, or outside"`
	Correlation string `json:"correlation,omitempty" doc:"The conversation that it is part of"`
	Change      string `json:"change,omitempty" doc:"The address change that it is about: the id of the command that asked for it"`
	Outcome     string `json:"outcome,omitempty" doc:"Of a command: accepted or refused, if it is still known; of a mail: its status"`
	Refusal     string `json:"refusal,omitempty" doc:"Code of the refusal"`
}

// Page is a part of a timeline, oldest first; Next leads to what was before.
type Page struct {
	Entries []Entry `json:"entries" nullable:"false"`
	Next    string  `json:"next,omitempty" doc:"The cursor of the page before it in time; none: this is the beginning"`
	// Partial says that the query side did not answer, and this is only what the public states know.
	Partial bool `json:"partial,omitempty" doc:"The query side of the customer service does not answer: without commands, and only the events that the public states still show"`
}

// Read returns a page: what was before the cursor, or the newest. Errors: ErrCursor, processors.ErrNotFound if nobody knows the customer, and
// what a view says that is not ready.
func (s Sources) Read(ctx context.Context, id, before string, limit int) (Page, error) {
	c, err := s.Customers.Get(id)
	if err != nil && !errors.Is(err, processors.ErrNotFound) {
		return Page{}, err
	}
	p, err := s.own(ctx, id, before, limit, c)
	if err != nil {
		return Page{}, err
	}
	if len(p.Entries) == 0 && before == "" && c == nil {
		return Page{}, fmt.Errorf("customer %s: %w", id, processors.ErrNotFound)
	}
	s.outcomes(id, p.Entries)
	b := builder{Sources: s, id: id, page: p.Entries, newest: before == "", events: map[int64]Entry{}}
	for _, e := range p.Entries {
		if e.Kind == history.Event {
			b.events[e.Version] = e
		}
	}
	if err := errors.Join(b.mails(), b.notices(), b.billing()); err != nil {
		return Page{}, err
	}
	p.Entries = b.page
	slices.SortStableFunc(p.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Version, b.Version))
	})
	return p, nil
}

func rank(kind string) int {
	return slices.Index([]string{history.Command, history.Event, Applied, Invoice, Notice, Mail}, kind)
}

// own is what the customer service knows; if it does not answer, what its public state still shows.
func (s Sources) own(ctx context.Context, id, before string, limit int, c *schemas.CustomerState) (Page, error) {
	p := Page{Entries: []Entry{}}
	if s.History != nil {
		h, err := s.History.Entries(ctx, id, before, limit)
		if errors.Is(err, history.ErrCursor) {
			return p, err
		}
		if err == nil {
			seen := map[string]bool{} // a command that came again, or was sent on to its partition, is one
			for _, e := range slices.Backward(h.Entries) {
				if e.Kind == history.Command && seen[e.ID] {
					continue
				}
				seen[e.ID] = true
				p.Entries = append(p.Entries, Entry{
					ID: e.ID, Kind: e.Kind, Type: e.Type, Service: topics.Customer, At: e.At, Version: e.Version, Cause: e.Cause, Correlation: e.Correlation, Change: e.Change,
				})
			}
			p.Next = h.Next
			return p, nil
		}
	}
	p.Partial = true
	if before != "" || c == nil {
		return p, nil
	}
	event := func(version, at int64, kind, change string) {
		p.Entries = append(p.Entries, Entry{
			ID: fmt.Sprint(id, "/", version), Kind: history.Event, Type: kind, Service: topics.Customer, At: at, Version: version, Cause: change, Change: change,
		})
	}
	if a := c.Address; a.Version > 0 {
		event(a.Version, a.RecordedAt, map[string]string{schemas.ReasonMoved: "CustomerMoved", schemas.ReasonCorrected: "AddressCorrected"}[a.Reason], "")
		if p.Entries[0].Type == "" {
			p.Entries[0].Type = "CustomerRegistered"
		}
	}
	if w := c.Pending; w != nil {
		event(w.Version, w.RequestedAt, "AddressChangeRequested", w.ChangeID)
	}
	return p, nil
}

// outcomes says what became of the commands: accepted if an event followed, or what is remembered.
func (s Sources) outcomes(id string, page []Entry) {
	accepted := map[string]int64{}
	for _, e := range page {
		if e.Kind == history.Event && e.Cause != "" {
			accepted[e.Cause] = e.Version
		}
	}
	for i := range page {
		e := &page[i]
		if e.Kind != history.Command {
			continue
		}
		if _, ok := accepted[e.ID]; ok {
			e.Outcome = schemas.OutcomeAccepted
		} else if s.Outcome != nil {
			if f, ok := s.Outcome(e.ID, id); ok {
				e.Outcome, e.Refusal = f.Outcome, f.Refusal
			}
		}
	}
}

// builder adds to a page what followed from its events.
type builder struct {
	Sources

	id     string
	page   []Entry
	newest bool // the newest page also has what has no known cause
	events map[int64]Entry
}

// add puts an entry on the page if what it followed from is there.
func (b *builder) add(e Entry, version int64) {
	cause, ok := b.events[version]
	loose := b.newest && (version == 0 || len(b.events) == 0)
	if !ok && !loose {
		return
	}
	if ok {
		e.At, e.Correlation = max(e.At, cause.At), cause.Correlation
		if e.Cause == "" {
			e.Cause = cause.ID
		}
	}
	b.page = append(b.page, e)
}

// mail adds a mail, if the mail service still knows it.
func (b *builder) mail(id, cause string, version, at int64) error {
	m, err := b.Mails.Get(id)
	if errors.Is(err, processors.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	b.add(Entry{ID: id, Kind: Mail, Service: topics.Mail, At: max(at, m.AcceptedAt), Version: version, Cause: cause, Outcome: m.Status}, version)
	return nil
}

// mails are those that ask for a confirmation.
func (b *builder) mails() error {
	for version, e := range b.events {
		if e.Type != "AddressChangeRequested" && e.Type != "ConfirmationReminded" {
			continue
		}
		if err := b.mail(fmt.Sprintf("%s/%s/%d/1", topics.Customer, b.id, version), e.ID, version, e.At); err != nil {
			return err
		}
	}
	return nil
}

// notices are what the customer was told, with their mails, and which version notification has applied.
func (b *builder) notices() error {
	n, err := b.Notifications.Get(b.id)
	if err != nil {
		return absent(err)
	}
	for _, one := range n.Notices {
		notice := fmt.Sprintf("%s/%s/%d", topics.Notification, b.id, one.Version)
		b.add(Entry{ID: notice, Kind: Notice, Type: one.Kind, Service: topics.Notification, At: one.At, Version: one.CustomerVersion}, one.CustomerVersion)
		for i := range one.Mails {
			if err := b.mail(fmt.Sprintf("%s/%d", notice, i+1), notice, one.CustomerVersion, one.At); err != nil {
				return err
			}
		}
	}
	b.applied(topics.Notification, n.CustomerVersion)
	return nil
}

// billing are the open invoices, which go to the address of a version, and which version billing has applied.
func (b *builder) billing() error {
	s, err := b.Billing.Get(b.id)
	if err != nil {
		return absent(err)
	}
	for _, i := range s.Open {
		b.add(Entry{ID: i.InvoiceID, Kind: Invoice, Service: topics.Billing, At: i.IssuedAt, Version: i.SendTo}, i.SendTo)
	}
	b.applied(topics.Billing, s.CustomerVersion)
	return nil
}

func (b *builder) applied(service string, version int64) {
	if _, ok := b.events[version]; ok {
		b.add(Entry{ID: fmt.Sprintf("%s/%s@%d", service, b.id, version), Kind: Applied, Service: service, Version: version}, version)
	}
}

func absent(err error) error {
	if errors.Is(err, processors.ErrNotFound) {
		return nil
	}
	return err
}

// Node is an entry with what followed from it.
type Node struct {
	Entry

	// Asked is the command that asked for the change that a command is about, if it is on the page too.
	Asked   string
	Effects []*Node
}

// Tree hangs each entry below its cause, if that is on the page.
func Tree(page []Entry) []*Node {
	byID := map[string]*Node{}
	all := make([]*Node, len(page))
	for i, e := range page {
		all[i] = &Node{Entry: e}
		if byID[e.ID] == nil {
			byID[e.ID] = all[i]
		}
	}
	var roots []*Node
	for i, n := range all {
		cause := byID[n.Cause]
		if cause != nil && cause != n && slices.Index(all[:i], cause) >= 0 { // nothing is before its cause, whatever somebody has written
			cause.Effects = append(cause.Effects, n)
		} else {
			roots = append(roots, n)
		}
		if n.Kind == history.Command && n.Change != "" && byID[n.Change] != nil {
			n.Asked = n.Change
		}
	}
	return roots
}

// Sentence is a record's name in words: CustomerMoved is "Customer moved".
func Sentence(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
