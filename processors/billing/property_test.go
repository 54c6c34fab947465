package billing_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/billing"
	"utopia/processors/postal"
)

// history is what the customer service publishes about one customer: for each version a state, for some a change.
type history struct {
	states  []billing.Command
	changes []billing.Command
	// residence is the last one and lastChange the kinds of address change after the first version.
	residence billing.Residence
}

// drawHistory draws versions 1 to n: the first is the registration, the others move, correct, close or change something
// that is of no interest here.
func drawHistory(t *rapid.T) history {
	var h history
	status := billing.StatusActive
	n := rapid.IntRange(1, 7).Draw(t, "versions")
	for v := int64(1); v <= int64(n); v++ {
		kind := "registered"
		if v > 1 {
			kind = rapid.SampledFrom([]string{"moved", "corrected", "other", "closed"}).Draw(t, "kind")
		}
		address := postal.Restore(postal.Fields{Country: "NL", City: fmt.Sprint("city ", v)})
		switch kind {
		case "registered":
			h.residence = at(address, v, "registered")
		case "moved", "corrected":
			before := h.residence.Version
			h.residence = at(address, v, billing.Reason(kind))
			h.changes = append(h.changes, billing.ApplyAddress{Version: v, Before: before, Residence: h.residence})
		case "closed":
			status = billing.StatusClosed
		}
		h.states = append(h.states, billing.ApplyCustomer{Version: v, Status: status, Residence: h.residence})
	}
	return h
}

// interleave merges two topics: each keeps its order, and each may be read again from an earlier place.
func interleave(t *rapid.T, a, b []billing.Command) []billing.Command {
	var out []billing.Command
	topics := [2][]billing.Command{a, b}
	var next [2]int
	rereads := 0
	for next[0] < len(a) || next[1] < len(b) {
		i := rapid.IntRange(0, 1).Draw(t, "topic")
		if next[i] == len(topics[i]) {
			i = 1 - i
		}
		out = append(out, topics[i][next[i]])
		next[i]++
		if rereads < 3 && rapid.IntRange(0, 4).Draw(t, "reread") == 0 {
			rereads++
			next[i] -= rapid.IntRange(1, next[i]).Draw(t, "by")
		}
	}
	return out
}

// run decides and folds a sequence of commands.
func run(t *rapid.T, s billing.State, commands []billing.Command) (billing.State, []billing.Event) {
	var all []billing.Event
	for _, c := range commands {
		events, err := billing.Decide(s, c, noon)
		if err != nil {
			t.Fatalf("%T refused: %v", c, err)
		}
		for _, e := range events {
			s = billing.Evolve(s, e)
			all = append(all, e)
		}
	}
	return s, all
}

// effects are the events that change an invoice.
func effects(events []billing.Event) []string {
	var out []string
	for _, e := range events {
		switch e := e.(type) {
		case billing.InvoiceAddressFrozen:
			out = append(out, fmt.Sprintf("frozen %s %d", e.Invoice, e.AddressVersion))
		case billing.InvoiceReaddressed:
			out = append(out, fmt.Sprintf("readdressed %s %d", e.Invoice, e.AddressVersion))
		case billing.InvoiceCorrected:
			out = append(out, fmt.Sprintf("corrected %s %d %d", e.Invoice, e.AddressVersion, e.Correction))
		case billing.InvoiceIssued, billing.InvoicePaid, billing.CustomerVersionApplied, billing.CustomerForgotten:
		}
	}
	return out
}

// start is a state before the news: with or without open invoices, the customer known or not.
func start(t *rapid.T, h history) billing.State {
	var given []billing.Command
	if rapid.Bool().Draw(t, "known") {
		given = append(given, h.states[0])
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "open") {
		given = append(given, billing.Issue{Invoice: billing.InvoiceID(fmt.Sprint("i-", i)), Money: eur, Text: "March"})
	}
	s, _ := run(t, billing.State{}, given)
	return s
}

// same compares two states but for the number of events: a change that is told first makes a state that follows
// unnecessary.
func same(t *rapid.T, want, got billing.State) {
	want.Version, got.Version = 0, 0
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(postal.Address{})); diff != "" {
		t.Fatalf("states differ (-want +got):\n%s", diff)
	}
}

// With every state there, whatever changes come before or behind, and whatever is read again, the same happens to every
// invoice, once.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		s := start(t, h)
		want, wantEvents := run(t, s, h.states)
		got, gotEvents := run(t, s, interleave(t, h.states, thin(t, h.changes)))
		same(t, want, got)
		if diff := cmp.Diff(effects(wantEvents), effects(gotEvents)); diff != "" {
			t.Fatalf("effects differ (-want +got):\n%s", diff)
		}
	})
}

// thin loses some of the commands, but not the last.
func thin(t *rapid.T, all []billing.Command) []billing.Command {
	var out []billing.Command
	for i, c := range all {
		if i == len(all)-1 || rapid.Bool().Draw(t, "kept") {
			out = append(out, c)
		}
	}
	return out
}

// With gaps (states compacted away, changes lost) what billing knows at the end is the same: several versions in a gap
// count as the last. No version has an effect on an invoice twice, and the last one has the effect that its reason asks for.
func TestSeveralInAGapCountAsTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		s := start(t, h)
		want, _ := run(t, s, h.states)
		got, events := run(t, s, interleave(t, thin(t, h.states), thin(t, h.changes)))
		if got.CustomerVersion != want.CustomerVersion || got.Status != want.Status || got.Residence != want.Residence {
			t.Fatalf("billing knows %+v, want %+v", got, want)
		}
		seen := effects(events)
		if slices.Sort(seen); len(slices.Compact(slices.Clone(seen))) != len(seen) {
			t.Fatalf("an effect twice: %v", seen)
		}
		for i, inv := range got.Open {
			if inv.SendTo != want.Open[i].SendTo {
				t.Fatalf("what follows %s goes to version %d, want %d", inv.ID, inv.SendTo, want.Open[i].SendTo)
			}
			moved := h.residence.Reason != billing.ReasonCorrected && inv.AddressVersion != s.Open[i].AddressVersion
			if h.residence.Reason == billing.ReasonCorrected && inv.Address != h.residence.Address {
				t.Fatalf("%s was not issued again to the corrected address", inv.ID)
			}
			if moved && s.Open[i].AddressVersion != 0 && inv.Corrections == 0 {
				t.Fatalf("%s lost the address it was issued to", inv.ID)
			}
		}
	})
}

// Wherever the erasure arrives, nothing personal is left, amounts are, and the customer stays forgotten.
func TestErasureArrivesAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		s := start(t, h)
		last := int64(len(h.states)) + 1
		states := append(slices.Clone(h.states), billing.ForgetCustomer{})
		changes := append(slices.Clone(h.changes), billing.ForgetCustomer{Version: last})
		got, _ := run(t, s, interleave(t, states, changes))
		if got.Status != billing.StatusForgotten || got.CustomerVersion != last || got.Residence != (billing.Residence{}) {
			t.Fatalf("after the erasure: %+v", got)
		}
		if len(got.Open) != len(s.Open) {
			t.Fatalf("%d open invoices, want %d", len(got.Open), len(s.Open))
		}
		for i, inv := range got.Open {
			if inv.Text != "" || !inv.Address.IsZero() || inv.Money != s.Open[i].Money {
				t.Fatalf("after the erasure: %+v", inv)
			}
		}
	})
}

// model is billing as anybody would write it down: what is open, what was paid and when.
type model struct {
	open map[billing.InvoiceID]int64
	paid map[billing.InvoiceID]time.Time
	now  time.Time
	s    billing.State
	log  []billing.Event
}

func (m *model) do(t *rapid.T, c billing.Command) error {
	before := fmt.Sprintf("%+v", m.s)
	events, err := billing.Decide(m.s, c, m.now)
	if err != nil && len(events) > 0 {
		t.Fatalf("%T is refused and has happened", c)
	}
	s := m.s
	for _, e := range events {
		s = billing.Evolve(s, e)
	}
	if after := fmt.Sprintf("%+v", m.s); after != before {
		t.Fatalf("%T wrote to the state it was given:\n%s\n%s", c, before, after)
	}
	m.s, m.log = s, append(m.log, events...)
	return err
}

func (m *model) remembers(id billing.InvoiceID) bool {
	at, ok := m.paid[id]
	return ok && m.now.Sub(at) < billing.RememberPaid
}

// Orders and news in any order agree with the model, and the events alone rebuild the state.
func TestAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{open: map[billing.InvoiceID]int64{}, paid: map[billing.InvoiceID]time.Time{}, now: noon}
		id := rapid.Custom(func(t *rapid.T) billing.InvoiceID {
			return billing.InvoiceID(fmt.Sprint("i-", rapid.IntRange(0, 50).Draw(t, "invoice")))
		})
		version := rapid.Int64Range(1, 20)
		t.Repeat(map[string]func(*rapid.T){
			"issue": func(t *rapid.T) {
				c := billing.Issue{Invoice: id.Draw(t, "id"), Money: billing.Money{Cents: version.Draw(t, "cents"), Currency: "EUR"}}
				var want error
				_, exists := m.open[c.Invoice]
				switch {
				case m.s.Status == billing.StatusForgotten:
					want = billing.ErrCustomerForgotten
				case exists:
					want = billing.ErrInvoiceExists
				case m.remembers(c.Invoice):
					want = billing.ErrInvoicePaid
				case len(m.open) == billing.MaxOpen:
					want = billing.ErrTooManyOpen
				default:
					m.open[c.Invoice] = c.Money.Cents
				}
				if err := m.do(t, c); err != want { //nolint:errorlint // refusals are given as they are
					t.Fatalf("issue %s: %v, want %v", c.Invoice, err, want)
				}
			},
			"pay": func(t *rapid.T) {
				c := billing.Pay{Invoice: id.Draw(t, "id")}
				var want error
				_, exists := m.open[c.Invoice]
				switch {
				case exists:
					delete(m.open, c.Invoice)
					m.paid[c.Invoice] = m.now
				case m.remembers(c.Invoice):
					want = billing.ErrInvoicePaid
				default:
					want = billing.ErrInvoiceUnknown
				}
				if err := m.do(t, c); err != want { //nolint:errorlint // refusals are given as they are
					t.Fatalf("pay %s: %v, want %v", c.Invoice, err, want)
				}
			},
			"news": func(t *rapid.T) {
				v := version.Draw(t, "version")
				reason := rapid.SampledFrom([]billing.Reason{billing.ReasonMoved, billing.ReasonCorrected}).Draw(t, "reason")
				news := []billing.Command{
					billing.ApplyAddress{Version: v, Before: m.s.Residence.Version, Residence: at(berlin, v, reason)},
					billing.ApplyCustomer{Version: v, Status: billing.StatusActive, Residence: at(bergen, v, reason)},
				}
				if rapid.IntRange(0, 30).Draw(t, "erased") == 0 {
					news = []billing.Command{billing.ForgetCustomer{Version: v}}
				}
				if err := m.do(t, rapid.SampledFrom(news).Draw(t, "news")); err != nil {
					t.Fatalf("news refused: %v", err)
				}
			},
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, "days")) * 24 * time.Hour)
			},
			"": m.check,
		})
	})
}

func (m *model) check(t *rapid.T) {
	if len(m.s.Open) != len(m.open) {
		t.Fatalf("%d open, want %d", len(m.s.Open), len(m.open))
	}
	for _, inv := range m.s.Open {
		if cents, ok := m.open[inv.ID]; !ok || cents != inv.Money.Cents {
			t.Fatalf("open invoice %+v, want %d", inv, cents)
		}
		if inv.AddressVersion != 0 && m.s.Status != billing.StatusForgotten && inv.SendTo != m.s.Residence.Version {
			t.Fatalf("what follows %s goes to version %d, the customer's address is of %d", inv.ID, inv.SendTo, m.s.Residence.Version)
		}
	}
	if m.s.Version != int64(len(m.log)) {
		t.Fatalf("version %d after %d events", m.s.Version, len(m.log))
	}
	if diff := cmp.Diff(m.s, fold(m.log), cmp.AllowUnexported(postal.Address{})); diff != "" {
		t.Fatalf("the events do not rebuild the state (-live +rebuilt):\n%s", diff)
	}
}
