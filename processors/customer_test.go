package processors

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// desk runs the customer group's plans against its rows, as the engine would, and keeps every record that follows.
type desk struct {
	t    *testing.T
	r    *running[customer.State, customer.Command, customer.Event]
	rows map[string][]byte
	now  time.Time
	out  []sent
	last plan
}

// sent is one output, decoded.
type sent struct {
	topic, key string
	value      []byte
	record     schemas.Record // nil: a tombstone
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	g, err := customerGroup()
	if err != nil {
		t.Fatal(err)
	}
	r := &running[customer.State, customer.Command, customer.Event]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[customer.Command]{},
		messages: map[string]string{}, counters: noCounters{},
	}
	for _, err := range g.refusals {
		r.messages[g.code(err)] = err.Error()
	}
	if err := r.makeCodecs(schemas.NewMemoryIDs()); err != nil {
		t.Fatal(err)
	}
	for i := range g.inputs {
		r.byTopic[g.inputs[i].topic.Name] = &g.inputs[i]
	}
	return &desk{t: t, r: r, rows: map[string][]byte{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// give handles one record and returns what followed from it.
func (d *desk) give(topic topics.Topic, key string, msg any) []sent {
	d.t.Helper()
	var row schemas.Record
	if b := d.rows[key]; b != nil {
		var err error
		if row, err = schemas.DecodePrivate(b); err != nil {
			d.t.Fatal(err)
		}
	}
	d.last = d.r.guarded(inbound{key: key, topic: topic.Name, at: d.now, offset: int64(len(d.out))}, row, msg)
	switch {
	case d.last.forget:
		delete(d.rows, key)
	case d.last.row != nil:
		d.rows[key] = d.last.row
	}
	from := len(d.out)
	for _, o := range d.last.outputs {
		s := sent{topic: string(o.topic), key: o.key, value: o.value}
		if o.value != nil {
			var err error
			if c := d.r.codecs[s.topic]; c != nil {
				s.record, err = c.Decode(o.value)
			} else {
				s.record, err = schemas.DecodePrivate(o.value)
			}
			if err != nil {
				d.t.Fatalf("output to %s: %v", s.topic, err)
			}
		}
		d.out = append(d.out, s)
	}
	return d.out[from:]
}

// ask gives a command and returns its reply.
func (d *desk) ask(key string, c schemas.Command) schemas.ReplyFields {
	d.t.Helper()
	d.give(topics.CustomerCommands, key, c)
	r, ok := find[*schemas.CustomerReply](d.lastOut())
	if !ok {
		d.t.Fatalf("no reply to %s: %+v", c.AvroName(), d.last.dead)
	}
	return r.ReplyFields
}

func (d *desk) lastOut() []sent { return d.out[len(d.out)-len(d.last.outputs):] }

// accept gives a command that must be accepted.
func (d *desk) accept(key string, c schemas.Command) []sent {
	d.t.Helper()
	if r := d.ask(key, c); r.Outcome != outcomeAccepted {
		d.t.Fatalf("%s: %s %s", c.AvroName(), r.Refusal, r.Message)
	}
	return d.lastOut()
}

func (d *desk) state(key string) (customer.State, []schemas.Handled) {
	d.t.Helper()
	if d.rows[key] == nil {
		return customer.State{}, nil
	}
	rec, err := schemas.DecodePrivate(d.rows[key])
	if err != nil {
		d.t.Fatal(err)
	}
	s, h, err := loadCustomer(rec)
	if err != nil {
		d.t.Fatal(err)
	}
	return s, h
}

// find returns the first record of a type.
func find[T schemas.Record](out []sent) (T, bool) {
	for _, s := range out {
		if r, ok := s.record.(T); ok {
			return r, true
		}
	}
	var none T
	return none, false
}

func must1[T schemas.Record](t *testing.T, out []sent) T {
	t.Helper()
	r, ok := find[T](out)
	if !ok {
		t.Fatalf("no %T among the outputs", r)
	}
	return r
}

func meta(id string) schemas.Metadata { return schemas.Metadata{CommandID: id} }

var (
	gouda  = schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"}
	porto  = schemas.Address{Country: "PT", City: "Porto", PostCode: "4050-014", Street: "Rua <Santa> Catarina 12\n3.º Dto"}
	wrong  = schemas.Address{Country: "DE", City: "Berlin", PostCode: "1011", Street: "Invalidenstr. 117"}
	saskia = &schemas.RegisterCustomer{
		CustomerID: "c-1", Meta: meta("r1"), Name: "Saskia & <Co>", Email: "saskia@example.org", Language: "nl-BE", Address: gouda,
	}
)

func request(id string) *schemas.RequestAddressChange {
	return &schemas.RequestAddressChange{CustomerID: "c-1", Meta: meta(id), Address: porto, Reason: schemas.ReasonMoved}
}

func TestAMoveFromTheRequestToTheNews(t *testing.T) {
	d := newDesk(t)
	out := d.accept("c-1", saskia)
	if r := must1[*schemas.PublicCustomerRegistered](t, out); r.Name != saskia.Name || r.Version != 1 || r.Address.Address != gouda || r.CommandID != "r1" {
		t.Errorf("registered: %+v", r)
	}
	s := must1[*schemas.CustomerState](t, out)
	if s.Status != "active" || s.Version != 1 || s.Address.Reason != "registered" || s.Address.Version != 1 || !s.Address.Verified || s.Pending != nil {
		t.Errorf("state: %+v", s)
	}

	out = d.accept("c-1", request("x1"))
	expires := d.now.Add(72 * time.Hour)
	s = must1[*schemas.CustomerState](t, out)
	want := &schemas.PendingChange{
		ChangeID: "x1", Status: "unconfirmed", Reason: "moved", Version: 2,
		RequestedAt: schemas.Millis(d.now), ExpiresAt: schemas.Millis(expires),
	}
	if diff := cmp.Diff(want, s.Pending); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
	if _, ok := find[*schemas.PublicCustomerMoved](out); ok {
		t.Error("a request moved the customer")
	}
	m := must1[*schemas.SendMail](t, out)
	if m.MailID != "customer/c-1/2/1" || m.Meta.CommandID != m.MailID || m.Sender != "customer" || m.Recipient != "saskia@example.org" ||
		m.Meta.CausationID != "c-1/2" || m.Meta.CorrelationID != "x1" || m.Meta.ReplyTo != "c-1" {
		t.Errorf("mail: %+v", m)
	}
	wantLinks := []schemas.Link{
		{Name: "confirm", Purpose: PurposeConfirm, Subject: "c-1", Change: "x1", ExpiresAt: schemas.Millis(expires)},
		{Name: "reject", Purpose: PurposeCancel, Subject: "c-1", Change: "x1", ExpiresAt: schemas.Millis(expires)},
	}
	if diff := cmp.Diff(wantLinks, m.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}

	d.now = d.now.Add(time.Hour)
	out = d.accept("c-1", &schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta("y1"), ChangeID: "x1", ExpiresAt: schemas.Millis(expires)})
	moved := must1[*schemas.PublicCustomerMoved](t, out)
	if moved.Before.Address != gouda || moved.After.Address != porto || moved.ChangeID != "x1" || moved.After.Version != 3 || moved.Version != 3 {
		t.Errorf("moved: %+v", moved)
	}
	s = must1[*schemas.CustomerState](t, out)
	if s.Pending != nil || s.Address.Address != porto || s.Address.Reason != "moved" || s.UpdatedAt != schemas.Millis(d.now) {
		t.Errorf("state: %+v", s)
	}
	if event := must1[*schemas.CustomerMoved](t, out); event.CommandID != "y1" || event.CorrelationID != "y1" || event.Version != 3 {
		t.Errorf("event: %+v", event)
	}
}

func TestACorrectionIsAnotherChangeThanAMove(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	r := request("x1")
	r.Reason = schemas.ReasonCorrected
	d.accept("c-1", r)
	out := d.accept("c-1", &schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta("y1"), ChangeID: "x1"})
	if c := must1[*schemas.PublicAddressCorrected](t, out); c.Before.Address != gouda || c.After.Address != porto || c.After.Reason != "corrected" {
		t.Errorf("corrected: %+v", c)
	}
	if _, ok := find[*schemas.PublicCustomerMoved](out); ok {
		t.Error("a correction is a move, too")
	}
}

func TestErasureLeavesATombstoneAndNothingPersonal(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	d.accept("c-1", request("x1"))
	out := d.accept("c-1", &schemas.EraseCustomer{CustomerID: "c-1", Meta: meta("e1")})
	tombstone := false
	for _, s := range out {
		if s.topic == topics.CustomerState.Name {
			tombstone = s.record == nil && s.value == nil && s.key == "c-1"
		}
		if bytes.Contains(s.value, []byte("askia")) || bytes.Contains(s.value, []byte("Markt")) {
			t.Errorf("%s names the person", s.topic)
		}
	}
	if !tombstone {
		t.Error("no tombstone on the public state")
	}
	must1[*schemas.PublicCustomerErased](t, out)
	if row := d.rows["c-1"]; bytes.Contains(row, []byte("askia")) || bytes.Contains(row, []byte("Porto")) || bytes.Contains(row, []byte("Markt")) {
		t.Error("the row names the person")
	}
	s, handled := d.state("c-1")
	if s != (customer.State{Version: 3, Status: customer.StatusErased}) || len(handled) != 3 {
		t.Errorf("row: %+v, %d handled ids", s, len(handled))
	}
	if r := d.ask("c-1", request("x2")); r.Refusal != "erased" || r.Version != 3 {
		t.Errorf("after the erasure: %+v", r)
	}
}

func TestContactCloseAndCancel(t *testing.T) {
	d := newDesk(t)
	d.accept("c-1", saskia)
	out := d.accept("c-1", &schemas.ChangeEmail{CustomerID: "c-1", Meta: meta("m1"), Email: " s@example.net "})
	if c := must1[*schemas.PublicEmailChanged](t, out); c.Before != "saskia@example.org" || c.After != "s@example.net" {
		t.Errorf("e-mail: %+v", c)
	}
	d.accept("c-1", request("x1"))
	out = d.accept("c-1", &schemas.CancelAddressChange{CustomerID: "c-1", Meta: meta("n1"), ChangeID: "x1"})
	if s := must1[*schemas.CustomerState](t, out); s.Pending != nil || s.Address.Address != gouda {
		t.Errorf("cancelled: %+v", s)
	}
	out = d.accept("c-1", &schemas.CloseCustomer{CustomerID: "c-1", Meta: meta("z1")})
	must1[*schemas.PublicCustomerClosed](t, out)
	if s := must1[*schemas.CustomerState](t, out); s.Status != "closed" || s.Name != saskia.Name {
		t.Errorf("closed: %+v", s)
	}
}

func TestRefusalsOfParsing(t *testing.T) {
	for name, test := range map[string]struct {
		command schemas.Command
		code    string
		says    string
	}{
		"a post code of another country": {&schemas.RequestAddressChange{CustomerID: "c-1", Address: wrong, Reason: "moved"}, "post_code", "post code"},
		"half an address":                {&schemas.RequestAddressChange{CustomerID: "c-1", Address: schemas.Address{Country: "DE", City: "Berlin"}, Reason: "moved"}, "incomplete_address", "post code"},
		"an unknown country":             {&schemas.RequestAddressChange{CustomerID: "c-1", Address: schemas.Address{Country: "XX", City: "Berlin"}, Reason: "moved"}, "unknown_country", "country"},
		"an unknown reason":              {&schemas.RequestAddressChange{CustomerID: "c-1", Address: porto, Reason: "unknown"}, "unknown_reason", "moved or corrected"},
		"no e-mail address":              {&schemas.ChangeEmail{CustomerID: "c-1", Email: "saskia"}, "email", "e-mail"},
		"a header in an e-mail address":  {&schemas.ChangeEmail{CustomerID: "c-1", Email: "a@example.org\r\nBcc: b@example.org"}, "control_character", "control"},
		"a registration without a name":  {&schemas.RegisterCustomer{CustomerID: "c-1", Email: "a@example.org", Address: gouda}, "name", "name"},
		"a registration without e-mail":  {&schemas.RegisterCustomer{CustomerID: "c-1", Name: "S", Address: gouda}, "email", "e-mail"},
		"a registration in no language":  {&schemas.RegisterCustomer{CustomerID: "c-1", Name: "S", Email: "a@example.org", Language: "dutch_", Address: gouda}, "language", "language"},
		"a registration at no address":   {&schemas.RegisterCustomer{CustomerID: "c-1", Name: "S", Email: "a@example.org"}, "incomplete_address", "country"},
		"a version from the future":      {&schemas.CloseCustomer{CustomerID: "c-1", Meta: schemas.Metadata{ExpectedVersion: 9}}, "version_conflict", "version"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.accept("c-1", saskia)
			test.command.Metadata().CommandID = "q1"
			r := d.ask("c-1", test.command)
			if r.Outcome != outcomeRefused || r.Refusal != test.code || r.Version != 1 || !strings.Contains(r.Message, test.says) {
				t.Errorf("reply: %+v", r)
			}
			again := d.ask("c-1", test.command)
			if !again.Repeat || again.Refusal != r.Refusal || again.Message != r.Message {
				t.Errorf("again: %+v", again)
			}
			for _, personal := range []string{"Berlin", "Bcc", "Invaliden"} {
				if strings.Contains(r.Message, personal) {
					t.Errorf("the message quotes the record: %q", r.Message)
				}
			}
		})
	}
}

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

// Events come back from their bytes as they were, and what is personal is in the personal part only.
func TestEventsSurviveTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := someTime(t, "at")
		e := someEvent(t, at)
		m := eventMeta{Key: "c-1", Version: rapid.Int64Range(1, 1<<40).Draw(t, "version"), At: at, Cause: schemas.Metadata{CommandID: "k"}}
		rec, err := customerEvent(m, e)
		if err != nil {
			t.Fatal(err)
		}
		b, err := schemas.AppendPrivate(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		back, err := schemas.DecodePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		got, h, err := readCustomerEvent(back)
		if err != nil {
			t.Fatal(err)
		}
		if got != e || h.Version != m.Version || h.CommandID != "k" || h.At != schemas.Millis(at) {
			t.Fatalf("%+v came back as %+v (%+v)", e, got, h)
		}
		personal := personalPart(back)
		if bytes.Count(b, []byte("canary")) != bytes.Count(personal, []byte("canary")) {
			t.Fatalf("%T has something personal outside its personal part", rec)
		}
	})
}

func TestRowsSurviveTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := customer.State{
			Version: rapid.Int64().Draw(t, "version"),
			Status:  rapid.SampledFrom([]customer.Status{"", "unregistered", "active", "closed", "erased"}).Draw(t, "status"),
			Name:    customer.Name(someText(t, "name")), Email: postal.Email(someText(t, "email")), Language: customer.Language(someText(t, "language")),
			Address: customer.Residence{
				Address: someAddress(t), Reason: customer.Reason(someText(t, "reason")), Version: rapid.Int64().Draw(t, "address version"),
				Verified: rapid.Bool().Draw(t, "verified"), OccurredAt: someTime(t, "occurred"), RecordedAt: someTime(t, "recorded"),
				Source: someText(t, "source"), FactID: someText(t, "fact"),
			},
			Change: customer.Change{
				ID: someText(t, "change"), Status: customer.ChangeStatus(someText(t, "change status")), Address: someAddress(t),
				Reason: customer.Reason(someText(t, "change reason")), Version: rapid.Int64().Draw(t, "change version"),
				RequestedAt: someTime(t, "requested"), ExpiresAt: someTime(t, "expires"), EffectiveAt: someTime(t, "effective"),
				Reminded: rapid.Int64().Draw(t, "reminded"), Undeliverable: someText(t, "undeliverable"),
			},
		}
		handled := []schemas.Handled{{ID: rapid.Int64().Draw(t, "id"), Body: 2, Refusal: "x", Version: 3, At: 4}}
		b, err := schemas.AppendPrivate(nil, saveCustomer("c-1", s, handled))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := schemas.DecodePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		got, ids, err := loadCustomer(rec)
		if err != nil {
			t.Fatal(err)
		}
		if got != s || len(ids) != 1 || ids[0] != handled[0] {
			t.Fatalf("%+v came back as %+v, %v", s, got, ids)
		}
	})
}

func TestARowOfAnotherGroupIsNotRead(t *testing.T) {
	if _, _, err := loadCustomer(&schemas.MailRow{}); err == nil {
		t.Error("a mail's row was read as a customer's")
	}
	if _, _, err := readCustomerEvent(&schemas.MailRow{}); err == nil {
		t.Error("a mail's row was read as an event")
	}
	if _, _, err := readCustomerEvent(&schemas.EmailChanged{Personal: schemas.Personal{KeyID: 7}}); err == nil {
		t.Error("an encrypted event was read without its key")
	}
	if _, _, err := readCustomerEvent(&schemas.EmailChanged{Personal: schemas.Personal{Data: []byte("x")}}); err == nil {
		t.Error("garbage was read as a personal part")
	}
}

func someTime(t *rapid.T, name string) time.Time {
	return schemas.Time(rapid.Int64Range(0, 4e12).Draw(t, name))
}

func someText(t *rapid.T, name string) string {
	return rapid.StringMatching(`[a-z0-9é山]{0,12}`).Draw(t, name)
}

func someAddress(t *rapid.T) postal.Address {
	return postal.Restore(postal.Fields{
		Country: "NL", Region: someText(t, "region"), City: "canary" + someText(t, "city"), District: someText(t, "district"),
		PostCode: someText(t, "post code"), SortingCode: someText(t, "sorting code"), Street: "canary\n" + someText(t, "street"),
	})
}

func someEvent(t *rapid.T, at time.Time) customer.Event {
	id := someText(t, "change")
	return rapid.SampledFrom([]customer.Event{
		customer.Registered{
			At: at, Name: customer.Name("canary" + someText(t, "name")), Email: postal.Email("canary" + someText(t, "email")),
			Language: "nl", Address: someAddress(t), KeepsFact: rapid.Bool().Draw(t, "keeps"),
		},
		customer.ChangeRequested{
			At: at, ChangeID: id, Address: someAddress(t), Reason: customer.ReasonCorrected, ExpiresAt: someTime(t, "expires"),
			EffectiveAt: someTime(t, "effective"), Supersedes: someText(t, "supersedes"),
		},
		customer.ConfirmationReminded{At: at, ChangeID: id},
		customer.ConfirmationUndeliverable{At: at, ChangeID: id, Mail: rapid.Int64().Draw(t, "mail"), Detail: someText(t, "detail")},
		customer.ChangeScheduled{At: at, ChangeID: id, EffectiveAt: someTime(t, "effective")},
		customer.ChangeCancelled{At: at, ChangeID: id},
		customer.ChangeExpired{At: at, ChangeID: id},
		customer.ChangeOutdated{At: at, ChangeID: id},
		customer.Moved{
			At: at, ChangeID: id, Source: someText(t, "source"), FactID: someText(t, "fact"), OccurredAt: someTime(t, "occurred"),
			Address: someAddress(t), Verified: rapid.Bool().Draw(t, "verified"),
		},
		customer.Corrected{At: at, ChangeID: id, OccurredAt: someTime(t, "occurred"), Address: someAddress(t)},
		customer.FactRecorded{
			At: at, Source: someText(t, "source"), FactID: someText(t, "fact"), OccurredAt: someTime(t, "occurred"),
			Address: someAddress(t), Verified: rapid.Bool().Draw(t, "verified"), Outcome: customer.FactSame,
		},
		customer.EmailChanged{At: at, Email: postal.Email("canary" + someText(t, "email"))},
		customer.Closed{At: at},
		customer.Erased{At: at},
	}).Draw(t, "event")
}

// personalPart is the bytes of an event that may be personal.
func personalPart(rec schemas.Record) []byte {
	switch r := rec.(type) {
	case *schemas.CustomerRegistered:
		return r.Personal.Data
	case *schemas.AddressChangeRequested:
		return r.Personal.Data
	case *schemas.CustomerMoved:
		return r.Personal.Data
	case *schemas.AddressCorrected:
		return r.Personal.Data
	case *schemas.FactRecorded:
		return r.Personal.Data
	case *schemas.EmailChanged:
		return r.Personal.Data
	}
	return nil
}
