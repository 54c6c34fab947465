package mail

import "time"

// The bounds of one mail and the promise of how long it is known. They are part of the core, not configuration: a replay
// with other values would decide differently.
const (
	// Retention is how long a mail is known after it was accepted. It is far longer than commands are kept, so that a
	// command that is read again cannot become a second mail.
	Retention = 30 * 24 * time.Hour
	// MaxSubject is the size of a subject in bytes; a header line has at most 998 (RFC 5322, section 2.1.1).
	MaxSubject = 500
	// MaxText and MaxHTML are the sizes of the two parts in bytes.
	MaxText = 64 << 10
	MaxHTML = 256 << 10
	// MaxLinks is how many links of a mail may be signed.
	MaxLinks = 10
)

// Status is what has become of a mail.
type Status string

// The statuses of a mail.
const (
	// StatusUnknown: nobody has asked for it, or it has been forgotten.
	StatusUnknown Status = ""
	// StatusQueued: accepted, and the mailer has not reported yet.
	StatusQueued Status = "queued"
	// StatusSent: a mail server has taken it.
	StatusSent Status = "sent"
	// StatusUndeliverable: it was given up.
	StatusUndeliverable Status = "undeliverable"
)

// State is what the next decision about one mail needs: a fold of its events. It is comparable and holds nothing
// personal.
type State struct {
	// Version is the number of events folded; the next event has the next version.
	Version int64
	Status  Status
	// Origin is whom to tell.
	Origin     Origin
	AcceptedAt time.Time
	// ReportedAt, Attempts and Detail are the mailer's report; zero while the mail is queued.
	ReportedAt time.Time
	Attempts   int32
	Detail     string
}

// Origin is who asked for a mail and where they listen for what becomes of it.
type Origin struct {
	// Sender is the name of the group that sent the command; others that share its reply topic skip the reply.
	Sender        string
	ReplyTo       string
	CorrelationID string
}

// KindForget is the kind of a mail's only deadline.
const KindForget = "ForgetMail"

// Deadline is what is to happen at a time if nothing happens before.
type Deadline struct {
	Kind string
	At   time.Time
}
