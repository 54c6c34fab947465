package billing

import (
	"fmt"
	"slices"

	"utopia/processors/postal"
)

// Evolve folds e into s. It never refuses: e has happened. It panics where e cannot have happened after s, because then
// the log or the code is broken and going on would hide it. The slices of s are not written to.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case InvoiceIssued:
		must(s.open(e.Invoice) < 0, s, e)
		s.Paid = none(remembered(s.Paid, e.At))
		s.Open = append(slices.Clone(s.Open), Invoice{
			ID: e.Invoice, Money: e.Money, Text: e.Text, IssuedAt: e.At,
			Address: e.Address, AddressVersion: e.AddressVersion, SendTo: e.AddressVersion,
		})
	case InvoiceAddressFrozen:
		s = s.readdress(e, e.Invoice, e.AddressVersion, &e.Address)
	case InvoiceReaddressed:
		s = s.readdress(e, e.Invoice, e.AddressVersion, nil)
	case InvoiceCorrected:
		s = s.readdress(e, e.Invoice, e.AddressVersion, &e.Address)
		s.Open[s.open(e.Invoice)].Corrections = e.Correction
	case InvoicePaid:
		i := s.open(e.Invoice)
		must(i >= 0, s, e)
		s.Open = none(slices.Delete(slices.Clone(s.Open), i, i+1))
		s.Paid = append(slices.Clone(remembered(s.Paid, e.At)), Paid{Hash: e.Invoice.Hash(), At: e.At})
	case CustomerVersionApplied:
		s.Status = e.Status
		s.CustomerVersion = max(s.CustomerVersion, e.CustomerVersion)
		if e.AddressVersion != 0 {
			s.Residence = Residence{Address: e.Address, Version: e.AddressVersion, Reason: e.Reason}
		}
	case CustomerForgotten:
		s = s.forget(e.CustomerVersion)
	}
	s.Version++
	return s
}

// readdress gives an open invoice another address for what follows and, if frozen is not nil, another one it is issued
// to. The copy it makes is the state's own until the fold goes on.
func (s State) readdress(e Event, id InvoiceID, version int64, frozen *postal.Address) State {
	i := s.open(id)
	must(i >= 0, s, e)
	s.Open = slices.Clone(s.Open)
	s.Open[i].SendTo = version
	if frozen != nil {
		s.Open[i].Address, s.Open[i].AddressVersion = *frozen, version
	}
	return s
}

// forget drops everything personal: the address, and of the open invoices text and address.
func (s State) forget(version int64) State {
	s.Status, s.Residence = StatusForgotten, Residence{}
	s.CustomerVersion = max(s.CustomerVersion, version)
	s.Open = slices.Clone(s.Open)
	for i := range s.Open {
		s.Open[i].Text, s.Open[i].Address, s.Open[i].SendTo = "", postal.Address{}, 0
	}
	return s
}

// none makes an empty slice nil: a state that was stored and read again is the same as one that was folded.
func none[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// must stops where the log and the code disagree. What it says holds nothing personal.
func must(ok bool, s State, e Event) {
	if !ok {
		panic(fmt.Sprintf("billing: %T cannot follow version %d", e, s.Version))
	}
}
