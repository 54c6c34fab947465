package billing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/billing"
	"utopia/processors/postal"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	eur  = billing.Money{Cents: 1250, Currency: "EUR"}

	gouda  = postal.Restore(postal.Fields{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"})
	berlin = postal.Restore(postal.Fields{Country: "DE", City: "Berlin", PostCode: "10115", Street: "Invalidenstr. 117"})
	bergen = postal.Restore(postal.Fields{Country: "NO", City: "Bergen", PostCode: "5003", Street: "Bryggen 1"})

	known = billing.CustomerVersionApplied{
		At: noon, CustomerVersion: 1, Status: billing.StatusActive, Address: gouda, AddressVersion: 1, Reason: "registered",
	}
	issued  = billing.InvoiceIssued{At: noon, Invoice: "i-1", Money: eur, Text: "March", Address: gouda, AddressVersion: 1}
	issued2 = billing.InvoiceIssued{At: noon, Invoice: "i-2", Money: eur, Address: gouda, AddressVersion: 1}
	waiting = billing.InvoiceIssued{At: noon, Invoice: "i-1", Money: eur, Text: "March"}
	paid    = billing.InvoicePaid{At: noon, Invoice: "i-1", Money: eur}
	erased  = billing.CustomerForgotten{At: noon, CustomerVersion: 9}
)

func at(address postal.Address, version int64, reason billing.Reason) billing.Residence {
	return billing.Residence{Address: address, Version: version, Reason: reason}
}

// fold folds events from nothing.
func fold(events []billing.Event) billing.State { return foldFrom(billing.State{}, events) }

func foldFrom(s billing.State, events []billing.Event) billing.State {
	for _, e := range events {
		s = billing.Evolve(s, e)
	}
	return s
}

// manyPaid is a state after n invoices were paid at a time.
func manyPaid(n int, when time.Time) billing.State {
	var s billing.State
	for i := range n {
		s.Paid = append(s.Paid, billing.Paid{Hash: int64(i), At: when})
	}
	return s
}

// manyOpen is a history of n open invoices.
func manyOpen(n int) []billing.Event {
	events := make([]billing.Event, 0, n)
	for i := range n {
		events = append(events, billing.InvoiceIssued{
			At: noon, Invoice: billing.InvoiceID("o-" + strings.Repeat("x", i)), Money: eur,
		})
	}
	return events
}

type decision struct {
	from  billing.State
	given []billing.Event // Behind from.
	when  billing.Command
	at    time.Time // Zero: noon.
	then  []billing.Event
	err   error
}

func check(t *testing.T, tests map[string]decision) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			now := tt.at
			if now.IsZero() {
				now = noon
			}
			got, err := billing.Decide(foldFrom(tt.from, tt.given), tt.when, now)
			if err != tt.err { //nolint:errorlint // refusals are given as they are
				t.Fatalf("refusal %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.then, got, cmp.AllowUnexported(postal.Address{})); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvoices(t *testing.T) {
	check(t, map[string]decision{
		"an invoice freezes the address it was issued to": {
			given: []billing.Event{known},
			when:  billing.Issue{Invoice: "i-1", Money: eur, Text: "March"},
			then:  []billing.Event{issued},
		},
		"an invoice for a customer not yet known is accepted without an address": {
			when: billing.Issue{Invoice: "i-1", Money: eur, Text: "March"},
			then: []billing.Event{waiting},
		},
		"an invoice can be issued to a customer who has left": {
			given: []billing.Event{known, billing.CustomerVersionApplied{At: noon, CustomerVersion: 2, Status: billing.StatusClosed}},
			when:  billing.Issue{ExpectedVersion: 2, Invoice: "i-1", Money: eur, Text: "March"},
			then:  []billing.Event{issued},
		},
		"an invoice cannot be issued against another version than expected": {
			given: []billing.Event{known},
			when:  billing.Issue{ExpectedVersion: 2, Invoice: "i-1", Money: eur},
			err:   billing.ErrVersionConflict,
		},
		"an invoice cannot be issued to an erased customer": {
			given: []billing.Event{known, erased},
			when:  billing.Issue{Invoice: "i-1", Money: eur},
			err:   billing.ErrCustomerForgotten,
		},
		"an invoice cannot be issued twice": {
			given: []billing.Event{known, issued},
			when:  billing.Issue{Invoice: "i-1", Money: eur},
			err:   billing.ErrInvoiceExists,
		},
		"an invoice cannot be issued again after it was paid": {
			given: []billing.Event{known, issued, paid},
			when:  billing.Issue{Invoice: "i-1", Money: eur},
			err:   billing.ErrInvoicePaid,
		},
		"the id of an invoice paid 400 days ago is free": {
			given: []billing.Event{known, issued, paid},
			when:  billing.Issue{Invoice: "i-1", Money: eur, Text: "March"},
			at:    noon.Add(billing.RememberPaid),
			then: []billing.Event{billing.InvoiceIssued{
				At: noon.Add(billing.RememberPaid), Invoice: "i-1", Money: eur, Text: "March", Address: gouda, AddressVersion: 1,
			}},
		},
		"no more invoices than MaxOpen are open": {
			given: manyOpen(billing.MaxOpen),
			when:  billing.Issue{Invoice: "i-1", Money: eur},
			err:   billing.ErrTooManyOpen,
		},
		"no more invoices than MaxRemembered are remembered": {
			from:  manyPaid(billing.MaxRemembered-1, noon),
			given: []billing.Event{waiting},
			when:  billing.Issue{Invoice: "i-2", Money: eur},
			err:   billing.ErrTooManyInvoices,
		},
		"paid invoices of 400 days ago make room": {
			from: manyPaid(billing.MaxRemembered, noon.Add(-billing.RememberPaid)),
			when: billing.Issue{Invoice: "i-1", Money: eur, Text: "March"},
			then: []billing.Event{waiting},
		},
		"an open invoice can be paid": {
			given: []billing.Event{known, issued, issued2},
			when:  billing.Pay{ExpectedVersion: 3, Invoice: "i-1"},
			then:  []billing.Event{paid},
		},
		"an invoice of an erased customer can be paid": {
			given: []billing.Event{known, issued, erased},
			when:  billing.Pay{Invoice: "i-1"},
			then:  []billing.Event{paid},
		},
		"an invoice cannot be paid against another version than expected": {
			given: []billing.Event{known, issued},
			when:  billing.Pay{ExpectedVersion: 1, Invoice: "i-1"},
			err:   billing.ErrVersionConflict,
		},
		"an invoice cannot be paid twice": {
			given: []billing.Event{known, issued, paid},
			when:  billing.Pay{Invoice: "i-1"},
			at:    noon.Add(billing.RememberPaid - time.Millisecond),
			err:   billing.ErrInvoicePaid,
		},
		"an invoice that was never issued cannot be paid": {
			given: []billing.Event{known, issued},
			when:  billing.Pay{Invoice: "i-2"},
			err:   billing.ErrInvoiceUnknown,
		},
	})
}

func TestNewsOfTheCustomer(t *testing.T) {
	check(t, map[string]decision{
		"the first state is applied": {
			when: billing.ApplyCustomer{Version: 1, Status: billing.StatusActive, Residence: at(gouda, 1, "registered")},
			then: []billing.Event{known},
		},
		"the first state gives a waiting invoice its address, whatever its reason": {
			given: []billing.Event{waiting},
			when:  billing.ApplyCustomer{Version: 3, Status: billing.StatusActive, Residence: at(gouda, 2, billing.ReasonCorrected)},
			then: []billing.Event{
				billing.CustomerVersionApplied{
					At: noon, CustomerVersion: 3, Status: billing.StatusActive,
					Address: gouda, AddressVersion: 2, Reason: billing.ReasonCorrected,
				},
				billing.InvoiceAddressFrozen{At: noon, Invoice: "i-1", Address: gouda, AddressVersion: 2},
			},
		},
		"a change of a customer not yet known waits for the first state": {
			given: []billing.Event{waiting},
			when:  billing.ApplyAddress{Version: 2, Before: 1, Residence: at(berlin, 2, billing.ReasonMoved)},
		},
		"a change of an address that is not known here waits for the states in between": {
			given: []billing.Event{known, issued},
			when:  billing.ApplyAddress{Version: 3, Before: 2, Residence: at(berlin, 3, billing.ReasonMoved)},
		},
		"a move re-addresses every open invoice": {
			given: []billing.Event{known, issued, issued2},
			when:  billing.ApplyAddress{Version: 2, Before: 1, Residence: at(berlin, 2, billing.ReasonMoved)},
			then: []billing.Event{
				billing.CustomerVersionApplied{
					At: noon, CustomerVersion: 2, Status: billing.StatusActive,
					Address: berlin, AddressVersion: 2, Reason: billing.ReasonMoved,
				},
				billing.InvoiceReaddressed{At: noon, Invoice: "i-1", Address: berlin, AddressVersion: 2},
				billing.InvoiceReaddressed{At: noon, Invoice: "i-2", Address: berlin, AddressVersion: 2},
			},
		},
		"a correction issues every open invoice again, told by the state after a gap": {
			given: []billing.Event{known, issued, billing.InvoiceCorrected{
				At: noon, Invoice: "i-1", Address: bergen, AddressVersion: 2, Correction: 1,
			}},
			when: billing.ApplyCustomer{Version: 7, Status: billing.StatusActive, Residence: at(berlin, 5, billing.ReasonCorrected)},
			then: []billing.Event{
				billing.CustomerVersionApplied{
					At: noon, CustomerVersion: 7, Status: billing.StatusActive,
					Address: berlin, AddressVersion: 5, Reason: billing.ReasonCorrected,
				},
				billing.InvoiceCorrected{At: noon, Invoice: "i-1", Address: berlin, AddressVersion: 5, Correction: 2},
			},
		},
		"an address for a reason that is not known here is a move": {
			given: []billing.Event{known, issued},
			when:  billing.ApplyAddress{Version: 2, Before: 1, Residence: at(berlin, 2, "kidnapped")},
			then: []billing.Event{
				billing.CustomerVersionApplied{
					At: noon, CustomerVersion: 2, Status: billing.StatusActive,
					Address: berlin, AddressVersion: 2, Reason: "kidnapped",
				},
				billing.InvoiceReaddressed{At: noon, Invoice: "i-1", Address: berlin, AddressVersion: 2},
			},
		},
		"an address version applied already does nothing": {
			given: []billing.Event{known, issued},
			when:  billing.ApplyAddress{Version: 1, Before: 1, Residence: at(berlin, 1, billing.ReasonMoved)},
		},
		"a state without another address is applied and changes no invoice": {
			given: []billing.Event{known, issued},
			when:  billing.ApplyCustomer{Version: 2, Status: billing.StatusActive, Residence: at(gouda, 1, "registered")},
			then:  []billing.Event{billing.CustomerVersionApplied{At: noon, CustomerVersion: 2, Status: billing.StatusActive}},
		},
		"a state seen before does nothing": {
			given: []billing.Event{known},
			when:  billing.ApplyCustomer{Version: 1, Status: billing.StatusActive, Residence: at(gouda, 1, "registered")},
		},
		"an older state does nothing": {
			given: []billing.Event{known, billing.CustomerVersionApplied{At: noon, CustomerVersion: 3, Status: billing.StatusClosed}},
			when:  billing.ApplyCustomer{Version: 2, Status: billing.StatusActive, Residence: at(gouda, 1, "registered")},
		},
		"an older state with an address not applied yet brings the address and leaves the status": {
			given: []billing.Event{known, issued, billing.CustomerVersionApplied{At: noon, CustomerVersion: 3, Status: billing.StatusClosed}},
			when:  billing.ApplyCustomer{Version: 2, Status: billing.StatusActive, Residence: at(berlin, 2, billing.ReasonMoved)},
			then: []billing.Event{
				billing.CustomerVersionApplied{
					At: noon, CustomerVersion: 2, Status: billing.StatusClosed,
					Address: berlin, AddressVersion: 2, Reason: billing.ReasonMoved,
				},
				billing.InvoiceReaddressed{At: noon, Invoice: "i-1", Address: berlin, AddressVersion: 2},
			},
		},
		"a state completes what a change of the same version told": {
			given: []billing.Event{known, billing.CustomerVersionApplied{At: noon, CustomerVersion: 2, Status: billing.StatusActive}},
			when:  billing.ApplyCustomer{Version: 2, Status: billing.StatusClosed, Residence: at(gouda, 1, "registered")},
			then:  []billing.Event{billing.CustomerVersionApplied{At: noon, CustomerVersion: 2, Status: billing.StatusClosed}},
		},
	})
}

func TestErasure(t *testing.T) {
	check(t, map[string]decision{
		"an erased customer is forgotten": {
			given: []billing.Event{known, issued},
			when:  billing.ForgetCustomer{Version: 9},
			then:  []billing.Event{erased},
		},
		"a customer who was never known is forgotten too": {
			when: billing.ForgetCustomer{},
			then: []billing.Event{billing.CustomerForgotten{At: noon}},
		},
		"a customer is forgotten once": {
			given: []billing.Event{known, erased},
			when:  billing.ForgetCustomer{},
		},
		"the version of the erasure is applied when the tombstone came first": {
			given: []billing.Event{known, billing.CustomerForgotten{At: noon}},
			when:  billing.ForgetCustomer{Version: 9},
			then:  []billing.Event{billing.CustomerVersionApplied{At: noon, CustomerVersion: 9, Status: billing.StatusForgotten}},
		},
		"a state of before the erasure brings nothing back": {
			given: []billing.Event{billing.CustomerForgotten{At: noon}},
			when:  billing.ApplyCustomer{Version: 8, Status: billing.StatusActive, Residence: at(berlin, 8, billing.ReasonMoved)},
		},
		"a change of before the erasure brings nothing back": {
			given: []billing.Event{known, billing.CustomerForgotten{At: noon}},
			when:  billing.ApplyAddress{Version: 8, Before: 1, Residence: at(berlin, 8, billing.ReasonMoved)},
		},
	})

	got := fold([]billing.Event{known, issued, erased})
	want := billing.State{
		Version: 3, Status: billing.StatusForgotten, CustomerVersion: 9,
		Open: []billing.Invoice{{ID: "i-1", Money: eur, IssuedAt: noon, AddressVersion: 1}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(postal.Address{})); diff != "" {
		t.Fatalf("after the erasure amounts stay and nothing personal does (-want +got):\n%s", diff)
	}
}

func TestEvolveStopsAtABrokenLog(t *testing.T) {
	tests := map[string][]billing.Event{
		"an invoice issued twice":           {known, issued, issued},
		"a payment of no open invoice":      {known, paid},
		"a new address of no open invoice":  {known, billing.InvoiceReaddressed{Invoice: "i-1", AddressVersion: 2}},
		"a first address of no invoice":     {known, billing.InvoiceAddressFrozen{Invoice: "i-1", AddressVersion: 2}},
		"a correction of no open invoice":   {known, billing.InvoiceCorrected{Invoice: "i-1", AddressVersion: 2}},
		"a correction after the settlement": {known, issued, paid, billing.InvoiceCorrected{Invoice: "i-1", AddressVersion: 2}},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				said, ok := recover().(string)
				if !ok {
					t.Fatal("Evolve went on")
				}
				if strings.Contains(said, "i-1") || !strings.Contains(said, "cannot follow version") {
					t.Fatalf("says %q", said)
				}
			}()
			fold(events)
		})
	}
}

func TestAnEmptyListIsNone(t *testing.T) {
	s := fold([]billing.Event{known, issued, paid})
	if s.Open != nil {
		t.Errorf("open: %v", s.Open)
	}
	again := issued
	again.At = noon.Add(billing.RememberPaid)
	if s = billing.Evolve(s, again); s.Paid != nil {
		t.Errorf("paid: %v", s.Paid)
	}
}

func TestNothingFallsDue(t *testing.T) {
	if due := billing.Due(fold([]billing.Event{known, issued, issued2, paid})); due != nil {
		t.Fatalf("due: %v", due)
	}
}
