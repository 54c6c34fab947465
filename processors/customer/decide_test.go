package customer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

// start is when the customer of the tables registers; everything else is said relative to it.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

func address(t *testing.T, street string) postal.Address {
	t.Helper()
	a, err := postal.Parse(postal.Fields{Country: "NL", City: "Gouda", PostCode: "2801 AB", Street: street})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var cmpAddress = cmp.Comparer(func(a, b postal.Address) bool { return a == b })

// scene is one row of a table: events that have happened, a command, and what comes of it.
type scene struct {
	given []customer.Event
	when  customer.Command
	now   time.Duration // since start; an hour if zero
	then  customer.Event
	err   error
}

func (s scene) play(t *testing.T) {
	t.Helper()
	var state customer.State
	for _, e := range s.given {
		state = customer.Evolve(state, e)
	}
	now := s.now
	if now == 0 {
		now = time.Hour
	}
	events, err := customer.Decide(state, s.when, after(now))
	if !errors.Is(err, s.err) {
		t.Fatalf("Decide: error %v, want %v", err, s.err)
	}
	if err != nil {
		if len(events) != 0 {
			t.Fatalf("a refusal with events: %v", events)
		}
		return
	}
	if diff := cmp.Diff([]customer.Event{s.then}, events, cmpAddress); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	customer.Evolve(state, events[0]) // what Decide returns can always be folded
}

func play(t *testing.T, scenes map[string]scene) {
	t.Helper()
	for name, s := range scenes {
		t.Run(name, s.play)
	}
}

// The history that the tables start from.
type history struct {
	gouda, delft, breda                              postal.Address
	registered, requested, corrected, later, planned customer.Event
	closed, erased                                   customer.Event
	unregistered                                     customer.FactRecorded
}

func newHistory(t *testing.T) history {
	t.Helper()
	h := history{gouda: address(t, "Markt 1"), delft: address(t, "Oude Delft 2"), breda: address(t, "Ginnekenweg 3")}
	h.registered = customer.Registered{At: start, Name: "Saskia", Email: "saskia@example.org", Language: "nl", Address: h.gouda}
	h.requested = customer.ChangeRequested{
		At: start, ChangeID: "c1", Address: h.delft, Reason: customer.ReasonMoved, ExpiresAt: after(customer.ConfirmWithin),
	}
	h.corrected = customer.ChangeRequested{
		At: start, ChangeID: "c1", Address: h.delft, Reason: customer.ReasonCorrected, ExpiresAt: after(customer.ConfirmWithin),
	}
	h.later = customer.ChangeRequested{
		At: start, ChangeID: "c1", Address: h.delft, Reason: customer.ReasonMoved, ExpiresAt: after(customer.ConfirmWithin),
		EffectiveAt: after(48 * time.Hour),
	}
	h.planned = customer.ChangeScheduled{At: after(time.Minute), ChangeID: "c1", EffectiveAt: after(48 * time.Hour)}
	h.closed = customer.Closed{At: after(time.Minute)}
	h.erased = customer.Erased{At: after(time.Minute)}
	h.unregistered = customer.FactRecorded{
		At: start, Source: "crm", FactID: "f1", OccurredAt: start, Address: h.breda, Verified: true,
		Outcome: customer.FactUnregistered,
	}
	return h
}

func events(e ...customer.Event) []customer.Event { return e }

func TestRegister(t *testing.T) {
	h := newHistory(t)
	cmd := customer.Register{Name: "Saskia", Email: "saskia@example.org", Language: "nl", Address: h.gouda}
	with := func(change func(*customer.Register)) customer.Register { c := cmd; change(&c); return c }
	want := customer.Registered{
		At: after(time.Hour), Name: "Saskia", Email: "saskia@example.org", Language: "nl", Address: h.gouda,
	}
	keeps := want
	keeps.KeepsFact = true
	newer := h.unregistered
	newer.OccurredAt = after(time.Hour)
	play(t, map[string]scene{
		"a customer nobody knows can be registered":            {when: cmd, then: want},
		"an id is registered once":                             {given: events(h.registered), when: cmd, err: customer.ErrAlreadyRegistered},
		"a closed customer is not registered again":            {given: events(h.registered, h.closed), when: cmd, err: customer.ErrNotActive},
		"an erased customer's id is never used again":          {given: events(h.registered, h.erased), when: cmd, err: customer.ErrErased},
		"a registration after an older fact sets its address":  {given: events(h.unregistered), when: cmd, then: want},
		"a registration keeps the address of a fact as new":    {given: events(newer), when: cmd, then: keeps},
		"a registration can expect the version of the fact":    {given: events(h.unregistered), when: with(func(c *customer.Register) { c.ExpectedVersion = 1 }), then: want},
		"a version expected of nobody is a conflict":           {when: with(func(c *customer.Register) { c.ExpectedVersion = 1 }), err: customer.ErrVersionConflict},
		"a registration has a name":                            {when: with(func(c *customer.Register) { c.Name = "" }), err: customer.ErrName},
		"a registration has an e-mail address":                 {when: with(func(c *customer.Register) { c.Email = "" }), err: customer.ErrNoEmail},
		"a registration has an address":                        {when: with(func(c *customer.Register) { c.Address = postal.Address{} }), err: customer.ErrNoAddress},
		"a registration need not name a language":              {when: with(func(c *customer.Register) { c.Language = "" }), then: func() customer.Event { e := want; e.Language = ""; return e }()},
		"an erased address that was a fact is not used either": {given: events(h.unregistered, h.erased), when: cmd, err: customer.ErrErased},
	})
}

func TestRequestChange(t *testing.T) {
	h := newHistory(t)
	cmd := customer.RequestChange{ChangeID: "c2", Address: h.breda, Reason: customer.ReasonMoved}
	with := func(change func(*customer.RequestChange)) customer.RequestChange { c := cmd; change(&c); return c }
	want := customer.ChangeRequested{
		At: after(time.Hour), ChangeID: "c2", Address: h.breda, Reason: customer.ReasonMoved,
		ExpiresAt: after(time.Hour + customer.ConfirmWithin),
	}
	then := func(change func(*customer.ChangeRequested)) customer.Event { e := want; change(&e); return e }
	play(t, map[string]scene{
		"a customer asks to move":                          {given: events(h.registered), when: cmd, then: want},
		"a customer asks for a correction":                 {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.Reason = customer.ReasonCorrected }), then: then(func(e *customer.ChangeRequested) { e.Reason = customer.ReasonCorrected })},
		"a new request takes the place of an unconfirmed":  {given: events(h.registered, h.requested), when: cmd, then: then(func(e *customer.ChangeRequested) { e.Supersedes = "c1" })},
		"a new request takes the place of a scheduled one": {given: events(h.registered, h.later, h.planned), when: cmd, then: then(func(e *customer.ChangeRequested) { e.Supersedes = "c1" })},
		"a change can wait for a date": {
			given: events(h.registered), when: with(func(c *customer.RequestChange) { c.EffectiveAt = after(100 * time.Hour) }),
			then: then(func(e *customer.ChangeRequested) { e.EffectiveAt = after(100 * time.Hour) }),
		},
		"a date is kept in UTC and milliseconds": {
			given: events(h.registered),
			when: with(func(c *customer.RequestChange) {
				c.EffectiveAt = after(100*time.Hour + 999*time.Nanosecond).In(time.FixedZone("", 7200))
			}),
			then: then(func(e *customer.ChangeRequested) { e.EffectiveAt = after(100 * time.Hour) }),
		},
		"a change does not take effect in the past":   {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.EffectiveAt = after(time.Hour) }), err: customer.ErrEffectiveInPast},
		"a change does not wait for a century":        {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.EffectiveAt = after(2*time.Hour + customer.ScheduleWithin) }), err: customer.ErrEffectiveTooLate},
		"the address that the customer has":           {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.Address = h.gouda }), err: customer.ErrSameAddress},
		"a change has an address":                     {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.Address = postal.Address{} }), err: customer.ErrNoAddress},
		"a change has a reason":                       {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.Reason = "" }), err: customer.ErrUnknownReason},
		"no change has the registration as reason":    {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.Reason = customer.ReasonRegistered }), err: customer.ErrUnknownReason},
		"nobody's address does not change":            {when: cmd, err: customer.ErrNotRegistered},
		"an address told by a fact alone is nobody's": {given: events(h.unregistered), when: cmd, err: customer.ErrNotRegistered},
		"a closed customer cannot move":               {given: events(h.registered, h.closed), when: cmd, err: customer.ErrNotActive},
		"an erased customer cannot move":              {given: events(h.registered, h.erased), when: cmd, err: customer.ErrErased},
		"the expected version is the current one":     {given: events(h.registered, h.requested), when: with(func(c *customer.RequestChange) { c.ExpectedVersion = 2 }), then: then(func(e *customer.ChangeRequested) { e.Supersedes = "c1" })},
		"an old version is a conflict":                {given: events(h.registered, h.requested), when: with(func(c *customer.RequestChange) { c.ExpectedVersion = 1 }), err: customer.ErrVersionConflict},
		"a version from the future is a conflict":     {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.ExpectedVersion = 7 }), err: customer.ErrVersionConflict},
		"a negative version is a conflict":            {given: events(h.registered), when: with(func(c *customer.RequestChange) { c.ExpectedVersion = -1 }), err: customer.ErrVersionConflict},
	})
}

func TestConfirmChange(t *testing.T) {
	h := newHistory(t)
	cmd := customer.ConfirmChange{ChangeID: "c1", ExpiresAt: after(customer.ConfirmWithin)}
	moved := customer.Moved{At: after(time.Hour), ChangeID: "c1", OccurredAt: after(time.Hour), Address: h.delft, Verified: true}
	last := moved
	last.At, last.OccurredAt = after(customer.ConfirmWithin-time.Millisecond), after(customer.ConfirmWithin-time.Millisecond)
	late := moved
	late.At, late.OccurredAt = after(49*time.Hour), after(49*time.Hour)
	second := customer.ChangeRequested{
		At: after(time.Minute), ChangeID: "c2", Address: h.breda, Reason: customer.ReasonMoved,
		ExpiresAt: after(time.Minute + customer.ConfirmWithin), Supersedes: "c1",
	}
	again := second
	again.ChangeID = "c1"
	play(t, map[string]scene{
		"a confirmed move is a move": {given: events(h.registered, h.requested), when: cmd, then: moved},
		"a confirmed correction is a correction": {
			given: events(h.registered, h.corrected), when: cmd,
			then: customer.Corrected{At: after(time.Hour), ChangeID: "c1", OccurredAt: after(time.Hour), Address: h.delft},
		},
		"a confirmed change with a date waits for it": {
			given: events(h.registered, h.later), when: cmd,
			then: customer.ChangeScheduled{At: after(time.Hour), ChangeID: "c1", EffectiveAt: after(48 * time.Hour)},
		},
		"a change confirmed after its date takes effect at once":  {given: events(h.registered, h.later), when: cmd, now: 49 * time.Hour, then: late},
		"a confirmation need not come by a link":                  {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1"}, then: moved},
		"a change can be confirmed until the last millisecond":    {given: events(h.registered, h.requested), when: cmd, now: customer.ConfirmWithin - time.Millisecond, then: last},
		"a change cannot be confirmed when its time is up":        {given: events(h.registered, h.requested), when: cmd, now: customer.ConfirmWithin, err: customer.ErrExpired},
		"a link that has expired does not confirm":                {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1", ExpiresAt: after(time.Hour)}, err: customer.ErrExpired},
		"a change is confirmed once":                              {given: events(h.registered, h.requested, moved), when: cmd, err: customer.ErrNoPendingChange},
		"a scheduled change is confirmed already":                 {given: events(h.registered, h.later, h.planned), when: cmd, err: customer.ErrAlreadyConfirmed},
		"the link of a superseded change is dead":                 {given: events(h.registered, h.requested, second), when: cmd, err: customer.ErrOtherChange},
		"the link of an earlier change with the same id is dead":  {given: events(h.registered, h.requested, again), when: cmd, err: customer.ErrOtherChange},
		"a link that promises more time than there is is dead":    {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1", ExpiresAt: after(customer.ConfirmWithin + time.Millisecond)}, err: customer.ErrOtherChange},
		"a change that expired cannot be confirmed":               {given: events(h.registered, h.requested, customer.ChangeExpired{ChangeID: "c1"}), when: cmd, err: customer.ErrNoPendingChange},
		"without a change there is nothing to confirm":            {given: events(h.registered), when: cmd, err: customer.ErrNoPendingChange},
		"closing ends the change":                                 {given: events(h.registered, h.requested, h.closed), when: cmd, err: customer.ErrNotActive},
		"erasing ends the change":                                 {given: events(h.registered, h.requested, h.erased), when: cmd, err: customer.ErrErased},
		"nobody confirms nothing":                                 {when: cmd, err: customer.ErrNotRegistered},
		"a confirmation of another version than seen is refused":  {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1", ExpectedVersion: 1}, err: customer.ErrVersionConflict},
		"a confirmation of the version seen counts":               {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1", ExpectedVersion: 2}, then: moved},
		"a change confirmed after a fact it knew of takes effect": {given: events(h.registered, movedByFact(h, 0), h.requested), when: cmd, then: moved},
		"a fact that overtook the confirmation wins":              {given: events(h.registered, h.requested, movedByFact(h, time.Hour)), when: cmd, then: customer.ChangeOutdated{At: after(time.Hour), ChangeID: "c1"}},
		"a source whose clock runs ahead does not block a change": {given: events(h.registered, h.requested, fastClock(h)), when: cmd, then: moved},
		"a registration in the same millisecond is no later fact": {given: events(h.registered, h.requested), when: customer.ConfirmChange{ChangeID: "c1"}, now: time.Nanosecond, then: customer.Moved{At: start, ChangeID: "c1", OccurredAt: start, Address: h.delft, Verified: true}},
	})
}

// movedByFact is a move that a system of record told us the moment it happened.
func movedByFact(h history, since time.Duration) customer.Moved {
	return customer.Moved{
		At: after(since), Source: "crm", FactID: "f9", OccurredAt: after(since), Address: h.breda, Verified: true,
	}
}

// fastClock is a move that a system of record told us a minute after the start and dates a century later.
func fastClock(h history) customer.Moved {
	m := movedByFact(h, time.Minute)
	m.OccurredAt = after(100 * 365 * 24 * time.Hour)
	return m
}

func TestCancelChange(t *testing.T) {
	h := newHistory(t)
	want := customer.ChangeCancelled{At: after(time.Hour), ChangeID: "c1"}
	play(t, map[string]scene{
		"an unconfirmed change can be taken back":      {given: events(h.registered, h.requested), when: customer.CancelChange{ChangeID: "c1"}, then: want},
		"a scheduled change can be taken back":         {given: events(h.registered, h.later, h.planned), when: customer.CancelChange{ChangeID: "c1"}, then: want},
		"the change need not be named":                 {given: events(h.registered, h.requested), when: customer.CancelChange{}, then: want},
		"another change is not taken back":             {given: events(h.registered, h.requested), when: customer.CancelChange{ChangeID: "c0"}, err: customer.ErrOtherChange},
		"without a change there is nothing to cancel":  {given: events(h.registered), when: customer.CancelChange{ChangeID: "c1"}, err: customer.ErrNoPendingChange},
		"a closed customer has nothing to cancel":      {given: events(h.registered, h.requested, h.closed), when: customer.CancelChange{}, err: customer.ErrNotActive},
		"a conflict is refused before the change":      {given: events(h.registered), when: customer.CancelChange{ExpectedVersion: 9}, err: customer.ErrVersionConflict},
		"a cancellation of the version seen is heard":  {given: events(h.registered, h.requested), when: customer.CancelChange{ExpectedVersion: 2}, then: want},
		"a cancelled change is not cancelled a second": {given: events(h.registered, h.requested, want), when: customer.CancelChange{ChangeID: "c1"}, err: customer.ErrNoPendingChange},
	})
}

func TestContactCloseErase(t *testing.T) {
	h := newHistory(t)
	play(t, map[string]scene{
		"a customer has a new e-mail address":         {given: events(h.registered), when: customer.ChangeEmail{Email: "s@example.net"}, then: customer.EmailChanged{At: after(time.Hour), Email: "s@example.net"}},
		"the same e-mail address is no change":        {given: events(h.registered), when: customer.ChangeEmail{Email: "saskia@example.org"}, err: customer.ErrSameEmail},
		"a customer cannot be without e-mail":         {given: events(h.registered), when: customer.ChangeEmail{}, err: customer.ErrNoEmail},
		"a closed customer keeps the e-mail address":  {given: events(h.registered, h.closed), when: customer.ChangeEmail{Email: "s@example.net"}, err: customer.ErrNotActive},
		"an e-mail address of an old version":         {given: events(h.registered, h.requested), when: customer.ChangeEmail{Email: "s@example.net", ExpectedVersion: 1}, err: customer.ErrVersionConflict},
		"a customer leaves":                           {given: events(h.registered, h.requested), when: customer.Close{}, then: customer.Closed{At: after(time.Hour)}},
		"a customer leaves once":                      {given: events(h.registered, h.closed), when: customer.Close{}, err: customer.ErrNotActive},
		"nobody leaves":                               {when: customer.Close{}, err: customer.ErrNotRegistered},
		"a conflict keeps the customer":               {given: events(h.registered), when: customer.Close{ExpectedVersion: 3}, err: customer.ErrVersionConflict},
		"an active customer can be erased":            {given: events(h.registered), when: customer.Erase{}, then: customer.Erased{At: after(time.Hour)}},
		"a closed customer can be erased":             {given: events(h.registered, h.closed), when: customer.Erase{}, then: customer.Erased{At: after(time.Hour)}},
		"an address told by a fact can be erased":     {given: events(h.unregistered), when: customer.Erase{}, then: customer.Erased{At: after(time.Hour)}},
		"a customer is erased once":                   {given: events(h.registered, h.erased), when: customer.Erase{}, err: customer.ErrErased},
		"nobody can be erased":                        {when: customer.Erase{}, err: customer.ErrNotRegistered},
		"a conflict erases nothing":                   {given: events(h.registered), when: customer.Erase{ExpectedVersion: 3}, err: customer.ErrVersionConflict},
		"an erasure of the version seen is performed": {given: events(h.registered), when: customer.Erase{ExpectedVersion: 1}, then: customer.Erased{At: after(time.Hour)}},
	})
}
