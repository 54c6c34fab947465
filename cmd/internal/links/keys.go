package links

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"runtime"
	"strings"
)

// What can be wrong with a key file.
var (
	// ErrNoKeys says that there is no key to sign with.
	ErrNoKeys = errors.New("no key to sign links with")
	// ErrKeyFile says that a line is not KEYID:BASE64SECRET, that a secret is short, or that an id is there twice.
	ErrKeyFile = errors.New("bad key file")
	// ErrExposed says that everybody on the machine can read the file.
	ErrExposed = errors.New("it is readable by everybody")
)

const (
	// MinSecret is the least length of a secret in bytes, that of the hash: RFC 2104, section 3, discourages less.
	MinSecret = sha256.Size
	maxKeyID  = 32
	maxFile   = 64 << 10
)

// Keys signs with its first key and verifies with all: to rotate, put a new line first, restart the binaries one by one,
// and remove the old line when its last link has expired. The zero value signs and verifies nothing.
// It prints as the number of keys, whatever verb or logger prints it.
type Keys struct{ list []key }

type key struct {
	id     string
	secret []byte
}

// Len returns the number of keys.
func (k Keys) Len() int { return len(k.list) }

// Secrets gives id and secret of each key, the signing key first, to those who derive keys of their own from them.
func (k Keys) Secrets() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, one := range k.list {
			if !yield(one.id, bytes.Clone(one.secret)) {
				return
			}
		}
	}
}

// String keeps secrets out of messages.
func (k Keys) String() string { return fmt.Sprintf("%d link keys", len(k.list)) }

// GoString keeps secrets out of %#v.
func (k Keys) GoString() string { return k.String() }

// Format keeps secrets out of every other verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue keeps secrets out of structured logs.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k Keys) byID(id string) (key, bool) {
	for _, one := range k.list {
		if one.id == id { // not a secret: it is in every token
			return one, true
		}
	}
	return key{}, false
}

// mac signs version and key id with the payload, so that a token cannot be moved to another key or format.
func (k key) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	_, _ = fmt.Fprintf(h, "utopia link %s %s\n", version, k.id)
	_, _ = h.Write(payload)
	return h.Sum(nil)
}

// First returns the id of the key that signs; empty without keys.
func (k Keys) First() string {
	if len(k.list) == 0 {
		return ""
	}
	return k.list[0].id
}

// Derive makes a secret of MinSecret bytes from the key with the given id: another one for each purpose and each data, and none of
// them says anything about the key or the others. ErrUnknownKey if the file has no such key.
func (k Keys) Derive(id, purpose string, data []byte) ([]byte, error) {
	one, ok := k.byID(id)
	if !ok {
		return nil, ErrUnknownKey
	}
	h := hmac.New(sha256.New, one.secret)
	_, _ = fmt.Fprintf(h, "utopia %s %s\n", purpose, one.id)
	_, _ = h.Write(data)
	return h.Sum(nil), nil
}

// LoadKeys reads a key file: one KEYID:BASE64SECRET a line, the signing key first; empty lines and lines that begin with
// # are skipped. A file that everybody may read is refused, because the kinder alternative is a secret that is none;
// readable by the group is allowed (an orchestrator gives mounted secrets to a group).
// Errors: ErrExposed, ErrKeyFile, ErrNoKeys, those of the file system. None of them quotes a line.
func LoadKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return Keys{}, fmt.Errorf("key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Keys{}, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Keys{}, fmt.Errorf("key file %s: %w: not a file", path, ErrKeyFile)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return Keys{}, fmt.Errorf("key file %s: %w (mode %04o): chmod 640 it", path, ErrExposed, info.Mode().Perm())
	}
	k, err := ParseKeys(f)
	if err != nil {
		return Keys{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// ParseKeys reads the lines of a key file from r. Errors: ErrKeyFile with the number of the line, ErrNoKeys.
func ParseKeys(r io.Reader) (Keys, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return Keys{}, err
	}
	if len(b) > maxFile {
		return Keys{}, fmt.Errorf("%w: over %d bytes", ErrKeyFile, maxFile)
	}
	var keys Keys
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseKey(line)
		if err != nil {
			return Keys{}, fmt.Errorf("%w: line %d: %w", ErrKeyFile, n, err)
		}
		if _, ok := keys.byID(k.id); ok {
			return Keys{}, fmt.Errorf("%w: line %d: a key id is there twice", ErrKeyFile, n)
		}
		keys.list = append(keys.list, k)
	}
	if err := lines.Err(); err != nil {
		return Keys{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if len(keys.list) == 0 {
		return Keys{}, ErrNoKeys
	}
	return keys, nil
}

func parseKey(line string) (key, error) {
	id, text, ok := strings.Cut(line, ":")
	if !ok {
		return key{}, errors.New("not KEYID:BASE64SECRET")
	}
	if !validKeyID(id) {
		return key{}, fmt.Errorf("a key id is 1 to %d of A–Z a–z 0–9 _ -", maxKeyID)
	}
	// Padded or not, either alphabet: tools that print random bytes differ.
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	secret, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return key{}, errors.New("the secret is not base64") // the library's error tells the position only, but why risk it
	}
	if len(secret) < MinSecret {
		return key{}, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(secret), MinSecret)
	}
	return key{id: id, secret: secret}, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// GenerateKey returns a new line for a key file, without the line's end: a random secret under the given id.
// Error: ErrKeyFile for an id that a key file cannot hold.
func GenerateKey(id string) (string, error) {
	if !validKeyID(id) {
		return "", fmt.Errorf("%w: a key id is 1 to %d of A–Z a–z 0–9 _ -", ErrKeyFile, maxKeyID)
	}
	secret := make([]byte, MinSecret)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	return id + ":" + base64.StdEncoding.EncodeToString(secret), nil
}

// LoadOrCreateKeys loads a key file, or makes one with one random key, readable by its owner only, if there is none.
// It is for `utopia up`, whose links must outlive a restart; a deployed binary is given a file.
// Two that create at the same time end with the same keys. Errors: as LoadKeys.
func LoadOrCreateKeys(path string) (Keys, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createKeys(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return Keys{}, fmt.Errorf("key file: %w", err)
		}
	}
	return LoadKeys(path)
}

// createKeys links a finished file into place, so that nobody ever reads half a key.
func createKeys(path string) error {
	line, err := GenerateKey("dev")
	if err != nil {
		return err
	}
	tmp := path + "." + rand.Text()
	if err := os.WriteFile(tmp, []byte(line+"\n"), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	return os.Link(tmp, path)
}
