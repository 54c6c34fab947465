package login

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"utopia/cmd/internal/links"
)

// ErrSealed says that a cookie was not sealed by us, or for something else. It never says which.
var ErrSealed = errors.New("the cookie is not ours")

// Keys seal cookies with the first key and open them with all. The file is like that of the link keys: KEYID:BASE64SECRET a
// line, the sealing key first. To rotate, put a new line first, restart the gateways one by one, and remove the old line when
// Lifetime has passed.
type Keys struct{ list []key }

type key struct {
	id   string
	aead cipher.AEAD
}

// LoadKeys reads a key file; it must not be readable by everybody. Errors: those of links.LoadKeys.
func LoadKeys(path string) (Keys, error) {
	k, err := links.LoadKeys(path)
	if err != nil {
		return Keys{}, err
	}
	return derive(k)
}

// ParseKeys reads the lines of a key file. Errors: those of links.ParseKeys.
func ParseKeys(r io.Reader) (Keys, error) {
	k, err := links.ParseKeys(r)
	if err != nil {
		return Keys{}, err
	}
	return derive(k)
}

// RandomKeys are good for as long as this process lives: for development, and for tests.
func RandomKeys() (Keys, error) {
	line, err := links.GenerateKey("process")
	if err != nil {
		return Keys{}, err
	}
	return ParseKeys(strings.NewReader(line))
}

// derive makes sealing keys, so that a file that is used for links, too, by mistake, opens nothing.
func derive(from links.Keys) (Keys, error) {
	var k Keys
	for id, secret := range from.Secrets() {
		derived, err := hkdf.Key(sha256.New, secret, nil, "utopia session v1", 32)
		if err != nil {
			return Keys{}, fmt.Errorf("session keys: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return Keys{}, fmt.Errorf("session keys: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Keys{}, fmt.Errorf("session keys: %w", err)
		}
		k.list = append(k.list, key{id, aead})
	}
	return k, nil
}

// String keeps secrets out of messages.
func (k Keys) String() string { return fmt.Sprintf("%d session keys", len(k.list)) }

// seal makes a cookie's value; what is sealed for one purpose does not open for another.
func (k Keys) seal(purpose string, plain []byte) string {
	first := k.list[0]
	sealed := first.aead.Seal(nil, nil, plain, []byte(purpose+" "+first.id))
	return first.id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

func (k Keys) open(purpose, value string) ([]byte, error) {
	id, text, _ := strings.Cut(value, ".")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrSealed
	}
	for _, one := range k.list {
		if one.id != id {
			continue
		}
		plain, err := one.aead.Open(nil, nil, sealed, []byte(purpose+" "+id))
		if err != nil {
			return nil, ErrSealed
		}
		return plain, nil
	}
	return nil, ErrSealed
}

// random is a fresh unguessable text.
func random() string { return rand.Text() }
