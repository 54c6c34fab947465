package customer_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/customer"
)

func TestDeadlineCommands(t *testing.T) {
	h := newHistory(t)
	const day = 24 * time.Hour
	expire := customer.Expire{ChangeID: "c1", DueAt: after(customer.ConfirmWithin)}
	remind := customer.Remind{ChangeID: "c1", DueAt: after(customer.RemindAfter)}
	apply := customer.Apply{ChangeID: "c1", DueAt: after(2 * day)}
	reminded := customer.ConfirmationReminded{At: after(day), ChangeID: "c1"}
	planned := events(h.registered, h.later, h.planned)
	// A deadline's command has its id from key, kind and time; another one under the same id is never decided. So the command
	// of a change that was superseded stands for that of its successor, if the two share the time.
	second := customer.ChangeRequested{
		At: start, ChangeID: "c2", Address: h.breda, Reason: customer.ReasonMoved, ExpiresAt: after(customer.ConfirmWithin),
		EffectiveAt: after(2 * day), Supersedes: "c1",
	}
	samePlan := events(h.registered, h.later, h.planned, second, customer.ChangeScheduled{At: after(day), ChangeID: "c2", EffectiveAt: after(2 * day)})
	sameMoment := events(h.registered, h.requested, second)
	play(t, map[string]scene{
		"an unconfirmed change expires":                                            {given: events(h.registered, h.requested), when: expire, now: 3 * day, then: customer.ChangeExpired{At: after(3 * day), ChangeID: "c1"}},
		"a change expires later if we were away":                                   {given: events(h.registered, h.requested), when: expire, now: 9 * day, then: customer.ChangeExpired{At: after(9 * day), ChangeID: "c1"}},
		"a change does not expire a millisecond early":                             {given: events(h.registered, h.requested), when: expire, now: 3*day - time.Millisecond, err: customer.ErrNotDue},
		"a deadline that the change does not have":                                 {given: events(h.registered, h.requested), when: customer.Expire{ChangeID: "c1", DueAt: after(time.Minute)}, err: customer.ErrOtherDeadline},
		"a confirmed change does not expire":                                       {given: planned, when: expire, now: 3 * day, err: customer.ErrAlreadyConfirmed},
		"a change expires once":                                                    {given: events(h.registered, h.requested, customer.ChangeExpired{ChangeID: "c1"}), when: expire, now: 3 * day, err: customer.ErrNoPendingChange},
		"the deadline of a superseded change does nothing":                         {given: events(h.registered, h.requested), when: customer.Expire{ChangeID: "c0", DueAt: after(2 * day)}, now: 3 * day, err: customer.ErrOtherChange},
		"a deadline before its time is not due, whatever else is wrong":            {given: events(h.registered, h.requested), when: customer.Expire{ChangeID: "c0", DueAt: after(2 * day)}, now: day, err: customer.ErrNotDue},
		"an early deadline of a closed customer is not due":                        {given: events(h.registered, h.requested, h.closed), when: remind, now: day - time.Millisecond, err: customer.ErrNotDue},
		"an early deadline of nobody is not due":                                   {when: apply, now: day, err: customer.ErrNotDue},
		"two changes of the same date have one deadline, whichever it is sent for": {given: samePlan, when: apply, now: 2 * day, then: customer.Moved{At: after(2 * day), ChangeID: "c2", OccurredAt: after(2 * day), Address: h.breda, Verified: true}},
		"two requests of the same moment have one expiry":                          {given: sameMoment, when: customer.Expire{ChangeID: "c1", DueAt: after(3 * day)}, now: 3 * day, then: customer.ChangeExpired{At: after(3 * day), ChangeID: "c2"}},
		"two requests of the same moment have one reminder":                        {given: sameMoment, when: remind, now: day, then: customer.ConfirmationReminded{At: after(day), ChangeID: "c2"}},
		"a closed customer has no deadline":                                        {given: events(h.registered, h.requested, h.closed), when: expire, now: 3 * day, err: customer.ErrNotActive},
		"the customer is reminded":                                                 {given: events(h.registered, h.requested), when: remind, now: day, then: reminded},
		"the customer is not reminded early":                                       {given: events(h.registered, h.requested), when: remind, now: day - time.Millisecond, err: customer.ErrNotDue},
		"the customer is reminded once":                                            {given: events(h.registered, h.requested, reminded), when: remind, now: day, err: customer.ErrAlreadyReminded},
		"a link that is dead on arrival is not sent":                               {given: events(h.registered, h.requested), when: remind, now: 3 * day, err: customer.ErrExpired},
		"a confirmed change needs no reminder":                                     {given: planned, when: remind, now: day, err: customer.ErrAlreadyConfirmed},
		"no change needs no reminder":                                              {given: events(h.registered), when: remind, now: day, err: customer.ErrNoPendingChange},
		"a reminder for nobody":                                                    {when: remind, now: day, err: customer.ErrNotRegistered},
		"a reminder of another time":                                               {given: events(h.registered, h.requested), when: customer.Remind{ChangeID: "c1", DueAt: start}, err: customer.ErrOtherDeadline},
		"a scheduled change takes effect at its date": {
			given: planned, when: apply, now: 2*day + time.Minute,
			then: customer.Moved{At: after(2*day + time.Minute), ChangeID: "c1", OccurredAt: after(2 * day), Address: h.delft, Verified: true},
		},
		"a scheduled change does not take effect early":   {given: planned, when: apply, now: 2*day - time.Millisecond, err: customer.ErrNotDue},
		"a scheduled change takes effect at no other":     {given: planned, when: customer.Apply{ChangeID: "c1", DueAt: after(day)}, now: 2 * day, err: customer.ErrOtherDeadline},
		"an unconfirmed change never takes effect":        {given: events(h.registered, h.later), when: apply, now: 2 * day, err: customer.ErrNotConfirmed},
		"a cancelled change never takes effect":           {given: append(planned, customer.ChangeCancelled{ChangeID: "c1"}), when: apply, now: 2 * day, err: customer.ErrNoPendingChange},
		"an erased customer's change never takes effect":  {given: append(planned, h.erased), when: apply, now: 2 * day, err: customer.ErrErased},
		"a fact before the date leaves the schedule":      {given: append(planned, movedByFact(h, day)), when: apply, now: 2 * day, then: customer.Moved{At: after(2 * day), ChangeID: "c1", OccurredAt: after(2 * day), Address: h.delft, Verified: true}},
		"a fact after the date wins over a late deadline": {given: append(planned, movedByFact(h, 2*day+time.Second)), when: apply, now: 3 * day, then: customer.ChangeOutdated{At: after(3 * day), ChangeID: "c1"}},
	})
}

func TestMailReplies(t *testing.T) {
	h := newHistory(t)
	reminded := customer.ConfirmationReminded{At: after(24 * time.Hour), ChangeID: "c1"}
	want := func(mail int64) customer.Event {
		return customer.ConfirmationUndeliverable{At: after(time.Hour), ChangeID: "c1", Mail: mail, Detail: "no_such_mailbox"}
	}
	reply := func(mail int64) customer.Command {
		return customer.RecordUndeliverable{Mail: mail, Detail: "no_such_mailbox"}
	}
	play(t, map[string]scene{
		"an undeliverable confirmation shows":          {given: events(h.registered, h.requested), when: reply(2), then: want(2)},
		"an undeliverable reminder shows":              {given: events(h.registered, h.requested, reminded), when: reply(3), then: want(3)},
		"the first mail may fail after the reminder":   {given: events(h.registered, h.requested, reminded), when: reply(2), then: want(2)},
		"a mail about an older change does not matter": {given: events(h.registered, h.requested), when: reply(1), err: customer.ErrOtherMail},
		"a mail of no event does not matter":           {given: events(h.registered, h.requested), when: reply(0), err: customer.ErrOtherMail},
		"a confirmed change does not miss its mail":    {given: events(h.registered, h.later, h.planned), when: reply(2), err: customer.ErrNoPendingChange},
		"a closed customer does not miss a mail":       {given: events(h.registered, h.requested, h.closed), when: reply(2), err: customer.ErrNotActive},
	})
}

func TestDue(t *testing.T) {
	h := newHistory(t)
	for name, test := range map[string]struct {
		given []customer.Event
		want  []customer.Deadline
	}{
		"nothing is due for nobody":             {},
		"nothing is due without a change":       {given: events(h.registered)},
		"an unconfirmed change has two":         {given: events(h.registered, h.requested), want: []customer.Deadline{{Kind: "RemindConfirmation", At: after(24 * time.Hour), ChangeID: "c1"}, {Kind: "ExpireAddressChange", At: after(72 * time.Hour), ChangeID: "c1"}}},
		"a reminded change only expires":        {given: events(h.registered, h.requested, customer.ConfirmationReminded{ChangeID: "c1"}), want: []customer.Deadline{{Kind: "ExpireAddressChange", At: after(72 * time.Hour), ChangeID: "c1"}}},
		"a scheduled change only takes effect":  {given: events(h.registered, h.later, h.planned), want: []customer.Deadline{{Kind: "ApplyAddressChange", At: after(48 * time.Hour), ChangeID: "c1"}}},
		"nothing is due for a closed customer":  {given: events(h.registered, h.requested, h.closed)},
		"nothing is due for an erased customer": {given: events(h.registered, h.requested, h.erased)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, customer.Due(fold(test.given))); diff != "" {
				t.Fatalf("Due (-want +got):\n%s", diff)
			}
		})
	}
}

func fold(events []customer.Event) customer.State {
	var s customer.State
	for _, e := range events {
		s = customer.Evolve(s, e)
	}
	return s
}
