package postal_test

import (
	"errors"
	"net/mail"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"pgregory.net/rapid"

	"utopia/processors/postal"
)

func TestParseEmail(t *testing.T) {
	for name, test := range map[string]struct {
		in, want string // want is in if empty
		err      error
	}{
		"a common one":                         {in: "saskia.devries+utopia@example.org"},
		"every character of an atom":           {in: "!#$%&'*+-/=?^_`{|}~0aZ@example.org"},
		"a machine of this net":                {in: "postmaster@localhost"},
		"letters of any script before the @":   {in: "δοκιμή@example.org"},
		"letters of any script behind it":      {in: "用户@例子.广告"},
		"marks inside a label":                 {in: "डेटा@डाटामेल.भारत"},
		"a joiner inside a label":              {in: "x@نامه\u200cای.com"},
		"white space around it goes":           {in: " saskia@example.org\r\n", want: "saskia@example.org"},
		"it is composed":                       {in: "jose\u0301@example.org", want: "josé@example.org"},
		"case is left alone":                   {in: "Saskia@Example.ORG"},
		"a quoted local part":                  {in: `"saskia de vries"@example.org`},
		"a quoted quote":                       {in: `"sas\"ki\\a"@example.org`},
		"an @ in quotes":                       {in: `"a@b"@example.org`},
		"an emoji":                             {in: "☃@example.org"},
		"a numeric domain":                     {in: "a@123.example"},
		"64 octets before the @":               {in: strings.Repeat("a", 64) + "@example.org"},
		"a label of 63 octets":                 {in: "a@" + strings.Repeat("b", 63) + ".org"},
		"254 octets":                           {in: strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61)},
		"nothing":                              {in: "", err: postal.ErrEmail},
		"no @":                                 {in: "example.org", err: postal.ErrEmail},
		"nothing before the @":                 {in: "@example.org", err: postal.ErrEmail},
		"nothing behind the @":                 {in: "saskia@", err: postal.ErrEmail},
		"two @":                                {in: "saskia@vries@example.org", err: postal.ErrEmail},
		"a dot at the start":                   {in: ".saskia@example.org", err: postal.ErrEmail},
		"a dot at the end":                     {in: "saskia.@example.org", err: postal.ErrEmail},
		"two dots":                             {in: "sas..kia@example.org", err: postal.ErrEmail},
		"a space":                              {in: "saskia vries@example.org", err: postal.ErrEmail},
		"an ideographic space":                 {in: "sas\u3000kia@example.org", err: postal.ErrEmail},
		"an invisible character":               {in: "sas\u200bkia@example.org", err: postal.ErrEmail},
		"a display name":                       {in: "Saskia <saskia@example.org>", err: postal.ErrEmail},
		"two recipients":                       {in: "a@example.org,b@example.org", err: postal.ErrEmail},
		"a header":                             {in: "a@example.org\r\nBcc: b@example.org", err: postal.ErrControlCharacter},
		"a header in quotes":                   {in: "\"a\r\nBcc: b\"@example.org", err: postal.ErrControlCharacter},
		"a line separator":                     {in: "a\u2028b@example.org", err: postal.ErrControlCharacter},
		"a C1 control":                         {in: "a\u0085b@example.org", err: postal.ErrControlCharacter},
		"an override":                          {in: "a\u202eb@example.org", err: postal.ErrControlCharacter},
		"a null":                               {in: "a\x00@example.org", err: postal.ErrControlCharacter},
		"bytes":                                {in: "a\xff@example.org", err: postal.ErrNotText},
		"an open quote":                        {in: `"a@example.org`, err: postal.ErrEmail},
		"a quote alone":                        {in: `"@example.org`, err: postal.ErrEmail},
		"a quote in the middle":                {in: `"a"b"@example.org`, err: postal.ErrEmail},
		"a backslash before the closing quote": {in: `"a\"@example.org`, err: postal.ErrEmail},
		"a backslash before a tailed letter":   {in: `"\é"@example.org`, err: postal.ErrEmail},
		"a backslash outside quotes":           {in: `a\b@example.org`, err: postal.ErrEmail},
		"a comment":                            {in: "a(comment)@example.org", err: postal.ErrEmail},
		"an address literal":                   {in: "a@[192.0.2.1]", err: postal.ErrEmail},
		"a dot behind the domain":              {in: "a@example.org.", err: postal.ErrEmail},
		"an empty label":                       {in: "a@example..org", err: postal.ErrEmail},
		"a hyphen first":                       {in: "a@-example.org", err: postal.ErrEmail},
		"a hyphen last":                        {in: "a@example-.org", err: postal.ErrEmail},
		"an underscore":                        {in: "a@exa_mple.org", err: postal.ErrEmail},
		"a mark first":                         {in: "a@\u0301b.org", err: postal.ErrEmail},
		"a symbol":                             {in: "a@☃.org", err: postal.ErrEmail},
		"a label of 64 octets":                 {in: "a@" + strings.Repeat("b", 64) + ".org", err: postal.ErrEmail},
		"a label of 64 octets in the DNS":      {in: "a@" + strings.Repeat("ü", 60) + ".org", err: postal.ErrEmail},
		"a domain too long for the DNS":        {in: "a@" + strings.Repeat(strings.Repeat("ü", 20)+"x.", 6) + "org", err: postal.ErrEmailTooLong},
		"65 octets before the @":               {in: strings.Repeat("a", 65) + "@example.org", err: postal.ErrEmailTooLong},
		"64 characters of two octets":          {in: strings.Repeat("é", 33) + "@example.org", err: postal.ErrEmailTooLong},
		"255 octets":                           {in: strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 62), err: postal.ErrEmailTooLong},
		"a megabyte":                           {in: strings.Repeat("a", 1<<20) + "@example.org", err: postal.ErrEmailTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := postal.ParseEmail(test.in)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			want := test.want
			if want == "" {
				want = test.in
			}
			if err == nil && string(got) != want {
				t.Fatalf("ParseEmail = %q, want %q", got, want)
			}
			if err != nil && postal.Code(err) == "" {
				t.Fatalf("%v has no code", err)
			}
		})
	}
}

// The lengths of labels agree with another implementation of Punycode.
func TestLabelsFitTheDNS(t *testing.T) {
	letters := []rune("aZ09äßéøжщяאבتپनคก가힣一丁龍ひカ𠀀𐌰")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringOfN(rapid.SampledFrom(letters), 1, 70, -1).Draw(t, "label")
		if len(label) > 200 {
			t.Skip("over the limit of the whole")
		}
		ascii, err := idna.New().ToASCII(strings.ToLower(label))
		if err != nil {
			t.Fatal(err)
		}
		_, err = postal.ParseEmail("a@" + label)
		if fits := len(ascii) <= 63; fits != (err == nil) {
			t.Fatalf("%q is %d octets in the DNS: %v", label, len(ascii), err)
		}
	})
}

func TestEmailsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.OneOf(rapid.StringN(1, 20, 64), rapid.StringMatching(`[a-z.]{1,20}|"[ -~]{0,20}"`)).Draw(t, "local")
		domain := rapid.OneOf(rapid.StringN(1, 20, 64), rapid.StringMatching(`[a-z0-9-]{1,10}(\.[a-zé]{2,5})?`)).Draw(t, "domain")
		stableEmail(t, local+"@"+domain)
	})
}

func stableEmail(t failer, s string) {
	e, err := postal.ParseEmail(s)
	if err != nil {
		if e != "" || postal.Code(err) == "" {
			t.Fatalf("%q: %q, %v", s, e, err)
		}
		return
	}
	if again, err := postal.ParseEmail(string(e)); again != e || err != nil {
		t.Fatalf("%q read again: %q, %v", e, again, err)
	}
	if strings.ContainsFunc(string(e), unicode.IsControl) || !utf8.ValidString(string(e)) || len(e) > 254 {
		t.Fatalf("accepted %q", e)
	}
	// Another reader finds one recipient in it, and the same one.
	if a, err := mail.ParseAddress(string(e)); err == nil && !strings.HasPrefix(string(e), `"`) && a.Address != string(e) {
		t.Fatalf("%q is %q to net/mail", e, a.Address)
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"a@example.org", `"a b"@example.org`, "用户@例子.广告", "a@b\r\nBcc: c@d", "a@xn--", "\"\\", "@", "é@ü.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { stableEmail(t, s) })
}
