package billing

// Command is what may be asked about a customer's invoices, or told about the customer. Issue and Pay may be refused;
// the others are another service's facts in billing's words and are never refused: one that is known already leads to
// no event. The set is closed: whoever switches over it names every type.
//
// ExpectedVersion is the version the sender has seen; zero means that it does not matter, and any other difference from
// the state's version is refused with ErrVersionConflict.
//
//sumtype:decl
type Command interface{ isCommand() }

// Issue sends the customer an invoice. The customer may be unknown yet: then the invoice gets its address with the first
// state that the customer service publishes.
type Issue struct {
	ExpectedVersion int64
	Invoice         InvoiceID
	Money           Money
	Text            Text
}

// Pay settles an open invoice.
type Pay struct {
	ExpectedVersion int64
	Invoice         InvoiceID
}

// ApplyCustomer tells the whole public state of the customer at Version. Residence.Version is zero if the state has no
// address.
type ApplyCustomer struct {
	Version   int64
	Status    Status
	Residence Residence
}

// ApplyAddress tells that Version of the customer set another address in the place of that which Before had set.
type ApplyAddress struct {
	Version   int64
	Before    int64
	Residence Residence
}

// ForgetCustomer tells that the customer was erased: with Version, or at a version that nobody told (zero: the state's
// tombstone).
type ForgetCustomer struct{ Version int64 }

func (Issue) isCommand()          {}
func (Pay) isCommand()            {}
func (ApplyCustomer) isCommand()  {}
func (ApplyAddress) isCommand()   {}
func (ForgetCustomer) isCommand() {}
