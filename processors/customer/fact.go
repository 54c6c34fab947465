package customer

import "time"

// recordFact decides what an address that a system of record tells us means. Facts arrive in any order, so what counts
// is when they occurred.
func recordFact(s State, c RecordFact, now time.Time) (Event, error) {
	if s.Status == StatusErased {
		return nil, ErrErased
	}
	if s.Status == StatusClosed {
		return nil, ErrNotActive
	}
	if c.Source == "" || c.FactID == "" {
		return nil, ErrNoSource
	}
	if c.OccurredAt.IsZero() {
		return nil, ErrNoTime
	}
	if s.Address.FactID == c.FactID && s.Address.Source == c.Source {
		return nil, ErrFactKnown
	}
	if c.Address.IsZero() {
		return nil, ErrNoAddress
	}
	recorded := FactRecorded{
		At: now, Source: c.Source, FactID: c.FactID, OccurredAt: at(c.OccurredAt), Address: c.Address, Verified: c.Verified,
	}
	if !s.Address.Address.IsZero() && countsSince(s, recorded.OccurredAt, now).Before(s.Address.OccurredAt) {
		recorded.Outcome = FactOutOfDate
		return recorded, nil
	}
	if c.Address == s.Address.Address {
		recorded.Outcome = FactSame
		return recorded, nil
	}
	if s.Status != StatusActive {
		recorded.Outcome = FactUnregistered
		return recorded, nil
	}
	return Moved{
		At: now, Source: c.Source, FactID: c.FactID, OccurredAt: recorded.OccurredAt, Address: c.Address, Verified: c.Verified,
	}, nil
}

// countsSince is the time by which a fact is put in order with the address that is known. Against an address that the
// customer confirmed a fact counts from when it became known, if it is dated later than that: takeEffect asks the same of a
// fact that came first, and the order in which the two are read must not matter.
func countsSince(s State, occurredAt, now time.Time) time.Time {
	confirmed := s.Address.Source == "" && s.Address.Reason != ReasonRegistered
	if confirmed && now.Before(occurredAt) {
		return now
	}
	return occurredAt
}

// recordUndeliverable decides whether a mail that did not arrive matters: only if it asked for the confirmation that is
// still missing.
func recordUndeliverable(s State, c RecordUndeliverable, now time.Time) (Event, error) {
	if err := active(s); err != nil {
		return nil, err
	}
	if s.Change.Status != Unconfirmed {
		return nil, ErrNoPendingChange
	}
	if c.Mail == 0 || c.Mail != s.Change.Version && c.Mail != s.Change.Reminded {
		return nil, ErrOtherMail
	}
	return ConfirmationUndeliverable{At: now, ChangeID: s.Change.ID, Mail: c.Mail, Detail: c.Detail}, nil
}
