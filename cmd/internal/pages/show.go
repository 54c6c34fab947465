package pages

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"utopia/cmd/internal/timeline"
	"utopia/processors/letters"
	"utopia/processors/postal"
	"utopia/schemas"
)

// functions are what templates can call.
func (h *handler) functions() template.FuncMap {
	return template.FuncMap{
		"asset":     func(name string) string { return h.assets[name] },
		"address":   addressText,
		"when":      when,
		"until":     func(ms int64) string { return span(schemas.Time(ms).Sub(h.now())) },
		"since":     func(ms int64) string { return lasting(h.now().Sub(schemas.Time(ms))) },
		"waits":     waits,
		"number":    number,
		"number64":  func(n int) string { return number(int64(n)) },
		"persecond": perSecond,
		"count":     count,
		"some":      some,
		"deref":     func(n *int64) int64 { return *n },
		"what":      what,
		"kind": func(e timeline.Entry) string {
			switch {
			case e.Outcome == schemas.OutcomeRefused || e.Outcome == "undeliverable":
				return "bad"
			case e.Kind == "event":
				return "good"
			case e.Kind == "command":
				return "wait"
			}
			return ""
		},
		"money": func(cents int64, currency string) string {
			return fmt.Sprintf("%d.%02d %s", cents/100, cents%100, currency)
		},
	}
}

// addressText is an address in lines, for a person.
func addressText(a schemas.Address) string {
	var lines []string
	for _, line := range []string{
		a.Street, a.District, strings.TrimSpace(a.PostCode + " " + a.City + " " + a.SortingCode), a.Region, countryName(a.Country),
	} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func countryName(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	if name := display.English.Regions().Name(region); name != "" {
		return name
	}
	return code
}

// country is one that an address can have.
type country struct{ Code, Name string }

func countries() []country {
	var all []country
	for _, code := range postal.Countries() {
		all = append(all, country{code, countryName(code)})
	}
	slices.SortFunc(all, func(a, b country) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// when is a time element; 0 is none.
func when(ms int64) template.HTML {
	if ms == 0 {
		return "–"
	}
	t := schemas.Time(ms).UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2 January 2006, 15:04") + ` UTC</time>`) //nolint:gosec // two times
}

// span says how long something lasts, roughly.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "now"
	case d < 2*time.Minute:
		return "in a minute"
	case d < 2*time.Hour:
		return fmt.Sprintf("in %d minutes", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("in %d hours", int(d.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf("in %d days", int(d.Round(24*time.Hour).Hours()/24))
}

// lasting says how long something has lasted, roughly.
func lasting(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "a minute"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// languages are those that letters are written in, each by its own name.
func languages() []country {
	var all []country
	for _, tag := range letters.Languages() {
		all = append(all, country{tag, display.Self.Name(language.Make(tag))})
	}
	return all
}
