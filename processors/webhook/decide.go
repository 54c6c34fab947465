package webhook

import (
	"slices"
	"time"
)

// Decide says what follows when c is asked of a webhook in state s at now: events, or one of the package's refusals and no
// event.
func Decide(s State, c Command, now time.Time) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c, now)
	case Change:
		return change(s, c, now)
	case Pause:
		return pause(s, c, now)
	case Resume:
		return resume(s, c, now)
	case Rotate:
		return rotate(s, c, now)
	case Redeliver:
		return redeliver(s, c, now)
	case Record:
		return record(s, c, now)
	case Close:
		if err := s.check(c.ExpectedVersion); err != nil {
			return nil, err
		}
		return []Event{Closed{At: now}}, nil
	}
	return nil, nil
}

// check is what every command to an existing webhook meets first.
func (s State) check(expected int64) error {
	if s.Status == StatusUnknown {
		return ErrUnknown
	}
	if expected != 0 && expected != s.Version {
		return ErrVersionConflict
	}
	return nil
}

func register(s State, c Register, now time.Time) ([]Event, error) {
	if c.ExpectedVersion != 0 && c.ExpectedVersion != s.Version {
		return nil, ErrVersionConflict
	}
	if s.Status != StatusUnknown {
		return nil, ErrExists
	}
	return []Event{Registered{At: now, Owner: c.Owner, Target: c.Target, Key: c.Key}}, nil
}

func change(s State, c Change, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	if c.Target.equal(s.Target) {
		return nil, ErrSameTarget
	}
	return []Event{Changed{At: now, Target: c.Target}}, nil
}

func (t Target) equal(o Target) bool {
	return t.URL == o.URL && t.Payload == o.Payload && slices.Equal(t.Events, o.Events)
}

func pause(s State, c Pause, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	if s.Status != StatusActive {
		return nil, ErrNotActive
	}
	return []Event{Paused{At: now}}, nil
}

func resume(s State, c Resume, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	if s.Status == StatusActive {
		return nil, ErrActive
	}
	return []Event{Resumed{At: now}}, nil
}

func rotate(s State, c Rotate, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	return []Event{SecretRotated{At: now, Key: c.Key}}, nil
}

func redeliver(s State, c Redeliver, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	if c.From.After(now) {
		return nil, ErrFuture
	}
	return []Event{RedeliveryRequested{At: now, From: c.From, Customer: c.Customer}}, nil
}

// record takes a report about what is called now: one that comes late, also after a change or a resumption, says nothing about that.
func record(s State, c Record, now time.Time) ([]Event, error) {
	if err := s.check(c.ExpectedVersion); err != nil {
		return nil, err
	}
	if s.Status != StatusActive {
		return nil, ErrNotActive
	}
	if !c.ActiveAt.IsZero() && !c.ActiveAt.Equal(s.ActiveAt) {
		return nil, ErrLateReport
	}
	switch c.Result {
	case Gone:
		return []Event{WasDisabled{At: now, Reason: Gone, Trouble: c.Trouble}}, nil
	case GivenUp:
		since := c.Trouble.Since
		if since.Before(s.ActiveAt) {
			since = s.ActiveAt
		}
		if now.Sub(since) < GiveUpAfter {
			return nil, ErrTooEarly
		}
		return []Event{WasDisabled{At: now, Reason: GivenUp, Trouble: c.Trouble}}, nil
	case Recovered:
		if !s.inTrouble(c.Trouble.Partition) {
			return nil, ErrNoTrouble
		}
	case Failing:
		if !s.inTrouble(c.Trouble.Partition) && len(s.Troubles) >= MaxTroubles {
			return nil, ErrTooManyTroubles
		}
	}
	return []Event{TroubleRecorded{At: now, Result: c.Result, Trouble: c.Trouble}}, nil
}

func (s State) inTrouble(partition int32) bool {
	return slices.ContainsFunc(s.Troubles, func(t Trouble) bool { return t.Partition == partition })
}
