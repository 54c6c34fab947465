package postal

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/Boostport/address"
	"golang.org/x/text/unicode/norm"
)

// countries are the officially assigned codes of ISO 3166-1 alpha-2 and XK (Kosovo), which the standard leaves to its
// users and postal services use.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV " +
	"BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM " +
	"FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM " +
	"JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR " +
	"MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS " +
	"RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"

// Countries returns the codes of all countries that an address can have, in alphabetical order.
func Countries() []string { return strings.Split(countries, " ") }

func knownCountry(code string) bool {
	if len(code) != 2 {
		return false
	}
	for i := 0; i < len(countries); i += 3 {
		if countries[i] == code[0] && countries[i+1] == code[1] {
			return true
		}
	}
	return false
}

// rules are what is known of one country's addresses.
type rules struct {
	required []Field
	postCode *regexp.Regexp // nil: post codes have no known form
	prefix   string         // what labels print before the post code, as in "AZ 1000" and "L-1009"
	regions  map[string]*regexp.Regexp
}

// cache holds the rules of the countries that have been asked for.
//
//nolint:gochecknoglobals // a table computed from the library's constants; compiling its expressions for every address costs 20 times the check.
var cache sync.Map // country code → *rules

func rulesOf(country string) *rules {
	if r, ok := cache.Load(country); ok {
		return r.(*rules) //nolint:forcetypeassert // only this function stores
	}
	r, _ := cache.LoadOrStore(country, makeRules(address.GetCountry(country)))
	return r.(*rules) //nolint:forcetypeassert // only this function stores
}

func makeRules(d address.CountryData) *rules {
	r := &rules{prefix: postCodePrefix(d.Format), regions: map[string]*regexp.Regexp{}}
	for _, f := range d.Required {
		switch f {
		case address.AdministrativeArea:
			r.required = append(r.required, Region)
		case address.Locality:
			r.required = append(r.required, City)
		case address.DependentLocality:
			r.required = append(r.required, District)
		case address.PostCode:
			r.required = append(r.required, PostCode)
		case address.SortingCode:
			r.required = append(r.required, SortingCode)
		case address.StreetAddress:
			r.required = append(r.required, Street)
		case address.Country, address.Name, address.Organization: // no fields of ours, or checked before
		}
	}
	slices.Sort(r.required) // the same refusal for the same address, whatever order the library's map had
	if d.PostCodeRegex.Regex == "" {
		return r
	}
	// Case does not matter to a sorting machine, and keeping it as written is not ours to refuse.
	r.postCode = regexp.MustCompile("(?i)" + d.PostCodeRegex.Regex)
	byKey := map[string]*regexp.Regexp{}
	for key, sub := range d.PostCodeRegex.SubdivisionRegex {
		if sub.Regex != "" {
			byKey[key] = regexp.MustCompile("(?i)^(?:" + strings.TrimPrefix(sub.Regex, "^") + ")")
		}
	}
	for _, areas := range d.AdministrativeAreas {
		for _, a := range areas {
			if re := byKey[a.ID]; re != nil {
				r.regions[regionKey(a.ID)] = re
				r.regions[regionKey(a.Name)] = re
			}
		}
	}
	return r
}

// regionKey is how names of regions are compared.
func regionKey(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// postCodePrefix finds the letters that a country's label format prints directly before the post code.
func postCodePrefix(format string) string {
	before, _, ok := strings.Cut(format, "%Z")
	if !ok {
		return ""
	}
	if i := strings.LastIndex(before, "%"); i >= 0 {
		before = before[i+2:] // behind the field or line break before it
	}
	before = strings.TrimLeft(before, " ,(-")
	if !hasText(before) {
		return ""
	}
	return before
}

// check is the country's part of Parse.
func (r *rules) check(f Fields) error {
	for _, name := range r.required {
		if !hasText(f.get(name)) {
			return &FieldError{name, ErrMissing}
		}
	}
	if f.PostCode == "" || r.postCode == nil {
		return nil
	}
	code := asciiDigits(f.PostCode)
	if r.prefix != "" && len(code) >= len(r.prefix) && strings.EqualFold(code[:len(r.prefix)], r.prefix) && !r.postCode.MatchString(code) {
		code = code[len(r.prefix):]
	}
	if !r.postCode.MatchString(code) {
		return &FieldError{PostCode, ErrPostCode}
	}
	if f.Region == "" || len(r.regions) == 0 {
		return nil
	}
	if re := r.regions[regionKey(f.Region)]; re != nil && !re.MatchString(code) {
		return &FieldError{PostCode, ErrPostCodeRegion}
	}
	return nil
}

func (f Fields) get(name Field) string {
	switch name {
	case Country:
		return f.Country
	case Region:
		return f.Region
	case City:
		return f.City
	case District:
		return f.District
	case PostCode:
		return f.PostCode
	case SortingCode:
		return f.SortingCode
	case Street:
		return f.Street
	case Whole:
	}
	return ""
}
