// Package links makes and verifies the tokens in confirmation links.
//
// A token is an HMAC-SHA-256 over what the link asks for: purpose, subject, change and expiry. The mailer signs when it
// sends, whoever receives the posted token verifies, and nothing in between knows a secret. The package deliberately
// does not know whether a token has been used: single use belongs to the state machine of the change.
package links

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What can be wrong with a token. Verify wraps exactly one of them.
var (
	// ErrMalformed says that the text is not a token at all: cut off, changed by a mail program, or a guess.
	ErrMalformed = errors.New("the link is damaged")
	// ErrUnknownKey says that no key in the file signed this token: the key was retired, or the token is a guess.
	ErrUnknownKey = errors.New("the link was signed with a key that is no longer known")
	// ErrForged says that the signature does not belong to the content.
	ErrForged = errors.New("the link was not made by us")
	// ErrExpired says that the token is genuine and too old. The claims are returned with it.
	ErrExpired = errors.New("the link has expired")
	// ErrClaims says that claims cannot be signed: a field is missing, too long, or the expiry is out of range.
	ErrClaims = errors.New("the link asks for nothing that can be signed")
)

const (
	maxField = 255 // bytes; longer than any id, and one length byte could hold it
	// maxToken bounds the work that a guess can cause: three fields, the expiry, a key id, the signature, in base64.
	maxToken = 2048
	version  = "v1" // signed too, so that a later format cannot be mistaken for this one
)

// Claims is what a link asks for.
type Claims struct {
	Purpose   string    // what the link does, in the sender's words, e.g. "confirm_address_change"
	Subject   string    // the key of the aggregate, e.g. a customer id; may be empty where the purpose needs none
	Change    string    // the id of the change; may be empty where the purpose needs none
	ExpiresAt time.Time // the first moment at which the link is dead; whole milliseconds, UTC
}

// Sign returns the token for c, signed with the first key. Its characters are those of URL fragments.
// The expiry is cut to milliseconds, the precision of times in records. Errors: ErrClaims, ErrNoKeys.
func Sign(keys Keys, c Claims) (string, error) {
	if len(keys.list) == 0 {
		return "", ErrNoKeys
	}
	payload, err := encode(c)
	if err != nil {
		return "", err
	}
	k := keys.list[0]
	return strings.Join([]string{version, k.id, enc().EncodeToString(payload), enc().EncodeToString(k.mac(payload))}, "."), nil
}

// Verify returns what a token asks for, if one of the keys signed it and now is before its expiry.
// Errors: ErrMalformed, ErrUnknownKey, ErrForged, ErrExpired (with the claims). None of them quotes the token.
// The caller checks that the purpose is the one it serves.
func Verify(keys Keys, token string, now time.Time) (Claims, error) {
	id, payload, sum, err := split(token)
	if err != nil {
		return Claims{}, err
	}
	k, ok := keys.byID(id)
	if !ok {
		return Claims{}, ErrUnknownKey
	}
	if !hmac.Equal(sum, k.mac(payload)) { // Constant time: a guess learns nothing from how long the answer takes.
		return Claims{}, ErrForged
	}
	c, err := decode(payload)
	if err != nil {
		return Claims{}, err
	}
	if !now.Before(c.ExpiresAt) {
		return c, ErrExpired
	}
	return c, nil
}

// URL puts a token into the fragment of a page's address. The fragment never leaves the browser by itself: it is in no
// server's log, no Referer header and no proxy, and the page posts it. Query and path of the page stay as they are.
func URL(page *url.URL, token string) string {
	u := *page
	u.Fragment, u.RawFragment = token, ""
	return u.String()
}

// Token returns the token in s, which is either a token or a link made by URL: people paste what they have.
func Token(s string) string {
	s = strings.TrimSpace(s)
	if _, after, ok := strings.Cut(s, "#"); ok {
		return after
	}
	return s
}

// enc is unpadded and strict: without Strict, several texts would decode to the same bytes and all of them verify.
func enc() *base64.Encoding { return base64.RawURLEncoding.Strict() }

func split(token string) (id string, payload, sum []byte, err error) {
	if len(token) > maxToken {
		return "", nil, nil, ErrMalformed
	}
	if strings.ContainsAny(token, "\r\n") { // the base64 decoder skips them
		return "", nil, nil, ErrMalformed
	}
	parts := strings.Split(token, ".")
	if len(parts) != 4 || parts[0] != version {
		return "", nil, nil, ErrMalformed
	}
	if payload, err = enc().DecodeString(parts[2]); err != nil {
		return "", nil, nil, ErrMalformed
	}
	if sum, err = enc().DecodeString(parts[3]); err != nil || len(sum) != sha256.Size {
		return "", nil, nil, ErrMalformed
	}
	return parts[1], payload, sum, nil
}

// encode writes every field with its length before it, so that no two claims have the same bytes.
func encode(c Claims) ([]byte, error) {
	if c.Purpose == "" {
		return nil, fmt.Errorf("%w: a purpose is needed", ErrClaims)
	}
	ms := c.ExpiresAt.UnixMilli()
	if ms <= 0 {
		return nil, fmt.Errorf("%w: an expiry is needed", ErrClaims)
	}
	var b []byte
	for _, s := range []string{c.Purpose, c.Subject, c.Change} {
		if len(s) > maxField {
			return nil, fmt.Errorf("%w: a field is longer than %d bytes", ErrClaims, maxField)
		}
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	return binary.BigEndian.AppendUint64(b, uint64(ms)), nil
}

// decode is the reverse of encode. It runs on authentic bytes only, but trusts them no more than others.
func decode(b []byte) (Claims, error) {
	var c Claims
	for _, p := range []*string{&c.Purpose, &c.Subject, &c.Change} {
		if len(b) == 0 || len(b)-1 < int(b[0]) {
			return Claims{}, ErrMalformed
		}
		n := int(b[0])
		*p, b = string(b[1:1+n]), b[1+n:]
	}
	if len(b) != 8 {
		return Claims{}, ErrMalformed
	}
	c.ExpiresAt = time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	if _, err := encode(c); err != nil {
		return Claims{}, ErrMalformed
	}
	return c, nil
}
