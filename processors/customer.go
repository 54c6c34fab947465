package processors

import (
	"time"

	"utopia/processors/customer"
	"utopia/processors/eos"
	"utopia/processors/letters"
	"utopia/schemas"
	"utopia/topics"
)

// NewCustomer returns the processor of the customer group: commands, facts from systems of record and the mail service's
// replies come in; events, public state and changes, replies and mails to send go out, in one transaction.
//
// Every customer with an event has a public state, that of an unregistered one included: billing may be asked for an
// invoice before the registration arrives, and what a system of record told is the address then. A row of version 0,
// which only remembers refusals, has none.
func NewCustomer(o Options) (*eos.Processor, error) {
	return customerGroup().start(o)
}

type (
	customerChange   = change[customer.State, customer.Event]
	customerGroupDef = group[customer.State, customer.Command, customer.Event]
)

func customerGroup() *customerGroupDef {
	return &customerGroupDef{
		name: topics.Customer, aggregate: "customer",
		inputs: []input[customer.Command]{
			{topic: topics.CustomerCommands, parse: parseCustomerCommand},
			{topic: topics.CRMChanges, parse: parseFact, cause: factCause, identity: factIdentity},
			{topic: topics.MailReplies, derived: true, parse: parseMailFate, cause: mailCause, identity: mailIdentity},
		},
		outputs: []topics.Topic{topics.CustomerChanges, topics.CustomerState, topics.MailCommands},

		decide: customer.Decide, evolve: customer.Evolve, due: customerDue,
		version:  func(s customer.State) int64 { return s.Version },
		code:     customer.Code,
		refusals: customer.Refusals(),

		load: loadCustomer, save: saveCustomer,
		events: topics.CustomerEvents, event: customerEvent,
		publish: publishCustomer,

		replies: topics.CustomerReplies,
		reply: func(f schemas.ReplyFields, _ inbound) schemas.Record {
			return &schemas.CustomerReply{ReplyFields: f}
		},
		commands: topics.CustomerCommands, deadline: customerDeadline,
		forget: forgetsCustomer, forgetKind: customerForgetKind,
	}
}

// customerForgetKind is the deadline of a row that only remembers refusals.
const customerForgetKind = "ForgetUnknownCustomer"

func customerDue(s customer.State) []eos.Deadline {
	var due []eos.Deadline
	for _, d := range customer.Due(s) {
		due = append(due, eos.Deadline{Kind: d.Kind, At: d.At, Ref: d.ChangeID})
	}
	return due
}

func customerDeadline(key string, meta schemas.Metadata, d eos.Deadline) schemas.Record {
	at := schemas.Millis(d.At)
	switch d.Kind {
	case customer.DeadlineRemind:
		return &schemas.RemindConfirmation{CustomerID: key, Meta: meta, ChangeID: d.Ref, DueAt: at}
	case customer.DeadlineExpire:
		return &schemas.ExpireAddressChange{CustomerID: key, Meta: meta, ChangeID: d.Ref, DueAt: at}
	case customer.DeadlineApply:
		return &schemas.ApplyAddressChange{CustomerID: key, Meta: meta, ChangeID: d.Ref, DueAt: at}
	case customerForgetKind:
		return &schemas.ForgetUnknownCustomer{CustomerID: key, Meta: meta, DueAt: at}
	}
	panic("processors: a deadline that the customer core does not have: " + d.Kind)
}

func forgetsCustomer(rec schemas.Record) (dueAt time.Time, ok bool) {
	f, ok := rec.(*schemas.ForgetUnknownCustomer)
	if !ok {
		return time.Time{}, false
	}
	return schemas.Time(f.DueAt), true
}

// publishCustomer maps what happened to a customer to the records that others read, and to the mails it asks for.
func publishCustomer(c customerChange) ([]output, error) {
	var outs []output
	change := func(rec schemas.Record) {
		outs = append(outs, output{topic: topics.CustomerChanges, key: c.Key, record: rec})
	}
	mail := func(m eventMeta, kind letters.Kind) {
		rec := confirmationMail(c.After, m, kind)
		outs = append(outs, output{topic: topics.MailCommands, key: rec.MailID, record: rec})
	}
	var state schemas.Record = publicCustomer(c.Key, c.After, c.At)
	for i, e := range c.Events {
		m := c.Metas[i]
		switch e := e.(type) {
		case customer.Registered:
			change(&schemas.PublicCustomerRegistered{
				CustomerID: c.Key, EventHead: head(m), Name: string(e.Name), Email: string(e.Email), Language: string(e.Language),
				Address: residence(c.After.Address),
			})
		case customer.Moved:
			change(&schemas.PublicCustomerMoved{
				CustomerID: c.Key, EventHead: head(m), ChangeID: e.ChangeID,
				Before: residence(c.Before.Address), After: residence(c.After.Address),
			})
		case customer.Corrected:
			change(&schemas.PublicAddressCorrected{
				CustomerID: c.Key, EventHead: head(m), ChangeID: e.ChangeID,
				Before: residence(c.Before.Address), After: residence(c.After.Address),
			})
		case customer.EmailChanged:
			change(&schemas.PublicEmailChanged{
				CustomerID: c.Key, EventHead: head(m), Before: string(c.Before.Email), After: string(c.After.Email),
			})
		case customer.Closed:
			change(&schemas.PublicCustomerClosed{CustomerID: c.Key, EventHead: head(m)})
		case customer.Erased:
			change(&schemas.PublicCustomerErased{CustomerID: c.Key, EventHead: head(m)})
			state = nil
		case customer.ChangeRequested:
			mail(m, letters.Confirmation)
		case customer.ConfirmationReminded:
			mail(m, letters.Reminder)
		case customer.ConfirmationUndeliverable, customer.ChangeScheduled, customer.ChangeCancelled, customer.ChangeExpired,
			customer.ChangeOutdated, customer.FactRecorded: // the state says all there is to know
		}
	}
	return append(outs, output{topic: topics.CustomerState, key: c.Key, record: state}), nil
}

// confirmationMail asks the customer for the answer that is missing. Its id names the event that asks for it, so that the
// mail service's reply leads back to it.
func confirmationMail(s customer.State, m eventMeta, kind letters.Kind) *schemas.SendMail {
	id := topics.Customer + "/" + m.id() + "/1"
	l := customerLetter(kind, s)
	link := func(name, purpose string) schemas.Link {
		return schemas.Link{Name: name, Purpose: purpose, Subject: m.Key, Change: s.Change.ID, ExpiresAt: schemas.Millis(s.Change.ExpiresAt)}
	}
	return &schemas.SendMail{
		MailID: id,
		Meta: schemas.Metadata{
			CommandID: id, CorrelationID: m.Cause.CorrelationID, CausationID: m.id(), ReplyTo: m.Key,
		},
		Sender: topics.Customer, Recipient: string(s.Email), Language: l.Language,
		Subject: l.Subject, Text: l.Text,
		Links: []schemas.Link{link("confirm", PurposeConfirm), link("reject", PurposeCancel)},
	}
}

// head is what every event and public change carries beside its own fields.
func head(m eventMeta) schemas.EventHead {
	return schemas.EventHead{
		Version: m.Version, At: schemas.Millis(m.At),
		CommandID: m.Cause.CommandID, CausationID: m.Cause.CausationID, CorrelationID: m.Cause.CorrelationID,
	}
}
