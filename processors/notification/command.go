package notification

import "utopia/processors/postal"

// Command is what this service is told. Nobody asks it for anything, so none is refused: one that is known already leads
// to no event. The set is closed: whoever switches over it names every type.
//
//sumtype:decl
type Command interface{ isCommand() }

// ApplyCustomer tells the whole public state of the customer at Version. AddressVersion is zero if the state has no
// address.
type ApplyCustomer struct {
	Version        int64
	Status         Status
	Contact        Contact
	AddressVersion int64
}

// ApplyAddress tells that Version of the customer set another address in the place of that which Before had set.
type ApplyAddress struct{ Version, Before int64 }

// ApplyEmail tells that Version of the customer set another e-mail address in the place of Before.
type ApplyEmail struct {
	Version       int64
	Before, After postal.Email
}

// ForgetCustomer tells that the customer was erased: with Version, or at a version that nobody told (zero: the state's
// tombstone).
type ForgetCustomer struct{ Version int64 }

// RecordMail tells what became of a mail that a notice asked for. Fate is not FateOpen.
type RecordMail struct {
	Mail Mail
	Fate Fate
}

func (ApplyCustomer) isCommand()  {}
func (ApplyAddress) isCommand()   {}
func (ApplyEmail) isCommand()     {}
func (ForgetCustomer) isCommand() {}
func (RecordMail) isCommand()     {}
