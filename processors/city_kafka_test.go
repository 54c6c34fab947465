package processors

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/billing"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// billingOf folds what billing's event store says of a customer.
func (c *city) billingOf(key string) billing.State {
	c.t.Helper()
	var s billing.State
	for _, rec := range c.read(topics.BillingEvents) {
		if customer, version, event := readBillingEvent(c.t, rec); customer == key {
			if s = billing.Evolve(s, event); s.Version != version {
				c.t.Fatalf("%T of %s says version %d and is number %d", rec, key, version, s.Version)
			}
		}
	}
	return s
}

// billed waits until billing has applied a version of a customer, and compares its events with its public state.
func (c *city) billed(key string, version int64) *schemas.BillingState {
	c.t.Helper()
	c.wait(fmt.Sprintf("billing applies %s/%d", key, version), func() bool {
		s := newest[*schemas.BillingState](c, topics.BillingState, key)
		return s != nil && s.CustomerVersion >= version && c.billingOf(key).Version == s.Version
	})
	s, folded := newest[*schemas.BillingState](c, topics.BillingState, key), c.billingOf(key)
	if folded.CustomerVersion != s.CustomerVersion || len(folded.Open) != len(s.Open) {
		c.t.Fatalf("the events of %s fold into %+v, the public state is %+v", key, folded, s)
	}
	return s
}

// told waits until notification has applied a version of a customer.
func (c *city) told(key string, version int64) *schemas.NotificationState {
	c.t.Helper()
	var s *schemas.NotificationState
	c.wait(fmt.Sprintf("notification applies %s/%d", key, version), func() bool {
		s = newest[*schemas.NotificationState](c, topics.NotificationState, key)
		return s != nil && s.CustomerVersion >= version
	})
	return s
}

// outcome waits for the reply of billing to a command.
func (c *city) outcome(command string) *schemas.BillingReply {
	c.t.Helper()
	var reply *schemas.BillingReply
	c.wait("billing answers "+command, func() bool {
		for _, rec := range c.read(topics.BillingReplies) {
			if r, ok := rec.(*schemas.BillingReply); ok && r.CommandID == command {
				reply = r
			}
		}
		return reply != nil
	})
	return reply
}

// deliver reports every mail in the outbox that has not been reported, as the mailer does.
func (c *city) deliver(reported map[string]bool) {
	c.t.Helper()
	for _, rec := range c.read(topics.MailOutbox) {
		m, ok := rec.(*schemas.MailToSend)
		if !ok || reported[m.MailID] {
			continue
		}
		reported[m.MailID] = true
		result := "sent"
		if m.Recipient == "nobody@example.com" {
			result = "undeliverable"
		}
		c.write(topics.MailCommands, m.MailID, report(m.MailID, "report/"+m.MailID, result))
	}
}

func registers(key, email string) *schemas.RegisterCustomer {
	return &schemas.RegisterCustomer{
		CustomerID: key, Meta: withID("register-" + key), Name: "Ada", Email: email, Language: "en",
		Address: schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: "Markt 1"},
	}
}

// An address change travels from its command through all four groups, with each of them away for a while.
func TestAnAddressChangeReachesEverybody(t *testing.T) {
	c := newCity(t)
	c.start(topics.Customer, topics.Billing, topics.Mail, topics.Notification)
	c.write(topics.CustomerCommands, "c-1", registers("c-1", "ada@example.com"))
	c.write(topics.CustomerCommands, "c-2", registers("c-2", "nobody@example.com"))
	for _, key := range []string{"c-1", "c-2"} {
		c.billed(key, 1)
		c.told(key, 1)
		inv := invoice("issue-"+key, "i-1")
		inv.CustomerID = key
		c.write(topics.BillingCommands, key, inv)
		if r := c.outcome("issue-" + key); r.Outcome != outcomeAccepted {
			t.Fatalf("invoice: %+v", r)
		}
	}

	// Billing and notification are away while one customer moves and the other's address is corrected.
	c.stop(topics.Billing)
	c.stop(topics.Notification)
	for key, reason := range map[string]string{"c-1": schemas.ReasonMoved, "c-2": schemas.ReasonCorrected} {
		c.write(topics.CustomerCommands, key, &schemas.RequestAddressChange{
			CustomerID: key, Meta: withID("move-" + key), Reason: reason,
			Address: schemas.Address{Country: "NL", City: "Delft", PostCode: "2611 GV", Street: "Oude Delft 1"},
		})
		c.write(topics.CustomerCommands, key, &schemas.ConfirmAddressChange{
			CustomerID: key, Meta: withID("confirm-" + key), ChangeID: "move-" + key,
		})
		c.wait("the change of "+key, func() bool {
			s := newest[*schemas.CustomerState](c, topics.CustomerState, key)
			return s != nil && s.Address.Version == 3
		})
	}

	// The customer service is away; the others come back and catch up from the log. One has lost its disk.
	c.stop(topics.Customer)
	c.disks[topics.Notification] = nil
	c.start(topics.Billing, topics.Notification)
	for key, want := range map[string]schemas.Invoice{
		"c-1": {AddressVersion: 1, SendTo: 3}, "c-2": {AddressVersion: 3, SendTo: 3, Corrections: 1},
	} {
		s := c.billed(key, 3)
		got := schemas.Invoice{
			AddressVersion: s.Open[0].AddressVersion, SendTo: s.Open[0].SendTo, Corrections: s.Open[0].Corrections,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("invoice of %s (-want +got):\n%s", key, diff)
		}
		c.told(key, 3)
	}
	unknown := invoice("issue-c-3", "i-1")
	unknown.CustomerID = "c-3"
	c.write(topics.BillingCommands, "c-3", unknown)
	if r := c.outcome("issue-c-3"); r.Outcome != outcomeAccepted {
		t.Fatalf("an invoice for an unknown customer: %+v", r)
	}

	// The mail service has been asked; the fates of the mails come back.
	reported := map[string]bool{}
	fates := map[string][]int64{"c-1": {1, 1, 0}, "c-2": {1, 0, 1}}
	for key, want := range fates {
		c.wait("the mails to "+key, func() bool {
			c.deliver(reported)
			s := newest[*schemas.NotificationState](c, topics.NotificationState, key)
			return s != nil && slices.Equal([]int64{s.Asked, s.Delivered, s.Failed}, want)
		})
	}

	// The customer service is back and learns of the third customer.
	c.start(topics.Customer)
	c.write(topics.CustomerCommands, "c-3", registers("c-3", "eve@example.com"))
	if s := c.billed("c-3", 1); s.Open[0].Address.City != "Gouda" || s.Open[0].AddressVersion != 1 {
		t.Errorf("the waiting invoice: %+v", s.Open[0])
	}
	for _, topic := range topics.All() {
		if topic.Kind != topics.DeadLetters && len(c.log[topic.DLQ().Name]) > 0 {
			t.Errorf("dead letters of %s: %v", topic.Name, c.letters(topic))
		}
	}
}

// Records of both topics, doubled, with gaps and in another order, and commands sent twice, across a restart.
func TestBillingOnABrokerCountsEverythingOnce(t *testing.T) {
	c := newCity(t)
	gouda, delft, leiden := lives("Gouda", "registered", 1), lives("Delft", "moved", 3), lives("Leiden", "corrected", 5)
	move, correction := moved(3, gouda, delft), corrected(5, delft, leiden)
	c.start(topics.Billing)
	c.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1")) // nobody knows the customer
	c.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1"))
	c.outcome("b-1")
	c.write(topics.CustomerChanges, "c-1", move)
	c.write(topics.CustomerState, "c-1", customerState(2, gouda)) // 1 has been compacted away
	c.billed("c-1", 2)
	c.write(topics.CustomerState, "c-1", customerState(3, delft))
	c.write(topics.CustomerChanges, "c-1", move)
	c.billed("c-1", 3)
	c.stop(topics.Billing)
	c.write(topics.CustomerChanges, "c-1", correction)
	c.write(topics.CustomerChanges, "c-1", correction)
	c.write(topics.CustomerState, "c-1", customerState(6, leiden)) // 4 and 5 have been compacted away
	c.write(topics.CustomerState, "c-1", customerState(3, delft))  // read again by a producer's mistake
	c.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1"))
	c.write(topics.BillingCommands, "c-1", &schemas.PayInvoice{CustomerID: "c-1", Meta: withID("b-2"), InvoiceID: "i-9"})
	c.start(topics.Billing)
	c.outcome("b-2")
	c.billed("c-1", 6)
	want := billing.State{
		Status: billing.StatusActive, CustomerVersion: 6,
		Residence: billing.Residence{Address: addressFrom(place("Leiden")), Version: 5, Reason: billing.ReasonCorrected},
		Open: []billing.Invoice{{
			ID: "i-1", Money: billing.Money{Cents: 1250, Currency: "EUR"}, Text: "March",
			Address: addressFrom(place("Leiden")), AddressVersion: 5, SendTo: 5, Corrections: 1,
		}},
	}
	got := c.billingOf("c-1")
	got.Version, got.Open[0].IssuedAt = 0, want.Open[0].IssuedAt
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(postal.Address{})); diff != "" {
		t.Fatalf("billing (-want +got):\n%s", diff)
	}
	var corrections, readdressed, first, repeats int
	for _, rec := range c.read(topics.BillingEvents) {
		switch rec.(type) {
		case *schemas.InvoiceCorrected:
			corrections++
		case *schemas.InvoiceReaddressed:
			readdressed++
		}
	}
	for _, rec := range c.read(topics.BillingReplies) {
		if r, ok := rec.(*schemas.BillingReply); ok && r.CommandID == "b-1" {
			if r.Repeat {
				repeats++
			} else {
				first++
			}
		}
	}
	if corrections != 1 || readdressed != 1 || first != 1 || repeats != 2 {
		t.Fatalf("%d corrections, %d re-addressed, %d first replies, %d repeats", corrections, readdressed, first, repeats)
	}
}

// The test of TestACustomerServiceThatGrowsChangesNoOtherService on a broker, with the engine's own admission.
func TestAGrowingCustomerServiceOnABroker(t *testing.T) {
	c := newCity(t)
	state, married, move := tomorrowsRecords(t, c.ids)
	c.ids.Add(idOfNewCommand, topics.BillingCommands.Name, "utopia.billing.RefundInvoice", refundingSchema)
	c.start(topics.Billing, topics.Notification)
	c.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	c.billed("c-1", 1)
	c.told("c-1", 1)
	c.writeBytes(topics.CustomerState, "c-1", state)
	c.billed("c-1", 2)
	c.told("c-1", 2)
	c.writeBytes(topics.CustomerChanges, "c-1", married)
	c.writeBytes(topics.CustomerChanges, "c-1", move)
	if s := c.billed("c-1", 4); s.Address.City != "Leiden" {
		t.Errorf("billing has %+v", s)
	}
	c.told("c-1", 4)
	for _, group := range []string{topics.Billing, topics.Notification} {
		counted := group + " " + topics.CustomerChanges.Name + " " + deadUnknownType
		if n := c.count(counted); n != 1 {
			t.Errorf("%s: %d", counted, n)
		}
	}

	c.writeBytes(topics.BillingCommands, "c-1", foreign(t, idOfNewCommand, refundingSchema, map[string]any{
		"customerId": "c-1", "invoiceId": "i-1",
	}))
	c.wait("a command of an unknown type", func() bool { return len(c.letters(topics.BillingCommands)) > 0 })
	if diff := cmp.Diff([]string{deadUnknownType + " utopia.billing.RefundInvoice"}, c.letters(topics.BillingCommands)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	for _, topic := range []topics.Topic{topics.CustomerChanges, topics.CustomerState} {
		if letters := c.letters(topic); len(letters) > 0 {
			t.Errorf("dead letters of %s: %v", topic.Name, letters)
		}
	}
}
