package api

import (
	"strings"

	"utopia/schemas"
)

// Address is an address with what is known of it.
type Address struct {
	Country     string   `json:"country"`
	Region      string   `json:"region,omitempty"`
	City        string   `json:"city,omitempty"`
	District    string   `json:"district,omitempty"`
	PostCode    string   `json:"postCode,omitempty"`
	SortingCode string   `json:"sortingCode,omitempty"`
	Street      []string `json:"street,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Version     int64    `json:"version,omitempty"` // the customer's version that set it
	Verified    bool     `json:"verified"`          // whether it keeps its country's rules
	Since       string   `json:"since,omitempty"`
	Source      string   `json:"source,omitempty"` // the system of record that told it
}

func addressOf(r schemas.Residence) Address {
	a := r.Address
	v := Address{
		Country: a.Country, Region: a.Region, City: a.City, District: a.District, PostCode: a.PostCode, SortingCode: a.SortingCode,
		Reason: r.Reason, Version: r.Version, Verified: r.Verified, Since: stamp(r.OccurredAt), Source: r.Source,
	}
	if a.Street != "" {
		v.Street = strings.Split(a.Street, "\n")
	}
	return v
}

// OneLine writes an address in one line.
func (a Address) OneLine() string {
	return OneLine(schemas.Address{
		Country: a.Country, Region: a.Region, City: a.City, District: a.District, PostCode: a.PostCode, SortingCode: a.SortingCode,
		Street: strings.Join(a.Street, "\n"),
	})
}

// OneLine writes an address in one line.
func OneLine(a schemas.Address) string {
	var parts []string
	for _, p := range []string{strings.ReplaceAll(a.Street, "\n", ", "), a.District, strings.TrimSpace(a.PostCode + " " + a.City), a.SortingCode, a.Region, a.Country} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// stamp writes a record's time to the second, in UTC; "" for none.
func stamp(millis int64) string {
	t := schemas.Time(millis)
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
