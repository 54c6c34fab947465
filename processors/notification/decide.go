package notification

import (
	"time"

	"utopia/processors/postal"
)

// Decide says what follows when c is told about a customer in state s at now: events, none if it is known already. It
// refuses nothing; the error is always nil and there because every core has one.
func Decide(s State, c Command, now time.Time) ([]Event, error) {
	switch c := c.(type) {
	case ApplyCustomer:
		return applyCustomer(s, c, now), nil
	case ApplyAddress:
		return applyAddress(s, c, now), nil
	case ApplyEmail:
		return applyEmail(s, c, now), nil
	case ForgetCustomer:
		return forgetCustomer(s, c, now), nil
	case RecordMail:
		return recordMail(s, c, now), nil
	}
	return nil, nil
}

// applyCustomer takes over a whole state. An older one does nothing; one of the same version may complete what a change
// event told already.
func applyCustomer(s State, c ApplyCustomer, now time.Time) []Event {
	if s.Status == StatusForgotten || c.Version < s.CustomerVersion {
		return nil
	}
	next := updated(s, c.Version, now)
	next.Status, next.Contact = c.Status, c.Contact
	next.AddressVersion = max(s.AddressVersion, c.AddressVersion)
	if c.Version == s.CustomerVersion && next == updated(s, c.Version, now) {
		return nil
	}
	return tell(s, next)
}

// applyAddress takes over that the address is another one, ahead of the state that tells it too. It is a difference, and is
// applied only to what it differs from: if no address is known yet, or that of another version than Before, a version in
// between is still to come by the states and would be lost otherwise. The state of this version follows in any case.
func applyAddress(s State, c ApplyAddress, now time.Time) []Event {
	if s.Status == StatusForgotten || s.AddressVersion == 0 || c.Before != s.AddressVersion || c.Version <= s.CustomerVersion {
		return nil
	}
	next := updated(s, c.Version, now)
	next.AddressVersion = c.Version
	return tell(s, next)
}

// applyEmail takes over another e-mail address under the same condition.
func applyEmail(s State, c ApplyEmail, now time.Time) []Event {
	if s.Status == StatusForgotten || s.Contact.Email == "" || c.Before != s.Contact.Email || c.Version <= s.CustomerVersion {
		return nil
	}
	next := updated(s, c.Version, now)
	next.Contact.Email = c.After
	return tell(s, next)
}

// forgetCustomer makes the state forget, also that of a customer who was never known: a record of before the erasure may
// still arrive, and must not bring anything personal back.
func forgetCustomer(s State, c ForgetCustomer, now time.Time) []Event {
	if s.Status != StatusForgotten {
		return []Event{CustomerForgotten{At: now, CustomerVersion: c.Version}}
	}
	if c.Version <= s.CustomerVersion {
		return nil
	}
	return []Event{updated(s, c.Version, now)}
}

// recordMail counts what became of a mail, once. A notice that is no longer among the latest is not counted.
func recordMail(s State, c RecordMail, now time.Time) []Event {
	i := s.notice(c.Mail)
	if i < 0 || s.Notices[i].Mails[c.Mail.N-1] != FateOpen {
		return nil
	}
	switch c.Fate {
	case FateSent:
		return []Event{Delivered{At: now, Mail: c.Mail}}
	case FateUndeliverable, FateRefused:
		return []Event{Failed{At: now, Mail: c.Mail, Fate: c.Fate}}
	case FateOpen:
	}
	return nil
}

// updated is the event that changes nothing but the customer's version.
func updated(s State, version int64, now time.Time) ContactUpdated {
	return ContactUpdated{
		At: now, CustomerVersion: max(s.CustomerVersion, version), Status: s.Status,
		Contact: s.Contact, AddressVersion: s.AddressVersion,
	}
}

// tell adds to the update what the customer is to be told of it, at the old and at the new contact: who changes both cannot
// keep the one from the other. To whom nobody could write before nothing is told: the first contact that we learn of is not
// a change of anything.
func tell(s State, next ContactUpdated) []Event {
	events := []Event{next}
	if s.Contact.Email == "" {
		return events
	}
	if s.AddressVersion != 0 && next.AddressVersion > s.AddressVersion {
		events = notice(events, KindAddress, next, s.Contact.Email)
	}
	if next.Contact.Email != s.Contact.Email {
		events = notice(events, KindEmail, next, s.Contact.Email)
	}
	return events
}

// notice adds one telling, to whom was known and whom is known now.
func notice(events []Event, kind Kind, next ContactUpdated, old postal.Email) []Event {
	sent := Sent{
		At: next.At, Kind: kind, CustomerVersion: next.CustomerVersion,
		Name: next.Contact.Name, Language: next.Contact.Language, Recipients: []postal.Email{old},
	}
	if email := next.Contact.Email; email != "" && email != old {
		sent.Recipients = append(sent.Recipients, email)
	}
	return append(events, sent)
}

// notice is the place of the notice that m belongs to, -1 if there is none.
func (s State) notice(m Mail) int {
	for i, n := range s.Notices {
		if n.Version == m.Notice && m.N >= 1 && m.N <= len(n.Mails) {
			return i
		}
	}
	return -1
}

// Due lists what is to happen if nothing happens before: nothing, this service waits for nobody.
func Due(State) []Deadline { return nil }
