package sample_test

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"utopia/cmd/internal/sample"
	"utopia/processors/postal"
)

func people(t *testing.T) []sample.Person {
	t.Helper()
	all, err := sample.People()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPeopleAreTwoThousandDistinctCustomers(t *testing.T) {
	t.Parallel()
	all := people(t)
	if len(all) != 2000 {
		t.Fatalf("%d people, want 2000", len(all))
	}
	ids, mails := map[string]bool{}, map[string]bool{}
	for _, p := range all {
		if ids[p.ID] || mails[p.Email] {
			t.Errorf("%s: id or e-mail address used before", p.ID)
		}
		ids[p.ID], mails[p.Email] = true, true
		if !reserved(p.Email) {
			t.Errorf("%s: %q is not in a domain reserved for examples", p.ID, p.Email)
		}
	}
}

// reserved tells whether RFC 2606 or RFC 6761 keeps the domain for examples: no demo may write to a stranger.
func reserved(mail string) bool {
	_, domain, _ := strings.Cut(mail, "@")
	return domain == "example.org" || domain == "example.com" || strings.HasSuffix(domain, ".example")
}

func TestEveryPersonIsAccepted(t *testing.T) {
	t.Parallel()
	for _, p := range people(t) {
		if _, err := postal.Parse(postal.Fields{
			Country: p.Country, Region: p.Region, City: p.City, District: p.District, PostCode: p.PostCode,
			SortingCode: p.SortingCode, Street: p.Street,
		}); err != nil {
			t.Errorf("%s: address in %s: %v", p.ID, p.Country, err)
		}
		if _, err := postal.ParseEmail(p.Email); err != nil {
			t.Errorf("%s: e-mail %q: %v", p.ID, p.Email, err)
		}
		if strings.TrimSpace(p.Name) == "" || p.Language == "" {
			t.Errorf("%s: no name or no language", p.ID)
		}
		if text := p.Name + p.Email + p.City + p.Street; !norm.NFC.IsNormalString(text) {
			t.Errorf("%s: %q is not in composed form", p.ID, text)
		}
	}
}

func TestPeopleLiveInManyCountriesAndScripts(t *testing.T) {
	t.Parallel()
	countries, scripts, international := map[string]int{}, map[string]int{}, 0
	for _, p := range people(t) {
		countries[p.Country]++
		for script := range scriptsOf(p.Street) {
			scripts[script]++
		}
		if strings.ContainsFunc(p.Email, func(r rune) bool { return r > unicode.MaxASCII }) {
			international++
		}
	}
	if len(countries) < 30 {
		t.Errorf("%d countries, want at least 30", len(countries))
	}
	for country, n := range countries {
		if n < 20 {
			t.Errorf("%s has only %d people", country, n)
		}
	}
	for _, script := range []string{
		"Arabic", "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Han", "Hangul",
		"Hebrew", "Hiragana", "Katakana", "Latin", "Thai",
	} {
		if scripts[script] == 0 {
			t.Errorf("no street is written in %s", script)
		}
	}
	if international < 40 {
		t.Errorf("%d internationalised e-mail addresses, want at least 40", international)
	}
}

// scriptsOf returns the scripts of the letters of s.
func scriptsOf(s string) map[string]bool {
	found := map[string]bool{}
	for _, r := range s {
		if !unicode.IsLetter(r) {
			continue
		}
		for name, table := range unicode.Scripts {
			if unicode.Is(table, r) {
				found[name] = true
			}
		}
	}
	return found
}
