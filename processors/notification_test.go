package processors

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/notification"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

type notificationMember = member[notification.State, notification.Command, notification.Event]

// checkNotification compares the rows with what everybody can see: the events fold into them, and the public state and the
// ids name nobody.
func checkNotification(m *notificationMember) {
	m.t.Helper()
	folded := map[string]notification.State{}
	for _, rec := range m.read(topics.NotificationEvents) {
		key, version, event := readNotificationEvent(m.t, rec)
		folded[key] = notification.Evolve(folded[key], event)
		if folded[key].Version != version {
			m.t.Fatalf("%T says version %d and is number %d", rec, version, folded[key].Version)
		}
	}
	for key, want := range folded {
		if diff := cmp.Diff(want, m.state(key)); diff != "" {
			m.t.Fatalf("the events do not rebuild the row of %s (-events +row):\n%s", key, diff)
		}
	}
	for _, msg := range m.topics[topics.NotificationState.Name] {
		m.impersonal(topics.NotificationState.Name, msg.value)
	}
}

func readNotificationEvent(t *testing.T, rec schemas.Record) (key string, version int64, event notification.Event) {
	t.Helper()
	switch r := rec.(type) {
	case *schemas.ContactUpdated:
		d, err := readPersonal(r.Personal)
		if err != nil {
			t.Fatal(err)
		}
		return r.CustomerID, r.Version, notification.ContactUpdated{
			At: schemas.Time(r.At), CustomerVersion: r.CustomerVersion, Status: notification.Status(r.Status),
			Contact: notification.Contact{Name: d.Name, Email: postal.Email(d.Email), Language: d.Language}, AddressVersion: r.AddressVersion,
		}
	case *schemas.NotificationSent:
		d, err := readPersonal(r.Personal)
		if err != nil {
			t.Fatal(err)
		}
		e := notification.Sent{
			At: schemas.Time(r.At), Kind: notification.Kind(r.Kind), CustomerVersion: r.CustomerVersion, Name: d.Name, Language: d.Language,
		}
		for _, to := range d.Recipients {
			e.Recipients = append(e.Recipients, postal.Email(to))
		}
		return r.CustomerID, r.Version, e
	case *schemas.NotificationDelivered:
		return r.CustomerID, r.Version, notification.Delivered{
			At: schemas.Time(r.At), Mail: notification.Mail{Notice: r.Notice, N: int(r.Mail)},
		}
	case *schemas.NotificationFailed:
		return r.CustomerID, r.Version, notification.Failed{
			At: schemas.Time(r.At), Mail: notification.Mail{Notice: r.Notice, N: int(r.Mail)}, Fate: notification.Fate(r.Fate),
		}
	case *schemas.NotificationCustomerForgotten:
		return r.CustomerID, r.Version, notification.CustomerForgotten{At: schemas.Time(r.At), CustomerVersion: r.CustomerVersion}
	}
	t.Fatalf("a %T among notification's events", rec)
	return "", 0, nil
}

// mailed are the commands to the mail service: id and recipient.
func (l *ledger) mailed() []string {
	l.t.Helper()
	out := []string{}
	for _, rec := range l.read(topics.MailCommands) {
		if c, ok := rec.(*schemas.SendMail); ok {
			out = append(out, c.MailID+" "+c.Recipient)
		}
	}
	return out
}

func TestACustomerIsToldOfBothAddresses(t *testing.T) {
	gouda, delft := lives("Gouda", "registered", 1), lives("Delft", "moved", 2)
	third := customerState(3, delft)
	third.Email = "ada@example.org"
	for name, order := range map[string][]topics.Topic{
		"states first":  {topics.CustomerState, topics.CustomerChanges},
		"changes first": {topics.CustomerChanges, topics.CustomerState},
	} {
		t.Run(name, func(t *testing.T) {
			m := join(newLedger(t), newNotificationGroup())
			m.write(topics.CustomerState, "c-1", customerState(1, gouda))
			m.catchUp()
			m.write(topics.CustomerState, "c-1", customerState(2, delft))
			m.write(topics.CustomerState, "c-1", third)
			m.write(topics.CustomerChanges, "c-1", moved(2, gouda, delft))
			m.write(topics.CustomerChanges, "c-1", &schemas.PublicEmailChanged{
				CustomerID: "c-1", EventHead: schemas.EventHead{Version: 3}, Before: "ada@example.com", After: "ada@example.org",
			})
			m.catchUp(order...)
			want := []string{
				"notification/c-1/3/1 ada@example.com",
				"notification/c-1/5/1 ada@example.com", "notification/c-1/5/2 ada@example.org",
			}
			if diff := cmp.Diff(want, m.mailed()); diff != "" {
				t.Fatalf("mails (-want +got):\n%s", diff)
			}
			m.next = map[string]int{}
			m.catchUp(order...)
			if diff := cmp.Diff(want, m.mailed()); diff != "" {
				t.Fatalf("mails after everything was read again (-want +got):\n%s", diff)
			}
			if s := last[*schemas.NotificationState](m.ledger, topics.NotificationState); s.CustomerVersion != 3 || s.AddressVersion != 2 {
				t.Errorf("public state %+v", s)
			}
			checkNotification(m)
		})
	}
}

func TestTheMailServiceTakesTheMailsAndNotificationCountsThem(t *testing.T) {
	l := newLedger(t)
	m, post := join(l, newNotificationGroup()), join(l, newMailGroup())
	m.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	for i, email := range []string{"b@example.com", "c@example.com"} {
		s := customerState(int64(2+i), lives("Gouda", "registered", 1))
		s.Email = email
		m.write(topics.CustomerState, "c-1", s)
	}
	// Somebody else's replies on the same topic.
	m.write(topics.MailReplies, "c-1", &schemas.MailSent{ReplyTo: "c-1", MailID: "customer/c-1/3/1", Sender: "customer"})
	m.write(topics.MailReplies, "c-1", &schemas.MailSent{ReplyTo: "c-1", MailID: "notification/c-1/3/1", Sender: "customer"})
	m.write(topics.MailReplies, "c-2", &schemas.MailSent{ReplyTo: "c-2", MailID: "notification/c-1/3/1", Sender: "notification"})
	m.catchUp()
	post.catchUp()
	for _, fate := range []struct{ mail, result string }{
		{"notification/c-1/3/1", "sent"}, {"notification/c-1/3/2", "sent"}, {"notification/c-1/5/1", "undeliverable"},
	} {
		l.write(topics.MailCommands, fate.mail, report(fate.mail, "report/"+fate.mail, fate.result))
	}
	post.catchUp()
	m.catchUp()
	if len(post.dead)+len(m.dead) > 0 {
		t.Fatalf("dead letters: %v %v", post.dead, m.dead)
	}
	got := last[*schemas.NotificationState](l, topics.NotificationState)
	if got.Asked != 4 || got.Delivered != 2 || got.Failed != 1 {
		t.Fatalf("%d asked, %d delivered, %d failed", got.Asked, got.Delivered, got.Failed)
	}
	want := [][]string{{"sent", "sent"}, {"undeliverable", "open"}}
	if diff := cmp.Diff(want, [][]string{got.Notices[0].Mails, got.Notices[1].Mails}); diff != "" {
		t.Fatalf("fates (-want +got):\n%s", diff)
	}
	// 4 replies that a mail was taken and 3 that a report was, beside the three of somebody else.
	if n := m.skipped[topics.MailReplies.Name+" not_ours"]; n != 10 {
		t.Errorf("%d replies skipped: %v", n, m.skipped)
	}
	m.next[topics.MailReplies.Name] = 0
	m.catchUp()
	if again := last[*schemas.NotificationState](l, topics.NotificationState); again.Version != got.Version {
		t.Errorf("replies read again made version %d of %d", again.Version, got.Version)
	}
	checkNotification(m)
}

func TestAMailThatIsRefusedIsCounted(t *testing.T) {
	l := newLedger(t)
	m, post := join(l, newNotificationGroup()), join(l, newMailGroup())
	first := customerState(1, lives("Gouda", "registered", 1))
	first.Email = "not an address" // the customer service would not publish it; the mail service does not take it
	m.write(topics.CustomerState, "c-1", first)
	m.write(topics.CustomerState, "c-1", customerState(2, lives("Gouda", "registered", 1)))
	m.catchUp()
	post.catchUp()
	m.catchUp()
	got := last[*schemas.NotificationState](l, topics.NotificationState)
	if diff := cmp.Diff([]string{"refused", "open"}, got.Notices[0].Mails); diff != "" || got.Failed != 1 {
		t.Fatalf("%d failed, fates (-want +got):\n%s", got.Failed, diff)
	}
	checkNotification(m)
}

func TestNotificationForgetsAnErasedCustomer(t *testing.T) {
	m := join(newLedger(t), newNotificationGroup())
	m.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	m.write(topics.CustomerState, "c-1", nil)
	m.write(topics.CustomerState, "c-2", nil)
	m.write(topics.CustomerChanges, "c-1", &schemas.PublicCustomerErased{CustomerID: "c-1", EventHead: schemas.EventHead{Version: 2}})
	m.catchUp()
	want := notification.State{Version: 3, Status: notification.StatusForgotten, CustomerVersion: 2}
	if diff := cmp.Diff(want, m.state("c-1")); diff != "" {
		t.Fatalf("row (-want +got):\n%s", diff)
	}
	if s := last[*schemas.NotificationState](m.ledger, topics.NotificationState); s.Status != "forgotten" || s.CustomerVersion != 2 {
		t.Fatalf("public state %+v", s)
	}
	if got := m.state("c-2"); got.Status != notification.StatusForgotten {
		t.Fatalf("a customer who was never known here: %+v", got)
	}
	m.impersonal("the row", m.rows["c-1"])
	if mails := m.mailed(); len(mails) > 0 {
		t.Fatalf("mails: %v", mails)
	}
	checkNotification(m)
}
