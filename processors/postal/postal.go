// Package postal turns what people and systems write about addresses, e-mail addresses and names into values that are
// known to be well formed. Parse and ParseEmail are asked once, where the text comes in; whoever holds an Address or an
// Email afterwards does not check again.
//
// It does not correct: white space around a field is cut off and the text is brought to Unicode's composed form (NFC),
// so that equal addresses compare equal; nothing else is changed. It does not know whether a street exists.
package postal

import "strings"

// Limits of an address. They bound what one customer can put into a row; no postal service prints more.
const (
	// MaxLines is the number of lines of all fields together, a line of the street counting as one.
	MaxLines = 20
	// MaxLine is the number of characters of a line.
	MaxLine = 200
)

// Fields are the parts of an address as somebody wrote them.
type Fields struct {
	Country     string // ISO 3166-1 alpha-2, upper case.
	Region      string // State, province, prefecture, emirate, ...: its name or the country's key for it.
	City        string // Locality, post town.
	District    string // Part of the city.
	PostCode    string
	SortingCode string // CEDEX and the like.
	Street      string // Everything below the district; lines are separated by \n.
}

// Address is an address that Parse or AsWritten has read. It is comparable: two are equal if they are written alike.
// The zero Address is no address.
type Address struct{ f Fields }

// Fields returns the parts of a, in NFC and without white space around them.
func (a Address) Fields() Fields { return a.f }

// IsZero tells whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// Country returns the ISO 3166-1 alpha-2 code of the country.
func (a Address) Country() string { return a.f.Country }

// Lines returns the lines of the street.
func (a Address) Lines() []string {
	if a.f.Street == "" {
		return nil
	}
	return strings.Split(a.f.Street, "\n")
}

// Restore returns the address that has the given fields, without asking whether they are one. It is for fields that
// Address.Fields returned and that were stored since: the rules may have become stricter, what has happened has not.
func Restore(f Fields) Address { return Address{f} }

// Email is an e-mail address as ParseEmail returned it.
type Email string
