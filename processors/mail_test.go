package processors

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/mail"
	"utopia/schemas"
	"utopia/topics"
)

// letterTo is a command that asks for a mail with a link.
func letterTo(id, recipient string) *schemas.SendMail {
	return &schemas.SendMail{
		MailID: id,
		Meta:   schemas.Metadata{CommandID: id, CorrelationID: "k-1", CausationID: "c-1/3", ReplyTo: "c-1"},
		Sender: topics.Customer, Recipient: recipient, Language: "nl", Subject: "Kanarie", Text: "Open {{link:confirm}}",
		HTML:  "<p>{{link:confirm}}</p>",
		Links: []schemas.Link{{Name: "confirm", Purpose: "confirm", Subject: "c-1", Change: "x-1", ExpiresAt: 1772712000000}},
	}
}

func report(mailID, id, result string) *schemas.RecordDelivery {
	return &schemas.RecordDelivery{MailID: mailID, Meta: withID(id), Result: result, Attempts: 2, Detail: "5.1.1"}
}

type mailMember = member[mail.State, mail.Command, mail.Event]

// checkMail compares the rows with what everybody can see: the events fold into them, and nothing but the outbox and the
// command itself says to whom what was written.
func checkMail(m *mailMember) {
	m.t.Helper()
	folded := map[string]mail.State{}
	for _, rec := range m.read(topics.MailEvents) {
		var key string
		var h schemas.EventHead
		var event mail.Event
		switch r := rec.(type) {
		case *schemas.MailAccepted:
			key, h = r.MailID, r.EventHead
			event = mail.Accepted{
				At: schemas.Time(r.At), Origin: mail.Origin{Sender: r.Sender, ReplyTo: r.ReplyTo, CorrelationID: r.CorrelationID},
			}
		case *schemas.MailDelivered:
			key, h, event = r.MailID, r.EventHead, mail.Delivered{At: schemas.Time(r.At), Attempts: r.Attempts, Detail: r.Detail}
		case *schemas.MailFailed:
			key, h, event = r.MailID, r.EventHead, mail.Failed{At: schemas.Time(r.At), Attempts: r.Attempts, Detail: r.Detail}
		case *schemas.MailForgotten:
			key, h, event = r.MailID, r.EventHead, mail.Forgotten{At: schemas.Time(r.At)}
		default:
			m.t.Fatalf("a %T among mail's events", rec)
		}
		folded[key] = mail.Evolve(folded[key], event)
		if folded[key].Version != h.Version {
			m.t.Fatalf("%T says version %d and is number %d", rec, h.Version, folded[key].Version)
		}
	}
	for key, s := range folded {
		if s.Status == mail.StatusUnknown { // forgotten: the row is gone with the version
			s = mail.State{}
		}
		if diff := cmp.Diff(s, m.state(key)); diff != "" {
			m.t.Fatalf("the events do not rebuild the row of %s (-events +row):\n%s", key, diff)
		}
	}
	for topic, messages := range m.topics {
		if topic == topics.MailCommands.Name || topic == topics.MailOutbox.Name {
			continue
		}
		for _, msg := range messages {
			m.impersonal(topic, msg.value)
		}
	}
	for key, row := range m.rows {
		m.impersonal("the row of "+key, row)
	}
}

func (l *ledger) impersonal(where string, b []byte) {
	l.t.Helper()
	for _, canary := range []string{"example.com", "Kanarie", "{{link"} {
		if strings.Contains(string(b), canary) {
			l.t.Errorf("%s has the canary %q", where, canary)
		}
	}
}

func TestAMailIsHandedOverOnceAndItsFateTold(t *testing.T) {
	const id = "customer/c-1/3/1"
	for result, want := range map[string]schemas.Record{
		"sent": &schemas.MailSent{
			ReplyTo: "c-1", MailID: id, Sender: "customer", CorrelationID: "k-1", At: 1772366400000, Attempts: 2,
		},
		"undeliverable": &schemas.MailUndeliverable{
			ReplyTo: "c-1", MailID: id, Sender: "customer", CorrelationID: "k-1", At: 1772366400000, Attempts: 2, Detail: "5.1.1",
		},
	} {
		t.Run(result, func(t *testing.T) {
			m := join(newLedger(t), newMailGroup())
			m.write(topics.MailCommands, id, letterTo(id, "ada@example.com"))
			m.write(topics.MailCommands, id, letterTo(id, "ada@example.com"))
			m.catchUp()
			outbox := m.read(topics.MailOutbox)
			wantOutbox := []schemas.Record{&schemas.MailToSend{
				MailID: id, Sender: "customer", CorrelationID: "k-1", AcceptedAt: schemas.Millis(m.now), Recipient: "ada@example.com",
				Language: "nl", Subject: "Kanarie", Text: "Open {{link:confirm}}", HTML: "<p>{{link:confirm}}</p>",
				Links: []schemas.Link{{Name: "confirm", Purpose: "confirm", Subject: "c-1", Change: "x-1", ExpiresAt: 1772712000000}},
			}}
			if diff := cmp.Diff(wantOutbox, outbox); diff != "" {
				t.Fatalf("outbox (-want +got):\n%s", diff)
			}

			m.write(topics.MailCommands, id, report(id, "r-1", result))
			m.write(topics.MailCommands, id, report(id, "r-1", result))
			m.write(topics.MailCommands, id, report(id, "r-2", result))
			m.catchUp()
			replies := m.read(topics.MailReplies)
			names := []string{"MailReply", "MailReply", want.AvroName()[len("utopia.mail."):], "MailReply", "MailReply", "MailReply"}
			if diff := cmp.Diff(names, m.names(topics.MailReplies, 0)); diff != "" {
				t.Fatalf("replies (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, replies[2]); diff != "" {
				t.Fatalf("the sender is told (-want +got):\n%s", diff)
			}
			if first, ok := replies[0].(*schemas.MailReply); !ok || first.Sender != "customer" || first.ReplyTo != "c-1" || first.Repeat {
				t.Errorf("the first reply is %+v", replies[0])
			}
			if again, ok := replies[1].(*schemas.MailReply); !ok || !again.Repeat || again.Outcome != outcomeAccepted {
				t.Errorf("the second reply is %+v", replies[1])
			}
			if other, ok := replies[5].(*schemas.MailReply); !ok || other.Refusal != "already_reported" || other.Sender != "mail" {
				t.Errorf("another report is %+v", replies[5])
			}
			state := last[*schemas.MailState](m.ledger, topics.MailState)
			wantState := &schemas.MailState{
				MailID: id, Version: 2, Status: result, Sender: "customer", AcceptedAt: schemas.Millis(m.now),
				ReportedAt: schemas.Millis(m.now), Attempts: 2, Detail: "5.1.1",
			}
			if diff := cmp.Diff(wantState, state); diff != "" {
				t.Errorf("public state (-want +got):\n%s", diff)
			}
			for _, msg := range m.topics[topics.MailReplies.Name] {
				if msg.key != "c-1" && msg.key != id {
					t.Errorf("a reply with key %q", msg.key)
				}
			}
			checkMail(m)
		})
	}
}

func TestAMailIsForgottenAfterItsRetention(t *testing.T) {
	m := join(newLedger(t), newMailGroup())
	m.write(topics.MailCommands, "m-1", letterTo("m-1", "ada@example.com"))
	m.write(topics.MailCommands, "m-2", report("m-2", "r-1", "sent")) // refused: a row that only remembers that
	m.catchUp()
	if len(m.rows) != 2 {
		t.Fatalf("%d rows", len(m.rows))
	}
	m.now = m.now.Add(mail.Retention - time.Millisecond)
	if fired := m.fire(); fired != 1 || len(m.rows) != 1 {
		t.Fatalf("a day later %d deadlines, %d rows", fired, len(m.rows))
	}
	m.now = m.now.Add(time.Millisecond)
	if fired := m.fire(); fired != 1 || len(m.rows) != 0 {
		t.Fatalf("after the retention %d deadlines, %d rows", fired, len(m.rows))
	}
	if diff := cmp.Diff([]string{"MailState", "tombstone"}, m.names(topics.MailState, 0)); diff != "" {
		t.Errorf("public state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"MailAccepted", "MailForgotten"}, m.names(topics.MailEvents, 0)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	checkMail(m)
}

func TestAMailIsNotForgottenBecauseAClockRanAhead(t *testing.T) {
	m := join(newLedger(t), newMailGroup())
	m.write(topics.MailCommands, "m-1", letterTo("m-1", "ada@example.com"))
	m.catchUp()
	due := m.now.Add(mail.Retention)
	early := &schemas.ForgetMail{MailID: "m-1", Meta: withID("due/m-1/ForgetMail/1"), DueAt: schemas.Millis(due)}
	m.write(topics.MailCommands, "m-1", early)
	m.catchUp()
	if reply := last[*schemas.MailReply](m.ledger, topics.MailReplies); reply.Refusal != codeNotDue {
		t.Fatalf("an early deadline: %+v", reply)
	}
	m.now = due
	m.write(topics.MailCommands, "m-1", early)
	m.catchUp()
	if reply := last[*schemas.MailReply](m.ledger, topics.MailReplies); reply.Outcome != outcomeAccepted || len(m.rows) != 0 {
		t.Fatalf("the same command in time: %+v, %d rows", reply, len(m.rows))
	}
}

func TestMailsThatAreRefusedReachNoOutbox(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*schemas.SendMail)
		code   string
	}{
		"a header behind the recipient": {func(c *schemas.SendMail) { c.Recipient += "\r\nBcc: eve@example.com" }, "recipient"},
		"a header behind the subject":   {func(c *schemas.SendMail) { c.Subject += "\nBcc: eve@example.com" }, "subject"},
		"no text":                       {func(c *schemas.SendMail) { c.Text = "" }, "text"},
		"another command id":            {func(c *schemas.SendMail) { c.Meta.CommandID = "m-2" }, "mail_id"},
		"no sender":                     {func(c *schemas.SendMail) { c.Sender = "" }, "sender"},
		"a link nobody can follow":      {func(c *schemas.SendMail) { c.Text = "Open the link" }, "link"},
		"a version from the future":     {func(c *schemas.SendMail) { c.Meta.ExpectedVersion = 1 }, "version_conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			m := join(newLedger(t), newMailGroup())
			c := letterTo("m-1", "ada@example.com")
			tt.change(c)
			m.write(topics.MailCommands, "m-1", c)
			m.catchUp()
			if reply := last[*schemas.MailReply](m.ledger, topics.MailReplies); reply.Refusal != tt.code || reply.ReplyTo != "c-1" {
				t.Errorf("reply %+v", reply)
			}
			if n := len(m.topics[topics.MailOutbox.Name]); n != 0 {
				t.Errorf("%d mails in the outbox", n)
			}
			checkMail(m)
		})
	}
}

func TestAMailWithoutAReplyAddressAnswersToItsOwnID(t *testing.T) {
	m := join(newLedger(t), newMailGroup())
	c := letterTo("m-1", "ada@example.com")
	c.Meta.ReplyTo = ""
	m.write(topics.MailCommands, "m-1", c)
	m.write(topics.MailCommands, "m-1", report("m-1", "r-1", "sent"))
	m.catchUp()
	for _, msg := range m.topics[topics.MailReplies.Name] {
		if msg.key != "m-1" {
			t.Errorf("a reply with key %q", msg.key)
		}
	}
	checkMail(m)
}
