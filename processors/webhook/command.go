package webhook

import "time"

// Command is what may be asked about a webhook. The set is closed: whoever switches over it names every type.
// ExpectedVersion is the version the sender has seen; zero means that it does not matter, and any other difference from the
// state's version is refused with ErrVersionConflict.
//
//sumtype:decl
type Command interface{ isCommand() }

// Register makes a webhook. Key is the id of the master key that its secret is derived from.
type Register struct {
	ExpectedVersion int64
	Owner           string
	Target          Target
	Key             string
}

// Change gives it another target, and counts failures from the beginning.
type Change struct {
	ExpectedVersion int64
	Target          Target
}

// Pause ends the calls until they are resumed.
type Pause struct{ ExpectedVersion int64 }

// Resume goes on from where the calls stopped, whoever stopped them.
type Resume struct{ ExpectedVersion int64 }

// Rotate gives it another secret. The present one signs too for Overlap; one before that ends at once.
type Rotate struct {
	ExpectedVersion int64
	Key             string
}

// Redeliver asks to be told again what was told since From, of one customer or of all.
type Redeliver struct {
	ExpectedVersion int64
	From            time.Time
	Customer        string
}

// Result is what the sender reports.
type Result string

// The results.
const (
	// Failing: a change is being tried again.
	Failing Result = "failing"
	// Recovered: a change that failed was taken.
	Recovered Result = "recovered"
	// GivenUp: a change was tried for GiveUpAfter.
	GivenUp Result = "given_up"
	// Gone: the receiver said that it wants no more.
	Gone Result = "gone"
)

// Record is the sender's report about one partition of the changes. Detail is a short code of the last failure, never a text
// that the receiver chose.
type Record struct {
	ExpectedVersion int64
	Result          Result
	Trouble         Trouble   // At is not used
	ActiveAt        time.Time // State.ActiveAt when the calls were made; zero: not known
}

// Close ends it for good.
type Close struct{ ExpectedVersion int64 }

func (Register) isCommand()  {}
func (Change) isCommand()    {}
func (Pause) isCommand()     {}
func (Resume) isCommand()    {}
func (Rotate) isCommand()    {}
func (Redeliver) isCommand() {}
func (Record) isCommand()    {}
func (Close) isCommand()     {}
