package billing_test

import (
	"fmt"
	"time"

	"utopia/processors/billing"
	"utopia/processors/postal"
)

// A customer gets an invoice and then turns out to live elsewhere: once because the customer moved, once because the
// address was wrong.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	live := func(version int64, city string, reason billing.Reason) billing.ApplyCustomer {
		address := postal.Restore(postal.Fields{Country: "NL", City: city})
		return billing.ApplyCustomer{
			Version: version, Status: billing.StatusActive,
			Residence: billing.Residence{Address: address, Version: version, Reason: reason},
		}
	}
	var s billing.State
	for _, c := range []billing.Command{
		live(1, "Gouda", "registered"),
		billing.Issue{Invoice: "2026-17", Money: billing.Money{Cents: 1250, Currency: "EUR"}},
		live(2, "Delft", billing.ReasonMoved),
		live(3, "Leiden", billing.ReasonCorrected),
		billing.Pay{Invoice: "2026-17"},
		billing.Pay{Invoice: "2026-17"},
	} {
		events, err := billing.Decide(s, c, now)
		if err != nil {
			fmt.Printf("refused, %s: %v\n", billing.Code(err), err)
		}
		for _, e := range events {
			s = billing.Evolve(s, e)
			fmt.Printf("%d %T\n", s.Version, e)
		}
	}
	// Output:
	// 1 billing.CustomerVersionApplied
	// 2 billing.InvoiceIssued
	// 3 billing.CustomerVersionApplied
	// 4 billing.InvoiceReaddressed
	// 5 billing.CustomerVersionApplied
	// 6 billing.InvoiceCorrected
	// 7 billing.InvoicePaid
	// refused, invoice_paid: the invoice with this id has been paid
}
