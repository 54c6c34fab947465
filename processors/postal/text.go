package postal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Line reads one line of text in any script: it cuts off the white space around it and composes it (NFC). It is empty if
// there was nothing else. Errors: ErrNotText (invalid UTF-8), ErrControlCharacter, ErrTooLong (over MaxLine characters).
func Line(s string) (string, error) {
	if len(s) > 16*MaxLine { // before work is spent on it; composition makes no text shorter than a third
		return "", ErrTooLong
	}
	if !utf8.ValidString(s) {
		return "", ErrNotText
	}
	s = strings.TrimSpace(s)
	if !norm.NFC.IsNormalString(s) {
		s = norm.NFC.String(s)
	}
	n := 0
	for _, r := range s {
		if isControl(r) {
			return "", ErrControlCharacter
		}
		n++
	}
	if n > MaxLine {
		return "", ErrTooLong
	}
	return s, nil
}

// isControl tells whether r steers something instead of being seen: the control codes, which end lines and headers, the
// line and paragraph separators, and the bidirectional embeddings, overrides and isolates (Unicode Annex 9), with which
// a line can be made to look like another. The joiners that Persian and the Indic scripts need are no controls.
func isControl(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\ufeff':
		return true
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	}
	return false
}

// hasText tells whether there is a letter or a digit in s, of whatever script.
func hasText(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
}

// asciiDigits returns s with every decimal digit of any script as the ASCII digit of the same value: post codes are
// compared by value and kept as written. Unicode assigns decimal digits in runs of ten, zero first (Unicode Standard,
// section 4.6), and every range of the table begins with a zero.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf || !unicode.IsDigit(r) {
			return r
		}
		for _, t := range unicode.Nd.R16 {
			if uint32(t.Lo) <= uint32(r) && uint32(r) <= uint32(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		for _, t := range unicode.Nd.R32 {
			if t.Lo <= uint32(r) && uint32(r) <= t.Hi {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		return r
	}, s)
}
