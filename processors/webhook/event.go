package webhook

import "time"

// Event is something that has happened to a webhook. The set is closed: whoever switches over it names every type. An event's
// version and id are not in it; they are the place it has in the fold. At is the time of the input that caused the event.
//
//sumtype:decl
type Event interface{ isEvent() }

// Registered tells that it is called from now on.
type Registered struct {
	At     time.Time
	Owner  string
	Target Target
	Key    string
}

// Changed tells that it has another target.
type Changed struct {
	At     time.Time
	Target Target
}

// Paused tells that it is not called until it is resumed.
type Paused struct{ At time.Time }

// Resumed tells that it is called again.
type Resumed struct{ At time.Time }

// SecretRotated tells that it has another secret.
type SecretRotated struct {
	At  time.Time
	Key string
}

// RedeliveryRequested tells that changes are told again.
type RedeliveryRequested struct {
	At       time.Time
	From     time.Time
	Customer string
}

// TroubleRecorded tells that calls about a partition fail, or no longer.
type TroubleRecorded struct {
	At      time.Time
	Result  Result // Failing or Recovered
	Trouble Trouble
}

// WasDisabled tells that the sender has given up.
type WasDisabled struct {
	At      time.Time
	Reason  Result // GivenUp or Gone
	Trouble Trouble
}

// Closed tells that it is gone.
type Closed struct{ At time.Time }

func (Registered) isEvent()          {}
func (Changed) isEvent()             {}
func (Paused) isEvent()              {}
func (Resumed) isEvent()             {}
func (SecretRotated) isEvent()       {}
func (RedeliveryRequested) isEvent() {}
func (TroubleRecorded) isEvent()     {}
func (WasDisabled) isEvent()         {}
func (Closed) isEvent()              {}
