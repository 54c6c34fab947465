package main

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// mail makes an e-mail address that no earlier person has. Every tenth of a country with a host of its own is
// internationalised (RFC 6531): local part and domain in the person's script.
func (g *generator) mail(c *country, given, family name, surname string) string {
	if c.host != "" && g.random.IntN(10) == 0 {
		local := dotted(strings.ToLower(given.native), unicode.IsMark) + "." + dotted(strings.ToLower(surname), unicode.IsMark)
		return g.unique(local, c.host+".example")
	}
	first, last := latin(given.latin), latin(family.latin)
	local, domain := first+"."+last, ""
	switch g.random.IntN(6) {
	case 0:
		domain = "example.org"
	case 1:
		domain = "example.com"
	case 2:
		local, domain = first[:1]+"."+last, "post.example"
	case 3:
		local, domain = first, strings.ReplaceAll(last, ".", "-")+".example"
	case 4:
		local, domain = fmt.Sprintf("%s_%d", last, 1950+g.random.IntN(58)), "example.org"
	case 5:
		local, domain = first+"+"+"utopia", strings.ToLower(c.code)+".mail.example"
	}
	return g.unique(local, domain)
}

// unique numbers a local part that is taken.
func (g *generator) unique(local, domain string) string {
	address := local + "@" + domain
	for n := 2; g.mails[address]; n++ {
		address = fmt.Sprintf("%s%d@%s", local, n, domain)
	}
	g.mails[address] = true
	return address
}

// latin spells a name with the ASCII letters that its owner would use for an e-mail address.
func latin(s string) string {
	s = strings.NewReplacer("ß", "ss", "ø", "o", "æ", "ae", "å", "aa", "ä", "ae", "ö", "oe", "ü", "ue", "þ", "th",
		"ð", "d", "đ", "d", "ł", "l", "ı", "i", "œ", "oe").Replace(norm.NFC.String(strings.ToLower(s)))
	return dotted(norm.NFD.String(s), func(rune) bool { return false })
}

// dotted keeps letters, digits and what keep accepts, drops apostrophes and lone marks, and joins the rest with dots.
func dotted(s string, keep func(rune) bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), keep(r):
			b.WriteRune(r)
		case r == ' ' || r == '-':
			if b.Len() > 0 {
				b.WriteByte('.')
			}
		}
	}
	return strings.Trim(b.String(), ".")
}
