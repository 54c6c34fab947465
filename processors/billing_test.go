package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/billing"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

func place(city string) schemas.Address {
	return schemas.Address{Country: "NL", City: city, PostCode: "2801 JG", Street: "Markt 1"}
}

// lives is a public residence.
func lives(city, reason string, version int64) schemas.Residence {
	return schemas.Residence{Address: place(city), Reason: reason, Version: version, Verified: true}
}

// customerState is a public state of customer c-1.
func customerState(version int64, at schemas.Residence) *schemas.CustomerState {
	return &schemas.CustomerState{
		CustomerID: "c-1", Version: version, Status: "active", Name: "Ada", Email: "ada@example.com", Language: "nl", Address: at,
	}
}

func moved(version int64, before, after schemas.Residence) *schemas.PublicCustomerMoved {
	return &schemas.PublicCustomerMoved{
		CustomerID: "c-1", EventHead: schemas.EventHead{Version: version, CorrelationID: "k-1"}, Before: before, After: after,
	}
}

func corrected(version int64, before, after schemas.Residence) *schemas.PublicAddressCorrected {
	return &schemas.PublicAddressCorrected{
		CustomerID: "c-1", EventHead: schemas.EventHead{Version: version}, Before: before, After: after,
	}
}

func invoice(command, id string) *schemas.IssueInvoice {
	return &schemas.IssueInvoice{
		CustomerID: "c-1", Meta: withID(command), InvoiceID: id, AmountCents: 1250, Currency: "EUR", Text: "March",
	}
}

type billingMember = member[billing.State, billing.Command, billing.Event]

// checkBilling compares what everybody can see with the row: the events fold into it, and the public state says the same.
func checkBilling(m *billingMember) {
	m.t.Helper()
	folded := map[string]billing.State{}
	for _, rec := range m.read(topics.BillingEvents) {
		key, version, event := readBillingEvent(m.t, rec)
		folded[key] = billing.Evolve(folded[key], event)
		if folded[key].Version != version {
			m.t.Fatalf("%T says version %d and is number %d", rec, version, folded[key].Version)
		}
	}
	for key, want := range folded {
		if diff := cmp.Diff(want, m.state(key), cmp.AllowUnexported(postal.Address{})); diff != "" {
			m.t.Fatalf("the events do not rebuild the row of %s (-events +row):\n%s", key, diff)
		}
	}
	newest := map[string]*schemas.BillingState{}
	for _, rec := range m.read(topics.BillingState) {
		if s, ok := rec.(*schemas.BillingState); ok {
			newest[s.CustomerID] = s
		}
	}
	if len(newest) != len(folded) {
		m.t.Fatalf("%d public states of %d customers with events", len(newest), len(folded))
	}
	for key, s := range newest {
		row := m.state(key)
		if s.Version != row.Version || s.CustomerVersion != row.CustomerVersion || len(s.Open) != len(row.Open) {
			m.t.Fatalf("the public state is %+v, the row %+v", s, row)
		}
	}
}

func readBillingEvent(t *testing.T, rec schemas.Record) (key string, version int64, event billing.Event) {
	t.Helper()
	d := func(p schemas.Personal) (postal.Address, billing.Text) {
		data, err := readPersonal(p)
		if err != nil {
			t.Fatal(err)
		}
		return addressFrom(data.Address), billing.Text(data.Text)
	}
	switch r := rec.(type) {
	case *schemas.InvoiceIssued:
		a, text := d(r.Personal)
		return r.CustomerID, r.Version, billing.InvoiceIssued{
			At: schemas.Time(r.At), Invoice: billing.InvoiceID(r.InvoiceID), Text: text, Address: a, AddressVersion: r.AddressVersion,
			Money: billing.Money{Cents: r.AmountCents, Currency: r.Currency},
		}
	case *schemas.InvoiceAddressFrozen:
		a, _ := d(r.Personal)
		return r.CustomerID, r.Version, billing.InvoiceAddressFrozen{
			At: schemas.Time(r.At), Invoice: billing.InvoiceID(r.InvoiceID), Address: a, AddressVersion: r.AddressVersion,
		}
	case *schemas.InvoiceReaddressed:
		a, _ := d(r.Personal)
		return r.CustomerID, r.Version, billing.InvoiceReaddressed{
			At: schemas.Time(r.At), Invoice: billing.InvoiceID(r.InvoiceID), Address: a, AddressVersion: r.AddressVersion,
		}
	case *schemas.InvoiceCorrected:
		a, _ := d(r.Personal)
		return r.CustomerID, r.Version, billing.InvoiceCorrected{
			At: schemas.Time(r.At), Invoice: billing.InvoiceID(r.InvoiceID), Address: a, AddressVersion: r.AddressVersion,
			Correction: r.Correction,
		}
	case *schemas.InvoicePaid:
		return r.CustomerID, r.Version, billing.InvoicePaid{
			At: schemas.Time(r.At), Invoice: billing.InvoiceID(r.InvoiceID),
			Money: billing.Money{Cents: r.AmountCents, Currency: r.Currency},
		}
	case *schemas.CustomerVersionApplied:
		a, _ := d(r.Personal)
		return r.CustomerID, r.Version, billing.CustomerVersionApplied{
			At: schemas.Time(r.At), CustomerVersion: r.CustomerVersion, Status: billing.Status(r.Status),
			Address: a, AddressVersion: r.AddressVersion, Reason: billing.Reason(r.Reason),
		}
	case *schemas.BillingCustomerForgotten:
		return r.CustomerID, r.Version, billing.CustomerForgotten{At: schemas.Time(r.At), CustomerVersion: r.CustomerVersion}
	}
	t.Fatalf("a %T among billing's events", rec)
	return "", 0, nil
}

func TestBillingFollowsTheCustomer(t *testing.T) {
	gouda, delft, leiden := lives("Gouda", "registered", 1), lives("Delft", "moved", 2), lives("Leiden", "corrected", 3)
	for name, order := range map[string][]topics.Topic{
		"states first":  {topics.BillingCommands, topics.CustomerState, topics.CustomerChanges},
		"changes first": {topics.BillingCommands, topics.CustomerChanges, topics.CustomerState},
	} {
		t.Run(name, func(t *testing.T) {
			m := join(newLedger(t), newBillingGroup())
			m.write(topics.CustomerState, "c-1", customerState(1, gouda))
			m.catchUp()
			m.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1"))
			m.write(topics.CustomerState, "c-1", customerState(2, delft))
			m.write(topics.CustomerState, "c-1", customerState(3, leiden))
			m.write(topics.CustomerState, "c-1", customerState(4, leiden))
			m.write(topics.CustomerChanges, "c-1", moved(2, gouda, delft))
			m.write(topics.CustomerChanges, "c-1", corrected(3, delft, leiden))
			m.catchUp(order...)

			want := []string{
				"CustomerVersionApplied", "InvoiceIssued", "CustomerVersionApplied", "InvoiceReaddressed",
				"CustomerVersionApplied", "InvoiceCorrected", "CustomerVersionApplied",
			}
			if diff := cmp.Diff(want, m.names(topics.BillingEvents, 0)); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			got := last[*schemas.BillingState](m.ledger, topics.BillingState)
			wantState := &schemas.BillingState{
				CustomerID: "c-1", Version: 7, CustomerVersion: 4, Status: "active",
				Address: place("Leiden"), AddressVersion: 3, Reason: "corrected",
				Open: []schemas.Invoice{{
					InvoiceID: "i-1", AmountCents: 1250, Currency: "EUR", Text: "March", IssuedAt: schemas.Millis(m.now),
					Address: place("Leiden"), AddressVersion: 3, SendTo: 3, Corrections: 1,
				}},
			}
			if diff := cmp.Diff(wantState, got); diff != "" {
				t.Fatalf("public state (-want +got):\n%s", diff)
			}
			checkBilling(m)

			seen := len(m.topics[topics.BillingEvents.Name])
			m.next = map[string]int{topics.BillingCommands.Name: 1} // everything again, without the command
			m.catchUp(order...)
			if again := m.names(topics.BillingEvents, seen); len(again) > 0 {
				t.Fatalf("reading everything again made %v", again)
			}
		})
	}
}

func TestBillingSaysWhatCausedAnEvent(t *testing.T) {
	m := join(newLedger(t), newBillingGroup())
	m.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	m.write(topics.CustomerChanges, "c-1", moved(2, lives("Gouda", "registered", 1), lives("Delft", "moved", 2)))
	command := invoice("b-1", "i-1")
	command.Meta.CausationID, command.Meta.CorrelationID = "order-7", "k-7"
	m.write(topics.BillingCommands, "c-1", command)
	m.catchUp(topics.CustomerState, topics.CustomerChanges, topics.BillingCommands)
	want := []schemas.EventHead{
		{Version: 1, At: schemas.Millis(m.now), CausationID: "c-1/1"},
		{Version: 2, At: schemas.Millis(m.now), CausationID: "c-1/2", CorrelationID: "k-1"},
		{Version: 3, At: schemas.Millis(m.now), CommandID: "b-1", CausationID: "order-7", CorrelationID: "k-7"},
	}
	var got []schemas.EventHead
	for _, rec := range m.read(topics.BillingEvents) {
		switch r := rec.(type) {
		case *schemas.CustomerVersionApplied:
			got = append(got, r.EventHead)
		case *schemas.InvoiceIssued:
			got = append(got, r.EventHead)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("causes (-want +got):\n%s", diff)
	}
}

func TestBillingWorksWhileTheCustomerServiceDoesNot(t *testing.T) {
	m := join(newLedger(t), newBillingGroup())
	m.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	m.catchUp()
	m.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1"))
	unknown := invoice("b-2", "i-2")
	unknown.CustomerID = "c-2"
	m.write(topics.BillingCommands, "c-2", unknown)
	m.write(topics.BillingCommands, "c-1", &schemas.PayInvoice{CustomerID: "c-1", Meta: withID("b-3"), InvoiceID: "i-1"})
	m.catchUp()
	for i, rec := range m.read(topics.BillingReplies) {
		if r, ok := rec.(*schemas.BillingReply); !ok || r.Outcome != outcomeAccepted {
			t.Errorf("reply %d: %+v", i, rec)
		}
	}
	if got := m.state("c-2").Open[0]; !got.Address.IsZero() || got.AddressVersion != 0 {
		t.Fatalf("an invoice for an unknown customer has the address %+v", got)
	}

	// The service is back, and so much has happened that only the newest state is left.
	back := customerState(9, lives("Utrecht", "corrected", 8))
	back.CustomerID = "c-2"
	m.write(topics.CustomerState, "c-2", back)
	m.catchUp()
	inv := m.state("c-2").Open[0]
	if inv.Address != addressFrom(place("Utrecht")) || inv.AddressVersion != 8 || inv.Corrections != 0 {
		t.Fatalf("after the first state the invoice is %+v", inv)
	}
	checkBilling(m)
}

func TestBillingRefusals(t *testing.T) {
	m := join(newLedger(t), newBillingGroup())
	commands := []schemas.Command{
		&schemas.IssueInvoice{Meta: withID("b-1"), InvoiceID: "i/1", AmountCents: 1, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-2"), InvoiceID: "i-1", AmountCents: 0, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-3"), InvoiceID: "i-1", AmountCents: 1, Currency: "euro"},
		&schemas.IssueInvoice{Meta: withID("b-4"), InvoiceID: "i-1", AmountCents: 1, Currency: "EUR", Text: "\x00"},
		&schemas.PayInvoice{Meta: withID("b-5"), InvoiceID: "i-1"},
		&schemas.PayInvoice{Meta: withID("b-6")},
		&schemas.IssueInvoice{Meta: schemas.Metadata{CommandID: "b-7", ExpectedVersion: 7}, InvoiceID: "i-1", AmountCents: 1, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-8"), InvoiceID: "i-1", AmountCents: 1, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-9"), InvoiceID: "i-1", AmountCents: 2, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-8"), InvoiceID: "i-1", AmountCents: 1, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-8"), InvoiceID: "i-2", AmountCents: 1, Currency: "EUR"},
		&schemas.IssueInvoice{Meta: withID("b-1"), InvoiceID: "i/1", AmountCents: 1, Currency: "EUR"},
		&schemas.PayInvoice{Meta: withID("b-10"), InvoiceID: "i-1"},
		&schemas.PayInvoice{Meta: withID("b-11"), InvoiceID: "i-1"},
		&schemas.IssueInvoice{Meta: withID("b-12"), InvoiceID: "i-1", AmountCents: 1, Currency: "EUR"},
	}
	for _, c := range commands {
		switch c := c.(type) {
		case *schemas.IssueInvoice:
			c.CustomerID = "c-1"
		case *schemas.PayInvoice:
			c.CustomerID = "c-1"
		}
		m.write(topics.BillingCommands, "c-1", c)
	}
	m.catchUp()
	want := []string{
		"invoice_id 0", "amount 0", "currency 0", "text 0", "invoice_unknown 0", "invoice_id 0", "version_conflict 0", " 1",
		"invoice_exists 1", " 1 repeat", "id_reused 1", "invoice_id 0 repeat", " 2", "invoice_paid 2", "invoice_paid 2",
	}
	var got []string
	for _, rec := range m.read(topics.BillingReplies) {
		r, ok := rec.(*schemas.BillingReply)
		if !ok {
			t.Fatalf("a %T among the replies", rec)
		}
		line := fmt.Sprintf("%s %d", r.Refusal, r.Version)
		if r.Repeat {
			line += " repeat"
		}
		got = append(got, line)
		if (r.Refusal == "") != (r.Message == "") {
			t.Errorf("refusal %q says %q", r.Refusal, r.Message)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("replies (-want +got):\n%s", diff)
	}
	if len(m.dead) > 0 {
		t.Fatalf("dead letters: %v", m.dead)
	}
}

func TestBillingErasure(t *testing.T) {
	const canary = "Kanarienweg"
	m := join(newLedger(t), newBillingGroup())
	home := lives("Gouda", "registered", 1)
	home.Address.Street = canary
	m.write(topics.CustomerState, "c-1", customerState(1, home))
	m.catchUp()
	command := invoice("b-1", "i-1")
	command.Text = canary
	m.write(topics.BillingCommands, "c-1", command)
	m.write(topics.CustomerState, "c-1", nil)
	m.write(topics.CustomerChanges, "c-1", &schemas.PublicCustomerErased{CustomerID: "c-1", EventHead: schemas.EventHead{Version: 2}})
	m.write(topics.BillingCommands, "c-1", invoice("b-2", "i-2"))
	m.catchUp(topics.CustomerState, topics.CustomerChanges)
	m.catchUp(topics.BillingCommands)

	if reply := last[*schemas.BillingReply](m.ledger, topics.BillingReplies); reply.Refusal != "customer_forgotten" {
		t.Fatalf("an invoice for an erased customer: %+v", reply)
	}
	if got := last[*schemas.BillingState](m.ledger, topics.BillingState); got.Status != "forgotten" || got.CustomerVersion != 2 {
		t.Fatalf("public state %+v", got)
	}
	newest := m.topics[topics.BillingState.Name]
	for name, b := range map[string][]byte{"row": m.rows["c-1"], "public state": newest[len(newest)-1].value} {
		if strings.Contains(string(b), canary) {
			t.Errorf("the %s still has the canary", name)
		}
	}
	checkBilling(m)
}

func TestARowOfBillingThatOnlyRefusedIsForgotten(t *testing.T) {
	m := join(newLedger(t), newBillingGroup())
	m.write(topics.BillingCommands, "c-1", &schemas.PayInvoice{CustomerID: "c-1", Meta: withID("b-1"), InvoiceID: "i-1"})
	m.catchUp()
	if len(m.rows) != 1 || len(m.topics[topics.BillingState.Name]) != 0 {
		t.Fatalf("%d rows, %d public states after a refusal", len(m.rows), len(m.topics[topics.BillingState.Name]))
	}
	m.now = m.now.Add(forgetRefusalsAfter)
	if fired := m.fire(); fired != 1 || len(m.rows) != 0 {
		t.Fatalf("%d deadlines, %d rows", fired, len(m.rows))
	}
	if len(m.topics[topics.BillingEvents.Name]) != 0 {
		t.Fatalf("events: %v", m.names(topics.BillingEvents, 0))
	}
}

// The bounds of the core are such that the worst row fits its topic.
func TestTheLargestRowOfBillingFits(t *testing.T) {
	line := strings.Repeat("𐍈", postal.MaxLine)
	address := postal.Restore(postal.Fields{
		Country: "NL", Region: line, City: line, District: line, PostCode: line, SortingCode: line,
		Street: strings.TrimSuffix(strings.Repeat(line+"\n", postal.MaxLines-5), "\n"),
	})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := billing.State{
		Version: 1 << 40, CustomerVersion: 1 << 40, Status: billing.StatusActive,
		Residence: billing.Residence{Address: address, Version: 1 << 40, Reason: billing.ReasonCorrected},
	}
	for range billing.MaxOpen {
		s.Open = append(s.Open, billing.Invoice{
			ID: billing.InvoiceID(strings.Repeat("i", 64)), Money: billing.Money{Cents: 1 << 40, Currency: "EUR"},
			Text: billing.Text(strings.Repeat("t", billing.MaxText)), IssuedAt: now, Address: address,
			AddressVersion: 1 << 40, SendTo: 1 << 40, Corrections: 1 << 30,
		})
	}
	for range billing.MaxRemembered {
		s.Paid = append(s.Paid, billing.Paid{Hash: -1 << 62, At: now})
	}
	handled := make([]schemas.Handled, handledWindow)
	for i := range handled {
		handled[i] = schemas.Handled{ID: -1 << 62, Body: -1 << 62, Refusal: "too_many_invoices", Version: 1 << 40, At: 1 << 33}
	}
	m := join(newLedger(t), newBillingGroup())
	row, err := schemas.AppendPrivate(nil, saveBilling(strings.Repeat("c", 64), s, handled))
	if err != nil {
		t.Fatal(err)
	}
	e := encoder{codecs: m.r.codecs}
	if err := e.fits(topics.BillingTable, 64+len(row)); err != nil {
		t.Errorf("row: %v", err)
	}
	outs, err := publishBilling(billingChange{Key: strings.Repeat("c", 64), After: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.add(&plan{}, outs[0]); err != nil {
		t.Errorf("public state: %v", err)
	}
	t.Logf("row of %d bytes", len(row))
}
