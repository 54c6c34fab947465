package notification

import (
	"time"

	"utopia/processors/postal"
)

// Event is something that has happened here. The set is closed: whoever switches over it names every type. An event's
// version and id are not in it; they are the place it has in the fold. At is the time of the input that caused the event.
//
//sumtype:decl
type Event interface{ isEvent() }

// ContactUpdated tells the whole copy of the customer after CustomerVersion was applied, also where only the version
// differs from before.
type ContactUpdated struct {
	At              time.Time
	CustomerVersion int64
	Status          Status
	Contact         Contact
	AddressVersion  int64
}

// Sent tells that the customer is told of a change, by one mail to each recipient.
type Sent struct {
	At              time.Time
	Kind            Kind
	CustomerVersion int64
	Name            string
	Language        string
	Recipients      []postal.Email
}

// Delivered tells that a mail server took a mail.
type Delivered struct {
	At   time.Time
	Mail Mail
}

// Failed tells that a mail was refused or given up; Fate says which.
type Failed struct {
	At   time.Time
	Mail Mail
	Fate Fate
}

// CustomerForgotten tells that the customer was erased and the contact is gone. CustomerVersion is zero if nobody told it.
type CustomerForgotten struct {
	At              time.Time
	CustomerVersion int64
}

func (ContactUpdated) isEvent()    {}
func (Sent) isEvent()              {}
func (Delivered) isEvent()         {}
func (Failed) isEvent()            {}
func (CustomerForgotten) isEvent() {}
