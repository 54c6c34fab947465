package customer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

// machine sends random commands at random times to one customer and keeps what a careless reader of the design would
// keep: the events, and by hand the few things that must be true of them.
type machine struct {
	now     time.Time
	state   customer.State
	events  []customer.Event
	changes int    // requested so far
	open    string // the change that is neither ended nor applied
	done    map[string]bool
}

func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{now: start, done: map[string]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"register": func(t *rapid.T) { m.decide(t, m.registration(t)) },
			"request":  func(t *rapid.T) { m.decide(t, m.request(t)) },
			"confirm": func(t *rapid.T) {
				m.decide(t, customer.ConfirmChange{ChangeID: m.changeID(t), ExpiresAt: m.someTime(t), ExpectedVersion: m.version(t)})
			},
			"cancel": func(t *rapid.T) {
				m.decide(t, customer.CancelChange{ChangeID: m.changeID(t), ExpectedVersion: m.version(t)})
			},
			"email": func(t *rapid.T) {
				m.decide(t, customer.ChangeEmail{Email: postal.Email(rapid.SampledFrom([]string{"", "a@example.org", "b@example.org"}).Draw(t, "email"))})
			},
			"close":    func(t *rapid.T) { m.rarely(t, customer.Close{ExpectedVersion: m.version(t)}) },
			"erase":    func(t *rapid.T) { m.rarely(t, customer.Erase{ExpectedVersion: m.version(t)}) },
			"fact":     func(t *rapid.T) { m.decide(t, m.fact(t)) },
			"mail":     func(t *rapid.T) { m.decide(t, customer.RecordUndeliverable{Mail: m.version(t), Detail: "bounced"}) },
			"deadline": m.deadline,
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(40*time.Hour)).Draw(t, "passes")))
			},
			"stray deadline": func(t *rapid.T) {
				at := m.someTime(t)
				m.decide(t, rapid.SampledFrom([]customer.Command{
					customer.Expire{ChangeID: m.changeID(t), DueAt: at},
					customer.Apply{ChangeID: m.changeID(t), DueAt: at},
					customer.Remind{ChangeID: m.changeID(t), DueAt: at},
				}).Draw(t, "command"))
			},
		})
	})
}

func (m *machine) rarely(t *rapid.T, c customer.Command) {
	if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
		m.decide(t, c)
	}
}

func (m *machine) registration(t *rapid.T) customer.Command {
	return customer.Register{
		Name: "Saskia", Email: "a@example.org", Address: someAddress(t), ExpectedVersion: m.version(t),
	}
}

func (m *machine) request(t *rapid.T) customer.Command {
	m.changes++
	c := customer.RequestChange{
		ChangeID: fmt.Sprintf("c%d", m.changes), Address: someAddress(t), ExpectedVersion: m.version(t),
		Reason: rapid.SampledFrom([]customer.Reason{customer.ReasonMoved, customer.ReasonCorrected, customer.ReasonRegistered}).Draw(t, "reason"),
	}
	if rapid.Bool().Draw(t, "has a date") {
		c.EffectiveAt = m.now.Add(time.Duration(rapid.Int64Range(-1, 10).Draw(t, "days")) * 24 * time.Hour)
	}
	return c
}

func (m *machine) fact(t *rapid.T) customer.Command {
	return customer.RecordFact{
		Source: rapid.SampledFrom([]string{"", "crm", "erp"}).Draw(t, "source"), FactID: fmt.Sprint(rapid.IntRange(1, 9).Draw(t, "fact")),
		OccurredAt: m.someTime(t), Address: someAddress(t), Verified: rapid.Bool().Draw(t, "verified"),
	}
}

// deadline does what the engine does: it sends the first deadline's command, sometimes too early.
func (m *machine) deadline(t *rapid.T) {
	due := customer.Due(m.state)
	if len(due) == 0 {
		t.Skip("nothing is due")
	}
	d := due[0]
	if rapid.IntRange(0, 3).Draw(t, "in time") > 0 && d.At.After(m.now) {
		m.now = d.At
	}
	early := d.At.After(m.now)
	var c customer.Command
	switch d.Kind {
	case customer.DeadlineRemind:
		c = customer.Remind{ChangeID: d.ChangeID, DueAt: d.At}
	case customer.DeadlineExpire:
		c = customer.Expire{ChangeID: d.ChangeID, DueAt: d.At}
	case customer.DeadlineApply:
		c = customer.Apply{ChangeID: d.ChangeID, DueAt: d.At}
	default:
		t.Fatalf("unknown kind %q", d.Kind)
	}
	err := m.try(t, c)
	switch {
	case early && !errors.Is(err, customer.ErrNotDue):
		t.Fatalf("a deadline before its time: %v", err)
	case !early && err != nil && !errors.Is(err, customer.ErrExpired):
		t.Fatalf("the deadline %s that the state lists is refused: %v", d.Kind, err)
	}
}

func (m *machine) decide(t *rapid.T, c customer.Command) { _ = m.try(t, c) }

// try asks twice, folds what comes of it, and checks what must be true of every single step.
func (m *machine) try(t *rapid.T, c customer.Command) error {
	before := m.state
	events, err := customer.Decide(m.state, c, m.now)
	again, errAgain := customer.Decide(m.state, c, m.now)
	if !errors.Is(errAgain, err) || len(again) != len(events) {
		t.Fatalf("%T: two answers: %v and %v", c, err, errAgain)
	}
	if m.state != before {
		t.Fatalf("%T changed the state it was asked about", c)
	}
	if err != nil {
		if customer.Code(err) == "" {
			t.Fatalf("%T: a refusal without code: %v", c, err)
		}
		if len(events) != 0 {
			t.Fatalf("%T: a refusal with events", c)
		}
		return err
	}
	if len(events) != 1 || events[0] != again[0] {
		t.Fatalf("%T: events %v, then %v", c, events, again)
	}
	if v, ok := expectedVersion(c); ok && v != 0 && v != before.Version {
		t.Fatalf("%T expected version %d of %d and was accepted", c, v, before.Version)
	}
	m.state = customer.Evolve(m.state, events[0])
	m.events = append(m.events, events[0])
	m.follow(t, events[0])
	return nil
}

func expectedVersion(c customer.Command) (int64, bool) {
	switch c := c.(type) {
	case customer.Register:
		return c.ExpectedVersion, true
	case customer.RequestChange:
		return c.ExpectedVersion, true
	case customer.ConfirmChange:
		return c.ExpectedVersion, true
	case customer.CancelChange:
		return c.ExpectedVersion, true
	case customer.ChangeEmail:
		return c.ExpectedVersion, true
	case customer.Close:
		return c.ExpectedVersion, true
	case customer.Erase:
		return c.ExpectedVersion, true
	case customer.Expire, customer.Apply, customer.Remind, customer.RecordFact, customer.RecordUndeliverable:
	}
	return 0, false
}

// follow keeps the life of changes by hand: one at a time, and one that has ended never comes back.
func (m *machine) follow(t *rapid.T, e customer.Event) {
	end := func(id string) {
		if id != m.open || m.done[id] {
			t.Fatalf("%T ends change %q while %q is open", e, id, m.open)
		}
		m.done[id], m.open = true, ""
	}
	switch e := e.(type) {
	case customer.ChangeRequested:
		if e.Supersedes != "" {
			end(e.Supersedes)
		}
		if m.open != "" {
			t.Fatalf("a second change beside %q", m.open)
		}
		m.open = e.ChangeID
	case customer.ChangeCancelled:
		end(e.ChangeID)
	case customer.ChangeExpired:
		end(e.ChangeID)
	case customer.ChangeOutdated:
		end(e.ChangeID)
	case customer.Moved:
		if e.ChangeID != "" {
			end(e.ChangeID)
		}
	case customer.Corrected:
		end(e.ChangeID)
	case customer.Closed, customer.Erased:
		m.open = ""
	case customer.Registered, customer.ConfirmationReminded, customer.ConfirmationUndeliverable, customer.ChangeScheduled,
		customer.FactRecorded, customer.EmailChanged:
	}
}

// check is what must be true of every state.
func (m *machine) check(t *rapid.T) {
	s := m.state
	if s.Version != int64(len(m.events)) {
		t.Fatalf("version %d after %d events", s.Version, len(m.events))
	}
	if replayed := fold(m.events); replayed != s {
		t.Fatalf("replayed: %+v, was %+v", replayed, s)
	}
	if s.Change.ID != m.open || (s.Change.Status == customer.NoChange) != (m.open == "") {
		t.Fatalf("change %q (%s), want %q", s.Change.ID, s.Change.Status, m.open)
	}
	if s.Status != customer.StatusActive && s.Change != (customer.Change{}) {
		t.Fatalf("a %s customer has a change", s.Status)
	}
	if s.Status == customer.StatusErased && s != (customer.State{Version: s.Version, Status: customer.StatusErased}) {
		t.Fatalf("an erased customer keeps %+v", s)
	}
	if s.Status == customer.StatusActive && (s.Name == "" || s.Email == "" || s.Address.Address.IsZero()) {
		t.Fatalf("an active customer lacks something: %+v", s)
	}
	if s.Address.Version > s.Version || (s.Address.Version == 0) != s.Address.Address.IsZero() {
		t.Fatalf("the address is of version %d, the customer of %d", s.Address.Version, s.Version)
	}
	m.checkDue(t)
}

func (m *machine) checkDue(t *rapid.T) {
	due := customer.Due(m.state)
	if (len(due) > 0) != (m.open != "") {
		t.Fatalf("%d deadlines while change %q is open", len(due), m.open)
	}
	seen := map[string]bool{}
	for i, d := range due {
		switch {
		case d.ChangeID != m.open, d.At.IsZero(), d.At.Location() != time.UTC, seen[d.Kind]:
			t.Fatalf("deadline %+v", d)
		case i > 0 && d.At.Before(due[i-1].At):
			t.Fatalf("deadlines out of order: %v", due)
		}
		seen[d.Kind] = true
	}
}

// version is mostly no expectation, sometimes the current one, sometimes a wrong one.
func (m *machine) version(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{0, 0, 0, m.state.Version, m.state.Version - 1, m.state.Version + 1, m.state.Change.Version, m.state.Change.Reminded}).Draw(t, "version")
}

func (m *machine) changeID(t *rapid.T) string {
	return rapid.SampledFrom([]string{m.state.Change.ID, m.state.Change.ID, "c1", ""}).Draw(t, "change")
}

func (m *machine) someTime(t *rapid.T) time.Time {
	return rapid.SampledFrom([]time.Time{
		{}, m.now, m.now.Add(-time.Hour), m.now.Add(time.Hour), m.state.Change.ExpiresAt, m.state.Change.EffectiveAt, m.state.Address.OccurredAt,
	}).Draw(t, "time")
}

func someAddress(t *rapid.T) postal.Address {
	street := rapid.SampledFrom([]string{"", "Markt 1", "Oude Delft 2", "Ginnekenweg 3"}).Draw(t, "street")
	if street == "" {
		return postal.Address{}
	}
	return postal.Restore(postal.Fields{Country: "NL", City: "Gouda", PostCode: "2801 AB", Street: street})
}

// Evolve stops at an event that cannot have happened, and says so without the person.
func TestEvolveStops(t *testing.T) {
	h := newHistory(t)
	for name, impossible := range map[string][]customer.Event{
		"a second registration":               {h.registered, h.registered},
		"a request of nobody":                 {h.requested},
		"a request that forgets another":      {h.registered, h.requested, h.requested},
		"a reminder without a change":         {h.registered, customer.ConfirmationReminded{ChangeID: "c1"}},
		"a mail about another change":         {h.registered, h.requested, customer.ConfirmationUndeliverable{ChangeID: "c2"}},
		"a schedule of a scheduled change":    {h.registered, h.later, h.planned, h.planned},
		"a cancellation of another change":    {h.registered, h.requested, customer.ChangeCancelled{ChangeID: "c2"}},
		"an expiry of a scheduled change":     {h.registered, h.later, h.planned, customer.ChangeExpired{ChangeID: "c1"}},
		"an outdated change that is not":      {h.registered, customer.ChangeOutdated{ChangeID: "c1"}},
		"a move of nobody":                    {customer.Moved{Source: "crm", FactID: "f1"}},
		"a move by another change":            {h.registered, h.requested, customer.Moved{ChangeID: "c2"}},
		"a correction by another change":      {h.registered, h.requested, customer.Corrected{ChangeID: "c2"}},
		"a fact of a closed customer":         {h.registered, h.closed, h.unregistered},
		"an unregistered active customer":     {h.registered, h.unregistered},
		"the same address that is another":    {h.registered, customer.FactRecorded{Outcome: customer.FactSame, Address: h.breda}},
		"an e-mail address of nobody":         {customer.EmailChanged{Email: "a@example.org"}},
		"a second leave":                      {h.registered, h.closed, h.closed},
		"a second erasure":                    {h.registered, h.erased, h.erased},
		"a registration that keeps no fact":   {customer.Registered{Name: "Saskia", KeepsFact: true}},
		"a registration of an erased address": {h.unregistered, h.erased, h.registered},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				if !strings.HasPrefix(got, "customer: ") {
					t.Fatalf("recovered %q", got)
				}
				if strings.Contains(got, "Saskia") || strings.Contains(got, "Gouda") {
					t.Fatalf("the message names the person: %q", got)
				}
			}()
			fold(impossible)
		})
	}
}
