package notification_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/notification"
	"utopia/processors/postal"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	ada    = notification.Contact{Name: "Ada", Email: "ada@example.com", Language: "nl"}
	newAda = notification.Contact{Name: "Ada", Email: "ada@example.org", Language: "nl"}

	known       = updated(1, notification.StatusActive, ada, 1)
	toldAddress = notification.Sent{
		At: noon, Kind: notification.KindAddress, CustomerVersion: 2, Name: "Ada", Language: "nl",
		Recipients: []postal.Email{"ada@example.com"},
	}
	toldEmail = notification.Sent{
		At: noon, Kind: notification.KindEmail, CustomerVersion: 2, Name: "Ada", Language: "nl",
		Recipients: []postal.Email{"ada@example.com", "ada@example.org"},
	}
	forgotten = notification.CustomerForgotten{At: noon, CustomerVersion: 9}
)

func updated(version int64, status notification.Status, c notification.Contact, address int64) notification.ContactUpdated {
	return notification.ContactUpdated{At: noon, CustomerVersion: version, Status: status, Contact: c, AddressVersion: address}
}

func state(version int64, c notification.Contact, address int64) notification.ApplyCustomer {
	return notification.ApplyCustomer{Version: version, Status: notification.StatusActive, Contact: c, AddressVersion: address}
}

// fold folds events from nothing.
func fold(events []notification.Event) notification.State {
	var s notification.State
	for _, e := range events {
		s = notification.Evolve(s, e)
	}
	return s
}

type decision struct {
	given []notification.Event
	when  notification.Command
	then  []notification.Event
}

func check(t *testing.T, tests map[string]decision) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := notification.Decide(fold(tt.given), tt.when, noon)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if diff := cmp.Diff(tt.then, got); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStates(t *testing.T) {
	check(t, map[string]decision{
		"the first state is copied and nobody is told": {
			when: state(3, ada, 2),
			then: []notification.Event{updated(3, notification.StatusActive, ada, 2)},
		},
		"another address is told to the contact": {
			given: []notification.Event{known},
			when:  state(2, ada, 2),
			then:  []notification.Event{updated(2, notification.StatusActive, ada, 2), toldAddress},
		},
		"another e-mail address is told to the old and the new one": {
			given: []notification.Event{known},
			when:  state(2, newAda, 1),
			then:  []notification.Event{updated(2, notification.StatusActive, newAda, 1), toldEmail},
		},
		"both in a gap are both told, each to the old and the new contact": {
			given: []notification.Event{known},
			when:  state(7, newAda, 5),
			then: []notification.Event{
				updated(7, notification.StatusActive, newAda, 5),
				notification.Sent{
					At: noon, Kind: notification.KindAddress, CustomerVersion: 7, Name: "Ada", Language: "nl",
					Recipients: []postal.Email{"ada@example.com", "ada@example.org"},
				},
				notification.Sent{
					At: noon, Kind: notification.KindEmail, CustomerVersion: 7, Name: "Ada", Language: "nl",
					Recipients: []postal.Email{"ada@example.com", "ada@example.org"},
				},
			},
		},
		"an e-mail address that is gone is told to the old one": {
			given: []notification.Event{known},
			when:  state(2, notification.Contact{Name: "Ada"}, 1),
			then: []notification.Event{
				updated(2, notification.StatusActive, notification.Contact{Name: "Ada"}, 1),
				notification.Sent{
					At: noon, Kind: notification.KindEmail, CustomerVersion: 2, Name: "Ada",
					Recipients: []postal.Email{"ada@example.com"},
				},
			},
		},
		"an address that changed while the e-mail address went is told to the old one": {
			given: []notification.Event{known},
			when:  state(2, notification.Contact{Name: "Ada"}, 2),
			then: []notification.Event{
				updated(2, notification.StatusActive, notification.Contact{Name: "Ada"}, 2),
				notification.Sent{
					At: noon, Kind: notification.KindAddress, CustomerVersion: 2, Name: "Ada",
					Recipients: []postal.Email{"ada@example.com"},
				},
				notification.Sent{
					At: noon, Kind: notification.KindEmail, CustomerVersion: 2, Name: "Ada",
					Recipients: []postal.Email{"ada@example.com"},
				},
			},
		},
		"another version that changes nothing here is copied and nobody is told": {
			given: []notification.Event{known},
			when:  state(2, ada, 1),
			then:  []notification.Event{updated(2, notification.StatusActive, ada, 1)},
		},
		"a contact that follows a fact about an unregistered customer is copied and nobody is told": {
			given: []notification.Event{updated(1, notification.StatusUnregistered, notification.Contact{}, 1)},
			when:  state(2, ada, 2),
			then:  []notification.Event{updated(2, notification.StatusActive, ada, 2)},
		},
		"there is nobody to tell about an unregistered customer": {
			given: []notification.Event{updated(1, notification.StatusUnregistered, notification.Contact{}, 1)},
			when: notification.ApplyCustomer{
				Version: 2, Status: notification.StatusUnregistered, AddressVersion: 2,
			},
			then: []notification.Event{updated(2, notification.StatusUnregistered, notification.Contact{}, 2)},
		},
		"a state seen before does nothing": {
			given: []notification.Event{known},
			when:  state(1, ada, 1),
		},
		"an older state does nothing": {
			given: []notification.Event{updated(3, notification.StatusActive, newAda, 3)},
			when:  state(2, ada, 1),
		},
		"a state completes what a change of the same version told": {
			given: []notification.Event{updated(2, notification.StatusActive, newAda, 1)},
			when: notification.ApplyCustomer{
				Version: 2, Status: notification.StatusClosed, Contact: newAda, AddressVersion: 1,
			},
			then: []notification.Event{updated(2, notification.StatusClosed, newAda, 1)},
		},
	})
}

func TestChanges(t *testing.T) {
	check(t, map[string]decision{
		"another address is told to the contact, change first": {
			given: []notification.Event{known},
			when:  notification.ApplyAddress{Version: 2, Before: 1},
			then:  []notification.Event{updated(2, notification.StatusActive, ada, 2), toldAddress},
		},
		"another e-mail address is told to the old and the new one, change first": {
			given: []notification.Event{known},
			when:  notification.ApplyEmail{Version: 2, Before: ada.Email, After: newAda.Email},
			then:  []notification.Event{updated(2, notification.StatusActive, newAda, 1), toldEmail},
		},
		"a change told by the state already is not told again": {
			given: []notification.Event{known, updated(2, notification.StatusActive, ada, 2), toldAddress},
			when:  notification.ApplyAddress{Version: 2, Before: 1},
		},
		"an e-mail change told by the state already is not told again": {
			given: []notification.Event{known, updated(2, notification.StatusActive, newAda, 1), toldEmail},
			when:  notification.ApplyEmail{Version: 2, Before: ada.Email, After: newAda.Email},
		},
		"an address change of a customer not yet known waits for the first state": {
			when: notification.ApplyAddress{Version: 2, Before: 1},
		},
		"an e-mail change of a customer not yet known waits for the first state": {
			when: notification.ApplyEmail{Version: 2, Before: ada.Email, After: newAda.Email},
		},
		"a change of an address that is not known here waits for the states in between": {
			given: []notification.Event{known},
			when:  notification.ApplyAddress{Version: 3, Before: 2},
		},
		"a change of an e-mail address that is not known here waits for the states in between": {
			given: []notification.Event{known},
			when:  notification.ApplyEmail{Version: 3, Before: newAda.Email, After: ada.Email},
		},
	})
}

func TestErasure(t *testing.T) {
	check(t, map[string]decision{
		"an erased customer is forgotten": {
			given: []notification.Event{known},
			when:  notification.ForgetCustomer{Version: 9},
			then:  []notification.Event{forgotten},
		},
		"a customer who was never known is forgotten too": {
			when: notification.ForgetCustomer{},
			then: []notification.Event{notification.CustomerForgotten{At: noon}},
		},
		"a customer is forgotten once": {
			given: []notification.Event{known, forgotten},
			when:  notification.ForgetCustomer{},
		},
		"the version of the erasure is applied when the tombstone came first": {
			given: []notification.Event{known, notification.CustomerForgotten{At: noon}},
			when:  notification.ForgetCustomer{Version: 9},
			then:  []notification.Event{updated(9, notification.StatusForgotten, notification.Contact{}, 0)},
		},
		"a state of before the erasure brings nothing back": {
			given: []notification.Event{known, notification.CustomerForgotten{At: noon}},
			when:  state(8, newAda, 8),
		},
		"an address change of before the erasure brings nothing back": {
			given: []notification.Event{known, notification.CustomerForgotten{At: noon}},
			when:  notification.ApplyAddress{Version: 8, Before: 0},
		},
		"an e-mail change of before the erasure brings nothing back": {
			given: []notification.Event{known, notification.CustomerForgotten{At: noon}},
			when:  notification.ApplyEmail{Version: 8, Before: "", After: newAda.Email},
		},
	})

	got := fold([]notification.Event{known, updated(2, notification.StatusActive, ada, 2), toldAddress, forgotten})
	want := notification.State{
		Version: 4, Status: notification.StatusForgotten, CustomerVersion: 9, Asked: 1,
		Notices: []notification.Notice{{
			Version: 3, Kind: notification.KindAddress, CustomerVersion: 2, At: noon, Mails: []notification.Fate{notification.FateOpen},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("after the erasure the contact is gone (-want +got):\n%s", diff)
	}
}

func TestMails(t *testing.T) {
	told := []notification.Event{known, updated(2, notification.StatusActive, newAda, 1), toldEmail} // the notice is version 3
	first, second := notification.Mail{Notice: 3, N: 1}, notification.Mail{Notice: 3, N: 2}
	check(t, map[string]decision{
		"a mail that was sent is counted": {
			given: told,
			when:  notification.RecordMail{Mail: second, Fate: notification.FateSent},
			then:  []notification.Event{notification.Delivered{At: noon, Mail: second}},
		},
		"a mail that came back is counted": {
			given: told,
			when:  notification.RecordMail{Mail: first, Fate: notification.FateUndeliverable},
			then:  []notification.Event{notification.Failed{At: noon, Mail: first, Fate: notification.FateUndeliverable}},
		},
		"a mail that was refused is counted": {
			given: told,
			when:  notification.RecordMail{Mail: first, Fate: notification.FateRefused},
			then:  []notification.Event{notification.Failed{At: noon, Mail: first, Fate: notification.FateRefused}},
		},
		"a mail of an erased customer is counted": {
			given: append(told[:len(told):len(told)], forgotten),
			when:  notification.RecordMail{Mail: first, Fate: notification.FateSent},
			then:  []notification.Event{notification.Delivered{At: noon, Mail: first}},
		},
		"a mail is counted once": {
			given: append(told[:len(told):len(told)], notification.Delivered{At: noon, Mail: first}),
			when:  notification.RecordMail{Mail: first, Fate: notification.FateUndeliverable},
		},
		"a mail that nobody asked for is not counted": {
			given: told,
			when:  notification.RecordMail{Mail: notification.Mail{Notice: 3, N: 3}, Fate: notification.FateSent},
		},
		"a mail number zero is not counted": {
			given: told,
			when:  notification.RecordMail{Mail: notification.Mail{Notice: 3}, Fate: notification.FateSent},
		},
		"a mail of an event that was no notice is not counted": {
			given: told,
			when:  notification.RecordMail{Mail: notification.Mail{Notice: 2, N: 1}, Fate: notification.FateSent},
		},
		"a mail that is only accepted is not counted": {
			given: told,
			when:  notification.RecordMail{Mail: first, Fate: notification.FateOpen},
		},
	})

	got := fold(append(told[:len(told):len(told)],
		notification.Delivered{At: noon, Mail: second}, notification.Failed{At: noon, Mail: first, Fate: notification.FateRefused}))
	if got.Asked != 2 || got.Delivered != 1 || got.Failed != 1 {
		t.Fatalf("counts %d asked, %d delivered, %d failed", got.Asked, got.Delivered, got.Failed)
	}
	fates := []notification.Fate{notification.FateRefused, notification.FateSent}
	if diff := cmp.Diff(fates, got.Notices[0].Mails); diff != "" {
		t.Fatalf("fates (-want +got):\n%s", diff)
	}
}

func TestTheIDOfAMail(t *testing.T) {
	id := notification.Mail{Notice: 3, N: 2}.ID("c-17")
	if id != "notification/c-17/3/2" {
		t.Fatalf("id %q", id)
	}
	if m, ok := notification.ParseMail("c-17", id); !ok || m != (notification.Mail{Notice: 3, N: 2}) {
		t.Fatalf("parsed %+v, %t", m, ok)
	}
	for _, other := range []string{
		"", "notification", "notification/c-17", "notification/c-17/3", "notification/c-17/3/", "notification/c-17//2",
		"notification/c-17/3/2/1", "notification/c-18/3/2", "customer/c-17/3/2", "notification/c-17/03/2", "notification/c-17/+3/2",
		"notification/c-17/99999999999999999999/1", "notification/c-17/3/x",
	} {
		if m, ok := notification.ParseMail("c-17", other); ok {
			t.Errorf("%q is mail %+v", other, m)
		}
	}
}

func TestOnlyTheLatestNoticesAreKept(t *testing.T) {
	events := []notification.Event{known}
	for range notification.MaxNotices + 5 {
		events = append(events, toldAddress)
	}
	s := fold(events)
	if len(s.Notices) != notification.MaxNotices || s.Notices[0].Version != 7 || s.Asked != notification.MaxNotices+5 {
		t.Fatalf("%d notices from version %d, %d mails", len(s.Notices), s.Notices[0].Version, s.Asked)
	}
	gone := notification.RecordMail{Mail: notification.Mail{Notice: 6, N: 1}, Fate: notification.FateSent}
	if got, err := notification.Decide(s, gone, noon); got != nil || err != nil {
		t.Fatalf("a notice that is no longer kept: %v, %v", got, err)
	}
}

func TestEvolveStopsAtABrokenLog(t *testing.T) {
	defer func() {
		if said, ok := recover().(string); !ok || !strings.Contains(said, "cannot follow version 1") {
			t.Fatalf("says %q", said)
		}
	}()
	fold([]notification.Event{known, notification.Delivered{Mail: notification.Mail{Notice: 1, N: 1}}})
}

func TestNothingIsDueAndNothingIsRefused(t *testing.T) {
	if due := notification.Due(fold([]notification.Event{known, toldAddress})); due != nil {
		t.Errorf("due: %v", due)
	}
	if refusals := notification.Refusals(); refusals != nil {
		t.Errorf("refusals: %v", refusals)
	}
	if code := notification.Code(nil); code != "" {
		t.Errorf("code %q", code)
	}
}
