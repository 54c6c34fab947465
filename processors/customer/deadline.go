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

// due is the last rung of every deadline command: it must be about the deadline that the state has, and that must have
// passed by the broker's clock.
func due(stated, actual, now time.Time) error {
	if !at(stated).Equal(actual) {
		return ErrOtherDeadline
	}
	if actual.After(now) {
		return ErrNotDue
	}
	return nil
}

func expire(s State, c Expire, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := pending(s, c.ChangeID); err != nil {
		return nil, err
	}
	if s.Change.Status == Scheduled {
		return nil, ErrAlreadyConfirmed
	}
	if err := due(c.DueAt, s.Change.ExpiresAt, now); err != nil {
		return nil, err
	}
	return ChangeExpired{At: now, ChangeID: c.ChangeID}, nil
}

func apply(s State, c Apply, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := pending(s, c.ChangeID); err != nil {
		return nil, err
	}
	if s.Change.Status != Scheduled {
		return nil, ErrNotConfirmed
	}
	if err := due(c.DueAt, s.Change.EffectiveAt, now); err != nil {
		return nil, err
	}
	return takeEffect(s, s.Change.EffectiveAt, now), nil
}

func remind(s State, c Remind, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := pending(s, c.ChangeID); err != nil {
		return nil, err
	}
	if s.Change.Status == Scheduled {
		return nil, ErrAlreadyConfirmed
	}
	if s.Change.Reminded != 0 {
		return nil, ErrAlreadyReminded
	}
	if err := due(c.DueAt, s.Change.RemindAt(), now); err != nil {
		return nil, err
	}
	if !now.Before(s.Change.ExpiresAt) { // we were away; a link that is dead on arrival helps nobody
		return nil, ErrExpired
	}
	return ConfirmationReminded{At: now, ChangeID: c.ChangeID}, nil
}
