package links_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/cmd/internal/links"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func claims() links.Claims {
	return links.Claims{Purpose: "confirm_address_change", Subject: "c-17", Change: "0198c1", ExpiresAt: noon.Add(72 * time.Hour)}
}

func keyFile(tb testing.TB, ids ...string) links.Keys {
	tb.Helper()
	var lines strings.Builder
	for _, id := range ids {
		secret := bytes.Repeat([]byte(id[:1]), links.MinSecret)
		fmt.Fprintf(&lines, "%s:%s\n", id, base64.StdEncoding.EncodeToString(secret))
	}
	k, err := links.ParseKeys(strings.NewReader(lines.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestToken(t *testing.T) {
	old, both, recent := keyFile(t, "a"), keyFile(t, "b", "a"), keyFile(t, "b")
	sign := func(k links.Keys) string {
		s, err := links.Sign(k, claims())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	otherSecret := keyFile(t, "bb") // another secret under another id; renamed below
	moved := strings.Replace(sign(otherSecret), "v1.bb.", "v1.b.", 1)
	expiry := claims().ExpiresAt
	for name, tc := range map[string]struct {
		keys  links.Keys
		token string
		now   time.Time
		err   error
	}{
		"a token verifies with the key that signed it":               {both, sign(both), noon, nil},
		"a token of the retired first key verifies while it is kept": {both, sign(old), noon, nil},
		"the first key signs":                              {recent, sign(both), noon, nil},
		"a removed key's tokens are dead":                  {recent, sign(old), noon, links.ErrUnknownKey},
		"a token is alive a millisecond before its expiry": {both, sign(both), expiry.Add(-time.Millisecond), nil},
		"a token is dead at its expiry":                    {both, sign(both), expiry, links.ErrExpired},
		"a signature cannot be moved to another key id":    {recent, moved, noon, links.ErrForged},
		"nothing is not a token":                           {both, "", noon, links.ErrMalformed},
		"a cut token is damaged":                           {both, sign(both)[:60], noon, links.ErrMalformed},
		"a short signature is damaged":                     {both, sign(both)[:len(sign(both))-4], noon, links.ErrMalformed},
		"a trailing newline is not skipped":                {both, sign(both) + "\n", noon, links.ErrMalformed},
		"an endless text is not decoded":                   {both, "v1.a." + strings.Repeat("A", 1<<20) + ".A", noon, links.ErrMalformed},
		"no keys verify nothing":                           {links.Keys{}, sign(both), noon, links.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := links.Verify(tc.keys, tc.token, tc.now)
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			want := claims()
			if tc.err != nil && !errors.Is(tc.err, links.ErrExpired) {
				want = links.Claims{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestSignRefusesWhatVerifyCouldNotRead(t *testing.T) {
	for name, change := range map[string]func(*links.Claims){
		"no purpose":     func(c *links.Claims) { c.Purpose = "" },
		"no expiry":      func(c *links.Claims) { c.ExpiresAt = time.Time{} },
		"a field of 256": func(c *links.Claims) { c.Change = strings.Repeat("x", 256) },
	} {
		c := claims()
		change(&c)
		if _, err := links.Sign(keyFile(t, "a"), c); !errors.Is(err, links.ErrClaims) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := links.Sign(links.Keys{}, claims()); !errors.Is(err, links.ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
}

// TestEveryFieldIsSigned: what comes out is what went in, and no two claims share a token.
func TestEveryFieldIsSigned(t *testing.T) {
	keys := keyFile(t, "a")
	field := rapid.StringMatching(`[a-z.\x00é#]{1,8}`)
	draw := func(t *rapid.T, name string) links.Claims {
		return links.Claims{
			Purpose: field.Draw(t, name+" purpose"), Subject: field.Draw(t, name+" subject"),
			Change:    rapid.OneOf(rapid.Just(""), field).Draw(t, name+" change"),
			ExpiresAt: time.UnixMilli(rapid.Int64Range(1, 1<<45).Draw(t, name+" expiry")).UTC(),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c, d := draw(t, "one"), draw(t, "other")
		one, err := links.Sign(keys, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := links.Verify(keys, one, c.ExpiresAt.Add(-time.Millisecond))
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		other, err := links.Sign(keys, d)
		if err != nil || (one == other) != (c == d) {
			t.Fatalf("%v and %v: same token %v (%v)", c, d, one == other, err)
		}
	})
}

// TestNoOtherTextVerifies changes a genuine token in one place, also in the bits that base64 would ignore.
func TestNoOtherTextVerifies(t *testing.T) {
	keys := keyFile(t, "a")
	token, err := links.Sign(keys, claims())
	if err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\n "
	for i := range token {
		for _, c := range []byte(alphabet) {
			if token[i] == c {
				continue
			}
			changed := token[:i] + string(c) + token[i+1:]
			if _, err := links.Verify(keys, changed, noon); err == nil {
				t.Fatalf("verified with byte %d changed to %q", i, c)
			}
		}
	}
}

func TestGuessesHitNothing(t *testing.T) {
	keys := keyFile(t, "a")
	token, err := links.Sign(keys, claims())
	if err != nil {
		t.Fatal(err)
	}
	content := token[:strings.LastIndex(token, ".")+1]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	sum := make([]byte, 32)
	for range 100_000 {
		for i := range sum {
			sum[i] = byte(r.Uint32())
		}
		if _, err := links.Verify(keys, content+base64.RawURLEncoding.EncodeToString(sum), noon); !errors.Is(err, links.ErrForged) {
			t.Fatalf("a guess: %v", err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys := keyFile(f, "a")
	token, err := links.Sign(keys, claims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("v1.a..")
	f.Add("v1.a.AAAA." + strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := links.Verify(keys, s, noon)
		if (err == nil) != (s == token) {
			t.Fatalf("%q: %v %v", s, c, err)
		}
	})
}

func TestURLKeepsTheTokenInTheFragment(t *testing.T) {
	token, err := links.Sign(keyFile(t, "a"), claims())
	if err != nil {
		t.Fatal(err)
	}
	page, err := url.Parse("https://example.com/confirm?lang=nl")
	if err != nil {
		t.Fatal(err)
	}
	link := links.URL(page, token)
	got, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	if got.Fragment != token || strings.Contains(got.RequestURI(), token) || got.RequestURI() != "/confirm?lang=nl" {
		t.Fatal(link)
	}
	if page.Fragment != "" {
		t.Fatal("the page's address was changed")
	}
	for _, s := range []string{token, link, "  " + link + "\n"} {
		if links.Token(s) != token {
			t.Errorf("Token(%q) = %q", s, links.Token(s))
		}
	}
}

func TestParseKeys(t *testing.T) {
	good := "k:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))
	for name, tc := range map[string]struct {
		text string
		n    int
		err  error
	}{
		"comments and empty lines are skipped": {"# keys\n\n" + good + "\n", 1, nil},
		"the other alphabet is read":           {strings.ReplaceAll(good, "/", "_"), 1, nil},
		"without padding":                      {strings.TrimRight(good, "="), 1, nil},
		"with a carriage return":               {good + "\r\n", 1, nil},
		"a short secret is refused":            {"k:" + base64.StdEncoding.EncodeToString(make([]byte, 31)), 0, links.ErrKeyFile},
		"the same id twice is refused":         {good + "\n" + good, 0, links.ErrKeyFile},
		"a line without a colon is refused":    {"secret", 0, links.ErrKeyFile},
		"an id with a dot is refused":          {"a.b" + good, 0, links.ErrKeyFile},
		"what is not base64 is refused":        {"k:%%%%", 0, links.ErrKeyFile},
		"an empty file has no key":             {"# nothing\n", 0, links.ErrNoKeys},
		"a huge file is refused":               {strings.Repeat("#", 1<<20), 0, links.ErrKeyFile},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := links.ParseKeys(strings.NewReader(tc.text))
			if !errors.Is(err, tc.err) || k.Len() != tc.n {
				t.Fatalf("%v, error %v, want %d and %v", k, err, tc.n, tc.err)
			}
			if err != nil && strings.Contains(err.Error(), "%%%%") {
				t.Fatalf("the error quotes the line: %v", err)
			}
		})
	}
}

func TestKeysNeverPrint(t *testing.T) {
	keys := keyFile(t, "a")
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", slog.Any("keys", keys))
	fmt.Fprintf(&out, "%v %+v %#v %s %x %q %d", keys, keys, keys, keys, keys, keys, keys)
	fmt.Fprintf(&out, "%v %+v", struct{ K links.Keys }{keys}, &keys)
	for _, secret := range []string{"aaaa", "6161", "97 97", "YWFh"} {
		if strings.Contains(out.String(), secret) {
			t.Fatalf("%q is in %s", secret, out.String())
		}
	}
}

func TestLoadKeys(t *testing.T) {
	line, err := links.GenerateKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys")
	for _, tc := range []struct {
		mode os.FileMode
		err  error
	}{{0o600, nil}, {0o640, nil}, {0o644, links.ErrExposed}, {0o602, links.ErrExposed}} {
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := links.LoadKeys(path); !errors.Is(err, tc.err) {
			t.Errorf("mode %04o: %v, want %v", tc.mode, err, tc.err)
		}
	}
	if _, err := links.LoadKeys(t.TempDir()); err == nil {
		t.Error("a directory was read as a key file")
	}
	if _, err := links.LoadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := links.GenerateKey("a:b"); !errors.Is(err, links.ErrKeyFile) {
		t.Errorf("id with a colon: %v", err)
	}
}

func TestLoadOrCreateKeysAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			k, err := links.LoadOrCreateKeys(path)
			if err != nil {
				t.Error(err)
				return
			}
			if tokens[i], err = links.Sign(k, claims()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range tokens {
		if s == "" || s != tokens[0] {
			t.Fatal("two callers have different keys")
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Fatalf("files left: %v (%v)", left, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v (%v)", info.Mode(), err)
	}
}
