package customer

import (
	"time"

	"utopia/processors/postal"
)

// Event is something that has happened to a customer. The set is closed: whoever switches over it names every type.
// An event's version and id are not in it; they are the place it has in the fold.
// At is the time of the input that caused the event.
//
//sumtype:decl
type Event interface{ isEvent() }

// Registered tells that the customer is ours. KeepsFact says that a system of record had told us an address that
// occurred later than the registration: that address stays, and Address is only what the registration said.
type Registered struct {
	At        time.Time
	Name      Name
	Email     postal.Email
	Language  Language
	Address   postal.Address
	KeepsFact bool
}

// ChangeRequested tells that somebody asked for another address; the customer is asked to confirm it by ExpiresAt. It
// ends every change that was under way; Supersedes is the id of that change, empty if there was none.
type ChangeRequested struct {
	At          time.Time
	ChangeID    string
	Address     postal.Address
	Reason      Reason
	ExpiresAt   time.Time
	EffectiveAt time.Time // Zero: as soon as it is confirmed.
	Supersedes  string
}

// ConfirmationReminded tells that the customer was asked once more.
type ConfirmationReminded struct {
	At       time.Time
	ChangeID string
}

// ConfirmationUndeliverable tells that a mail that asked for the confirmation did not arrive. Mail is the version of the
// event that asked for the mail, Detail the mail service's code.
type ConfirmationUndeliverable struct {
	At       time.Time
	ChangeID string
	Mail     int64
	Detail   string
}

// ChangeScheduled tells that the customer confirmed a change that takes effect later, at EffectiveAt.
type ChangeScheduled struct {
	At          time.Time
	ChangeID    string
	EffectiveAt time.Time
}

// ChangeCancelled tells that the change, unconfirmed or scheduled, was taken back.
type ChangeCancelled struct {
	At       time.Time
	ChangeID string
}

// ChangeExpired tells that nobody confirmed the change in time.
type ChangeExpired struct {
	At       time.Time
	ChangeID string
}

// ChangeOutdated tells that the change was confirmed or due, but an address that occurred later is already known, so
// that the change had no effect. The result is the same as if the two had arrived the other way round.
type ChangeOutdated struct {
	At       time.Time
	ChangeID string
}

// Moved tells that the customer has another address. Either ChangeID is set (asked for and confirmed) or Source and
// FactID are (a system of record told us).
type Moved struct {
	At         time.Time
	ChangeID   string
	Source     string
	FactID     string
	OccurredAt time.Time
	Address    postal.Address
	Verified   bool
}

// Corrected tells that the address was wrong and what the right one is.
type Corrected struct {
	At         time.Time
	ChangeID   string
	OccurredAt time.Time
	Address    postal.Address
}

// FactRecorded tells that a system of record told us an address that did not change that of a registered customer;
// Outcome says why.
type FactRecorded struct {
	At         time.Time
	Source     string
	FactID     string
	OccurredAt time.Time
	Address    postal.Address
	Verified   bool
	Outcome    FactOutcome
}

// FactOutcome is what became of a recorded fact.
type FactOutcome string

// What can become of a recorded fact.
const (
	// FactUnregistered: nobody has registered the customer; the address is kept until somebody does.
	FactUnregistered FactOutcome = "unregistered"
	// FactSame: it is the address we have; from now on it counts as known since the fact's OccurredAt.
	FactSame FactOutcome = "same"
	// FactOutOfDate: an address that occurred later is known.
	FactOutOfDate FactOutcome = "out_of_date"
)

// EmailChanged tells the customer's new e-mail address.
type EmailChanged struct {
	At    time.Time
	Email postal.Email
}

// Closed tells that the customer has left. A change under way ends with it.
type Closed struct {
	At time.Time
}

// Erased tells that everything personal has been removed.
type Erased struct {
	At time.Time
}

func (Registered) isEvent()                {}
func (ChangeRequested) isEvent()           {}
func (ConfirmationReminded) isEvent()      {}
func (ConfirmationUndeliverable) isEvent() {}
func (ChangeScheduled) isEvent()           {}
func (ChangeCancelled) isEvent()           {}
func (ChangeExpired) isEvent()             {}
func (ChangeOutdated) isEvent()            {}
func (Moved) isEvent()                     {}
func (Corrected) isEvent()                 {}
func (FactRecorded) isEvent()              {}
func (EmailChanged) isEvent()              {}
func (Closed) isEvent()                    {}
func (Erased) isEvent()                    {}
