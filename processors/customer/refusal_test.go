package customer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

func TestEveryRefusalHasItsOwnCode(t *testing.T) {
	seen := map[string]error{}
	for _, err := range customer.Refusals() {
		code := customer.Code(fmt.Errorf("wrapped: %w", err))
		if code == "" || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%v: code %q", err, code)
		}
		if seen[code] != nil {
			t.Errorf("%v and %v share the code %q", err, seen[code], code)
		}
		seen[code] = err
		if back, ok := customer.RefusalByCode(code); !ok || !errors.Is(back, err) {
			t.Errorf("RefusalByCode(%q) = %v, %v; want %v", code, back, ok, err)
		}
	}
	for _, want := range []string{"not_active", "not_due", "version_conflict", "post_code", "email"} {
		if seen[want] == nil {
			t.Errorf("no refusal has the code %q; callers switch on it", want)
		}
	}
	if code := customer.Code(errors.New("another error")); code != "" {
		t.Errorf("a foreign error has code %q", code)
	}
	if _, ok := customer.RefusalByCode("no_such_code"); ok {
		t.Error("RefusalByCode knows a code that nothing has")
	}
}

func TestParseName(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		want customer.Name
		err  error
	}{
		"a name":                            {in: "Saskia de Vries", want: "Saskia de Vries"},
		"white space around it goes":        {in: " \u3000山田太郎\n", want: "山田太郎"},
		"a name is composed":                {in: "Jose\u0301", want: "José"},
		"spelling is left alone":            {in: "saskia  VAN'T  hof", want: "saskia  VAN'T  hof"},
		"a joiner is no control":            {in: "شاه\u200cرخ", want: "شاه\u200cرخ"},
		"a name has a letter":               {in: " — ", err: customer.ErrName},
		"a name is not empty":               {in: "", err: customer.ErrName},
		"a name is one line":                {in: "Saskia\r\nBcc: all@example.org", err: postal.ErrControlCharacter},
		"a name does not run backwards":     {in: "Saskia \u202egpj.exe", err: postal.ErrControlCharacter},
		"a name is text":                    {in: "Saskia \xff", err: postal.ErrNotText},
		"a name has at most 200 characters": {in: strings.Repeat("é", 201), err: postal.ErrTooLong},
		"200 characters are a name":         {in: strings.Repeat("é", 200), want: customer.Name(strings.Repeat("é", 200))},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := customer.ParseName(test.in)
			if got != test.want || !errors.Is(err, test.err) {
				t.Fatalf("ParseName = %q, %v; want %q, %v", got, err, test.want, test.err)
			}
			if err != nil && customer.Code(err) == "" {
				t.Fatalf("%v has no code", err)
			}
		})
	}
}

func TestParseLanguage(t *testing.T) {
	for _, good := range []string{"", "en", "nl", "pt-BR", "zh-Hant-TW", "sr-Latn", "de-CH-1996", "gsw", "es-419"} {
		if got, err := customer.ParseLanguage(good); err != nil || got != customer.Language(good) {
			t.Errorf("ParseLanguage(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"e", "x-klingon", "-", "en-", "-en", "en_US", "en us", "en--us", "12", "überlang", "en-toolongsubtag", strings.Repeat("ab-", 20) + "ab", "en\n"} {
		if _, err := customer.ParseLanguage(bad); !errors.Is(err, customer.ErrLanguage) {
			t.Errorf("ParseLanguage(%q): %v, want ErrLanguage", bad, err)
		}
	}
}
