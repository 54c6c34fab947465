package customer_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

func TestRecordFact(t *testing.T) {
	h := newHistory(t)
	fact := customer.RecordFact{Source: "crm", FactID: "f2", OccurredAt: after(30 * time.Minute), Address: h.delft, Verified: true}
	with := func(change func(*customer.RecordFact)) customer.RecordFact { c := fact; change(&c); return c }
	moved := customer.Moved{
		At: after(time.Hour), Source: "crm", FactID: "f2", OccurredAt: after(30 * time.Minute), Address: h.delft, Verified: true,
	}
	unverified := moved
	unverified.Verified = false
	recorded := func(outcome customer.FactOutcome, change func(*customer.FactRecorded)) customer.Event {
		e := customer.FactRecorded{
			At: after(time.Hour), Source: "crm", FactID: "f2", OccurredAt: after(30 * time.Minute), Address: h.delft, Verified: true,
			Outcome: outcome,
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	old := func(c *customer.RecordFact) { c.OccurredAt = start.Add(-time.Millisecond) }
	oldToo := func(e *customer.FactRecorded) { e.OccurredAt = start.Add(-time.Millisecond) }
	play(t, map[string]scene{
		"a fact moves the customer without asking":            {given: events(h.registered), when: fact, then: moved},
		"a fact leaves the customer's own request alone":      {given: events(h.registered, h.requested), when: with(func(c *customer.RecordFact) { c.Address = h.breda }), then: func() customer.Event { e := moved; e.Address = h.breda; return e }()},
		"an address its country refuses is kept":              {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.Verified = false }), then: unverified},
		"a fact as old as the address counts":                 {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.OccurredAt = start }), then: func() customer.Event { e := moved; e.OccurredAt = start; return e }()},
		"a fact older than the address is out of date":        {given: events(h.registered), when: with(old), then: recorded(customer.FactOutOfDate, oldToo)},
		"an old fact that says the same is out of date":       {given: events(h.registered), when: with(func(c *customer.RecordFact) { old(c); c.Address = h.gouda }), then: recorded(customer.FactOutOfDate, func(e *customer.FactRecorded) { oldToo(e); e.Address = h.gouda })},
		"a fact that says what we know moves nobody":          {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.Address = h.gouda }), then: recorded(customer.FactSame, func(e *customer.FactRecorded) { e.Address = h.gouda })},
		"the first fact of somebody unknown is kept":          {when: fact, then: recorded(customer.FactUnregistered, nil)},
		"a newer fact of somebody unregistered is kept":       {given: events(h.unregistered), when: fact, then: recorded(customer.FactUnregistered, nil)},
		"an older fact of somebody unregistered is not":       {given: events(h.unregistered), when: with(old), then: recorded(customer.FactOutOfDate, oldToo)},
		"the same address of somebody unregistered":           {given: events(h.unregistered), when: with(func(c *customer.RecordFact) { c.Address = h.breda }), then: recorded(customer.FactSame, func(e *customer.FactRecorded) { e.Address = h.breda })},
		"a fact that comes again is known":                    {given: events(h.unregistered), when: with(func(c *customer.RecordFact) { c.FactID = "f1" }), err: customer.ErrFactKnown},
		"two sources may use the same id":                     {given: events(h.unregistered), when: with(func(c *customer.RecordFact) { c.FactID, c.Source = "f1", "erp" }), then: recorded(customer.FactUnregistered, func(e *customer.FactRecorded) { e.FactID, e.Source = "f1", "erp" })},
		"a fact about a closed customer is not recorded":      {given: events(h.registered, h.closed), when: fact, err: customer.ErrNotActive},
		"a fact about an erased customer is not recorded":     {given: events(h.registered, h.erased), when: fact, err: customer.ErrErased},
		"a fact without a source is hearsay":                  {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.Source = "" }), err: customer.ErrNoSource},
		"a fact without an id is hearsay":                     {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.FactID = "" }), err: customer.ErrNoSource},
		"a fact says when it occurred":                        {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.OccurredAt = time.Time{} }), err: customer.ErrNoTime},
		"a fact has an address":                               {given: events(h.registered), when: with(func(c *customer.RecordFact) { c.Address = postal.Address{} }), err: customer.ErrNoAddress},
		"a fact that said the same makes older facts old":     {given: events(h.registered, recorded(customer.FactSame, func(e *customer.FactRecorded) { e.Address = h.gouda })), when: customer.RecordFact{Source: "crm", FactID: "f3", OccurredAt: after(20 * time.Minute), Address: h.breda}, then: customer.FactRecorded{At: after(time.Hour), Source: "crm", FactID: "f3", OccurredAt: after(20 * time.Minute), Address: h.breda, Outcome: customer.FactOutOfDate}},
		"a fact older than the confirmed move is out of date": {given: events(h.registered, h.requested, customer.Moved{At: after(40 * time.Minute), ChangeID: "c1", OccurredAt: after(40 * time.Minute), Address: h.delft, Verified: true}), when: with(func(c *customer.RecordFact) { c.Address = h.breda }), then: recorded(customer.FactOutOfDate, func(e *customer.FactRecorded) { e.Address = h.breda })},
	})
}

// No order exists between the commands and the facts: whichever the processor reads first, the customer lives at the
// same place afterwards.
func TestEitherOrder(t *testing.T) {
	h := newHistory(t)
	type input struct {
		cmd customer.Command
		now time.Duration
	}
	fact := func(occurred time.Duration) customer.RecordFact {
		return customer.RecordFact{Source: "crm", FactID: "f2", OccurredAt: after(occurred), Address: h.breda, Verified: true}
	}
	register := customer.Register{Name: "Saskia", Email: "saskia@example.org", Address: h.gouda}
	for name, test := range map[string]struct {
		given []customer.Event
		a, b  input
		want  postal.Address
	}{
		"a fact older than the registration":                     {a: input{register, time.Hour}, b: input{fact(0), 2 * time.Hour}, want: h.gouda},
		"a fact newer than the registration":                     {a: input{register, time.Hour}, b: input{fact(90 * time.Minute), 2 * time.Hour}, want: h.breda},
		"a fact as new as the registration":                      {a: input{register, time.Hour}, b: input{fact(time.Hour), 2 * time.Hour}, want: h.breda},
		"a fact older than the confirmation":                     {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, time.Hour}, b: input{fact(time.Minute), 2 * time.Hour}, want: h.delft},
		"a fact newer than the confirmation":                     {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, time.Hour}, b: input{fact(90 * time.Minute), 2 * time.Hour}, want: h.breda},
		"a fact as new as the confirmation":                      {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, time.Hour}, b: input{fact(time.Hour), 2 * time.Hour}, want: h.breda},
		"a fact older than the due date":                         {given: events(h.registered, h.later, h.planned), a: input{customer.Apply{ChangeID: "c1", DueAt: after(48 * time.Hour)}, 50 * time.Hour}, b: input{fact(47 * time.Hour), 51 * time.Hour}, want: h.delft},
		"a fact newer than the due date":                         {given: events(h.registered, h.later, h.planned), a: input{customer.Apply{ChangeID: "c1", DueAt: after(48 * time.Hour)}, 50 * time.Hour}, b: input{fact(49 * time.Hour), 51 * time.Hour}, want: h.breda},
		"a fact of the future that came before the confirmation": {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, 2 * time.Hour}, b: input{fact(900 * time.Hour), time.Hour}, want: h.delft},
		"a fact of the future that came after the confirmation":  {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, time.Hour}, b: input{fact(900 * time.Hour), 2 * time.Hour}, want: h.breda},
		"a fact of the future that came with the confirmation":   {given: events(h.registered, h.requested), a: input{customer.ConfirmChange{ChangeID: "c1"}, time.Hour}, b: input{fact(900 * time.Hour), time.Hour}, want: h.breda},
		"a fact of the future that came before the due date":     {given: events(h.registered, h.later, h.planned), a: input{customer.Apply{ChangeID: "c1", DueAt: after(48 * time.Hour)}, 50 * time.Hour}, b: input{fact(900 * time.Hour), 47 * time.Hour}, want: h.delft},
		"two facts, the newer one counts":                        {given: events(h.registered), a: input{fact(time.Hour), 2 * time.Hour}, b: input{customer.RecordFact{Source: "erp", FactID: "f7", OccurredAt: after(90 * time.Minute), Address: h.delft}, 3 * time.Hour}, want: h.delft},
		"a fact that says the same, then old":                    {given: events(h.registered), a: input{customer.RecordFact{Source: "erp", FactID: "f7", OccurredAt: after(90 * time.Minute), Address: h.gouda}, 2 * time.Hour}, b: input{fact(time.Hour), 3 * time.Hour}, want: h.gouda},
	} {
		t.Run(name, func(t *testing.T) {
			for _, inputs := range [][2]input{{test.a, test.b}, {test.b, test.a}} {
				s := fold(test.given)
				for _, in := range inputs {
					es, err := customer.Decide(s, in.cmd, after(in.now))
					if err != nil {
						t.Fatalf("%T: %v", in.cmd, err)
					}
					s = customer.Evolve(s, es[0])
				}
				if diff := cmp.Diff(test.want.Fields(), s.Address.Address.Fields()); diff != "" {
					t.Fatalf("%T first: address (-want +got):\n%s", inputs[0].cmd, diff)
				}
				if s.Change != (customer.Change{}) {
					t.Fatalf("%T first: a change is still pending", inputs[0].cmd)
				}
			}
		})
	}
}

// The same at any times: commands and facts have clocks and dates of their own, and each topic is read when it is read.
func TestEitherOrderAtAnyTime(t *testing.T) {
	h := newHistory(t)
	rapid.Check(t, func(t *rapid.T) {
		hours := func(name string, most int) time.Time {
			return after(time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Hour)
		}
		asked := hours("command at", 71)
		var given []customer.Event
		var command customer.Command
		switch rapid.SampledFrom([]string{"register", "confirm", "apply"}).Draw(t, "command") {
		case "register":
			command = customer.Register{Name: "Saskia", Email: "saskia@example.org", Address: h.gouda}
		case "confirm":
			given, command = events(h.registered, h.requested), customer.ConfirmChange{ChangeID: "c1"}
		case "apply":
			given, command = events(h.registered, h.later, h.planned), customer.Apply{ChangeID: "c1", DueAt: after(48 * time.Hour)}
			asked = asked.Add(48 * time.Hour)
		}
		fact := customer.RecordFact{Source: "crm", FactID: "f2", OccurredAt: hours("occurred at", 200), Address: h.breda}
		told := hours("fact at", 130)
		run := func(factFirst bool) customer.State {
			s := fold(given)
			for i := range 2 {
				cmd, now := command, asked
				if (i == 0) == factFirst {
					cmd, now = fact, told
				}
				es, err := customer.Decide(s, cmd, now)
				if err != nil {
					t.Fatalf("%T: %v", cmd, err)
				}
				s = customer.Evolve(s, es[0])
			}
			return s
		}
		one, other := run(true), run(false)
		if one.Address.Address != other.Address.Address || one.Change != other.Change || one.Status != other.Status {
			t.Fatalf("the fact first: %+v\nthe command first: %+v", one, other)
		}
	})
}
