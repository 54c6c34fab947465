package billing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"utopia/processors/billing"
)

func TestParse(t *testing.T) {
	id := func(s string) error { _, err := billing.ParseInvoiceID(s); return err }
	money := func(cents int64, currency string) error { _, err := billing.ParseMoney(cents, currency); return err }
	text := func(s string) error { _, err := billing.ParseText(s); return err }
	tests := map[string]struct{ got, want error }{
		"an id of every kind of character":  {id("aZ09._~-"), nil},
		"an id of 64 characters":            {id(strings.Repeat("i", 64)), nil},
		"an id of 65 characters":            {id(strings.Repeat("i", 65)), billing.ErrInvoiceID},
		"an empty id":                       {id(""), billing.ErrInvoiceID},
		"an id with a slash":                {id("a/b"), billing.ErrInvoiceID},
		"an id in another script":           {id("счёт"), billing.ErrInvoiceID},
		"one cent":                          {money(1, "EUR"), nil},
		"as much as there may be":           {money(1_000_000_000_000, "JPY"), nil},
		"more than there may be":            {money(1_000_000_000_001, "JPY"), billing.ErrAmount},
		"nothing":                           {money(0, "EUR"), billing.ErrAmount},
		"less than nothing":                 {money(-5, "EUR"), billing.ErrAmount},
		"a currency in small letters":       {money(1, "eur"), billing.ErrCurrency},
		"a currency of two letters":         {money(1, "EU"), billing.ErrCurrency},
		"a currency with a digit":           {money(1, "E1R"), billing.ErrCurrency},
		"no text":                           {text(""), nil},
		"a text of several lines":           {text("für März\nund April"), nil},
		"a text as long as it may be":       {text(strings.Repeat("x", billing.MaxText)), nil},
		"a text longer than it may be":      {text(strings.Repeat("x", billing.MaxText+1)), billing.ErrText},
		"a text with a control character":   {text("a\x07b"), billing.ErrText},
		"a text that is not UTF-8":          {text("a\xff"), billing.ErrText},
		"a text with a carriage return":     {text("a\r\nb"), billing.ErrText},
		"a text with a C1 control sequence": {text("a\u0085b"), billing.ErrText},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !errors.Is(tt.got, tt.want) {
				t.Fatalf("%v, want %v", tt.got, tt.want)
			}
		})
	}
}

func TestEveryRefusalHasItsOwnCodeAndSentence(t *testing.T) {
	codes := map[string]bool{"": true}
	for _, err := range billing.Refusals() {
		code := billing.Code(fmt.Errorf("wrapped: %w", err))
		if codes[code] {
			t.Errorf("%v: code %q is empty or used twice", err, code)
		}
		codes[code] = true
		if !strings.Contains(err.Error(), " ") {
			t.Errorf("%q is no sentence", err)
		}
	}
	if len(codes) != 12 {
		t.Errorf("%d refusals", len(codes)-1)
	}
	if code := billing.Code(errors.New("anything else")); code != "" {
		t.Errorf("code %q for an error that is no refusal", code)
	}
}

func TestHashIsTheFirstBytesOfSHA256(t *testing.T) {
	// echo -n abc | sha256sum: ba7816bf8f01cfea…
	want := uint64(0xba7816bf8f01cfea)
	if got := billing.InvoiceID("abc").Hash(); uint64(got) != want {
		t.Fatalf("%x, want %x", uint64(got), want)
	}
}
