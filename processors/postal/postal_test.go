package postal_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"utopia/processors/postal"
)

func TestTheWorldIsAccepted(t *testing.T) {
	addresses := world()
	if len(addresses) < 30 {
		t.Fatalf("%d countries are not the world", len(addresses))
	}
	for code, f := range addresses {
		t.Run(code, func(t *testing.T) {
			a, err := postal.Parse(f)
			if err != nil {
				t.Fatal(err)
			}
			if a.Country() != code {
				t.Fatalf("country %q", a.Country())
			}
			if diff := cmp.Diff(f, a.Fields()); diff != "" {
				t.Fatalf("not as written (-written +kept):\n%s", diff)
			}
			if b, verified, err := postal.AsWritten(f); b != a || !verified || err != nil {
				t.Fatalf("AsWritten = %v, %v, %v", b, verified, err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	gouda := postal.Fields{Country: "NL", City: "Gouda", PostCode: "2801 AB", Street: "Markt 1"}
	with := func(change func(*postal.Fields)) postal.Fields { f := gouda; change(&f); return f }
	line := strings.Repeat("x", postal.MaxLine)
	for name, test := range map[string]struct {
		in    postal.Fields
		want  postal.Fields
		field postal.Field
		err   error
	}{
		"white space around a field goes":          {in: with(func(f *postal.Fields) { f.City, f.Street = " Gouda\u00a0\n", "\n \tMarkt 1 \r\n\u3000Poort B \n\n" }), want: with(func(f *postal.Fields) { f.Street = "Markt 1\nPoort B" })},
		"an empty line between two stays":          {in: with(func(f *postal.Fields) { f.Street = "Markt 1\n\nPoort B" }), want: with(func(f *postal.Fields) { f.Street = "Markt 1\n\nPoort B" })},
		"text is composed":                         {in: with(func(f *postal.Fields) { f.City = "Bree\u0301" }), want: with(func(f *postal.Fields) { f.City = "Breé" })},
		"spelling and case are left alone":         {in: with(func(f *postal.Fields) { f.City, f.PostCode, f.Street = "GOUDA", "2801ab", "markt  1" }), want: with(func(f *postal.Fields) { f.City, f.PostCode, f.Street = "GOUDA", "2801ab", "markt  1" })},
		"a region that labels do not print stays":  {in: with(func(f *postal.Fields) { f.Region = "Zuid-Holland" }), want: with(func(f *postal.Fields) { f.Region = "Zuid-Holland" })},
		"fullwidth digits are digits":              {in: postal.Fields{Country: "JP", Region: "東京都", City: "港区", PostCode: "１０５-００１１", Street: "芝公園4丁目2-8"}, want: postal.Fields{Country: "JP", Region: "東京都", City: "港区", PostCode: "１０５-００１１", Street: "芝公園4丁目2-8"}},
		"mathematical digits are digits":           {in: with(func(f *postal.Fields) { f.PostCode = "𝟚𝟠𝟘𝟙AB" }), want: with(func(f *postal.Fields) { f.PostCode = "𝟚𝟠𝟘𝟙AB" })},
		"a region the list does not have is kept":  {in: postal.Fields{Country: "US", Region: "Jefferson", City: "Yreka", PostCode: "96097", Street: "1 Main St"}, want: postal.Fields{Country: "US", Region: "Jefferson", City: "Yreka", PostCode: "96097", Street: "1 Main St"}},
		"a post code where there are none is kept": {in: postal.Fields{Country: "ZW", City: "Harare", PostCode: "00000", Street: "Samora Machel Ave 12"}, want: postal.Fields{Country: "ZW", City: "Harare", PostCode: "00000", Street: "Samora Machel Ave 12"}},

		"an address has a country":               {in: with(func(f *postal.Fields) { f.Country = "" }), field: postal.Country, err: postal.ErrMissing},
		"nobody lives in XX":                     {in: with(func(f *postal.Fields) { f.Country = "XX" }), field: postal.Country, err: postal.ErrUnknownCountry},
		"a country is in upper case":             {in: with(func(f *postal.Fields) { f.Country = "nl" }), field: postal.Country, err: postal.ErrUnknownCountry},
		"a country is a code":                    {in: with(func(f *postal.Fields) { f.Country = "Netherlands" }), field: postal.Country, err: postal.ErrUnknownCountry},
		"two codes' halves are no country":       {in: with(func(f *postal.Fields) { f.Country = "D " }), field: postal.Country, err: postal.ErrUnknownCountry},
		"half an address lacks the city":         {in: with(func(f *postal.Fields) { f.City = "" }), field: postal.City, err: postal.ErrMissing},
		"half an address lacks the street":       {in: with(func(f *postal.Fields) { f.Street = " \n " }), field: postal.Street, err: postal.ErrMissing},
		"half an address lacks the post code":    {in: with(func(f *postal.Fields) { f.PostCode = "" }), field: postal.PostCode, err: postal.ErrMissing},
		"half an address lacks the region":       {in: postal.Fields{Country: "US", City: "Yreka", PostCode: "96097", Street: "1 Main St"}, field: postal.Region, err: postal.ErrMissing},
		"a dash is no city":                      {in: with(func(f *postal.Fields) { f.City = "—" }), field: postal.City, err: postal.ErrMissing},
		"an invisible city is none":              {in: with(func(f *postal.Fields) { f.City = "\u200b\u200d" }), field: postal.City, err: postal.ErrMissing},
		"a Dutch post code in Germany":           {in: postal.Fields{Country: "DE", City: "Berlin", PostCode: "1011 AB", Street: "Invalidenstr. 117"}, field: postal.PostCode, err: postal.ErrPostCode},
		"a German post code has five digits":     {in: postal.Fields{Country: "DE", City: "Berlin", PostCode: "1011", Street: "Invalidenstr. 117"}, field: postal.PostCode, err: postal.ErrPostCode},
		"a prefix alone is no post code":         {in: postal.Fields{Country: "LU", City: "Luxembourg", PostCode: "L-", Street: "31, Grand-Rue"}, field: postal.PostCode, err: postal.ErrPostCode},
		"another country's prefix is none":       {in: postal.Fields{Country: "LU", City: "Luxembourg", PostCode: "D-1661", Street: "31, Grand-Rue"}, field: postal.PostCode, err: postal.ErrPostCode},
		"a Californian post code in New York":    {in: postal.Fields{Country: "US", Region: "NY", City: "New York", PostCode: "90210", Street: "1 Main St"}, field: postal.PostCode, err: postal.ErrPostCodeRegion},
		"the region may be named":                {in: postal.Fields{Country: "US", Region: "new york", City: "New York", PostCode: "90210", Street: "1 Main St"}, field: postal.PostCode, err: postal.ErrPostCodeRegion},
		"the region may be named in Japanese":    {in: postal.Fields{Country: "JP", Region: "北海道", City: "港区", PostCode: "105-0011", Street: "芝公園4丁目2-8"}, field: postal.PostCode, err: postal.ErrPostCodeRegion},
		"a post code begins with its region's":   {in: postal.Fields{Country: "JP", Region: "北海道", City: "札幌市", PostCode: "100-0012", Street: "1"}, field: postal.PostCode, err: postal.ErrPostCodeRegion},
		"a city is one line":                     {in: with(func(f *postal.Fields) { f.City = "Gouda\nBcc: all" }), field: postal.City, err: postal.ErrControlCharacter},
		"a street has no tabs":                   {in: with(func(f *postal.Fields) { f.Street = "Markt\t1" }), field: postal.Street, err: postal.ErrControlCharacter},
		"a street has no nulls":                  {in: with(func(f *postal.Fields) { f.Street = "Markt\x001" }), field: postal.Street, err: postal.ErrControlCharacter},
		"a street has no line separator":         {in: with(func(f *postal.Fields) { f.Street = "Markt\u20281" }), field: postal.Street, err: postal.ErrControlCharacter},
		"a region does not run backwards":        {in: with(func(f *postal.Fields) { f.Region = "Zuid\u202eHolland" }), field: postal.Region, err: postal.ErrControlCharacter},
		"a district is not isolated":             {in: with(func(f *postal.Fields) { f.District = "\u2067Centrum\u2069" }), field: postal.District, err: postal.ErrControlCharacter},
		"a sorting code is text":                 {in: with(func(f *postal.Fields) { f.SortingCode = "\xc3\x28" }), field: postal.SortingCode, err: postal.ErrNotText},
		"a street is text":                       {in: with(func(f *postal.Fields) { f.Street = "Markt\n\xff" }), field: postal.Street, err: postal.ErrNotText},
		"a line has at most 200 characters":      {in: with(func(f *postal.Fields) { f.City = line + "x" }), field: postal.City, err: postal.ErrTooLong},
		"a line of 200 characters is accepted":   {in: with(func(f *postal.Fields) { f.City = line }), want: with(func(f *postal.Fields) { f.City = line })},
		"a line of 200 characters in any script": {in: with(func(f *postal.Fields) { f.City = strings.Repeat("𠀀", 200) }), want: with(func(f *postal.Fields) { f.City = strings.Repeat("𠀀", 200) })},
		"a megabyte is no line":                  {in: with(func(f *postal.Fields) { f.City = strings.Repeat("x", 1<<20) }), field: postal.City, err: postal.ErrTooLong},
		"a megabyte is no street":                {in: with(func(f *postal.Fields) { f.Street = strings.Repeat("x\n", 1<<19) }), field: postal.Street, err: postal.ErrTooLong},
		"an address has at most 20 lines":        {in: with(func(f *postal.Fields) { f.Street = strings.Repeat("x\n", 18) }), field: postal.Whole, err: postal.ErrTooManyLines},
		"an address of 20 lines is accepted":     {in: with(func(f *postal.Fields) { f.Street = strings.Repeat("x\n", 16) + "x" }), want: with(func(f *postal.Fields) { f.Street = strings.Repeat("x\n", 16) + "x" })},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := postal.Parse(test.in)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil {
				if diff := cmp.Diff(test.want, a.Fields()); diff != "" {
					t.Fatalf("fields (-want +got):\n%s", diff)
				}
				return
			}
			var fe *postal.FieldError
			if !errors.As(err, &fe) || fe.Field != test.field || !strings.HasPrefix(err.Error(), string(test.field)+": ") {
				t.Fatalf("error %q, want one about the %s", err, test.field)
			}
			if !a.IsZero() {
				t.Fatalf("a refusal with address %v", a)
			}
			if postal.Code(err) == "" {
				t.Fatalf("%v has no code", err)
			}
		})
	}
}

func TestAsWritten(t *testing.T) {
	for name, test := range map[string]struct {
		in       postal.Fields
		verified bool
		err      error
	}{
		"an address of its country":          {in: world()["DE"], verified: true},
		"a post code its country refuses":    {in: postal.Fields{Country: "DE", City: "Berlin", PostCode: "1011 AB", Street: "x"}},
		"half an address":                    {in: postal.Fields{Country: "DE", City: "Berlin"}},
		"a village":                          {in: postal.Fields{Country: "DE", District: "Hinterzarten"}},
		"a country alone is no address":      {in: postal.Fields{Country: "DE"}, err: postal.ErrMissing},
		"punctuation is no address":          {in: postal.Fields{Country: "DE", City: "-", Street: "???"}, err: postal.ErrMissing},
		"an unknown country is no address":   {in: postal.Fields{Country: "ZZ", City: "Berlin"}, err: postal.ErrUnknownCountry},
		"no country is no address":           {in: postal.Fields{City: "Berlin", Street: "x"}, err: postal.ErrMissing},
		"bytes are no address":               {in: postal.Fields{Country: "DE", City: "Berlin", Street: "\xff"}, err: postal.ErrNotText},
		"a control character is no address":  {in: postal.Fields{Country: "DE", City: "Ber\x07lin", Street: "x"}, err: postal.ErrControlCharacter},
		"a book is no address":               {in: postal.Fields{Country: "DE", City: "Berlin", Street: strings.Repeat("x\n", 30)}, err: postal.ErrTooManyLines},
		"a line of a thousand is no address": {in: postal.Fields{Country: "DE", City: strings.Repeat("x", 1000)}, err: postal.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			a, verified, err := postal.AsWritten(test.in)
			if !errors.Is(err, test.err) || verified != test.verified || a.IsZero() != (err != nil) {
				t.Fatalf("AsWritten = %v, %v, %v; want verified %v, error %v", a, verified, err, test.verified, test.err)
			}
		})
	}
}

func TestRestoreIsTheInverseOfFields(t *testing.T) {
	for code, f := range world() {
		a, err := postal.Parse(f)
		if err != nil {
			t.Fatal(err)
		}
		if postal.Restore(a.Fields()) != a {
			t.Errorf("%s: restored differently", code)
		}
	}
}

func TestLines(t *testing.T) {
	a, err := postal.Parse(world()["US"])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1600 Amphitheatre Pkwy", "Building 40"}, a.Lines()); diff != "" {
		t.Fatal(diff)
	}
	if lines := (postal.Address{}).Lines(); lines != nil {
		t.Fatalf("no address has lines %v", lines)
	}
}

// Every country has rules that compile, and every one of them accepts something.
func TestEveryCountryCanBeAsked(t *testing.T) {
	all := postal.Countries()
	if len(all) != 250 { // 249 of ISO 3166-1 and Kosovo
		t.Fatalf("%d countries", len(all))
	}
	for _, code := range all {
		_, verified, err := postal.AsWritten(postal.Fields{Country: code, Region: "x", City: "x", District: "x", Street: "x"})
		if err != nil {
			t.Errorf("%s: %v", code, err)
		}
		if _, err := postal.Parse(postal.Fields{Country: code, Region: "x", City: "x", District: "x", Street: "x"}); (err == nil) != verified {
			t.Errorf("%s: Parse says %v, AsWritten %v", code, err, verified)
		}
	}
}

func TestEveryRefusalHasItsOwnCode(t *testing.T) {
	seen := map[string]bool{}
	for _, err := range postal.Refusals() {
		code := postal.Code(&postal.FieldError{Field: postal.City, Err: err})
		if code == "" || seen[code] {
			t.Errorf("%v: code %q", err, code)
		}
		seen[code] = true
	}
	if code := postal.Code(errors.New("another error")); code != "" {
		t.Errorf("a foreign error has code %q", code)
	}
}

// What Parse has read it reads again without change, and it keeps every character but white space at the ends.
func TestParseIsStable(t *testing.T) {
	countries := postal.Countries()
	text := rapid.OneOf(
		rapid.StringN(0, 40, -1),
		rapid.StringOfN(rapid.SampledFrom([]rune(" \n\tabcXYZ019é\u0301가힣ᄀ٣न์\u200d-.,#'")), 0, 60, -1),
	)
	rapid.Check(t, func(t *rapid.T) {
		f := postal.Fields{
			Country: rapid.SampledFrom(countries).Draw(t, "country"), Region: text.Draw(t, "region"), City: text.Draw(t, "city"),
			District: text.Draw(t, "district"), PostCode: rapid.OneOf(rapid.StringMatching(`[0-9]{4,6}`), text).Draw(t, "post code"),
			SortingCode: text.Draw(t, "sorting code"), Street: text.Draw(t, "street"),
		}
		stable(t, f)
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

func stable(t failer, f postal.Fields) {
	a, verified, err := postal.AsWritten(f)
	p, refused := postal.Parse(f)
	if refused == nil && (!verified || p != a) {
		t.Fatalf("Parse accepts %q, AsWritten says %v %v", f, verified, err)
	}
	if err != nil {
		if postal.Code(err) == "" {
			t.Fatalf("%q: an error without code: %v", f, err)
		}
		return
	}
	if b, v, err := postal.AsWritten(a.Fields()); b != a || v != verified || err != nil {
		t.Fatalf("%q read again: %q %v %v", a.Fields(), b.Fields(), v, err)
	}
	if squeeze(f.City) != squeeze(a.Fields().City) || squeeze(f.Street) != squeeze(a.Fields().Street) {
		t.Fatalf("%q became %q", f, a.Fields())
	}
	if !utf8.ValidString(a.Fields().Street) || strings.ContainsAny(a.Fields().Street, "\x00\r\t\x1b\u2028\u202e") {
		t.Fatalf("street %q", a.Fields().Street)
	}
}

// squeeze is the composed text without white space: what must survive.
func squeeze(s string) string { return strings.Join(strings.Fields(norm.NFC.String(s)), "") }

func FuzzParse(f *testing.F) {
	for _, a := range world() {
		f.Add(a.Country, a.Region, a.City, a.District, a.PostCode, a.SortingCode, a.Street)
	}
	f.Add("NL", "", "e\u0301\u0301", "", "\xff", "", "\n\n\r\n")
	f.Fuzz(func(t *testing.T, country, region, city, district, postCode, sortingCode, street string) {
		stable(t, postal.Fields{
			Country: country, Region: region, City: city, District: district, PostCode: postCode, SortingCode: sortingCode, Street: street,
		})
	})
}
