package mail_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/mail"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later  = noon.Add(time.Minute)
	origin = mail.Origin{Sender: "customer", ReplyTo: "c-17", CorrelationID: "k-1"}
	hello  = mail.Message{Recipient: "ada@example.com", Subject: "Hello", Text: "Hello"}

	accepted  = mail.Accepted{At: noon, Origin: origin, Message: hello}
	delivered = mail.Delivered{At: later, Attempts: 2, Detail: "250"}
	failed    = mail.Failed{At: later, Attempts: 9, Detail: "550"}
	forgotten = mail.Forgotten{At: noon.Add(mail.Retention)}
)

// fold folds events from nothing.
func fold(events []mail.Event) mail.State {
	var s mail.State
	for _, e := range events {
		s = mail.Evolve(s, e)
	}
	return s
}

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		given []mail.Event
		when  mail.Command
		at    time.Time
		then  []mail.Event
		err   error
	}{
		"a mail is accepted": {
			when: mail.Send{Origin: origin, Message: hello},
			at:   noon,
			then: []mail.Event{accepted},
		},
		"a mail is not accepted twice": {
			given: []mail.Event{accepted},
			when:  mail.Send{Origin: origin, Message: hello},
			at:    noon,
			err:   mail.ErrMailExists,
		},
		"a mail is not accepted again after it was sent": {
			given: []mail.Event{accepted, delivered},
			when:  mail.Send{Origin: origin, Message: hello},
			at:    later,
			err:   mail.ErrMailExists,
		},
		"a mail is not accepted against another version than expected": {
			when: mail.Send{ExpectedVersion: 1, Origin: origin, Message: hello},
			at:   noon,
			err:  mail.ErrVersionConflict,
		},
		"a report of a sent mail is recorded": {
			given: []mail.Event{accepted},
			when:  mail.RecordDelivery{ExpectedVersion: 1, Result: mail.StatusSent, Attempts: 2, Detail: "250"},
			at:    later,
			then:  []mail.Event{delivered},
		},
		"a report of an undeliverable mail is recorded": {
			given: []mail.Event{accepted},
			when:  mail.RecordDelivery{Result: mail.StatusUndeliverable, Attempts: 9, Detail: "550"},
			at:    later,
			then:  []mail.Event{failed},
		},
		"a report against another version than expected is not recorded": {
			given: []mail.Event{accepted},
			when:  mail.RecordDelivery{ExpectedVersion: 2, Result: mail.StatusSent, Attempts: 1},
			at:    later,
			err:   mail.ErrVersionConflict,
		},
		"a report about a mail that nobody asked for is not recorded": {
			when: mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1},
			at:   later,
			err:  mail.ErrMailUnknown,
		},
		"a second report is not recorded, even if it says otherwise": {
			given: []mail.Event{accepted, delivered},
			when:  mail.RecordDelivery{Result: mail.StatusUndeliverable, Attempts: 1},
			at:    later,
			err:   mail.ErrAlreadyReported,
		},
		"a report about a forgotten mail is not recorded": {
			given: []mail.Event{accepted, forgotten},
			when:  mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1},
			at:    later,
			err:   mail.ErrMailUnknown,
		},
		"a mail is forgotten when its time has come": {
			given: []mail.Event{accepted, delivered},
			when:  mail.Forget{DueAt: noon.Add(mail.Retention)},
			at:    noon.Add(mail.Retention),
			then:  []mail.Event{forgotten},
		},
		"a mail that nobody reported about is forgotten too": {
			given: []mail.Event{accepted},
			when:  mail.Forget{DueAt: noon.Add(mail.Retention)},
			at:    noon.Add(mail.Retention),
			then:  []mail.Event{forgotten},
		},
		"a mail is not forgotten before its time": {
			given: []mail.Event{accepted},
			when:  mail.Forget{DueAt: noon.Add(mail.Retention)},
			at:    noon.Add(mail.Retention - time.Millisecond),
			err:   mail.ErrNotDue,
		},
		"a mail is not forgotten at another time than its own": {
			given: []mail.Event{accepted},
			when:  mail.Forget{DueAt: noon.Add(time.Hour)},
			at:    noon.Add(mail.Retention),
			err:   mail.ErrOutdated,
		},
		"a mail is forgotten once": {
			given: []mail.Event{accepted, forgotten},
			when:  mail.Forget{DueAt: noon.Add(mail.Retention)},
			at:    noon.Add(mail.Retention),
			err:   mail.ErrMailUnknown,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := mail.Decide(fold(tt.given), tt.when, tt.at)
			if !errors.Is(err, tt.err) {
				t.Fatalf("refusal %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.then, got); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvolve(t *testing.T) {
	tests := map[string]struct {
		given []mail.Event
		want  mail.State
	}{
		"accepted": {
			given: []mail.Event{accepted},
			want:  mail.State{Version: 1, Status: mail.StatusQueued, Origin: origin, AcceptedAt: noon},
		},
		"accepted, as read back without the message": {
			given: []mail.Event{mail.Accepted{At: noon, Origin: origin}},
			want:  mail.State{Version: 1, Status: mail.StatusQueued, Origin: origin, AcceptedAt: noon},
		},
		"sent": {
			given: []mail.Event{accepted, delivered},
			want: mail.State{
				Version: 2, Status: mail.StatusSent, Origin: origin, AcceptedAt: noon, ReportedAt: later, Attempts: 2, Detail: "250",
			},
		},
		"undeliverable": {
			given: []mail.Event{accepted, failed},
			want: mail.State{
				Version: 2, Status: mail.StatusUndeliverable, Origin: origin, AcceptedAt: noon, ReportedAt: later,
				Attempts: 9, Detail: "550",
			},
		},
		"forgotten": {
			given: []mail.Event{accepted, failed, forgotten},
			want:  mail.State{Version: 3},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fold(tt.given)); diff != "" {
				t.Fatalf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvolveStopsAtABrokenLog(t *testing.T) {
	for name, events := range map[string][]mail.Event{
		"accepted twice":               {accepted, accepted},
		"sent, but never accepted":     {delivered},
		"sent and undeliverable":       {accepted, delivered, failed},
		"forgotten, but never known":   {forgotten},
		"undeliverable once forgotten": {accepted, forgotten, failed},
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

func TestAMailIsDueToBeForgotten(t *testing.T) {
	want := []mail.Deadline{{Kind: mail.KindForget, At: noon.Add(mail.Retention)}}
	for name, events := range map[string][]mail.Event{
		"queued": {accepted}, "sent": {accepted, delivered}, "undeliverable": {accepted, failed},
	} {
		if diff := cmp.Diff(want, mail.Due(fold(events))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, events := range map[string][]mail.Event{"unknown": nil, "forgotten": {accepted, forgotten}} {
		if due := mail.Due(fold(events)); due != nil {
			t.Errorf("%s: %v", name, due)
		}
	}
}

// Whatever is asked, a mail is sent to the outbox at most once as long as it is known, has at most one report, and the
// events alone rebuild the state.
func TestAnyCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s mail.State
		var log []mail.Event
		now := noon
		inOutbox, reports := 0, 0
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hours")) * time.Hour)
			due := noon
			if d := mail.Due(s); len(d) > 0 {
				due = d[0].At
			}
			c := rapid.SampledFrom([]mail.Command{
				mail.Send{Origin: origin, Message: hello},
				mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1},
				mail.RecordDelivery{Result: mail.StatusUndeliverable, Attempts: 1},
				mail.Forget{DueAt: due},
			}).Draw(t, "command")
			events, err := mail.Decide(s, c, now)
			if (err == nil) == (len(events) == 0) {
				t.Fatalf("%T: %d events and refusal %v", c, len(events), err)
			}
			for _, e := range events {
				s = mail.Evolve(s, e)
				switch e := e.(type) {
				case mail.Accepted:
					inOutbox++
				case mail.Delivered, mail.Failed:
					reports++
				case mail.Forgotten:
					if e.At.Before(due) {
						t.Fatalf("forgotten at %s, due at %s", e.At, due)
					}
					inOutbox, reports = 0, 0
				}
			}
			log = append(log, events...)
			if inOutbox > 1 || reports > inOutbox {
				t.Fatalf("%d times in the outbox, %d reports", inOutbox, reports)
			}
		}
		if s != fold(log) || s.Version != int64(len(log)) {
			t.Fatalf("the events rebuild %+v, the state is %+v", fold(log), s)
		}
	})
}

func TestEveryRefusalHasItsOwnCodeAndSentence(t *testing.T) {
	codes := map[string]bool{"": true}
	for _, err := range mail.Refusals() {
		code := mail.Code(fmt.Errorf("wrapped: %w", err))
		if codes[code] {
			t.Errorf("%v: code %q is empty or used twice", err, code)
		}
		codes[code] = true
		if !strings.Contains(err.Error(), " ") {
			t.Errorf("%q is no sentence", err)
		}
	}
	if len(codes) != 18 {
		t.Errorf("%d refusals", len(codes)-1)
	}
	if code := mail.Code(mail.ErrNotDue); code != "not_due" {
		t.Errorf("code %q: a refusal that is not kept as handled has a fixed name", code)
	}
	if code := mail.Code(errors.New("anything else")); code != "" {
		t.Errorf("code %q for an error that is no refusal", code)
	}
}

// A mail is asked for, sent, and forgotten after its retention.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	message, err := mail.ParseMessage(mail.Message{
		Recipient: "ada@example.com", Subject: "Please confirm", Text: "Open " + mail.Placeholder("confirm"),
		Links: []mail.Link{{Name: "confirm", Purpose: "confirm", Subject: "c-17", Change: "x1", ExpiresAt: now.Add(72 * time.Hour)}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var s mail.State
	for _, c := range []mail.Command{
		mail.Send{Origin: mail.Origin{Sender: "customer"}, Message: message},
		mail.Send{Origin: mail.Origin{Sender: "customer"}, Message: message},
		mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1},
	} {
		events, err := mail.Decide(s, c, now)
		if err != nil {
			fmt.Printf("refused, %s\n", mail.Code(err))
		}
		for _, e := range events {
			s = mail.Evolve(s, e)
			fmt.Printf("%T, %s\n", e, s.Status)
		}
	}
	fmt.Println(mail.Due(s)[0].At.Sub(now))
	// Output:
	// mail.Accepted, queued
	// refused, mail_exists
	// mail.Delivered, sent
	// 720h0m0s
}
