package customer

import (
	"fmt"
	"time"
)

// Evolve returns the state after e. It never refuses: e has happened. Where an event cannot follow the state, the log is
// corrupt or belongs to other code, and going on would hide it: Evolve panics. The message holds no personal data.
func Evolve(s State, e Event) State {
	s.Version++
	switch e := e.(type) {
	case Registered:
		return evolveRegistered(s, e)
	case ChangeRequested:
		return evolveRequested(s, e)
	case ConfirmationReminded:
		mustPend(s, e.ChangeID, Unconfirmed, e)
		s.Change.Reminded = s.Version
	case ConfirmationUndeliverable:
		mustPend(s, e.ChangeID, Unconfirmed, e)
		s.Change.Undeliverable = e.Detail
	case ChangeScheduled:
		mustPend(s, e.ChangeID, Unconfirmed, e)
		s.Change.Status, s.Change.EffectiveAt = Scheduled, e.EffectiveAt
		s.Change.ExpiresAt, s.Change.Undeliverable = time.Time{}, ""
	case ChangeCancelled:
		return evolveEnded(s, e.ChangeID, e)
	case ChangeExpired:
		mustPend(s, e.ChangeID, Unconfirmed, e)
		s.Change = Change{}
	case ChangeOutdated:
		return evolveEnded(s, e.ChangeID, e)
	case Moved:
		return evolveMoved(s, e)
	case Corrected:
		return evolveCorrected(s, e)
	case FactRecorded:
		return evolveFact(s, e)
	case EmailChanged:
		must(s.Status == StatusActive, s, e)
		s.Email = e.Email
	case Closed:
		must(s.Status == StatusActive, s, e)
		s.Status, s.Change = StatusClosed, Change{}
	case Erased:
		must(s.Status != StatusErased, s, e)
		return State{Version: s.Version, Status: StatusErased}
	}
	return s
}

func evolveRegistered(s State, e Registered) State {
	must(s.Status == StatusUnknown || s.Status == StatusUnregistered, s, e)
	s.Status, s.Name, s.Email, s.Language = StatusActive, e.Name, e.Email, e.Language
	if !e.KeepsFact {
		s.Address = Residence{
			Address: e.Address, Reason: ReasonRegistered, Version: s.Version, Verified: true, OccurredAt: e.At, RecordedAt: e.At,
		}
	}
	must(!s.Address.Address.IsZero(), s, e)
	return s
}

func evolveRequested(s State, e ChangeRequested) State {
	must(s.Status == StatusActive && s.Change.ID == e.Supersedes, s, e)
	s.Change = Change{
		ID: e.ChangeID, Status: Unconfirmed, Address: e.Address, Reason: e.Reason, Version: s.Version,
		RequestedAt: e.At, ExpiresAt: e.ExpiresAt, EffectiveAt: e.EffectiveAt,
	}
	return s
}

func evolveEnded(s State, changeID string, e Event) State {
	must(s.Change.Status != NoChange && s.Change.ID == changeID, s, e)
	s.Change = Change{}
	return s
}

func evolveMoved(s State, e Moved) State {
	must(s.Status == StatusActive && (e.ChangeID == "" || e.ChangeID == s.Change.ID), s, e)
	s.Address = Residence{
		Address: e.Address, Reason: ReasonMoved, Version: s.Version, Verified: e.Verified,
		OccurredAt: e.OccurredAt, RecordedAt: e.At, Source: e.Source, FactID: e.FactID,
	}
	if e.ChangeID != "" { // a fact leaves the customer's own request alone
		s.Change = Change{}
	}
	return s
}

func evolveCorrected(s State, e Corrected) State {
	must(s.Status == StatusActive && e.ChangeID == s.Change.ID, s, e)
	s.Address = Residence{
		Address: e.Address, Reason: ReasonCorrected, Version: s.Version, Verified: true, OccurredAt: e.OccurredAt, RecordedAt: e.At,
	}
	s.Change = Change{}
	return s
}

func evolveFact(s State, e FactRecorded) State {
	must(s.Status != StatusClosed && s.Status != StatusErased, s, e)
	switch e.Outcome {
	case FactUnregistered:
		must(s.Status != StatusActive, s, e)
		s.Status = StatusUnregistered
		s.Address = Residence{
			Address: e.Address, Reason: ReasonMoved, Version: s.Version, Verified: e.Verified,
			OccurredAt: e.OccurredAt, RecordedAt: e.At, Source: e.Source, FactID: e.FactID,
		}
	case FactSame:
		must(s.Address.Address == e.Address, s, e)
		s.Address.OccurredAt, s.Address.RecordedAt = e.OccurredAt, e.At
		s.Address.Source, s.Address.FactID = e.Source, e.FactID
	case FactOutOfDate:
	}
	return s
}

// mustPend stops unless the event is about the pending change, and that waits for what the event says.
func mustPend(s State, changeID string, status ChangeStatus, e Event) {
	must(s.Status == StatusActive && s.Change.ID == changeID && s.Change.Status == status, s, e)
}

// must stops at an event that cannot have happened. Types, versions and statuses tell what is wrong without the person.
func must(ok bool, s State, e Event) {
	if !ok {
		panic(fmt.Sprintf("customer: %T cannot be event %d: the customer is %q with a change %q", e, s.Version, s.Status, s.Change.Status))
	}
}
