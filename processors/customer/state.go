package customer

import (
	"time"

	"utopia/processors/postal"
)

// The promises of the flow. They are part of the core, not configuration: a replay with other values would decide
// differently.
const (
	// ConfirmWithin is how long an address change waits for its confirmation before it expires.
	ConfirmWithin = 72 * time.Hour
	// RemindAfter is when the customer is asked once more.
	RemindAfter = 24 * time.Hour
	// ScheduleWithin is how far ahead a change may take effect. It keeps a mistyped century from waiting for ever.
	ScheduleWithin = 2 * 366 * 24 * time.Hour
)

// Status is where a customer stands.
type Status string

// The statuses of a customer.
const (
	// StatusUnknown: nothing has happened yet; a row, if there is one, only remembers refusals.
	StatusUnknown Status = ""
	// StatusUnregistered: a system of record has told us an address, but nobody has registered the customer.
	StatusUnregistered Status = "unregistered"
	// StatusActive: registered and neither closed nor erased.
	StatusActive Status = "active"
	// StatusClosed: the customer has left; what is known stays until it is erased.
	StatusClosed Status = "closed"
	// StatusErased: nothing personal is kept.
	StatusErased Status = "erased"
)

// Reason is why an address is what it is.
type Reason string

// The reasons an address can have. A sender may give ReasonMoved and ReasonCorrected only.
const (
	// ReasonRegistered: the address came with the registration.
	ReasonRegistered Reason = "registered"
	// ReasonMoved: the customer lives somewhere else now; what was sent to the old address was sent rightly.
	ReasonMoved Reason = "moved"
	// ReasonCorrected: the old address was wrong; what was sent to it needs to be sent again.
	ReasonCorrected Reason = "corrected"
)

// ChangeStatus is what an address change waits for.
type ChangeStatus string

// What a change can wait for.
const (
	// NoChange: there is none.
	NoChange ChangeStatus = ""
	// Unconfirmed: the customer has been asked by mail and has not answered.
	Unconfirmed ChangeStatus = "unconfirmed"
	// Scheduled: confirmed, and takes effect at EffectiveAt.
	Scheduled ChangeStatus = "scheduled"
)

// State is what the next decision about one customer needs: a fold of the customer's events. It is comparable, holds
// times in UTC with millisecond precision, and is the same for the same events wherever they are folded.
//
// There is at most one change beside the address. A second cannot come about, because a new request ends an
// unconfirmed and a scheduled change alike; so one field with a status says it, and the type forbids the rest.
type State struct {
	// Version is the number of events folded; the next event has the next version.
	Version int64
	Status  Status

	Name     Name
	Email    postal.Email
	Language Language

	Address Residence
	Change  Change
}

// Residence is an address with what is known of it.
type Residence struct {
	Address postal.Address
	Reason  Reason
	// Version is the version of the customer that set this address: its identity for whoever has to apply it once.
	Version int64
	// Verified tells whether the address keeps the rules of its country. Only one that a system of record told us may not.
	Verified bool
	// OccurredAt is when it became the customer's address, by the word of whoever told us.
	OccurredAt time.Time
	// RecordedAt is when we learned it.
	RecordedAt time.Time
	// Source and FactID name the last fact that told us this address; empty if no system of record did.
	Source, FactID string
}

// Change is an address change that has not taken effect.
type Change struct {
	// ID is the id of the command that asked for the change; empty if there is none.
	ID      string
	Status  ChangeStatus
	Address postal.Address
	Reason  Reason
	// Version is the version of the event that asked for it.
	Version     int64
	RequestedAt time.Time
	// ExpiresAt is when the question is withdrawn; zero once the change is scheduled.
	ExpiresAt time.Time
	// EffectiveAt is when a confirmed change is to take effect; zero means at once.
	EffectiveAt time.Time
	// Reminded is the version of the event that asked the customer again; zero if that has not happened.
	Reminded int64
	// Undeliverable is the mail service's code for why the last confirmation mail did not arrive; empty if none failed.
	Undeliverable string
}

// RemindAt is when the customer is asked once more.
func (c Change) RemindAt() time.Time { return c.RequestedAt.Add(RemindAfter) }
