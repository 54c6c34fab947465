package customer

import "time"

// Kinds of deadlines. A customer has at most one of each.
const (
	// DeadlineRemind: the customer is asked once more; its command is Remind.
	DeadlineRemind = "RemindConfirmation"
	// DeadlineExpire: the question is withdrawn; its command is Expire.
	DeadlineExpire = "ExpireAddressChange"
	// DeadlineApply: a confirmed change takes effect; its command is Apply.
	DeadlineApply = "ApplyAddressChange"
)

// Deadline says what is to happen at a time if nothing happens before.
type Deadline struct {
	Kind string
	At   time.Time
	// ChangeID is the change that it is about.
	ChangeID string
}

// Due returns the deadlines of s, the earliest first.
func Due(s State) []Deadline {
	c := s.Change
	switch c.Status {
	case NoChange:
		return nil
	case Unconfirmed:
		due := []Deadline{{DeadlineExpire, c.ExpiresAt, c.ID}}
		if c.Reminded == 0 {
			due = []Deadline{{DeadlineRemind, c.RemindAt(), c.ID}, due[0]}
		}
		return due
	case Scheduled:
		return []Deadline{{DeadlineApply, c.EffectiveAt, c.ID}}
	}
	panic("customer: a change status outside the closed set")
}

// onTime is the first rung of every deadline command: one that came before its time, by the broker's clock, decides nothing,
// whatever else may be wrong with it. It is sent again.
func onTime(dueAt, now time.Time) error {
	if at(dueAt).After(now) {
		return ErrNotDue
	}
	return nil
}

// dated compares a deadline command with the deadline that the state has. The time decides, not the change: the command's id
// has the time in it and no change, so that of two changes with the same date only one command is ever decided.
func dated(s State, changeID string, stated, actual time.Time) error {
	switch {
	case at(stated).Equal(actual):
		return nil
	case s.Change.ID != changeID:
		return ErrOtherChange
	}
	return ErrOtherDeadline
}

// waiting is the rung of what is due only as long as nobody has confirmed the change.
func waiting(s State, changeID string) error {
	switch s.Change.Status {
	case NoChange:
		return ErrNoPendingChange
	case Unconfirmed:
		return nil
	case Scheduled:
		if s.Change.ID != changeID {
			return ErrOtherChange
		}
		return ErrAlreadyConfirmed
	}
	panic("customer: a change status outside the closed set")
}

func expire(s State, c Expire, now time.Time) (Event, error) {
	if err := onTime(c.DueAt, now); err != nil {
		return nil, err
	}
	if err := active(s); err != nil {
		return nil, err
	}
	if err := waiting(s, c.ChangeID); err != nil {
		return nil, err
	}
	if err := dated(s, c.ChangeID, c.DueAt, s.Change.ExpiresAt); err != nil {
		return nil, err
	}
	return ChangeExpired{At: now, ChangeID: s.Change.ID}, nil
}

func apply(s State, c Apply, now time.Time) (Event, error) {
	if err := onTime(c.DueAt, now); err != nil {
		return nil, err
	}
	if err := active(s); err != nil {
		return nil, err
	}
	if s.Change.Status == NoChange {
		return nil, ErrNoPendingChange
	}
	if err := dated(s, c.ChangeID, c.DueAt, s.Change.EffectiveAt); err != nil {
		return nil, err
	}
	if s.Change.Status != Scheduled {
		return nil, ErrNotConfirmed
	}
	return takeEffect(s, s.Change.EffectiveAt, now), nil
}

func remind(s State, c Remind, now time.Time) (Event, error) {
	if err := onTime(c.DueAt, now); err != nil {
		return nil, err
	}
	if err := active(s); err != nil {
		return nil, err
	}
	if err := waiting(s, c.ChangeID); err != nil {
		return nil, err
	}
	if err := dated(s, c.ChangeID, c.DueAt, s.Change.RemindAt()); err != nil {
		return nil, err
	}
	if s.Change.Reminded != 0 {
		return nil, ErrAlreadyReminded
	}
	if !now.Before(s.Change.ExpiresAt) { // we were away; a link that is dead on arrival helps nobody
		return nil, ErrExpired
	}
	return ConfirmationReminded{At: now, ChangeID: s.Change.ID}, nil
}
