// Package postal turns what people and systems write about addresses, e-mail addresses and names into values that are
// known to be well formed. Parse and ParseEmail are asked once, where the text comes in; whoever holds an Address or an
// Email afterwards does not check again.
//
// It does not correct. White space around a line is cut off and the text is brought to Unicode's composed form (NFC), so
// that what is written alike compares equal; nothing else is changed, neither case nor spelling nor digits. It does not
// know whether a street, a city or a person exists, and it does not print labels.
package postal

import (
	"fmt"
	"strings"
)

// Limits of an address. They bound what one customer can put into a row; no postal service prints more.
const (
	// MaxLines is the number of lines of all fields together, each line of the street counting as one.
	MaxLines = 20
	// MaxLine is the number of characters (code points, after composition) of a line.
	MaxLine = 200
)

// Fields are the parts of an address as somebody wrote them.
type Fields struct {
	Country     string // ISO 3166-1 alpha-2, upper case.
	Region      string // State, province, prefecture, emirate, ...: a name, or the country's key for it.
	City        string // Locality, post town.
	District    string // Part of the city.
	PostCode    string
	SortingCode string // CEDEX and the like.
	Street      string // Everything below the district; lines are separated by \n.
}

// Field names a part of an address in errors.
type Field string

// The fields, as errors name them.
const (
	Country     Field = "country"
	Region      Field = "region"
	City        Field = "city"
	District    Field = "district"
	PostCode    Field = "post code"
	SortingCode Field = "sorting code"
	Street      Field = "street"
	Whole       Field = "address" // no single field: the address as a whole
)

// FieldError tells which field of an address is refused. Err is one of the package's sentinel errors; the text of the
// field is never part of the message.
type FieldError struct {
	Field Field
	Err   error
}

// Error implements error.
func (e *FieldError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Err) }

// Unwrap returns the sentinel error.
func (e *FieldError) Unwrap() error { return e.Err }

// Address is an address that Parse, AsWritten or Restore has made. It is comparable: two are equal if they are written
// alike. The zero Address is no address.
type Address struct{ f Fields }

// Fields returns the parts of a, composed and without white space around the lines.
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

// Parse reads an address by the rules of its country: the fields that have to be there, the form of the post code, and
// that the post code belongs to the region where both are known (data: Google's address data service, by
// github.com/Boostport/address). What the country has no rule for is accepted as written: a field that its labels do not
// print, a region whose name is not on its list, any script.
//
// Every error is a *FieldError around ErrUnknownCountry, ErrMissing, ErrPostCode, ErrPostCodeRegion, ErrNotText,
// ErrControlCharacter, ErrTooLong or ErrTooManyLines.
func Parse(f Fields) (Address, error) {
	a, err := shape(f)
	if err != nil {
		return Address{}, err
	}
	if err := rulesOf(a.f.Country).check(a.f); err != nil {
		return Address{}, err
	}
	return a, nil
}

// AsWritten reads an address that somebody tells us as a fact. One that its country refuses is kept and not verified;
// an error says that it is no address at all: no or an unknown country, nothing but a country, not text, or over the
// limits. Errors are as those of Parse.
func AsWritten(f Fields) (a Address, verified bool, err error) {
	a, err = shape(f)
	if err != nil {
		return Address{}, false, err
	}
	rest := a.f
	rest.Country = ""
	if !hasText(rest.Region + rest.City + rest.District + rest.PostCode + rest.SortingCode + rest.Street) {
		return Address{}, false, &FieldError{Whole, ErrMissing}
	}
	return a, rulesOf(a.f.Country).check(a.f) == nil, nil
}

// Restore returns the address with the given fields, without asking whether they are one. It is for fields that
// Address.Fields returned and that were stored since: rules may have become stricter, what has happened has not.
func Restore(f Fields) Address { return Address{f} }

// shape checks what every address of the world has in common and brings the fields to their stored form.
func shape(f Fields) (Address, error) {
	if f.Country == "" {
		return Address{}, &FieldError{Country, ErrMissing}
	}
	if !knownCountry(f.Country) {
		return Address{}, &FieldError{Country, ErrUnknownCountry}
	}
	lines := 1 // the country's
	for _, p := range []struct {
		name Field
		text *string
	}{
		{Region, &f.Region},
		{City, &f.City},
		{District, &f.District},
		{PostCode, &f.PostCode},
		{SortingCode, &f.SortingCode},
	} {
		s, err := Line(*p.text)
		if err != nil {
			return Address{}, &FieldError{p.name, err}
		}
		if s != "" {
			lines++
		}
		*p.text = s
	}
	street, n, err := streetLines(f.Street)
	if err != nil {
		return Address{}, &FieldError{Street, err}
	}
	if lines+n > MaxLines {
		return Address{}, &FieldError{Whole, ErrTooManyLines}
	}
	f.Street = street
	return Address{f}, nil
}

// streetLines reads the lines of a street. Empty lines before and after are white space around it; one in between is
// kept, since taking it out would be a correction.
func streetLines(s string) (string, int, error) {
	if s == "" {
		return "", 0, nil
	}
	if len(s) > MaxLines*(4*MaxLine+2) {
		return "", 0, ErrTooLong
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		var err error
		if lines[i], err = Line(l); err != nil {
			return "", 0, err
		}
	}
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines, "\n"), len(lines), nil
}
