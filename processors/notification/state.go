package notification

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"utopia/processors/postal"
)

// MaxNotices is how many of a customer's latest notices are kept, and so for how many a mail's fate is still counted.
const MaxNotices = 20

// Status is what is known of a customer here.
type Status string

// The statuses of a customer.
const (
	// StatusUnknown: the customer service has not published the customer yet.
	StatusUnknown Status = ""
	// StatusUnregistered: known from a system of record only; there is nobody to write to.
	StatusUnregistered Status = "unregistered"
	// StatusActive: registered.
	StatusActive Status = "active"
	// StatusClosed: the customer has left; changes are still told.
	StatusClosed Status = "closed"
	// StatusForgotten: the customer was erased, and nothing personal is kept. It is final.
	StatusForgotten Status = "forgotten"
)

// State is what the next decision about one customer needs: a fold of the events. It is the same for the same events
// wherever they are folded. Whoever holds a State must not write to its slices: earlier states share them.
type State struct {
	// Version is the number of events folded; the next event has the next version.
	Version int64

	// Status, CustomerVersion, Contact and AddressVersion are this service's own copy of the customer. CustomerVersion is
	// the highest version of the customer that has been applied, AddressVersion the one that set the address. Of the
	// address itself nothing is kept: no notice tells it.
	Status          Status
	CustomerVersion int64
	Contact         Contact
	AddressVersion  int64

	// Notices are the latest, oldest first.
	Notices []Notice
	// Asked, Delivered and Failed count mails since the beginning.
	Asked, Delivered, Failed int64
}

// Contact is how a customer is reached. It is comparable.
type Contact struct {
	Name     string
	Email    postal.Email // Empty: there is nobody to write to.
	Language string       // A language tag, empty if unknown.
}

// Kind is what a notice tells.
type Kind string

// The kinds of notice.
const (
	// KindAddress: the postal address has changed.
	KindAddress Kind = "address"
	// KindEmail: the e-mail address has changed.
	KindEmail Kind = "email"
)

// Notice is one telling, by one or more mails.
type Notice struct {
	// Version is that of the event Sent, and so the notice's name.
	Version int64
	Kind    Kind
	// CustomerVersion is the version of the customer that is told about.
	CustomerVersion int64
	At              time.Time
	// Mails are the fates of the notice's mails, in their order.
	Mails []Fate
}

// Fate is what became of a mail.
type Fate string

// The fates of a mail.
const (
	// FateOpen: the mail service has not said.
	FateOpen Fate = "open"
	// FateSent: a mail server took it.
	FateSent Fate = "sent"
	// FateUndeliverable: it was given up.
	FateUndeliverable Fate = "undeliverable"
	// FateRefused: the mail service did not take the command.
	FateRefused Fate = "refused"
)

// Mail names one mail of one notice.
type Mail struct {
	Notice int64 // The notice's version.
	N      int   // 1 for the first.
}

// prefix begins the id of every command of this service.
const prefix = "notification/"

// ID is the mail's id: that of the event that asked for it, <customer>/<version>, between the service's name and the mail's
// number. It is the same each time the event is handled, so that the mail is sent once.
func (m Mail) ID(customer string) string {
	return fmt.Sprintf("%s%s/%d/%d", prefix, customer, m.Notice, m.N)
}

// ParseMail is the reverse of ID: ok is false for an id that is not one of this service for that customer.
func ParseMail(customer, id string) (m Mail, ok bool) {
	rest, found := strings.CutPrefix(id, prefix+customer+"/")
	if !found {
		return Mail{}, false
	}
	version, number, _ := strings.Cut(rest, "/")
	notice, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return Mail{}, false
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return Mail{}, false
	}
	m = Mail{Notice: notice, N: n}
	return m, m.ID(customer) == id
}

// Deadline is what is to happen at a time if nothing happens before.
type Deadline struct {
	Kind string
	At   time.Time
}
