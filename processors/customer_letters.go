package processors

import (
	"strings"

	"utopia/processors/customer"
	"utopia/processors/letters"
	"utopia/processors/postal"
)

// customerLetter asks a customer whether the pending change is wanted, in the customer's language if it is one of ours.
func customerLetter(kind letters.Kind, s customer.State) letters.Letter {
	return letters.Write(kind, string(s.Language), letters.Gaps{
		Name: string(s.Name), Address: addressLines(s.Change.Address), Until: s.Change.ExpiresAt,
	})
}

// addressLines is an address for a person to recognise, not a label.
func addressLines(a postal.Address) string {
	f := a.Fields()
	lines := a.Lines()
	for _, line := range []string{f.District, strings.TrimSpace(f.PostCode + " " + f.City + " " + f.SortingCode), f.Region, f.Country} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Purposes are what the two links of a letter mean; whoever verifies one compares the purpose.
const (
	// PurposeConfirm is the purpose of a link that confirms an address change.
	PurposeConfirm = "confirm_address_change"
	// PurposeCancel is the purpose of a link that takes an address change back.
	PurposeCancel = "cancel_address_change"
)
