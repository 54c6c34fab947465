package postal

import (
	"errors"

	"utopia/processors/refusal"
)

// Why an address, an e-mail address or a line of text is refused.
var (
	// ErrUnknownCountry: not an ISO 3166-1 alpha-2 code in upper case.
	ErrUnknownCountry = errors.New("no country has this code (ISO 3166-1 alpha-2, upper case)")
	// ErrMissing: the country's addresses need this field, and it has no letter or digit.
	ErrMissing = errors.New("is missing")
	// ErrPostCode: not the form of the country's post codes.
	ErrPostCode = errors.New("does not have the form that the country uses")
	// ErrPostCodeRegion: a post code of another region than the one given.
	ErrPostCodeRegion = errors.New("does not belong to the region")
	// ErrNotText: not valid UTF-8.
	ErrNotText = errors.New("is not valid UTF-8")
	// ErrControlCharacter: a control code, a line separator or a bidirectional override within a line.
	ErrControlCharacter = errors.New("has a control character in it")
	// ErrTooLong: a line of more than MaxLine characters.
	ErrTooLong = errors.New("is longer than 200 characters")
	// ErrTooManyLines: an address of more than MaxLines lines.
	ErrTooManyLines = errors.New("has more than 20 lines")
	// ErrEmail: not a mailbox by RFC 5321, section 4.1.2, with the extensions of RFC 6531, section 3.3.
	ErrEmail = errors.New("this is not an e-mail address (RFC 5321, RFC 6531)")
	// ErrEmailTooLong: over the limits of RFC 5321, section 4.5.3.1.
	ErrEmailTooLong = errors.New("the e-mail address is longer than mail can carry (RFC 5321: 64 before the @, 254 in all)")
)

func refusals() refusal.Table {
	return refusal.Table{
		{ErrUnknownCountry, "unknown_country"},
		{ErrMissing, "incomplete_address"},
		{ErrPostCode, "post_code"},
		{ErrPostCodeRegion, "post_code_region"},
		{ErrNotText, "not_text"},
		{ErrControlCharacter, "control_character"},
		{ErrTooLong, "too_long"},
		{ErrTooManyLines, "too_many_lines"},
		{ErrEmail, "email"},
		{ErrEmailTooLong, "email_too_long"},
	}
}

// Code returns the stable code of one of the package's errors, "" for any other.
func Code(err error) string { return refusals().Code(err) }

// Refusals returns every sentinel error of the package.
func Refusals() []error { return refusals().Errors() }
