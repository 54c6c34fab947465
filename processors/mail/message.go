package mail

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"utopia/processors/postal"
)

// Message is a mail that may be sent. ParseMessage makes it.
type Message struct {
	Recipient postal.Email
	Language  string // A language tag, RFC 5646; empty if unknown.
	Subject   string
	Text      string
	HTML      string // Empty: the mailer makes the HTML part from the text.
	Links     []Link
}

// Link is a claim that the mailer signs at the moment of sending, so that no secret is in any topic. The signed link
// takes the place of Placeholder(Name) in both parts.
type Link struct {
	Name      string
	Purpose   string
	Subject   string // Whom it is about, in the sender's words.
	Change    string
	ExpiresAt time.Time
}

// Placeholder is what stands in a part for the link called name.
func Placeholder(name string) string { return "{{link:" + name + "}}" }

// ParseMessage checks what a sender wrote and changes nothing but white space around the recipient. ErrRecipient, ErrLanguage, ErrSubject, ErrText, ErrHTML or
// ErrLink says which field is not fit to be sent. Control characters in what becomes a header are refused here, before
// anything is stored: a line break there would be a header of the sender's choice (header injection).
func ParseMessage(m Message) (Message, error) {
	var err error
	if m.Recipient, err = postal.ParseEmail(string(m.Recipient)); err != nil {
		return Message{}, ErrRecipient
	}
	if !validLanguage(m.Language) {
		return Message{}, ErrLanguage
	}
	if m.Subject == "" || len(m.Subject) > MaxSubject || !printable(m.Subject) {
		return Message{}, ErrSubject
	}
	if m.Text == "" || len(m.Text) > MaxText || !plain(m.Text) {
		return Message{}, ErrText
	}
	if len(m.HTML) > MaxHTML || !plain(m.HTML) {
		return Message{}, ErrHTML
	}
	if len(m.Links) > MaxLinks {
		return Message{}, ErrLink
	}
	for i, l := range m.Links {
		if !validLink(l, m) || nameUsed(m.Links[:i], l.Name) {
			return Message{}, ErrLink
		}
	}
	return m, nil
}

// validLanguage allows the shape of a language tag, RFC 5646, section 2.1.
func validLanguage(s string) bool {
	if len(s) > 35 {
		return false
	}
	if s == "" {
		return true
	}
	for part := range strings.SplitSeq(s, "-") {
		if part == "" || len(part) > 8 || !word(part, "") {
			return false
		}
	}
	return true
}

// validLink wants a claim that can be signed and that the text shows to the reader.
func validLink(l Link, m Message) bool {
	for _, s := range []string{l.Name, l.Purpose, l.Subject, l.Change} {
		if len(s) > 160 || !word(s, "._~-/") {
			return false
		}
	}
	if l.Name == "" || l.Purpose == "" || l.ExpiresAt.IsZero() {
		return false
	}
	return strings.Contains(m.Text, Placeholder(l.Name))
}

func nameUsed(links []Link, name string) bool {
	for _, l := range links {
		if l.Name == name {
			return true
		}
	}
	return false
}

// word reports whether s is made of ASCII letters, digits and the characters of also.
func word(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(also, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// printable reports whether s fits on one line: valid UTF-8, no control character, no line or paragraph separator.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// plain reports whether s is text: valid UTF-8 with no control characters but tab and line breaks.
func plain(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

// MaxID is the size of a mail's id in bytes. The id of its deadline, which contains it, has to fit its own limit.
const MaxID = 120

// CheckID checks that a mail has the id of the command that asks for it, of at most MaxID bytes, else ErrMailID: so a
// command that is sent again cannot become a second mail.
func CheckID(mail, command string) error {
	if mail != command || len(mail) > MaxID {
		return ErrMailID
	}
	return nil
}

// ParseOrigin checks who asks for a mail. Sender is 1 to 64 of A–Z a–z 0–9 . _ ~ -, else ErrSender. ReplyTo is 1 to 160 of
// them or '/', else ErrReplyTo: it is the key of a record that others must be able to read. CorrelationID is one line of at
// most 160 bytes, else ErrCorrelationID.
func ParseOrigin(o Origin) (Origin, error) {
	if o.Sender == "" || len(o.Sender) > 64 || !word(o.Sender, "._~-") {
		return Origin{}, ErrSender
	}
	if o.ReplyTo == "" || len(o.ReplyTo) > 160 || !word(o.ReplyTo, "._~-/") {
		return Origin{}, ErrReplyTo
	}
	if len(o.CorrelationID) > 160 || !printable(o.CorrelationID) {
		return Origin{}, ErrCorrelationID
	}
	return o, nil
}

// MaxAttempts bounds the number of attempts that a report may state.
const MaxAttempts = 1_000_000

// ParseReport checks the mailer's report: a result, at least one attempt and a short code as detail, else ErrResult.
func ParseReport(r RecordDelivery) (RecordDelivery, error) {
	if r.Result != StatusSent && r.Result != StatusUndeliverable {
		return RecordDelivery{}, ErrResult
	}
	if r.Attempts < 1 || r.Attempts > MaxAttempts || len(r.Detail) > 64 || !word(r.Detail, "._~-") {
		return RecordDelivery{}, ErrResult
	}
	return r, nil
}
