package mail

import (
	"errors"

	"utopia/processors/refusal"
)

// Refusals, in the order in which a command meets them. Callers switch on Code; the texts are for people and never quote
// the mail.
var (
	// ErrRecipient: not one e-mail address, as postal.ParseEmail reads it.
	ErrRecipient = errors.New("the recipient is not one plain e-mail address")
	// ErrLanguage: not a language tag.
	ErrLanguage = errors.New("the language is not a language tag")
	// ErrSubject: empty, longer than MaxSubject, or with a control character.
	ErrSubject = errors.New("the subject is not one line of at most 500 bytes")
	// ErrText: empty, longer than MaxText, or not text.
	ErrText = errors.New("the text is missing, longer than 64 KiB or not plain text")
	// ErrHTML: longer than MaxHTML or not text.
	ErrHTML = errors.New("the HTML part is longer than 256 KiB or not text")
	// ErrLink: more than MaxLinks, a name used twice, a claim that cannot be signed, or a link that the text does not show.
	ErrLink = errors.New("a link cannot be signed or is not shown by the text")
	// ErrSender: the sending group has no name.
	ErrSender = errors.New("the mail does not say who sends it")
	// ErrReplyTo: the reply address is no key that a reader would accept.
	ErrReplyTo = errors.New("the reply address is not 1 to 160 of A–Z a–z 0–9 . _ ~ - /")
	// ErrCorrelationID: longer than 160 bytes or with a control character.
	ErrCorrelationID = errors.New("the correlation id is not one line of at most 160 bytes")
	// ErrMailID: the mail's id is not that of its command, or longer than MaxID.
	ErrMailID = errors.New("the id of a mail is the id of the command that asks for it, at most 120 bytes")
	// ErrResult: the mailer's report is neither sent nor undeliverable, or its numbers cannot be.
	ErrResult = errors.New("the report is neither sent nor undeliverable, or cannot be")
	// ErrVersionConflict: the sender has seen another version.
	ErrVersionConflict = errors.New("the mail is not at the expected version")
	// ErrMailExists: the mail has been accepted before.
	ErrMailExists = errors.New("a mail with this id has been accepted before")
	// ErrMailUnknown: nobody asked for the mail, or it has been forgotten.
	ErrMailUnknown = errors.New("no mail has this id")
	// ErrAlreadyReported: what became of the mail is known.
	ErrAlreadyReported = errors.New("what became of the mail has been recorded before")
	// ErrNotDue: the deadline has not passed yet; it is asked again later.
	ErrNotDue = errors.New("the deadline has not passed yet")
	// ErrOutdated: the row has another deadline by now.
	ErrOutdated = errors.New("the deadline is not that of this mail")
)

func refusals() refusal.Table {
	return refusal.Table{
		{ErrRecipient, "recipient"},
		{ErrLanguage, "language"},
		{ErrSubject, "subject"},
		{ErrText, "text"},
		{ErrHTML, "html"},
		{ErrLink, "link"},
		{ErrSender, "sender"},
		{ErrReplyTo, "reply_to"},
		{ErrCorrelationID, "correlation_id"},
		{ErrMailID, "mail_id"},
		{ErrResult, "result"},
		{ErrVersionConflict, "version_conflict"},
		{ErrMailExists, "mail_exists"},
		{ErrMailUnknown, "mail_unknown"},
		{ErrAlreadyReported, "already_reported"},
		{ErrNotDue, "not_due"},
		{ErrOutdated, "outdated"},
	}
}

// Code is the stable name of a refusal, empty for any other error. A caller may switch on it; it never changes.
func Code(err error) string { return refusals().Code(err) }

// Refusals returns every refusal of this core.
func Refusals() []error { return refusals().Errors() }
