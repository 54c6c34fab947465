package processors

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"utopia/processors/customer"
	"utopia/schemas"
	"utopia/topics"
)

func fact(id string, at time.Time, a schemas.Address) *schemas.AddressChanged {
	return &schemas.AddressChanged{CustomerID: "c-1", Source: "crm", FactID: id, OccurredAt: schemas.Millis(at), Address: a}
}

func TestFactsAreTakenAsTheyAreTold(t *testing.T) {
	d := newDesk(t)
	// Somebody unknown: a row, a state and no news.
	out := d.give(topics.CRMChanges, "c-1", fact("f1", d.now.Add(-time.Hour), wrong))
	s := must1[*schemas.CustomerState](t, out)
	if s.Status != "unregistered" || s.Version != 1 || s.Address.Address != wrong || s.Address.Verified || s.Address.Source != "crm" || s.Address.FactID != "f1" {
		t.Errorf("unregistered: %+v", s)
	}
	for _, o := range out {
		if o.topic == topics.CustomerChanges.Name || o.topic == topics.CustomerReplies.Name {
			t.Errorf("a fact about somebody unregistered went to %s", o.topic)
		}
	}
	// The registration is newer, so its address holds, and the versions go on.
	out = d.accept("c-1", saskia)
	if s := must1[*schemas.CustomerState](t, out); s.Version != 2 || s.Address.Address != gouda || s.Status != "active" {
		t.Errorf("registered: %+v", s)
	}
	// A move that the source tells.
	d.now = d.now.Add(2 * time.Hour)
	out = d.give(topics.CRMChanges, "c-1", fact("f2", d.now.Add(-time.Hour), porto))
	if m := must1[*schemas.PublicCustomerMoved](t, out); m.ChangeID != "" || m.After.Source != "crm" || m.CausationID != "crm/f2" || m.CorrelationID != "crm/f2" {
		t.Errorf("moved: %+v", m)
	}
	// An older one changes nothing but the version.
	out = d.give(topics.CRMChanges, "c-1", fact("f3", d.now.Add(-90*time.Minute), gouda))
	if e := must1[*schemas.FactRecorded](t, out); e.Outcome != "out_of_date" {
		t.Errorf("recorded: %+v", e)
	}
	if s := must1[*schemas.CustomerState](t, out); s.Version != 4 || s.Address.Address != porto {
		t.Errorf("state: %+v", s)
	}
	// The same fact again is known.
	if out = d.give(topics.CRMChanges, "c-1", fact("f3", d.now.Add(-90*time.Minute), gouda)); len(out) != 0 || d.last.skipped != "known" {
		t.Errorf("again: %d outputs, skipped %q", len(out), d.last.skipped)
	}
}

// A source may name itself and its facts as it likes; what is derived from that goes through services that want ids.
func TestAFactOfAnyNameReachesTheMailService(t *testing.T) {
	for name, edit := range map[string]func(*schemas.AddressChanged){
		"a script of its own": func(f *schemas.AddressChanged) { f.Source = "Einwohnermeldeamt Köln" },
		"a long id":           func(f *schemas.AddressChanged) { f.FactID = strings.Repeat("x", 200) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.accept("c-1", saskia)
			d.now = d.now.Add(time.Hour)
			f := fact("f1", d.now, porto)
			edit(f)
			news := must1[*schemas.PublicCustomerMoved](t, d.give(topics.CRMChanges, "c-1", f))
			if !topics.ValidDerivedID(news.CorrelationID) || news.CausationID != news.CorrelationID || news.After.Source != f.Source || news.After.FactID != f.FactID {
				t.Errorf("moved: %+v", news)
			}
			l := newLedger(t)
			notify, post := join(l, newNotificationGroup()), join(l, newMailGroup())
			l.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
			notify.catchUp()
			old := *news // as a release wrote it that took any name
			old.CorrelationID = f.Source + "/" + f.FactID
			l.write(topics.CustomerChanges, "c-1", &old)
			notify.catchUp()
			post.catchUp()
			if r := last[*schemas.MailReply](l, topics.MailReplies); r.Outcome != outcomeAccepted || r.CorrelationID != news.CorrelationID {
				t.Errorf("the mail service answers %+v", r)
			}
		})
	}
}

func TestFactsAboutAClosedCustomerLeaveAMarkOnly(t *testing.T) {
	for status, last := range map[string]schemas.Command{
		"not_active": &schemas.CloseCustomer{CustomerID: "c-1", Meta: meta("z1")},
		"erased":     &schemas.EraseCustomer{CustomerID: "c-1", Meta: meta("z1")},
	} {
		d := newDesk(t)
		d.accept("c-1", saskia)
		d.accept("c-1", last)
		before, handled := d.state("c-1")
		out := d.give(topics.CRMChanges, "c-1", fact("f1", d.now, porto))
		if len(out) != 0 || d.last.skipped != status || d.last.dead != nil {
			t.Errorf("%s: %d outputs, skipped %q, dead %v", status, len(out), d.last.skipped, d.last.dead)
		}
		after, marked := d.state("c-1")
		if after != before || len(marked) != len(handled)+1 || bytes.Contains(d.rows["c-1"], []byte("Porto")) {
			t.Errorf("%s: %+v, %d marks", status, after, len(marked)-len(handled))
		}
	}
}

func TestWhatIsNoFactIsADeadLetter(t *testing.T) {
	now := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		change func(*schemas.AddressChanged)
		code   string
	}{
		"no country":          {func(f *schemas.AddressChanged) { f.Address.Country = "" }, "incomplete_address"},
		"an unknown country":  {func(f *schemas.AddressChanged) { f.Address.Country = "ZZ" }, "unknown_country"},
		"nothing but country": {func(f *schemas.AddressChanged) { f.Address = schemas.Address{Country: "NL"} }, "incomplete_address"},
		"control characters":  {func(f *schemas.AddressChanged) { f.Address.City = "Gou\x00da" }, "control_character"},
		"a long line":         {func(f *schemas.AddressChanged) { f.Address.City = strings.Repeat("x", 300) }, "too_long"},
		"no source":           {func(f *schemas.AddressChanged) { f.Source = " " }, "no_source"},
		"no id":               {func(f *schemas.AddressChanged) { f.FactID = "" }, "no_source"},
		"a long source":       {func(f *schemas.AddressChanged) { f.Source = strings.Repeat("x", 300) }, "too_long"},
		"a strange id":        {func(f *schemas.AddressChanged) { f.FactID = "a\nb" }, "control_character"},
		"no time":             {func(f *schemas.AddressChanged) { f.OccurredAt = 0 }, "no_time"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			f := fact("f1", now, gouda)
			test.change(f)
			out := d.give(topics.CRMChanges, "c-1", f)
			if d.last.dead == nil || d.last.dead.reason != deadInvalid || d.last.dead.detail != test.code || len(out) != 0 || d.last.row != nil {
				t.Errorf("dead letter %+v, %d outputs", d.last.dead, len(out))
			}
		})
	}
}

func TestAnUndeliverableConfirmationShows(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	mailID := must1[*schemas.SendMail](t, d.accept("c-1", request("x1"))).MailID
	undeliverable := &schemas.MailUndeliverable{ReplyTo: "c-1", MailID: mailID, Sender: "customer", CorrelationID: "x1", Detail: "no_such_mailbox"}
	out := d.give(topics.MailReplies, "c-1", undeliverable)
	if s := must1[*schemas.CustomerState](t, out); s.Pending == nil || s.Pending.Undeliverable != "no_such_mailbox" || s.Version != 3 {
		t.Errorf("state: %+v", s)
	}
	if e := must1[*schemas.ConfirmationUndeliverable](t, out); e.Mail != 2 || e.CausationID != mailID || e.CorrelationID != "x1" {
		t.Errorf("event: %+v", e)
	}
	for name, test := range map[string]struct {
		record  schemas.Record
		skipped string
	}{
		"told again":                      {undeliverable, "known"},
		"a mail that was sent":            {&schemas.MailSent{ReplyTo: "c-1", MailID: mailID, Sender: "customer"}, "not_ours"},
		"a mail that was accepted":        {&schemas.MailReply{ReplyFields: schemas.ReplyFields{ReplyTo: "c-1", CommandID: mailID, Key: mailID, Outcome: "accepted"}, Sender: "customer"}, "not_ours"},
		"another group's mail":            {&schemas.MailUndeliverable{ReplyTo: "c-1", MailID: "notification/c-1/2/1", Sender: "notification"}, "not_ours"},
		"a report about our mail refused": {&schemas.MailReply{ReplyFields: schemas.ReplyFields{ReplyTo: "c-1", CommandID: "other", Key: mailID, Outcome: "refused", Refusal: "result"}, Sender: "customer"}, "not_ours"},
		"a mail about an older change":    {&schemas.MailUndeliverable{ReplyTo: "c-1", MailID: "customer/c-1/1/1", Sender: "customer"}, "other_mail"},
	} {
		if out := d.give(topics.MailReplies, "c-1", test.record); len(out) != 0 || d.last.skipped != test.skipped || d.last.dead != nil {
			t.Errorf("%s: %d outputs, skipped %q, dead %+v", name, len(out), d.last.skipped, d.last.dead)
		}
	}
	for _, id := range []string{"customer/c-2/2/1", "customer/c-1/x/1", "customer/c-1/0/1", "mail"} {
		d.give(topics.MailReplies, "c-1", &schemas.MailUndeliverable{ReplyTo: "c-1", MailID: id, Sender: "customer"})
		if d.last.dead == nil || d.last.dead.reason != deadInvalid {
			t.Errorf("mail id %q: %+v", id, d.last)
		}
	}
}

func TestARefusedConfirmationMailShows(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	mailID := must1[*schemas.SendMail](t, d.accept("c-1", request("x1"))).MailID
	out := d.give(topics.MailReplies, "c-1", &schemas.MailReply{
		ReplyFields: schemas.ReplyFields{ReplyTo: "c-1", CommandID: mailID, Key: mailID, Outcome: "refused", Refusal: "recipient"}, Sender: "customer",
	})
	if s := must1[*schemas.CustomerState](t, out); s.Pending == nil || s.Pending.Undeliverable != "recipient" {
		t.Errorf("state: %+v", s)
	}
}

// Whatever is due, the engine's command for it is accepted when its time has come, and refused before.
func TestDeadlinesComeBackAsCommands(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	later := request("x1")
	later.EffectiveAt = schemas.Millis(d.now.Add(100 * time.Hour))
	d.accept("c-1", later)
	d.accept("c-1", &schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta("y1"), ChangeID: "x1"})
	d.fire(customer.DeadlineApply)
	if s, _ := d.state("c-1"); s.Address.Address.Fields().City != "Porto" {
		t.Errorf("not applied: %+v", s)
	}

	back := request("x2")
	back.Address = gouda
	d.accept("c-1", back)
	out := d.fire(customer.DeadlineRemind)
	if m := must1[*schemas.SendMail](t, out); m.MailID != "customer/c-1/6/1" || !strings.HasPrefix(m.Subject, "Herinnering") || len(m.Links) != 2 {
		t.Errorf("reminder: %+v", m)
	}
	d.fire(customer.DeadlineExpire)
	if s, _ := d.state("c-1"); s.Change.Status != customer.NoChange {
		t.Errorf("not expired: %+v", s)
	}
	if due := d.r.rowDeadlines("c-1", d.rows["c-1"]); len(due) != 0 {
		t.Errorf("still due: %v", due)
	}

	// A row that only remembers a refusal goes after a day.
	r := request("x3")
	r.CustomerID = "c-2"
	d.ask("c-2", r)
	due := d.r.rowDeadlines("c-2", d.rows["c-2"])
	if len(due) != 1 || due[0].Kind != customerForgetKind || !due[0].At.Equal(d.now.Add(24*time.Hour)) {
		t.Fatalf("due: %v", due)
	}
	d.now = due[0].At
	d.give(topics.CustomerCommands, "c-2", d.encoded("c-2", 0))
	if d.rows["c-2"] != nil {
		t.Error("the row of refusals is still there")
	}
}

// Midnight is a popular date: a change takes the place of one that was to take effect at the same moment while the command
// of the first is on its way. It must take effect all the same, although the two commands share their id.
func TestADateThatTwoChangesShare(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	midnight := d.now.Add(12 * time.Hour)
	plan := func(id string, to schemas.Address) schemas.Command {
		r := request(id)
		r.Address, r.EffectiveAt = to, schemas.Millis(midnight)
		d.accept("c-1", r)
		d.accept("c-1", &schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta("confirm-" + id), ChangeID: id})
		return d.encoded("c-1", 0)
	}
	first := plan("x1", place("Delft"))
	second := plan("x2", porto)
	if first.Metadata().CommandID != second.Metadata().CommandID {
		t.Fatalf("ids %s and %s", first.Metadata().CommandID, second.Metadata().CommandID)
	}
	d.now = midnight.Add(-time.Millisecond)
	if r := d.ask("c-1", first); r.Refusal != codeNotDue || r.Repeat {
		t.Errorf("sent by a clock that runs ahead: %+v", r)
	}
	d.now = midnight
	out := d.accept("c-1", first)
	if m := must1[*schemas.PublicCustomerMoved](t, out); m.ChangeID != "x2" || m.After.Address != porto {
		t.Errorf("moved: %+v", m)
	}
	if r := d.ask("c-1", second); r.Refusal != codeIDReused || r.Version != 6 {
		t.Errorf("the second command: %+v", r)
	}
	if due := d.r.rowDeadlines("c-1", d.rows["c-1"]); len(due) != 0 {
		t.Errorf("still due: %v", due)
	}
}

// fire lets the earliest deadline pass, which must be of this kind.
func (d *desk) fire(kind string) []sent {
	d.t.Helper()
	due := d.r.rowDeadlines("c-1", d.rows["c-1"])
	if len(due) == 0 || due[0].Kind != kind {
		d.t.Fatalf("due: %v, want %s", due, kind)
	}
	cmd := d.encoded("c-1", 0)
	d.now = due[0].At.Add(-time.Millisecond)
	if r := d.ask("c-1", cmd); r.Refusal != codeNotDue {
		d.t.Fatalf("%s before its time: %+v", kind, r)
	}
	d.now = due[0].At
	out := d.accept("c-1", cmd)
	if r := d.ask("c-1", cmd); !r.Repeat {
		d.t.Fatalf("%s fired twice: %+v", kind, r)
	}
	return out
}

// encoded is the command of a row's n-th deadline, through bytes.
func (d *desk) encoded(key string, n int) schemas.Command {
	d.t.Helper()
	b, err := d.r.encodeDeadline(key, d.r.rowDeadlines(key, d.rows[key])[n])
	if err != nil {
		d.t.Fatal(err)
	}
	rec, err := d.r.codecs[topics.CustomerCommands.Name].Decode(b)
	if err != nil {
		d.t.Fatal(err)
	}
	c, ok := rec.(schemas.Command)
	if !ok || !strings.HasPrefix(c.Metadata().CommandID, "due/"+key+"/") {
		d.t.Fatalf("deadline command: %+v", rec)
	}
	return c
}
