package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// What a webhook's life leaves behind: events that no secret is in, a state that everybody reads alike, a row that reads back.
func TestAWebhooksLife(t *testing.T) {
	m := join(newLedger(t), newWebhookGroup())
	tell := func(rec schemas.Command) *schemas.WebhookReply {
		t.Helper()
		m.write(topics.WebhookCommands, "w-1", rec)
		m.catchUp()
		return last[*schemas.WebhookReply](m.ledger, topics.WebhookReplies)
	}
	began := m.now
	register := &schemas.RegisterWebhook{WebhookID: "w-1", Meta: withID("1"), URL: "https://example.org/", Events: []string{"CustomerMoved"}, Payload: "thin", Owner: "ada", KeyID: "k1"}
	if r := tell(register); r.Outcome != outcomeAccepted || r.Aggregate != "webhook" {
		t.Fatalf("%+v", r)
	}
	if r := tell(register); !r.Repeat || r.Version != 1 {
		t.Errorf("%+v", r)
	}
	late := &schemas.RecordTrouble{WebhookID: "w-1", Meta: withID("late"), Result: "gone", ActiveAt: schemas.Millis(began) - 1}
	if r := tell(late); r.Refusal != "late_report" {
		t.Errorf("%+v", r)
	}
	m.now = m.now.Add(webhook.GiveUpAfter)
	for i, rec := range []schemas.Command{
		&schemas.RotateWebhookSecret{WebhookID: "w-1", Meta: withID("2"), KeyID: "k2"},
		&schemas.RecordTrouble{WebhookID: "w-1", Meta: withID("3"), Result: "failing", Partition: 2, SinceAt: schemas.Millis(began), Attempts: 3, Detail: "timeout"},
		&schemas.RedeliverWebhook{WebhookID: "w-1", Meta: withID("4"), FromAt: schemas.Millis(began), CustomerID: "c-1"},
		&schemas.RecordTrouble{WebhookID: "w-1", Meta: withID("5"), Result: "given_up", Partition: 2, SinceAt: schemas.Millis(began), Attempts: 30, Detail: "timeout", ActiveAt: schemas.Millis(began)},
	} {
		if r := tell(rec); r.Outcome != outcomeAccepted || r.Version != int64(i+2) {
			t.Fatalf("%T: %+v", rec, r)
		}
	}
	at := schemas.Millis(m.now)
	want := &schemas.WebhookState{WebhookFields: schemas.WebhookFields{
		WebhookID: "w-1", Version: 5, Status: "disabled", Owner: "ada", URL: "https://example.org/", Events: []string{"CustomerMoved"}, Payload: "thin",
		Secret: schemas.WebhookSecret{Version: 2, At: at, KeyID: "k2"}, Previous: schemas.WebhookSecret{Version: 1, At: schemas.Millis(began), KeyID: "k1"},
		PreviousEndsAt: schemas.Millis(m.now.Add(webhook.Overlap)), RegisteredAt: schemas.Millis(began), ActiveAt: schemas.Millis(began),
		DisabledReason: "given_up", DisabledSinceAt: schemas.Millis(began), DisabledAt: at, DisabledDetail: "timeout",
		Redelivery: schemas.WebhookRedelivery{Version: 4, FromAt: schemas.Millis(began), CustomerID: "c-1"}, UpdatedAt: at,
	}}
	if diff := cmp.Diff(want, last[*schemas.WebhookState](m.ledger, topics.WebhookState)); diff != "" {
		t.Errorf("public state (-want +got):\n%s", diff)
	}
	want.Troubles, want.EarlierRedeliveries = []schemas.WebhookTrouble{}, []schemas.WebhookRedelivery{}
	if diff := cmp.Diff(want.WebhookFields, webhookFields("w-1", m.state("w-1"))); diff != "" {
		t.Errorf("the row (-want +got):\n%s", diff)
	}
	if r := tell(&schemas.CloseWebhook{WebhookID: "w-1", Meta: withID("6")}); r.Outcome != outcomeAccepted {
		t.Fatalf("%+v", r)
	}
	register.Meta = withID("7")
	if r := tell(register); r.Version != 7 {
		t.Errorf("registered anew: %+v", r) // versions go on, so that no secret comes back
	}
	names := []string{"WebhookState", "WebhookState", "WebhookState", "WebhookState", "WebhookState", "tombstone", "WebhookState"}
	if diff := cmp.Diff(names, m.names(topics.WebhookState, 0)); diff != "" {
		t.Errorf("public states (-want +got):\n%s", diff)
	}
	events := []string{
		"WebhookRegistered", "WebhookSecretRotated", "WebhookTroubleRecorded", "RedeliveryRequested", "WebhookDisabled", "WebhookClosed", "WebhookRegistered",
	}
	if diff := cmp.Diff(events, m.names(topics.WebhookEvents, 0)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for topic, messages := range m.topics {
		for _, msg := range messages {
			if strings.Contains(string(msg.value), "whsec") {
				t.Errorf("%s has a secret", topic)
			}
		}
	}
}

// Wishes are kept beside the last one, and a row from before they were knows that one alone.
func TestARowKeepsEveryWish(t *testing.T) {
	m := join(newLedger(t), newWebhookGroup())
	began := schemas.Millis(m.now)
	m.write(topics.WebhookCommands, "w-1", &schemas.RegisterWebhook{WebhookID: "w-1", Meta: withID("1"), URL: "https://example.org/", Payload: "thin", KeyID: "k1"})
	for _, id := range []string{"2", "3", "4"} {
		m.write(topics.WebhookCommands, "w-1", &schemas.RedeliverWebhook{WebhookID: "w-1", Meta: withID(id), FromAt: began, CustomerID: "c-" + id})
	}
	m.catchUp()
	wish := func(version int64) schemas.WebhookRedelivery {
		return schemas.WebhookRedelivery{Version: version, FromAt: began, CustomerID: fmt.Sprintf("c-%d", version)}
	}
	state := last[*schemas.WebhookState](m.ledger, topics.WebhookState)
	if diff := cmp.Diff([]schemas.WebhookRedelivery{wish(2), wish(3)}, state.EarlierRedeliveries); diff != "" || state.Redelivery != wish(4) {
		t.Errorf("the last is %+v, those before it (-want +got):\n%s", state.Redelivery, diff)
	}
	s, _, err := loadWebhook(saveWebhook("w-1", m.state("w-1"), nil))
	if diff := cmp.Diff(m.state("w-1").Redeliveries, s.Redeliveries); diff != "" || err != nil || len(s.Redeliveries) != 3 {
		t.Errorf("read back: %v, %d wishes (-want +got):\n%s", err, len(s.Redeliveries), diff)
	}
	s, _, err = loadWebhook(&schemas.WebhookRow{WebhookFields: schemas.WebhookFields{WebhookID: "w-1", Version: 4, Status: "active", Redelivery: wish(4)}})
	if err != nil || len(s.Redeliveries) != 1 || s.Redeliveries[0].Version != 4 {
		t.Errorf("%v, wishes of an older row: %+v", err, s.Redeliveries)
	}
}

func TestARowOfRefusedWebhooksIsForgotten(t *testing.T) {
	m := join(newLedger(t), newWebhookGroup())
	m.write(topics.WebhookCommands, "w-1", &schemas.PauseWebhook{WebhookID: "w-1", Meta: withID("1")})
	m.write(topics.WebhookCommands, "w-1", &schemas.RegisterWebhook{WebhookID: "w-1", Meta: withID("2"), URL: "gopher://x", Payload: "thin", KeyID: "k"})
	m.catchUp()
	if r := last[*schemas.WebhookReply](m.ledger, topics.WebhookReplies); r.Refusal != "url" || len(m.rows) != 1 {
		t.Fatalf("%+v, %d rows", r, len(m.rows))
	}
	m.now = m.now.Add(40 * 24 * time.Hour)
	if fired := m.fire(); fired != 1 || len(m.rows) != 0 {
		t.Errorf("%d deadlines, %d rows", fired, len(m.rows))
	}
}
