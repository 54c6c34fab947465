package billing

import (
	"errors"

	"utopia/processors/refusal"
)

// Refusals, in the order in which Decide gives them. Callers switch on Code; the texts are for people.
var (
	// ErrInvoiceID: an invoice's id is 1 to 64 of A–Z a–z 0–9 . _ ~ -.
	ErrInvoiceID = errors.New("the invoice's id is not 1 to 64 of A–Z a–z 0–9 . _ ~ -")
	// ErrAmount: an amount is 1 to 10^12 of the currency's smallest unit.
	ErrAmount = errors.New("the amount is not between 1 and 10^12 of the smallest unit")
	// ErrCurrency: a currency is three capital letters.
	ErrCurrency = errors.New("the currency is not an ISO 4217 code of three capital letters")
	// ErrText: an invoice's text is at most MaxText bytes of UTF-8 without control characters.
	ErrText = errors.New("the text is longer than 1000 bytes or not plain text")
	// ErrVersionConflict: the sender has seen another version.
	ErrVersionConflict = errors.New("the billing of this customer is not at the expected version")
	// ErrCustomerForgotten: the customer was erased.
	ErrCustomerForgotten = errors.New("the customer was erased")
	// ErrInvoiceExists: an open invoice has this id.
	ErrInvoiceExists = errors.New("an open invoice has this id")
	// ErrInvoicePaid: the invoice with this id has been paid.
	ErrInvoicePaid = errors.New("the invoice with this id has been paid")
	// ErrInvoiceUnknown: no invoice of this customer has this id, or it was paid longer ago than RememberPaid.
	ErrInvoiceUnknown = errors.New("no invoice of this customer has this id")
	// ErrTooManyOpen: MaxOpen invoices are open.
	ErrTooManyOpen = errors.New("the customer has as many open invoices as may be open")
	// ErrTooManyInvoices: MaxRemembered invoices are open or were paid within RememberPaid.
	ErrTooManyInvoices = errors.New("the customer has had as many invoices within 400 days as can be remembered")
)

func refusals() refusal.Table {
	return refusal.Table{
		{ErrInvoiceID, "invoice_id"},
		{ErrAmount, "amount"},
		{ErrCurrency, "currency"},
		{ErrText, "text"},
		{ErrVersionConflict, "version_conflict"},
		{ErrCustomerForgotten, "customer_forgotten"},
		{ErrInvoiceExists, "invoice_exists"},
		{ErrInvoicePaid, "invoice_paid"},
		{ErrInvoiceUnknown, "invoice_unknown"},
		{ErrTooManyOpen, "too_many_open"},
		{ErrTooManyInvoices, "too_many_invoices"},
	}
}

// Code is the stable name of a refusal, empty for any other error. A caller may switch on it; it never changes.
func Code(err error) string { return refusals().Code(err) }

// Refusals returns every refusal of this core.
func Refusals() []error { return refusals().Errors() }
