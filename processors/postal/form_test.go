package postal_test

import (
	"errors"
	"slices"
	"testing"

	"utopia/processors/postal"
)

func TestFormAsksForWhatTheCountryNeeds(t *testing.T) {
	for country, want := range map[string][]string{
		"NL": {"street! Street and number", "post code! Postal code", "city! City"},
		"US": {"street! Street and number", "city! City", "region! State", "post code! ZIP code"},
		"JP": {"post code! Postal code", "region! Prefecture", "street! Street and number"},
		"AE": {"street! Street and number", "region! Emirate"},
	} {
		var got []string
		for _, f := range postal.Form(country) {
			name := string(f.Field)
			if f.Required {
				name += "!"
			}
			got = append(got, name+" "+f.Label)
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s asks for %q, lacks %q", country, got, w)
			}
		}
	}
}

// Every country has a form, no field twice, and every field that Parse would miss is on it.
func TestEveryCountryHasAForm(t *testing.T) {
	for _, country := range postal.Countries() {
		f := postal.Fields{Country: country}
		seen := map[postal.Field]bool{}
		for _, field := range postal.Form(country) {
			if seen[field.Field] || field.Label == "" {
				t.Errorf("%s: %s twice, or without a label", country, field.Field)
			}
			seen[field.Field] = true
		}
		if !seen[postal.Street] && !seen[postal.City] {
			t.Errorf("%s asks for neither street nor city", country)
		}
		for range 8 {
			_, err := postal.Parse(f)
			if err == nil {
				break
			}
			var e *postal.FieldError
			if !errors.As(err, &e) || !errors.Is(err, postal.ErrMissing) {
				break
			}
			if !seen[e.Field] {
				t.Errorf("%s needs %s, which the form does not ask for", country, e.Field)
				break
			}
			fill(&f, e.Field)
		}
	}
}

func TestRegionsAreThoseOfTheCountry(t *testing.T) {
	for _, f := range postal.Form("US") {
		if f.Field != postal.Region {
			continue
		}
		if !slices.Contains(f.Options, postal.Option{Key: "VA", Name: "Virginia"}) {
			t.Errorf("the states are %v", f.Options)
		}
	}
}

func fill(f *postal.Fields, name postal.Field) {
	switch name {
	case postal.Region:
		f.Region = "x"
	case postal.City:
		f.City = "x"
	case postal.District:
		f.District = "x"
	case postal.PostCode:
		f.PostCode = "x"
	case postal.SortingCode:
		f.SortingCode = "x"
	case postal.Street:
		f.Street = "x"
	case postal.Country, postal.Whole:
	}
}
