package billing

import (
	"time"

	"utopia/processors/postal"
)

// The bounds of one customer's row. They are part of the core, not configuration: a replay with other values would
// decide differently.
const (
	// MaxOpen is how many invoices of a customer may be open. Each keeps an address, which may be 16 KiB in the worst
	// case; together they stay below what one record may hold.
	MaxOpen = 40
	// MaxRemembered is how many invoices of a customer, open and paid ones together, are known by their ids.
	MaxRemembered = 4000
	// RememberPaid is how long the id of a paid invoice is known, so that neither its payment nor its issue can be
	// repeated.
	RememberPaid = 400 * 24 * time.Hour
	// MaxText is the size of an invoice's text in bytes.
	MaxText = 1000
)

// Status is what billing knows of a customer.
type Status string

// The statuses of a customer.
const (
	// StatusUnknown: the customer service has not published the customer yet.
	StatusUnknown Status = ""
	// StatusUnregistered: known from a system of record only.
	StatusUnregistered Status = "unregistered"
	// StatusActive: registered.
	StatusActive Status = "active"
	// StatusClosed: the customer has left. What is open is still owed, and a last invoice may still be issued.
	StatusClosed Status = "closed"
	// StatusForgotten: the customer was erased; amounts stay, everything personal is gone. It is final.
	StatusForgotten Status = "forgotten"
)

// Reason is why an address took the place of another, in the customer service's words.
type Reason string

// The reasons that billing tells apart. Every other is treated like ReasonMoved: an address for what follows.
const (
	// ReasonMoved: the old address was right at its time.
	ReasonMoved Reason = "moved"
	// ReasonCorrected: the old address was wrong.
	ReasonCorrected Reason = "corrected"
)

// State is what the next decision about one customer's invoices needs: a fold of billing's events about the customer.
// It is the same for the same events wherever they are folded. Whoever holds a State must not write to its slices:
// earlier states share them.
type State struct {
	// Version is the number of events folded; the next event has the next version.
	Version int64

	// Status, CustomerVersion and Residence are billing's own copy of the customer. CustomerVersion is the highest version
	// of the customer that has been applied.
	Status          Status
	CustomerVersion int64
	Residence       Residence

	// Open holds the invoices that are issued and not paid, in the order of their issue.
	Open []Invoice
	// Paid holds what is left of the paid ones, in the order of payment.
	Paid []Paid
}

// Residence is the customer's address as last applied.
type Residence struct {
	Address postal.Address
	// Version is the version of the customer that set the address, zero if none is known.
	Version int64
	Reason  Reason
}

// Invoice is one open invoice.
type Invoice struct {
	ID       InvoiceID
	Money    Money
	Text     Text
	IssuedAt time.Time
	// Address is the one that the invoice was issued to, or issued again to after a correction: it is printed on it and does
	// not change when the customer moves. AddressVersion is the version of the customer that set it; zero as long as the
	// invoice waits for a first address.
	Address        postal.Address
	AddressVersion int64
	// SendTo is the version of the address for whatever follows. For an invoice that has an address at all it is that of
	// the customer's present one, which is in State.Residence.
	SendTo int64
	// Corrections counts how often the invoice was issued again with a correction note.
	Corrections int32
}

// Paid is what is left of a paid invoice: no id, no amount, nothing personal.
type Paid struct {
	// Hash is InvoiceID.Hash.
	Hash int64
	// At is when it was paid.
	At time.Time
}

// Deadline is what is to happen at a time if nothing happens before.
type Deadline struct {
	Kind string
	At   time.Time
}
