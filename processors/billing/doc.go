// Package billing is the pure core of the billing service: what may be asked about a customer's invoices, what another
// service's news about the customer mean for them, and what then has happened. It keeps its own copy of the customer's
// address and asks nobody; so it works while the customer service does not.
//
// An invoice is open from its issue (issuing is sending) until it is paid. It keeps the address it was issued to. When
// the customer has moved, the open ones get the new address for whatever follows; when the address was wrong, each open
// one is issued again to the right address, with a correction note.
//
// It knows no clock, no I/O, no encoding and no topic. Dunning, taxes and numbering are deliberately not here.
package billing
