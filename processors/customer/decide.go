package customer

import "time"

// Decide returns what happens when c is asked at now, the time at which the broker took the command in. It changes
// nothing, and the same arguments give the same result. A refusal is one of the sentinel errors of this package. Every
// command that is not refused has exactly one event.
//
// A fact (RecordFact) and a mail's fate (RecordUndeliverable) cannot be refused by those who tell them; an error there
// says why nothing needs to be recorded.
func Decide(s State, c Command, now time.Time) ([]Event, error) {
	now = at(now)
	switch c := c.(type) {
	case Register:
		return one(register(s, c, now))
	case RequestChange:
		return one(requestChange(s, c, now))
	case ConfirmChange:
		return one(confirmChange(s, c, now))
	case CancelChange:
		return one(cancelChange(s, c, now))
	case ChangeEmail:
		return one(changeEmail(s, c, now))
	case Close:
		return one(closeCustomer(s, c, now))
	case Erase:
		return one(erase(s, c, now))
	case Expire:
		return one(expire(s, c, now))
	case Apply:
		return one(apply(s, c, now))
	case Remind:
		return one(remind(s, c, now))
	case RecordFact:
		return one(recordFact(s, c, now))
	case RecordUndeliverable:
		return one(recordUndeliverable(s, c, now))
	}
	panic("customer: a command outside the closed set")
}

func one(e Event, err error) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	return []Event{e}, nil
}

// at brings a time to the form that states and events have: UTC, milliseconds, no monotonic clock, so that a state
// read from a row equals the one that was written.
func at(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// active is the first rung of most ladders.
func active(s State) error {
	switch s.Status {
	case StatusUnknown, StatusUnregistered:
		return ErrNotRegistered
	case StatusActive:
		return nil
	case StatusClosed:
		return ErrNotActive
	case StatusErased:
		return ErrErased
	}
	panic("customer: a status outside the closed set")
}

// expected is the second rung: zero expects nothing.
func expected(s State, version int64) error {
	if version != 0 && version != s.Version {
		return ErrVersionConflict
	}
	return nil
}

func register(s State, c Register, now time.Time) (Event, error) {
	switch s.Status {
	case StatusUnknown, StatusUnregistered:
	case StatusActive:
		return nil, ErrAlreadyRegistered
	case StatusClosed:
		return nil, ErrNotActive
	case StatusErased:
		return nil, ErrErased
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	if c.Name == "" {
		return nil, ErrName
	}
	if c.Email == "" {
		return nil, ErrNoEmail
	}
	if c.Address.IsZero() {
		return nil, ErrNoAddress
	}
	return Registered{
		At: now, Name: c.Name, Email: c.Email, Language: c.Language, Address: c.Address,
		// The order in which the two arrive must not matter: told after the registration, the fact would have won.
		KeepsFact: s.Status == StatusUnregistered && !s.Address.OccurredAt.Before(now),
	}, nil
}

func requestChange(s State, c RequestChange, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	if c.Reason != ReasonMoved && c.Reason != ReasonCorrected {
		return nil, ErrUnknownReason
	}
	if c.Address.IsZero() {
		return nil, ErrNoAddress
	}
	if c.Address == s.Address.Address {
		return nil, ErrSameAddress
	}
	effective := at(c.EffectiveAt)
	if !effective.IsZero() && !effective.After(now) {
		return nil, ErrEffectiveInPast
	}
	if effective.After(now.Add(ScheduleWithin)) {
		return nil, ErrEffectiveTooLate
	}
	return ChangeRequested{
		At: now, ChangeID: c.ChangeID, Address: c.Address, Reason: c.Reason,
		ExpiresAt: now.Add(ConfirmWithin), EffectiveAt: effective, Supersedes: s.Change.ID,
	}, nil
}

func confirmChange(s State, c ConfirmChange, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	if err := pending(s, c.ChangeID); err != nil {
		return nil, err
	}
	if s.Change.Status == Scheduled {
		return nil, ErrAlreadyConfirmed
	}
	if !now.Before(s.Change.ExpiresAt) || !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt) {
		return nil, ErrExpired
	}
	if !c.ExpiresAt.IsZero() && !c.ExpiresAt.Equal(s.Change.ExpiresAt) {
		return nil, ErrOtherChange // a link of an earlier change, whose id a later request has used again
	}
	if s.Change.EffectiveAt.After(now) {
		return ChangeScheduled{At: now, ChangeID: s.Change.ID, EffectiveAt: s.Change.EffectiveAt}, nil
	}
	return takeEffect(s, now, now), nil
}

// pending is the rung of everything that names a change.
func pending(s State, changeID string) error {
	if s.Change.Status == NoChange {
		return ErrNoPendingChange
	}
	if s.Change.ID != changeID {
		return ErrOtherChange
	}
	return nil
}

// takeEffect makes the pending change the address since the given time, unless a fact has overtaken it: one that both
// occurred and became known later, and would have replaced the change's address had the two arrived the other way round.
// That it became known later is asked too, so that a source whose clock runs ahead cannot block a customer's changes.
func takeEffect(s State, since, now time.Time) Event {
	if s.Address.Source != "" && !since.After(s.Address.OccurredAt) && !since.After(s.Address.RecordedAt) {
		return ChangeOutdated{At: now, ChangeID: s.Change.ID}
	}
	if s.Change.Reason == ReasonCorrected {
		return Corrected{At: now, ChangeID: s.Change.ID, OccurredAt: since, Address: s.Change.Address}
	}
	return Moved{At: now, ChangeID: s.Change.ID, OccurredAt: since, Address: s.Change.Address, Verified: true}
}

func cancelChange(s State, c CancelChange, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	if s.Change.Status == NoChange {
		return nil, ErrNoPendingChange
	}
	if c.ChangeID != "" && c.ChangeID != s.Change.ID {
		return nil, ErrOtherChange
	}
	return ChangeCancelled{At: now, ChangeID: s.Change.ID}, nil
}

func changeEmail(s State, c ChangeEmail, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	if c.Email == "" {
		return nil, ErrNoEmail
	}
	if c.Email == s.Email {
		return nil, ErrSameEmail
	}
	return EmailChanged{At: now, Email: c.Email}, nil
}

func closeCustomer(s State, c Close, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	return Closed{At: now}, nil
}

// erase is possible wherever there is something to erase: an address that only a system of record told us as well.
func erase(s State, c Erase, now time.Time) (Event, error) {
	switch s.Status {
	case StatusUnknown:
		return nil, ErrNotRegistered
	case StatusErased:
		return nil, ErrErased
	case StatusUnregistered, StatusActive, StatusClosed:
	}
	if err := expected(s, c.ExpectedVersion); err != nil {
		return nil, err
	}
	return Erased{At: now}, nil
}
