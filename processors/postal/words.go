package postal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The most that is kept of a name for finding it.
const (
	maxFoundWords = 8
	maxFoundRunes = 32
)

// plain are letters with a stroke, or of two: Unicode does not decompose them, and who has not got them on the keyboard writes the others.
//
//nolint:gochecknoglobals // a constant that Go spells var
var plain = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "ı", "i", "æ", "ae", "œ", "oe", "þ", "th", "ħ", "h", "ŧ", "t")

// Words are the words of a text as they are compared when somebody looks for them: without case (Unicode's full case folding), without the accents of the alphabets of Europe,
// each cut after 32 letters; words are of letters, digits and the marks of other scripts. At most eight.
func Words(s string) []string {
	words := strings.FieldsFunc(unaccented(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	})
	words = words[:min(len(words), maxFoundWords)]
	for i, w := range words {
		if r := []rune(w); len(w) > maxFoundRunes && len(r) > maxFoundRunes {
			words[i] = string(r[:maxFoundRunes])
		}
	}
	return words
}

// unaccented is a text without case and accents.
func unaccented(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) { // most, and ten times as fast
		return strings.ToLower(s)
	}
	s = cases.Fold().String(norm.NFKD.String(s))
	s = strings.Map(func(r rune) rune {
		if r >= 0x300 && r <= 0x36f { // combining diacritical marks; those of other scripts make other letters
			return -1
		}
		return r
	}, s)
	return norm.NFC.String(plain.Replace(s))
}
