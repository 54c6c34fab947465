package processors

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/customer"
	"utopia/schemas"
	"utopia/topics"
)

// desk runs the customer group's plans against its rows, as the engine would, and keeps every record that follows.
type desk struct {
	t    testing.TB
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

func newDesk(tb testing.TB) *desk {
	tb.Helper()
	g := customerGroup()
	r := &running[customer.State, customer.Command, customer.Event]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[customer.Command]{},
		messages: wiringMessages(), counters: noCounters{},
	}
	for _, err := range g.refusals {
		r.messages[g.code(err)] = err.Error()
	}
	if err := r.makeCodecs(schemas.NewMemoryIDs()); err != nil {
		tb.Fatal(err)
	}
	for i := range g.inputs {
		r.byTopic[g.inputs[i].topic.Name] = &g.inputs[i]
	}
	return &desk{t: tb, r: r, rows: map[string][]byte{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
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
