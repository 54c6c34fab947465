package notification

import (
	"fmt"
	"slices"
)

// Evolve folds e into s. It never refuses: e has happened. It panics where e cannot have happened after s, because then
// the log or the code is broken and going on would hide it. The slices of s are not written to.
func Evolve(s State, e Event) State {
	s.Version++
	switch e := e.(type) {
	case ContactUpdated:
		s.Status, s.CustomerVersion = e.Status, e.CustomerVersion
		s.Contact, s.AddressVersion = e.Contact, e.AddressVersion
	case Sent:
		s = s.remember(e)
	case Delivered:
		s = s.settle(e, e.Mail, FateSent)
		s.Delivered++
	case Failed:
		s = s.settle(e, e.Mail, e.Fate)
		s.Failed++
	case CustomerForgotten:
		s.Status, s.Contact, s.AddressVersion = StatusForgotten, Contact{}, 0
		s.CustomerVersion = max(s.CustomerVersion, e.CustomerVersion)
	}
	return s
}

// remember adds a notice and lets go the oldest of too many.
func (s State) remember(e Sent) State {
	n := Notice{Version: s.Version, Kind: e.Kind, CustomerVersion: e.CustomerVersion, At: e.At}
	for range e.Recipients {
		n.Mails = append(n.Mails, FateOpen)
	}
	s.Asked += int64(len(e.Recipients))
	s.Notices = append(slices.Clone(s.Notices), n)
	if len(s.Notices) > MaxNotices {
		s.Notices = s.Notices[len(s.Notices)-MaxNotices:]
	}
	return s
}

// settle writes down what became of a mail.
func (s State) settle(e Event, m Mail, fate Fate) State {
	i := s.notice(m)
	must(i >= 0, s, e)
	s.Notices = slices.Clone(s.Notices)
	s.Notices[i].Mails = slices.Clone(s.Notices[i].Mails)
	s.Notices[i].Mails[m.N-1] = fate
	return s
}

// must stops where the log and the code disagree. What it says holds nothing personal.
func must(ok bool, s State, e Event) {
	if !ok {
		panic(fmt.Sprintf("notification: %T cannot follow version %d", e, s.Version-1))
	}
}
