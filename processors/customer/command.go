package customer

import (
	"time"

	"utopia/processors/postal"
)

// Command is what may be asked of a customer, or told about one. The set is closed: whoever switches over it names
// every type. ExpectedVersion, where a command has it, is the version the sender has seen; zero means that it does not
// matter, and any other difference from the state's version is refused with ErrVersionConflict.
//
//sumtype:decl
type Command interface{ isCommand() }

// Register makes the customer ours. Its address holds at once.
type Register struct {
	ExpectedVersion int64
	Name            Name
	Email           postal.Email
	Language        Language
	Address         postal.Address
}

// RequestChange asks for another address. It takes effect when the customer confirms it, or at EffectiveAt if that
// is later. ChangeID is the command's id.
type RequestChange struct {
	ExpectedVersion int64
	ChangeID        string
	Address         postal.Address
	Reason          Reason
	EffectiveAt     time.Time // Zero: as soon as it is confirmed.
}

// ConfirmChange says that the customer wants the change. ExpiresAt is the expiry that the link carried, that of the very
// change; zero if the confirmation did not come by a link.
type ConfirmChange struct {
	ExpectedVersion int64
	ChangeID        string
	ExpiresAt       time.Time
}

// CancelChange takes the change back, unconfirmed or scheduled. An empty ChangeID means whatever change there is.
type CancelChange struct {
	ExpectedVersion int64
	ChangeID        string
}

// ChangeEmail gives the customer another e-mail address.
type ChangeEmail struct {
	ExpectedVersion int64
	Email           postal.Email
}

// Close ends the relation with the customer.
type Close struct {
	ExpectedVersion int64
}

// Erase removes everything personal.
type Erase struct {
	ExpectedVersion int64
}

// Expire withdraws the question whether the change is wanted. A deadline command: DueAt says which deadline it is about;
// ChangeID is the change that had it when the command was sent.
type Expire struct {
	ChangeID string
	DueAt    time.Time
}

// Apply lets a scheduled change take effect. A deadline command.
type Apply struct {
	ChangeID string
	DueAt    time.Time
}

// Remind asks the customer once more. A deadline command.
type Remind struct {
	ChangeID string
	DueAt    time.Time
}

// RecordFact tells an address that a system of record knows. It is a fact: it cannot be refused for a business reason.
// Verified says whether the address keeps its country's rules.
type RecordFact struct {
	Source     string
	FactID     string
	OccurredAt time.Time
	Address    postal.Address
	Verified   bool
}

// RecordUndeliverable tells that a mail did not arrive. Mail is the version of the event that asked for the mail,
// Detail the mail service's code.
type RecordUndeliverable struct {
	Mail   int64
	Detail string
}

func (Register) isCommand()            {}
func (RequestChange) isCommand()       {}
func (ConfirmChange) isCommand()       {}
func (CancelChange) isCommand()        {}
func (ChangeEmail) isCommand()         {}
func (Close) isCommand()               {}
func (Erase) isCommand()               {}
func (Expire) isCommand()              {}
func (Apply) isCommand()               {}
func (Remind) isCommand()              {}
func (RecordFact) isCommand()          {}
func (RecordUndeliverable) isCommand() {}
