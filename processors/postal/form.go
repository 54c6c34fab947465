package postal

import (
	"slices"
	"strings"

	"github.com/Boostport/address"
)

// FormField is a field that the addresses of a country have.
type FormField struct {
	Field    Field
	Label    string // what the country calls it, in English: "State", "Prefecture", "ZIP code"
	Required bool
	Options  []Option // the country's regions, where there is a list of them
}

// Option is one region of a country.
type Option struct{ Key, Name string }

// Form returns the fields to ask for an address in this country, the country itself aside, in the order in which the
// country's labels print them. Parse takes more: a field that the labels do not print is accepted as written.
func Form(country string) []FormField {
	d := address.GetCountry(country)
	required := rulesOf(country).required
	var fields []FormField
	for _, part := range strings.Split(d.Format, "%")[1:] {
		f := formField(d, part)
		if f.Field == "" || slices.ContainsFunc(fields, func(g FormField) bool { return g.Field == f.Field }) {
			continue
		}
		f.Required = slices.Contains(required, f.Field)
		fields = append(fields, f)
	}
	for _, name := range required { // asked for although no label prints it
		if !slices.ContainsFunc(fields, func(g FormField) bool { return g.Field == name }) {
			fields = append(fields, FormField{Field: name, Label: strings.ToUpper(string(name[:1])) + string(name[1:]), Required: true})
		}
	}
	return fields
}

// formField is the field that a label's format names by its first letter; none for the line breaks and the name.
func formField(d address.CountryData, part string) FormField {
	if part == "" {
		return FormField{}
	}
	switch part[0] {
	case 'A':
		return FormField{Field: Street, Label: "Street and number"}
	case 'D':
		return FormField{Field: District, Label: label(d.DependentLocalityNameType, "District")}
	case 'C':
		return FormField{Field: City, Label: label(d.LocalityNameType, "City")}
	case 'S':
		return FormField{Field: Region, Label: label(d.AdministrativeAreaNameType, "Region"), Options: regions(d)}
	case 'Z':
		return FormField{Field: PostCode, Label: label(d.PostCodeNameType, "Postal code")}
	case 'X':
		return FormField{Field: SortingCode, Label: "Sorting code"}
	}
	return FormField{}
}

// label writes the library's name of a field as words.
func label(name address.FieldName, otherwise string) string {
	switch name { //nolint:exhaustive // the others are one word, or unknown
	case 0:
		return otherwise
	case address.PINCode:
		return "PIN code"
	case address.ZipCode:
		return "ZIP code"
	case address.PostTown:
		return "Post town"
	case address.PostalCode:
		return "Postal code"
	case address.VillageTownship:
		return "Village or township"
	case address.DoSi:
		return "Do or si"
	}
	return name.String()
}

// regions are those of the country's own language.
func regions(d address.CountryData) []Option {
	var out []Option
	for _, a := range d.AdministrativeAreas[d.DefaultLanguage] {
		out = append(out, Option{Key: a.ID, Name: a.Name})
	}
	return out
}
