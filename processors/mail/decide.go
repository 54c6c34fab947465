package mail

import (
	"fmt"
	"time"
)

// Decide says what follows when c is asked of a mail in state s at now: events, or one of the package's refusals and no
// event.
func Decide(s State, c Command, now time.Time) ([]Event, error) {
	switch c := c.(type) {
	case Send:
		return send(s, c, now)
	case RecordDelivery:
		return recordDelivery(s, c, now)
	case Forget:
		return forget(s, c, now)
	}
	return nil, nil
}

func send(s State, c Send, now time.Time) ([]Event, error) {
	if c.ExpectedVersion != 0 && c.ExpectedVersion != s.Version {
		return nil, ErrVersionConflict
	}
	if s.Status != StatusUnknown {
		return nil, ErrMailExists
	}
	return []Event{Accepted{At: now, Origin: c.Origin, Message: c.Message}}, nil
}

func recordDelivery(s State, c RecordDelivery, now time.Time) ([]Event, error) {
	if c.ExpectedVersion != 0 && c.ExpectedVersion != s.Version {
		return nil, ErrVersionConflict
	}
	if s.Status == StatusUnknown {
		return nil, ErrMailUnknown
	}
	if s.Status != StatusQueued {
		return nil, ErrAlreadyReported
	}
	if c.Result == StatusUndeliverable {
		return []Event{Failed{At: now, Attempts: c.Attempts, Detail: c.Detail}}, nil
	}
	return []Event{Delivered{At: now, Attempts: c.Attempts, Detail: c.Detail}}, nil
}

func forget(s State, c Forget, now time.Time) ([]Event, error) {
	if c.DueAt.After(now) { // first: it is sent again, whatever else is wrong with it
		return nil, ErrNotDue
	}
	if s.Status == StatusUnknown {
		return nil, ErrMailUnknown
	}
	if !c.DueAt.Equal(s.forgetAt()) {
		return nil, ErrOutdated
	}
	return []Event{Forgotten{At: now}}, nil
}

// Evolve folds e into s. It never refuses: e has happened. It panics where e cannot have happened after s, because then
// the log or the code is broken and going on would hide it. After Forgotten only the version is left.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Accepted:
		must(s.Status == StatusUnknown, s, e)
		s.Status, s.Origin, s.AcceptedAt = StatusQueued, e.Origin, e.At
	case Delivered:
		must(s.Status == StatusQueued, s, e)
		s.Status, s.ReportedAt, s.Attempts, s.Detail = StatusSent, e.At, e.Attempts, e.Detail
	case Failed:
		must(s.Status == StatusQueued, s, e)
		s.Status, s.ReportedAt, s.Attempts, s.Detail = StatusUndeliverable, e.At, e.Attempts, e.Detail
	case Forgotten:
		must(s.Status != StatusUnknown, s, e)
		s = State{Version: s.Version}
	}
	s.Version++
	return s
}

// Due lists what is to happen if nothing happens before: the mail is forgotten Retention after it was accepted, whatever
// has become of it.
func Due(s State) []Deadline {
	if s.Status == StatusUnknown {
		return nil
	}
	return []Deadline{{Kind: KindForget, At: s.forgetAt()}}
}

func (s State) forgetAt() time.Time { return s.AcceptedAt.Add(Retention) }

// must stops where the log and the code disagree. What it says holds nothing personal.
func must(ok bool, s State, e Event) {
	if !ok {
		panic(fmt.Sprintf("mail: %T cannot follow version %d", e, s.Version))
	}
}
