package webhook

import (
	"fmt"
	"slices"
	"time"
)

// Evolve folds e into s. It never refuses: e has happened. It panics where e cannot have happened after s, because then
// the log or the code is broken and going on would hide it. After Closed only the version is left.
func Evolve(s State, e Event) State {
	_, first := e.(Registered)
	must(first == (s.Status == StatusUnknown), s, e)
	next := s.Version + 1
	switch e := e.(type) {
	case Registered:
		s = State{
			Status: StatusActive, Owner: e.Owner, Target: e.Target, Secret: Secret{Version: next, At: e.At, Key: e.Key},
			RegisteredAt: e.At,
		}
		s = s.afresh(e.At)
	case Changed:
		s.Target = e.Target
		s = s.afresh(e.At)
	case Paused:
		must(s.Status == StatusActive, s, e)
		s.Status, s.Troubles = StatusPaused, nil
	case Resumed:
		must(s.Status != StatusActive, s, e)
		s.Status, s.Disabled = StatusActive, Disabled{}
		s = s.afresh(e.At)
	case SecretRotated:
		s.Previous, s.PreviousEndsAt = s.Secret, e.At.Add(Overlap)
		s.Secret = Secret{Version: next, At: e.At, Key: e.Key}
	case RedeliveryRequested:
		s.Redeliveries = s.redeliveriesAfter(Redelivery{Version: next, From: e.From, Customer: e.Customer})
	case TroubleRecorded:
		must(s.Status == StatusActive, s, e)
		s.Troubles = s.troublesAfter(e)
	case WasDisabled:
		must(s.Status == StatusActive, s, e)
		s.Status, s.Troubles = StatusDisabled, nil
		s.Disabled = Disabled{Reason: e.Reason, Since: e.Trouble.Since, At: e.At, Detail: e.Trouble.Detail}
	case Closed:
		s = State{}
	}
	s.Version = next
	if s.Status != StatusUnknown {
		s.UpdatedAt = at(e)
	}
	return s
}

// afresh forgets what went wrong so far.
func (s State) afresh(now time.Time) State {
	s.ActiveAt, s.Troubles = now, nil
	return s
}

// troublesAfter is what is wrong after e; s keeps what it has.
func (s State) troublesAfter(e TroubleRecorded) []Trouble {
	all := slices.DeleteFunc(slices.Clone(s.Troubles), func(t Trouble) bool { return t.Partition == e.Trouble.Partition })
	if e.Result == Failing {
		t := e.Trouble
		t.At = e.At
		all = append(all, t)
		slices.SortFunc(all, func(a, b Trouble) int { return int(a.Partition) - int(b.Partition) })
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// redeliveriesAfter is what was asked for after r was, too; s keeps what it has.
func (s State) redeliveriesAfter(r Redelivery) []Redelivery {
	all := append(slices.Clone(s.Redeliveries), r)
	if len(all) > MaxRedeliveries {
		all[1] = both(all[0], all[1])
		all = all[1:]
	}
	return all
}

// both asks for what an older and a newer wish ask for. It has the newer's version: who has begun that one has begun both.
func both(older, newer Redelivery) Redelivery {
	if older.From.Before(newer.From) {
		newer.From = older.From
	}
	if older.Customer != newer.Customer {
		newer.Customer = ""
	}
	return newer
}

func at(e Event) time.Time {
	switch e := e.(type) {
	case Registered:
		return e.At
	case Changed:
		return e.At
	case Paused:
		return e.At
	case Resumed:
		return e.At
	case SecretRotated:
		return e.At
	case RedeliveryRequested:
		return e.At
	case TroubleRecorded:
		return e.At
	case WasDisabled:
		return e.At
	case Closed:
		return e.At
	}
	return time.Time{}
}

// must stops where the log and the code disagree. What it says quotes nothing.
func must(ok bool, s State, e Event) {
	if !ok {
		panic(fmt.Sprintf("webhook: %T cannot follow version %d", e, s.Version))
	}
}
