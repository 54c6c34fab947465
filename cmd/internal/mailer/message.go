package mailer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"utopia/cmd/internal/links"
	"utopia/schemas"
)

// Message is one mail, ready to be handed over: links are signed, addresses checked.
type Message struct {
	MailID    string
	MessageID string // without angle brackets; the same at every attempt
	From, To  string // bare addresses, for the envelope
	msg       *gomail.Msg
}

// Bytes returns the mail as it travels, RFC 5322.
func (m *Message) Bytes() ([]byte, error) {
	var b bytes.Buffer
	if _, err := m.msg.WriteTo(&b); err != nil {
		return nil, &Failure{Code: codeDefect, Err: errors.New("the mail cannot be written")}
	}
	return b.Bytes(), nil
}

// composer turns what the outbox carries into messages.
type composer struct {
	from   *mail.Address
	domain string // of Message-IDs
	keys   links.Keys
	page   *url.URL
}

// compose returns the message for a mail of the outbox. Every error is a permanent *Failure whose text names no person:
// what was accepted and cannot be composed will not become better.
func (c *composer) compose(r *schemas.MailToSend, now time.Time) (*Message, error) {
	to, err := parseRecipient(r.Recipient)
	if err != nil {
		return nil, err
	}
	text, htmlText, err := c.sign(r, now)
	if err != nil {
		return nil, err
	}
	if r.Subject == "" || !oneLine(r.Subject) || !oneLine(r.Language) {
		return nil, &Failure{Code: codeDefect, Err: errors.New("the subject or the language is not one line")}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(c.from)
	msg.ToMailAddress(to)
	msg.Subject(r.Subject)
	id := messageID(r.MailID, c.domain)
	msg.SetMessageIDWithValue(id)
	// The date is that of the mail, not of the attempt: a second copy is then the same mail in every byte that matters.
	msg.SetDateWithValue(schemas.Time(r.AcceptedAt))
	if r.Language != "" {
		msg.SetGenHeader(gomail.HeaderContentLang, r.Language)
	}
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, section 5: no out-of-office answers
	msg.SetBodyString(gomail.TypeTextPlain, text)
	msg.AddAlternativeString(gomail.TypeTextHTML, htmlText)
	return &Message{MailID: r.MailID, MessageID: id, From: c.from.Address, To: to.Address, msg: msg}, nil
}

// sign puts the signed links into the parts, and makes the HTML part of a mail that has none. A mail whose links have died
// is not worth sending: the person could only be told that it is too late.
func (c *composer) sign(r *schemas.MailToSend, now time.Time) (text, htmlText string, err error) {
	var inText, inHTML []string
	urls := map[string]string{}
	for _, l := range r.Links {
		expires := schemas.Time(l.ExpiresAt)
		if !now.Before(expires) {
			return "", "", &Failure{Code: codeLinkExpired, Err: fmt.Errorf("link %q has expired", l.Name)}
		}
		token, err := links.Sign(c.keys, links.Claims{Purpose: l.Purpose, Subject: l.Subject, Change: l.Change, ExpiresAt: expires})
		if err != nil {
			return "", "", &Failure{Code: codeLink, Err: fmt.Errorf("link %q: %w", l.Name, err)}
		}
		u, placeholder := links.URL(c.page, token), "{{link:"+l.Name+"}}"
		urls[placeholder] = u
		inText = append(inText, placeholder, u)
		inHTML = append(inHTML, placeholder, html.EscapeString(u))
	}
	text = strings.NewReplacer(inText...).Replace(r.Text)
	if r.HTML == "" {
		htmlText, err = htmlPart(r, urls)
		return text, htmlText, err
	}
	return text, strings.NewReplacer(inHTML...).Replace(r.HTML), nil
}

// parseRecipient takes a bare address and nothing else: no display name, no group, no list, no line break, so that a
// recipient can become neither a second one nor a header. A domain in another script is sent in its ASCII form, RFC 5891,
// which every server takes; a local part in another script needs a server with SMTPUTF8, RFC 6531.
func parseRecipient(s string) (*mail.Address, error) {
	bad := &Failure{Code: codeRecipient, Err: errors.New("the recipient is not one bare address")}
	if !oneLine(s) || strings.ContainsAny(s, " <>,;:\"\\") {
		return nil, bad
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s {
		return nil, bad
	}
	at := strings.LastIndexByte(s, '@')
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil {
		if !isASCII(s[at+1:]) {
			return nil, bad
		}
		domain = s[at+1:] // an ASCII domain is the mail server's to judge
	}
	return &mail.Address{Address: s[:at+1] + domain}, nil
}

// oneLine reports whether s can be a header's value without ever becoming a second header.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// messageID derives the Message-ID from the mail's id, so that a copy sent after a crash can be recognised. An id that is
// no dot-atom (RFC 5322, section 3.2.3) is hashed; a hash begins with a character that an id cannot have.
func messageID(mailID, domain string) string {
	local := mailID
	if len(local) > 200 || !dotAtom(local) {
		sum := sha256.Sum256([]byte(mailID))
		local = "=" + hex.EncodeToString(sum[:16])
	}
	return local + "@" + domain
}

func dotAtom(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" {
			return false
		}
		for _, c := range []byte(part) {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~', c == '/':
			default:
				return false
			}
		}
	}
	return true
}
