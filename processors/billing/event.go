package billing

import (
	"time"

	"utopia/processors/postal"
)

// Event is something that has happened to a customer's invoices or to billing's copy of the customer. The set is closed:
// whoever switches over it names every type. An event's version and id are not in it; they are the place it has in the
// fold. At is the time of the input that caused the event.
//
//sumtype:decl
type Event interface{ isEvent() }

// InvoiceIssued tells that an invoice was sent. Address is the customer's at that moment and AddressVersion the version
// of the customer that set it; both are zero for a customer whose address is not known yet.
type InvoiceIssued struct {
	At             time.Time
	Invoice        InvoiceID
	Money          Money
	Text           Text
	Address        postal.Address
	AddressVersion int64
}

// InvoiceAddressFrozen tells the address of an invoice that was issued before any was known.
type InvoiceAddressFrozen struct {
	At             time.Time
	Invoice        InvoiceID
	Address        postal.Address
	AddressVersion int64
}

// InvoiceReaddressed tells that the customer has moved: whatever follows the invoice goes to Address. The invoice itself
// stays as it was issued.
type InvoiceReaddressed struct {
	At             time.Time
	Invoice        InvoiceID
	Address        postal.Address
	AddressVersion int64
}

// InvoiceCorrected tells that the customer's address was wrong and the invoice was issued again to Address, with a
// correction note. Correction counts these: 1 for the first.
type InvoiceCorrected struct {
	At             time.Time
	Invoice        InvoiceID
	Address        postal.Address
	AddressVersion int64
	Correction     int32
}

// InvoicePaid tells that an invoice is settled.
type InvoicePaid struct {
	At      time.Time
	Invoice InvoiceID
	Money   Money
}

// CustomerVersionApplied tells that CustomerVersion of the customer has been applied, also where no invoice changed.
// AddressVersion is zero if the version brought no other address, and Address and Reason are empty then.
type CustomerVersionApplied struct {
	At              time.Time
	CustomerVersion int64
	Status          Status
	Address         postal.Address
	AddressVersion  int64
	Reason          Reason
}

// CustomerForgotten tells that the customer was erased. The amounts of open invoices are still owed and stay; their
// texts and addresses are gone, and no invoice can be issued any more. CustomerVersion is zero if nobody told it.
type CustomerForgotten struct {
	At              time.Time
	CustomerVersion int64
}

func (InvoiceIssued) isEvent()          {}
func (InvoiceAddressFrozen) isEvent()   {}
func (InvoiceReaddressed) isEvent()     {}
func (InvoiceCorrected) isEvent()       {}
func (InvoicePaid) isEvent()            {}
func (CustomerVersionApplied) isEvent() {}
func (CustomerForgotten) isEvent()      {}
