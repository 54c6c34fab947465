package mail

import "time"

// Command is what may be asked about a mail. The set is closed: whoever switches over it names every type.
// ExpectedVersion, where a command has it, is the version the sender has seen; zero means that it does not matter, and
// any other difference from the state's version is refused with ErrVersionConflict.
//
//sumtype:decl
type Command interface{ isCommand() }

// Send asks for a mail to be sent. Its aggregate is the mail, its id the id of the command.
type Send struct {
	ExpectedVersion int64
	Origin          Origin
	Message         Message
}

// RecordDelivery is the mailer's report. Result is StatusSent or StatusUndeliverable, Detail a short code of the last
// answer, never a text that might quote the recipient.
type RecordDelivery struct {
	ExpectedVersion int64
	Result          Status
	Attempts        int32
	Detail          string
}

// Forget removes what is known of the mail. A deadline command.
type Forget struct{ DueAt time.Time }

func (Send) isCommand()           {}
func (RecordDelivery) isCommand() {}
func (Forget) isCommand()         {}
