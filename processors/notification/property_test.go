package notification_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/notification"
	"utopia/processors/postal"
)

// history is what the customer service publishes about one customer: for each version a state, for some a change.
type history struct{ states, changes []notification.Command }

func drawHistory(t *rapid.T) history {
	var h history
	status, contact, address := notification.StatusActive, ada, int64(1)
	n := rapid.IntRange(1, 7).Draw(t, "versions")
	for v := int64(1); v <= int64(n); v++ {
		kind := "registered"
		if v > 1 {
			kind = rapid.SampledFrom([]string{"moved", "email", "other", "closed"}).Draw(t, "kind")
		}
		switch kind {
		case "moved":
			h.changes = append(h.changes, notification.ApplyAddress{Version: v, Before: address})
			address = v
		case "email":
			after := postal.Email(fmt.Sprintf("ada%d@example.com", v))
			h.changes = append(h.changes, notification.ApplyEmail{Version: v, Before: contact.Email, After: after})
			contact.Email = after
		case "closed":
			status = notification.StatusClosed
		}
		h.states = append(h.states, notification.ApplyCustomer{
			Version: v, Status: status, Contact: contact, AddressVersion: address,
		})
	}
	return h
}

// interleave merges two topics: each keeps its order, and each may be read again from an earlier place.
func interleave(t *rapid.T, a, b []notification.Command) []notification.Command {
	var out []notification.Command
	topics := [2][]notification.Command{a, b}
	var next [2]int
	rereads := 0
	for next[0] < len(a) || next[1] < len(b) {
		i := rapid.IntRange(0, 1).Draw(t, "topic")
		if next[i] == len(topics[i]) {
			i = 1 - i
		}
		out = append(out, topics[i][next[i]])
		next[i]++
		if rereads < 3 && rapid.IntRange(0, 4).Draw(t, "reread") == 0 {
			rereads++
			next[i] -= rapid.IntRange(1, next[i]).Draw(t, "by")
		}
	}
	return out
}

func run(t *rapid.T, s notification.State, commands []notification.Command) (notification.State, []notification.Event) {
	var all []notification.Event
	for _, c := range commands {
		before := fmt.Sprintf("%+v", s)
		events, err := notification.Decide(s, c, noon)
		if err != nil {
			t.Fatalf("%T refused: %v", c, err)
		}
		next := s
		for _, e := range events {
			next = notification.Evolve(next, e)
			all = append(all, e)
		}
		if after := fmt.Sprintf("%+v", s); after != before {
			t.Fatalf("%T wrote to the state it was given:\n%s\n%s", c, before, after)
		}
		s = next
	}
	return s, all
}

// tellings are what the customer is told.
func tellings(events []notification.Event) []string {
	var out []string
	for _, e := range events {
		if sent, ok := e.(notification.Sent); ok {
			out = append(out, fmt.Sprint(sent.Kind, sent.CustomerVersion, sent.Recipients))
		}
	}
	return out
}

// copyOf is the copy of the customer in s, without what was told when.
func copyOf(s notification.State) notification.State {
	s.Version, s.Notices, s.Asked = 0, nil, 0
	return s
}

// Once a customer is known, whatever order the two topics are read in and however often, the same is told, once.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		s, _ := run(t, notification.State{}, h.states[:1])
		want, wantEvents := run(t, s, h.states)
		got, gotEvents := run(t, s, interleave(t, h.states, h.changes))
		if diff := cmp.Diff(copyOf(want), copyOf(got)); diff != "" {
			t.Fatalf("copies differ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(tellings(wantEvents), tellings(gotEvents)); diff != "" {
			t.Fatalf("tellings differ (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(got, fold(append([]notification.Event{updated(1, notification.StatusActive, ada, 1)}, gotEvents...))); diff != "" {
			t.Fatalf("the events do not rebuild the state (-live +rebuilt):\n%s", diff)
		}
	})
}

// With gaps (states compacted away, changes lost) and for a customer who is not known at the start, the copy at the end is
// the same, and nothing is told twice.
func TestGapsDoNotMatterForTheCopy(t *testing.T) {
	thin := func(t *rapid.T, all []notification.Command) []notification.Command {
		var out []notification.Command
		for i, c := range all {
			if i == len(all)-1 || rapid.Bool().Draw(t, "kept") {
				out = append(out, c)
			}
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		var s notification.State
		if rapid.Bool().Draw(t, "known") {
			s, _ = run(t, s, h.states[:1])
		}
		want, _ := run(t, s, h.states)
		got, events := run(t, s, interleave(t, thin(t, h.states), thin(t, h.changes)))
		if diff := cmp.Diff(copyOf(want), copyOf(got)); diff != "" {
			t.Fatalf("copies differ (-want +got):\n%s", diff)
		}
		told := tellings(events)
		if slices.Sort(told); len(slices.Compact(slices.Clone(told))) != len(told) {
			t.Fatalf("told twice: %v", told)
		}
	})
}

// Wherever the erasure arrives, nothing personal is left and the customer stays forgotten.
func TestErasureArrivesAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		last := int64(len(h.states)) + 1
		states := append(slices.Clone(h.states), notification.ForgetCustomer{})
		changes := append(slices.Clone(h.changes), notification.ForgetCustomer{Version: last})
		got, _ := run(t, notification.State{}, interleave(t, states, changes))
		want := notification.State{Status: notification.StatusForgotten, CustomerVersion: last}
		if diff := cmp.Diff(want, copyOf(got)); diff != "" {
			t.Fatalf("after the erasure (-want +got):\n%s", diff)
		}
	})
}
