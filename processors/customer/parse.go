package customer

import (
	"fmt"
	"strings"
	"unicode"

	"utopia/processors/postal"
)

// Name is a customer's name as ParseName returned it.
type Name string

// Language is a language tag as ParseLanguage returned it; empty if the customer named none.
type Language string

// ParseName reads a name in any script: one line of at most postal.MaxLine characters with a letter or digit in it.
// White space around it is cut off and it is composed (NFC). Errors: ErrName, and those of postal.Line.
func ParseName(s string) (Name, error) {
	line, err := postal.Line(s)
	if err != nil {
		return "", fmt.Errorf("name %w", err)
	}
	if !strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) {
		return "", ErrName
	}
	return Name(line), nil
}

// ParseLanguage reads a language tag: the form of BCP 47 (subtags of one to eight letters and digits, the first of two
// or three letters or a registered longer one), at most 35 characters. Whether the language exists is not asked. The
// empty tag is allowed. Error: ErrLanguage.
func ParseLanguage(s string) (Language, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > 35 { // RFC 5646, section 4.4.1
		return "", ErrLanguage
	}
	for i, subtag := range strings.Split(s, "-") {
		letters := strings.Trim(subtag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
		switch {
		case i == 0 && (!letters || len(subtag) < 2), len(subtag) == 0, len(subtag) > 8:
			return "", ErrLanguage
		case !letters && strings.ContainsFunc(subtag, func(r rune) bool { return !isASCIIAlnum(r) }):
			return "", ErrLanguage
		}
	}
	return Language(s), nil
}

func isASCIIAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
