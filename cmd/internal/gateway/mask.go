package gateway

import "utopia/cmd/internal/api"

// masked takes from a customer what the caller need not see. A partner sees that there is a customer, in which country, at which
// version, and whether a change is pending; neither name, e-mail address, language, nor where in the country.
func masked(c Caller, s api.CustomerState) api.CustomerState {
	if c.Role != Partner {
		return s
	}
	s.Name, s.Email, s.Language = "", "", ""
	s.Address = s.Address.Masked()
	return s
}

// maskedBilling leaves a partner numbers, amounts and dates of invoices; no address, and not what they are for.
func maskedBilling(c Caller, s api.BillingState) api.BillingState {
	if c.Role != Partner {
		return s
	}
	s.Address = ""
	for i := range s.Open {
		s.Open[i].Address, s.Open[i].Text = "", ""
	}
	return s
}
