package billing

import "time"

// Decide says what follows when c is asked of, or told to, a customer's billing in state s at now: events, none if
// everything is known already, or one of the package's refusals and no event. A fact of another service is never
// refused.
func Decide(s State, c Command, now time.Time) ([]Event, error) {
	switch c := c.(type) {
	case Issue:
		return issue(s, c, now)
	case Pay:
		return pay(s, c, now)
	case ApplyCustomer:
		return applyCustomer(s, c, now), nil
	case ApplyAddress:
		return applyAddress(s, c, now), nil
	case ForgetCustomer:
		return forgetCustomer(s, c, now), nil
	}
	return nil, nil
}

func issue(s State, c Issue, now time.Time) ([]Event, error) {
	if c.ExpectedVersion != 0 && c.ExpectedVersion != s.Version {
		return nil, ErrVersionConflict
	}
	if s.Status == StatusForgotten {
		return nil, ErrCustomerForgotten
	}
	if s.open(c.Invoice) >= 0 {
		return nil, ErrInvoiceExists
	}
	if s.paid(c.Invoice, now) {
		return nil, ErrInvoicePaid
	}
	if len(s.Open) >= MaxOpen {
		return nil, ErrTooManyOpen
	}
	if len(s.Open)+len(remembered(s.Paid, now)) >= MaxRemembered {
		return nil, ErrTooManyInvoices
	}
	return []Event{InvoiceIssued{
		At: now, Invoice: c.Invoice, Money: c.Money, Text: c.Text,
		Address: s.Residence.Address, AddressVersion: s.Residence.Version,
	}}, nil
}

func pay(s State, c Pay, now time.Time) ([]Event, error) {
	if c.ExpectedVersion != 0 && c.ExpectedVersion != s.Version {
		return nil, ErrVersionConflict
	}
	i := s.open(c.Invoice)
	if i < 0 && s.paid(c.Invoice, now) {
		return nil, ErrInvoicePaid
	}
	if i < 0 {
		return nil, ErrInvoiceUnknown
	}
	return []Event{InvoicePaid{At: now, Invoice: c.Invoice, Money: s.Open[i].Money}}, nil
}

// applyCustomer takes over a whole state. An older one does nothing; one of the same version may complete what a change
// event told already; an address that has not been applied is applied, whatever brings it.
func applyCustomer(s State, c ApplyCustomer, now time.Time) []Event {
	if s.Status == StatusForgotten {
		return nil
	}
	status := c.Status
	if c.Version < s.CustomerVersion {
		status = s.Status
	}
	if c.Version <= s.CustomerVersion && status == s.Status && c.Residence.Version <= s.Residence.Version {
		return nil
	}
	return apply(s, c.Version, status, c.Residence, now)
}

// applyAddress takes over an address ahead of the state that brings it too. It is a difference, and is applied only to
// what it differs from: if billing knows no address yet, or that of another version than Before, a version in between is
// still to come by the states and would be lost otherwise. The state of this version follows in any case.
func applyAddress(s State, c ApplyAddress, now time.Time) []Event {
	if s.Status == StatusForgotten || s.Residence.Version == 0 || c.Residence.Version <= s.Residence.Version {
		return nil
	}
	if c.Before != s.Residence.Version {
		return nil
	}
	return apply(s, c.Version, s.Status, c.Residence, now)
}

// forgetCustomer makes the state forget, also that of a customer who was never known: a record of before the erasure may
// still arrive, and must not bring anything personal back.
func forgetCustomer(s State, c ForgetCustomer, now time.Time) []Event {
	if s.Status != StatusForgotten {
		return []Event{CustomerForgotten{At: now, CustomerVersion: c.Version}}
	}
	if c.Version <= s.CustomerVersion {
		return nil
	}
	return []Event{CustomerVersionApplied{At: now, CustomerVersion: c.Version, Status: StatusForgotten}}
}

// apply tells that a version of the customer has been applied and what its address, if it is a newer one, does to each
// open invoice.
func apply(s State, version int64, status Status, to Residence, now time.Time) []Event {
	applied := CustomerVersionApplied{At: now, CustomerVersion: version, Status: status}
	if to.Version <= s.Residence.Version {
		return []Event{applied}
	}
	applied.Address, applied.AddressVersion, applied.Reason = to.Address, to.Version, to.Reason
	events := []Event{applied}
	for _, inv := range s.Open {
		switch {
		case inv.AddressVersion == 0:
			events = append(events, InvoiceAddressFrozen{
				At: now, Invoice: inv.ID, Address: to.Address, AddressVersion: to.Version,
			})
		case to.Reason == ReasonCorrected:
			events = append(events, InvoiceCorrected{
				At: now, Invoice: inv.ID, Address: to.Address, AddressVersion: to.Version, Correction: inv.Corrections + 1,
			})
		default:
			events = append(events, InvoiceReaddressed{
				At: now, Invoice: inv.ID, Address: to.Address, AddressVersion: to.Version,
			})
		}
	}
	return events
}

// open is the place of an open invoice, -1 if there is none with that id.
func (s State) open(id InvoiceID) int {
	for i := range s.Open {
		if s.Open[i].ID == id {
			return i
		}
	}
	return -1
}

// paid reports whether an invoice with that id was paid within RememberPaid before now.
func (s State) paid(id InvoiceID, now time.Time) bool {
	hash := id.Hash()
	for _, p := range remembered(s.Paid, now) {
		if p.Hash == hash {
			return true
		}
	}
	return false
}

// remembered returns those that were paid within RememberPaid before now. It does not write to what it is given.
func remembered(paid []Paid, now time.Time) []Paid {
	for i := range paid {
		if now.Sub(paid[i].At) >= RememberPaid {
			return dropForgotten(paid, i, now)
		}
	}
	return paid
}

func dropForgotten(paid []Paid, from int, now time.Time) []Paid {
	kept := append(make([]Paid, 0, len(paid)), paid[:from]...)
	for _, p := range paid[from:] {
		if now.Sub(p.At) < RememberPaid {
			kept = append(kept, p)
		}
	}
	return kept
}

// Due lists what is to happen if nothing happens before. Nothing is: an open invoice waits, and what is left of a paid
// one goes with the next event of its customer after RememberPaid.
func Due(State) []Deadline { return nil }
