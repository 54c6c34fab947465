package mail

import "time"

// Event is something that has happened to a mail. The set is closed: whoever switches over it names every type. An
// event's version and id are not in it; they are the place it has in the fold. At is the time of the input that caused
// the event.
//
//sumtype:decl
type Event interface{ isEvent() }

// Accepted tells that the mail will be sent. Message is what the outbox carries; it is not part of what is kept, so an
// Accepted that was read back has none, and Evolve does not look at it.
type Accepted struct {
	At      time.Time
	Origin  Origin
	Message Message
}

// Delivered tells that a mail server took the mail. It may still come back from behind that server; nobody tells us.
type Delivered struct {
	At       time.Time
	Attempts int32
	Detail   string
}

// Failed tells that the mail was given up as undeliverable.
type Failed struct {
	At       time.Time
	Attempts int32
	Detail   string
}

// Forgotten tells that the mail is no longer known. Its state is that of a mail that nobody ever asked for.
type Forgotten struct{ At time.Time }

func (Accepted) isEvent()  {}
func (Delivered) isEvent() {}
func (Failed) isEvent()    {}
func (Forgotten) isEvent() {}
