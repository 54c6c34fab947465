package billing

import (
	"crypto/sha256"
	"unicode"
	"unicode/utf8"
)

// InvoiceID names an invoice among those of one customer. ParseInvoiceID makes it.
type InvoiceID string

// ParseInvoiceID reads an invoice's id: 1 to 64 of A–Z a–z 0–9 . _ ~ -, or ErrInvoiceID.
func ParseInvoiceID(s string) (InvoiceID, error) {
	if s == "" || len(s) > 64 {
		return "", ErrInvoiceID
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '~', c == '-':
		default:
			return "", ErrInvoiceID
		}
	}
	return InvoiceID(s), nil
}

// Hash is the first 8 bytes of the id's SHA-256, most significant first: all that is kept of an invoice once it is paid.
// A customer has at most MaxRemembered, so that two of them meet with a chance below 2^-40.
func (id InvoiceID) Hash() int64 {
	sum := sha256.Sum256([]byte(id))
	var h int64
	for _, b := range sum[:8] {
		h = h<<8 | int64(b)
	}
	return h
}

// Money is an amount in the currency's smallest unit. ParseMoney makes it.
type Money struct {
	Cents    int64
	Currency string // ISO 4217 alphabetic code.
}

// maxCents keeps sums over all open invoices of all customers within an int64.
const maxCents = 1_000_000_000_000

// ParseMoney reads an amount: 1 to 10^12 of the smallest unit, else ErrAmount, of a currency written as three capital
// letters, else ErrCurrency. Whether ISO 4217 lists the code is not asked: the list changes.
func ParseMoney(cents int64, currency string) (Money, error) {
	if cents < 1 || cents > maxCents {
		return Money{}, ErrAmount
	}
	if len(currency) != 3 {
		return Money{}, ErrCurrency
	}
	for i := range 3 {
		if currency[i] < 'A' || currency[i] > 'Z' {
			return Money{}, ErrCurrency
		}
	}
	return Money{Cents: cents, Currency: currency}, nil
}

// Text is what an invoice says it is for. ParseText makes it.
type Text string

// ParseText reads the text of an invoice: at most MaxText bytes of UTF-8 without control characters other than line
// feeds, else ErrText. It may be empty.
func ParseText(s string) (Text, error) {
	if len(s) > MaxText || !utf8.ValidString(s) {
		return "", ErrText
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' {
			return "", ErrText
		}
	}
	return Text(s), nil
}
