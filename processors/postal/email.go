package postal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Email is a mailbox as ParseEmail returned it. It is written as its owner wrote it; two that differ in case differ.
type Email string

// Limits of RFC 5321, section 4.5.3.1, in octets. A path is at most 256 with its angle brackets.
const (
	maxLocal  = 64
	maxDomain = 255
	maxEmail  = 254
	maxLabel  = 63 // RFC 1035, section 2.3.4, for the form with xn--
)

// ParseEmail reads a mailbox by RFC 5321, section 4.1.2, with the characters that RFC 6531, section 3.3 adds: any
// letters before the @ and in the domain. White space around it is cut off and it is composed (NFC). A quoted local part
// is accepted with printable characters only; no control character can get in, so none can end a mail header. Refused,
// though the RFC knows them: address literals (user@[192.0.2.1]), which name a machine and no mailbox that lasts.
//
// Errors: ErrEmail, ErrEmailTooLong, ErrNotText, ErrControlCharacter.
func ParseEmail(s string) (Email, error) {
	if len(s) > 4*maxEmail {
		return "", ErrEmailTooLong
	}
	if !utf8.ValidString(s) {
		return "", ErrNotText
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	if strings.ContainsFunc(s, isControl) {
		return "", ErrControlCharacter
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return "", ErrEmail
	}
	local, domain := s[:at], s[at+1:]
	if len(s) > maxEmail || len(local) > maxLocal || len(domain) > maxDomain {
		return "", ErrEmailTooLong
	}
	if !validLocal(local) || !validDomain(domain) {
		return "", ErrEmail
	}
	return Email(s), nil
}

// validLocal checks a Dot-string or a Quoted-string.
func validLocal(s string) bool {
	if strings.HasPrefix(s, `"`) {
		return validQuoted(s)
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAtext(r) }) {
			return false
		}
	}
	return true
}

// validQuoted checks a Quoted-string: printable characters, and a quote or backslash only behind a backslash.
func validQuoted(s string) bool {
	if len(s) < 2 || !strings.HasSuffix(s, `"`) {
		return false
	}
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		switch {
		case escaped:
			if r < ' ' || r > '~' {
				return false
			}
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"', r != ' ' && !unicode.IsGraphic(r):
			return false
		}
	}
	return !escaped
}

// isAtext is the atext of RFC 5322, section 3.2.3, with UTF8-non-ascii of RFC 6531 less what cannot be seen.
func isAtext(r rune) bool {
	switch {
	case r >= utf8.RuneSelf:
		return unicode.IsGraphic(r) && !unicode.IsSpace(r)
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// validDomain checks labels of letters, digits and inner hyphens, in any script, whose form with xn-- fits the DNS.
func validDomain(s string) bool {
	total := -1
	for label := range strings.SplitSeq(s, ".") {
		n := labelLength(label)
		if n == 0 || n > maxLabel {
			return false
		}
		total += n + 1
	}
	return total <= maxDomain
}

// labelLength is the number of octets of a label in the DNS (RFC 5890: the A-label), 0 if it is none.
func labelLength(label string) int {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return 0
	}
	ascii := true
	for i, r := range label {
		switch {
		case r >= utf8.RuneSelf:
			ascii = false
			letter := unicode.IsLetter(r) || unicode.IsDigit(r)
			inner := unicode.IsMark(r) || r == '\u200c' || r == '\u200d' || r == '·' || r == '\u30fb'
			if !letter && (!inner || i == 0) {
				return 0
			}
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
		default:
			return 0
		}
	}
	if ascii {
		return len(label)
	}
	return len("xn--") + punycodeLength([]rune(strings.ToLower(label)))
}
