package eos

import "time"

// Deadline is what happens to a row if nothing happens before: Kind says what, At when, and Ref which part of the row it is
// about (a change id, for example; it may be empty). A row has at most one deadline of one kind and reference.
type Deadline struct {
	Kind string
	At   time.Time
	Ref  string
}
