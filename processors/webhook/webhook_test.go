package webhook_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/webhook"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later   = noon.Add(time.Minute)
	target  = webhook.Target{URL: "https://example.org/hook", Payload: webhook.Thin}
	other   = webhook.Target{URL: "https://example.org/other", Events: []string{"CustomerMoved"}, Payload: webhook.Delta}
	failing = webhook.Trouble{Partition: 3, Since: noon, Attempts: 3, Detail: "status_500"}

	registered = webhook.Registered{At: noon, Owner: "ada", Target: target, Key: "k1"}
	paused     = webhook.Paused{At: noon}
	disabled   = webhook.WasDisabled{At: noon, Reason: webhook.GivenUp, Trouble: failing}
	troubled   = webhook.TroubleRecorded{At: noon, Result: webhook.Failing, Trouble: failing}
	closed     = webhook.Closed{At: noon}
)

func fold(events []webhook.Event) webhook.State {
	var s webhook.State
	for _, e := range events {
		s = webhook.Evolve(s, e)
	}
	return s
}

func TestDecide(t *testing.T) {
	day := noon.Add(webhook.GiveUpAfter)
	for name, tt := range map[string]struct {
		given []webhook.Event
		when  webhook.Command
		at    time.Time
		then  []webhook.Event
		err   error
	}{
		"is registered":                {when: webhook.Register{Owner: "ada", Target: target, Key: "k1"}, at: noon, then: []webhook.Event{registered}},
		"is not registered twice":      {given: []webhook.Event{registered}, when: webhook.Register{Target: target}, err: webhook.ErrExists},
		"is registered after an end":   {given: []webhook.Event{registered, closed}, when: webhook.Register{Owner: "ada", Target: target, Key: "k1"}, at: noon, then: []webhook.Event{registered}},
		"a version from the future":    {when: webhook.Register{ExpectedVersion: 1, Target: target}, err: webhook.ErrVersionConflict},
		"is changed":                   {given: []webhook.Event{registered}, when: webhook.Change{Target: other}, at: later, then: []webhook.Event{webhook.Changed{At: later, Target: other}}},
		"is not changed to the same":   {given: []webhook.Event{registered}, when: webhook.Change{Target: target}, err: webhook.ErrSameTarget},
		"nobody has it":                {when: webhook.Change{Target: other}, err: webhook.ErrUnknown},
		"another version":              {given: []webhook.Event{registered}, when: webhook.Pause{ExpectedVersion: 2}, err: webhook.ErrVersionConflict},
		"is paused":                    {given: []webhook.Event{registered}, when: webhook.Pause{ExpectedVersion: 1}, at: noon, then: []webhook.Event{paused}},
		"is paused once":               {given: []webhook.Event{registered, paused}, when: webhook.Pause{}, err: webhook.ErrNotActive},
		"is resumed":                   {given: []webhook.Event{registered, paused}, when: webhook.Resume{}, at: later, then: []webhook.Event{webhook.Resumed{At: later}}},
		"is resumed after the sender":  {given: []webhook.Event{registered, disabled}, when: webhook.Resume{}, at: later, then: []webhook.Event{webhook.Resumed{At: later}}},
		"is not resumed while called":  {given: []webhook.Event{registered}, when: webhook.Resume{}, err: webhook.ErrActive},
		"gets another secret":          {given: []webhook.Event{registered}, when: webhook.Rotate{Key: "k2"}, at: later, then: []webhook.Event{webhook.SecretRotated{At: later, Key: "k2"}}},
		"is told again":                {given: []webhook.Event{registered}, when: webhook.Redeliver{From: noon, Customer: "c-1"}, at: later, then: []webhook.Event{webhook.RedeliveryRequested{At: later, From: noon, Customer: "c-1"}}},
		"is not told the future":       {given: []webhook.Event{registered}, when: webhook.Redeliver{From: later}, at: noon, err: webhook.ErrFuture},
		"fails":                        {given: []webhook.Event{registered}, when: webhook.Record{Result: webhook.Failing, Trouble: failing}, at: noon, then: []webhook.Event{troubled}},
		"recovers":                     {given: []webhook.Event{registered, troubled}, when: webhook.Record{Result: webhook.Recovered, Trouble: failing}, at: noon, then: []webhook.Event{webhook.TroubleRecorded{At: noon, Result: webhook.Recovered, Trouble: failing}}},
		"recovers from nothing":        {given: []webhook.Event{registered}, when: webhook.Record{Result: webhook.Recovered, Trouble: failing}, err: webhook.ErrNoTrouble},
		"is given up after a day":      {given: []webhook.Event{registered}, when: webhook.Record{Result: webhook.GivenUp, Trouble: failing}, at: day, then: []webhook.Event{webhook.WasDisabled{At: day, Reason: webhook.GivenUp, Trouble: failing}}},
		"is not given up before":       {given: []webhook.Event{registered}, when: webhook.Record{Result: webhook.GivenUp, Trouble: failing}, at: day.Add(-1), err: webhook.ErrTooEarly},
		"a day counts from the change": {given: []webhook.Event{registered, webhook.Changed{At: later, Target: other}}, when: webhook.Record{Result: webhook.GivenUp, Trouble: failing}, at: day, err: webhook.ErrTooEarly},
		"the receiver wants no more":   {given: []webhook.Event{registered}, when: webhook.Record{Result: webhook.Gone, Trouble: failing}, at: noon, then: []webhook.Event{webhook.WasDisabled{At: noon, Reason: webhook.Gone, Trouble: failing}}},
		"a late report":                {given: []webhook.Event{registered, paused}, when: webhook.Record{Result: webhook.Gone, Trouble: failing}, err: webhook.ErrNotActive},
		"a report about what is now":   {given: []webhook.Event{registered, paused, webhook.Resumed{At: later}}, when: webhook.Record{Result: webhook.Gone, Trouble: failing, ActiveAt: later}, at: later, then: []webhook.Event{webhook.WasDisabled{At: later, Reason: webhook.Gone, Trouble: failing}}},
		"gone before a resumption":     {given: []webhook.Event{registered, disabled, webhook.Resumed{At: later}}, when: webhook.Record{Result: webhook.Gone, Trouble: failing, ActiveAt: noon}, err: webhook.ErrLateReport},
		"failed before a change":       {given: []webhook.Event{registered, webhook.Changed{At: later, Target: other}}, when: webhook.Record{Result: webhook.Failing, Trouble: failing, ActiveAt: noon}, err: webhook.ErrLateReport},
		"is closed":                    {given: []webhook.Event{registered}, when: webhook.Close{}, at: noon, then: []webhook.Event{closed}},
		"is closed once":               {given: []webhook.Event{registered, closed}, when: webhook.Close{}, err: webhook.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := webhook.Decide(fold(tt.given), tt.when, tt.at)
			if !errors.Is(err, tt.err) {
				t.Fatalf("refusal %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.then, got); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARotationKeepsTheSecretBeforeForADay(t *testing.T) {
	s := fold([]webhook.Event{registered, webhook.SecretRotated{At: later, Key: "k2"}})
	if s.Secret != (webhook.Secret{Version: 2, At: later, Key: "k2"}) || s.Previous != (webhook.Secret{Version: 1, At: noon, Key: "k1"}) || !s.PreviousEndsAt.Equal(later.Add(webhook.Overlap)) {
		t.Errorf("%+v", s)
	}
}

func asked(from time.Time, customer string) webhook.Event {
	return webhook.RedeliveryRequested{At: later, From: from, Customer: customer}
}

// Nobody knows here which wishes the sender has seen, so that a new one does not end the one before.
func TestAWishDoesNotEndAnother(t *testing.T) {
	events := []webhook.Event{registered, asked(noon, "c-1"), paused, asked(later, "c-2")}
	want := []webhook.Redelivery{{Version: 2, From: noon, Customer: "c-1"}, {Version: 4, From: later, Customer: "c-2"}}
	if diff := cmp.Diff(want, fold(events).Redeliveries); diff != "" {
		t.Errorf("wishes (-want +got):\n%s", diff)
	}
	if got := fold(append(events, closed, registered)).Redeliveries; got != nil {
		t.Errorf("another webhook of the same id is to be told %v again", got)
	}
}

// Of too many the two oldest become one that asks for both.
func TestWishesAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		oldest [2]webhook.Event
		want   webhook.Redelivery
	}{
		"of the same customer":       {[2]webhook.Event{asked(later, "c-1"), asked(noon, "c-1")}, webhook.Redelivery{Version: 3, From: noon, Customer: "c-1"}},
		"of two customers":           {[2]webhook.Event{asked(noon, "c-1"), asked(later, "c-2")}, webhook.Redelivery{Version: 3, From: noon}},
		"of one customer and of all": {[2]webhook.Event{asked(later, ""), asked(noon, "c-1")}, webhook.Redelivery{Version: 3, From: noon}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fold([]webhook.Event{registered, tt.oldest[0], tt.oldest[1]})
			for range webhook.MaxRedeliveries - 2 {
				s = webhook.Evolve(s, asked(later, "c-9"))
			}
			before := slices.Clone(s.Redeliveries)
			next := webhook.Evolve(s, asked(later, "c-9"))
			if diff := cmp.Diff(before, s.Redeliveries); diff != "" || len(before) != webhook.MaxRedeliveries {
				t.Errorf("%d wishes before; they changed (-want +got):\n%s", len(before), diff)
			}
			want := append([]webhook.Redelivery{tt.want}, before[2:]...)
			want = append(want, webhook.Redelivery{Version: next.Version, From: later, Customer: "c-9"})
			if diff := cmp.Diff(want, next.Redeliveries); diff != "" || len(want) != webhook.MaxRedeliveries {
				t.Errorf("%d wishes (-want +got):\n%s", len(want), diff)
			}
		})
	}
}

func TestEvolveStopsAtABrokenLog(t *testing.T) {
	for name, events := range map[string][]webhook.Event{
		"registered twice": {registered, registered}, "never registered": {paused}, "paused twice": {registered, paused, paused},
		"resumed while called": {registered, webhook.Resumed{At: noon}}, "disabled while paused": {registered, paused, disabled}, "closed twice": {registered, closed, closed},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if said, ok := recover().(string); !ok || !strings.Contains(said, "cannot follow version") {
					t.Fatalf("says %q", said)
				}
			}()
			fold(events)
		})
	}
}

// Whatever is asked, the events alone rebuild the state, versions only grow, and only what is active has trouble.
func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s webhook.State
		var log []webhook.Event
		now := noon
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
			trouble := webhook.Trouble{Partition: int32(rapid.IntRange(0, 2).Draw(t, "partition")), Since: noon}
			c := rapid.SampledFrom([]webhook.Command{
				webhook.Register{Target: target, Key: "k1"},
				webhook.Change{Target: target},
				webhook.Change{Target: other},
				webhook.Pause{},
				webhook.Resume{},
				webhook.Rotate{Key: "k2"},
				webhook.Redeliver{From: noon},
				webhook.Close{},
				webhook.Record{Result: webhook.Failing, Trouble: trouble},
				webhook.Record{Result: webhook.Recovered, Trouble: trouble},
				webhook.Record{Result: webhook.GivenUp, Trouble: trouble},
				webhook.Record{Result: webhook.Gone, Trouble: trouble},
			}).Draw(t, "command")
			events, err := webhook.Decide(s, c, now)
			if (err == nil) == (len(events) == 0) {
				t.Fatalf("%T: %d events and refusal %v", c, len(events), err)
			}
			for _, e := range events {
				s = webhook.Evolve(s, e)
			}
			log = append(log, events...)
			if s.Status != webhook.StatusActive && len(s.Troubles) > 0 || (s.Status == webhook.StatusDisabled) != (s.Disabled.Reason != "") {
				t.Fatalf("%+v", s)
			}
		}
		if !reflect.DeepEqual(s, fold(log)) || s.Version != int64(len(log)) {
			t.Fatalf("the events rebuild %+v, the state is %+v", fold(log), s)
		}
	})
}

func TestParseTarget(t *testing.T) {
	for _, url := range []string{
		"", "example.org", "ftp://example.org", "https://", "https:///path", "https://u:p@example.org/", "https://u@example.org/", "https://example.org/#x", "https://example.org:0/",
		"https://example.org:x/", "https://example.org:/", "https://example.org/\r\nX: y", "https://exämple.org/", "https://example.org/ x", "https://" + strings.Repeat("a", webhook.MaxURL),
	} {
		if _, err := webhook.ParseTarget(webhook.Target{URL: url, Payload: webhook.Thin}); !errors.Is(err, webhook.ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, events := range [][]string{{"CustomerDanced"}, {""}, {"CustomerMoved", "CustomerMoved"}, make([]string, webhook.MaxEvents+1)} {
		if _, err := webhook.ParseTarget(webhook.Target{URL: target.URL, Events: events, Payload: webhook.Thin}); !errors.Is(err, webhook.ErrEvents) {
			t.Errorf("%q: %v", events, err)
		}
	}
	if _, err := webhook.ParseTarget(webhook.Target{URL: target.URL, Payload: "fat"}); !errors.Is(err, webhook.ErrPayload) {
		t.Error(err)
	}
	got, err := webhook.ParseTarget(webhook.Target{URL: "http://example.org:8080/x?y=z", Events: []string{"EmailChanged", "CustomerMoved"}, Payload: webhook.Whole})
	if err != nil || got.Events[0] != "CustomerMoved" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	if _, err := webhook.ParseOwner("a\nb"); !errors.Is(err, webhook.ErrOwner) {
		t.Error(err)
	}
	for _, key := range []string{"", "a:b", strings.Repeat("a", 33)} {
		if _, err := webhook.ParseKey(key); !errors.Is(err, webhook.ErrKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := webhook.ParseRedelivery(webhook.Redeliver{Customer: "a/b"}); !errors.Is(err, webhook.ErrCustomer) {
		t.Error(err)
	}
	for name, r := range map[string]webhook.Record{
		"no result": {}, "a text": {Result: webhook.Failing, Trouble: webhook.Trouble{Detail: "he said no"}}, "no partition": {Result: webhook.Gone, Trouble: webhook.Trouble{Partition: -1}},
		"no attempts": {Result: webhook.Gone, Trouble: webhook.Trouble{Attempts: -1}},
	} {
		if _, err := webhook.ParseReport(r); !errors.Is(err, webhook.ErrReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryRefusalHasItsOwnCodeAndSentence(t *testing.T) {
	codes := map[string]bool{"": true}
	for _, err := range webhook.Refusals() {
		code := webhook.Code(fmt.Errorf("wrapped: %w", err))
		if codes[code] || !strings.Contains(err.Error(), " ") {
			t.Errorf("%v: code %q", err, code)
		}
		codes[code] = true
	}
	if code := webhook.Code(errors.New("anything else")); code != "" || len(codes) != 19 {
		t.Errorf("code %q for an error that is no refusal, %d refusals", code, len(codes)-1)
	}
}
