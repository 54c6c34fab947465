package processors

import (
	"fmt"
	"time"

	"utopia/processors/billing"
	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

type (
	billingGroup  = group[billing.State, billing.Command, billing.Event]
	billingChange = change[billing.State, billing.Event]
)

// NewBilling returns the processor of the group billing: it takes commands about invoices, listens to the public records
// of the customer service and keeps what is owed. Nothing connects before Run.
func NewBilling(o Options) (*eos.Processor, error) { return newBillingGroup().start(o) }

func newBillingGroup() *billingGroup {
	return &billingGroup{
		name:      topics.Billing,
		aggregate: "billing",
		inputs: []input[billing.Command]{
			{topic: topics.BillingCommands, parse: parseBillingCommand},
			{topic: topics.CustomerState, parse: parseCustomerForBilling, tombstones: true, cause: customerCause},
			{topic: topics.CustomerChanges, parse: parseCustomerForBilling, cause: customerCause},
		},
		outputs: []topics.Topic{topics.BillingState},

		decide:   billing.Decide,
		evolve:   billing.Evolve,
		due:      func(billing.State) []eos.Deadline { return nil },
		version:  func(s billing.State) int64 { return s.Version },
		code:     billing.Code,
		refusals: billing.Refusals(),

		load: loadBilling,
		save: saveBilling,

		events:  topics.BillingEvents,
		event:   billingEvent,
		publish: publishBilling,

		replies: topics.BillingReplies,
		reply:   func(f schemas.ReplyFields, _ inbound) schemas.Record { return &schemas.BillingReply{ReplyFields: f} },

		commands: topics.BillingCommands,
		deadline: func(key string, meta schemas.Metadata, d eos.Deadline) schemas.Record {
			return &schemas.BillingForgetUnknownCustomer{CustomerID: key, Meta: meta, DueAt: schemas.Millis(d.At)}
		},
		forget: func(rec schemas.Record) (time.Time, bool) {
			r, ok := rec.(*schemas.BillingForgetUnknownCustomer)
			if !ok {
				return time.Time{}, false
			}
			return schemas.Time(r.DueAt), true
		},
		forgetKind: "ForgetUnknownCustomer",
	}
}

func parseBillingCommand(in inbound) (billing.Command, error) {
	switch r := in.record.(type) {
	case *schemas.IssueInvoice:
		id, err := billing.ParseInvoiceID(r.InvoiceID)
		if err != nil {
			return nil, err
		}
		money, err := billing.ParseMoney(r.AmountCents, r.Currency)
		if err != nil {
			return nil, err
		}
		text, err := billing.ParseText(r.Text)
		if err != nil {
			return nil, err
		}
		return billing.Issue{ExpectedVersion: in.meta.ExpectedVersion, Invoice: id, Money: money, Text: text}, nil
	case *schemas.PayInvoice:
		id, err := billing.ParseInvoiceID(r.InvoiceID)
		if err != nil {
			return nil, err
		}
		return billing.Pay{ExpectedVersion: in.meta.ExpectedVersion, Invoice: id}, nil
	}
	return nil, errSkip
}

// parseCustomerForBilling reads the customer service's public records: its states, which tell everything, and those of its
// changes that may bring an address or an erasure ahead of the state.
func parseCustomerForBilling(in inbound) (billing.Command, error) {
	if in.record == nil {
		return billing.ForgetCustomer{}, nil
	}
	switch r := in.record.(type) {
	case *schemas.CustomerState:
		return billing.ApplyCustomer{
			Version: r.Version, Status: billingStatus(r.Status),
			Residence: billingResidence(r.Address, billing.Reason(r.Address.Reason)),
		}, nil
	case *schemas.PublicCustomerMoved:
		return billing.ApplyAddress{
			Version: r.Version, Before: r.Before.Version, Residence: billingResidence(r.After, billing.ReasonMoved),
		}, nil
	case *schemas.PublicAddressCorrected:
		return billing.ApplyAddress{
			Version: r.Version, Before: r.Before.Version, Residence: billingResidence(r.After, billing.ReasonCorrected),
		}, nil
	case *schemas.PublicCustomerErased:
		return billing.ForgetCustomer{Version: r.Version}, nil
	}
	return nil, errSkip
}

// billingStatus reads a customer's status. One that is newer than this code is somebody who exists.
func billingStatus(s string) billing.Status {
	switch status := billing.Status(s); status {
	case billing.StatusUnregistered, billing.StatusClosed:
		return status
	case billing.StatusUnknown, billing.StatusActive, billing.StatusForgotten:
	}
	return billing.StatusActive
}

func billingResidence(r schemas.Residence, reason billing.Reason) billing.Residence {
	return billing.Residence{Address: addressFrom(r.Address), Version: r.Version, Reason: reason}
}

// billingEvent encodes an event for the event store; what is personal in it goes apart.
func billingEvent(m eventMeta, event billing.Event) (schemas.Record, error) {
	h := head(m)
	switch e := event.(type) {
	case billing.InvoiceIssued:
		p, err := personal(schemas.PersonalData{Address: addressOf(e.Address), Text: string(e.Text)})
		return &schemas.InvoiceIssued{
			CustomerID: m.Key, EventHead: h, InvoiceID: string(e.Invoice),
			AmountCents: e.Money.Cents, Currency: e.Money.Currency, AddressVersion: e.AddressVersion, Personal: p,
		}, err
	case billing.InvoiceAddressFrozen:
		p, err := personalAddress(e.Address)
		return &schemas.InvoiceAddressFrozen{
			CustomerID: m.Key, EventHead: h, InvoiceID: string(e.Invoice), AddressVersion: e.AddressVersion, Personal: p,
		}, err
	case billing.InvoiceReaddressed:
		p, err := personalAddress(e.Address)
		return &schemas.InvoiceReaddressed{
			CustomerID: m.Key, EventHead: h, InvoiceID: string(e.Invoice), AddressVersion: e.AddressVersion, Personal: p,
		}, err
	case billing.InvoiceCorrected:
		p, err := personalAddress(e.Address)
		return &schemas.InvoiceCorrected{
			CustomerID: m.Key, EventHead: h, InvoiceID: string(e.Invoice),
			AddressVersion: e.AddressVersion, Correction: e.Correction, Personal: p,
		}, err
	case billing.InvoicePaid:
		return &schemas.InvoicePaid{
			CustomerID: m.Key, EventHead: h, InvoiceID: string(e.Invoice),
			AmountCents: e.Money.Cents, Currency: e.Money.Currency,
		}, nil
	case billing.CustomerVersionApplied:
		p, err := personalAddress(e.Address)
		return &schemas.CustomerVersionApplied{
			CustomerID: m.Key, EventHead: h, CustomerVersion: e.CustomerVersion, Status: string(e.Status),
			AddressVersion: e.AddressVersion, Reason: string(e.Reason), Personal: p,
		}, err
	case billing.CustomerForgotten:
		return &schemas.BillingCustomerForgotten{CustomerID: m.Key, EventHead: h, CustomerVersion: e.CustomerVersion}, nil
	}
	return nil, fmt.Errorf("billing event %T has no record", event)
}

// publishBilling makes the public state, whatever has happened.
func publishBilling(c billingChange) ([]output, error) {
	s := c.After
	return []output{{topic: topics.BillingState, key: c.Key, record: &schemas.BillingState{
		CustomerID: c.Key, Version: s.Version, CustomerVersion: s.CustomerVersion, Status: schemas.OrUnknown(s.Status),
		Address: addressOf(s.Residence.Address), AddressVersion: s.Residence.Version, Reason: publicReason(s.Residence.Reason),
		Open: billingInvoices(s.Open),
	}}}, nil
}

// publicReason is a reason as the public enum spells it.
func publicReason(r billing.Reason) string {
	switch r {
	case schemas.ReasonRegistered, billing.ReasonMoved, billing.ReasonCorrected:
		return string(r)
	}
	return schemas.Unknown
}

func billingInvoices(open []billing.Invoice) []schemas.Invoice {
	out := make([]schemas.Invoice, 0, len(open))
	for _, inv := range open {
		out = append(out, schemas.Invoice{
			InvoiceID: string(inv.ID), AmountCents: inv.Money.Cents, Currency: inv.Money.Currency, Text: string(inv.Text),
			IssuedAt: schemas.Millis(inv.IssuedAt), Address: addressOf(inv.Address), AddressVersion: inv.AddressVersion,
			SendTo: inv.SendTo, Corrections: inv.Corrections,
		})
	}
	return out
}

func saveBilling(key string, s billing.State, handled []schemas.Handled) schemas.Record {
	row := &schemas.BillingRow{
		CustomerID: key, Version: s.Version, Status: string(s.Status), CustomerVersion: s.CustomerVersion,
		Residence: schemas.BillingResidence{
			Address: addressOf(s.Residence.Address), Version: s.Residence.Version, Reason: string(s.Residence.Reason),
		},
		Open: billingInvoices(s.Open), Paid: make([]schemas.Paid, 0, len(s.Paid)), Handled: handled,
	}
	for _, p := range s.Paid {
		row.Paid = append(row.Paid, schemas.Paid{Hash: p.Hash, At: schemas.Millis(p.At)})
	}
	return row
}

func loadBilling(rec schemas.Record) (billing.State, []schemas.Handled, error) {
	row, ok := rec.(*schemas.BillingRow)
	if !ok {
		return billing.State{}, nil, fmt.Errorf("a row of billing is a %s", rec.AvroName())
	}
	s := billing.State{
		Version: row.Version, Status: billing.Status(row.Status), CustomerVersion: row.CustomerVersion,
		Residence: billing.Residence{
			Address: addressFrom(row.Residence.Address), Version: row.Residence.Version, Reason: billing.Reason(row.Residence.Reason),
		},
	}
	for _, inv := range row.Open {
		s.Open = append(s.Open, billing.Invoice{
			ID: billing.InvoiceID(inv.InvoiceID), Money: billing.Money{Cents: inv.AmountCents, Currency: inv.Currency},
			Text: billing.Text(inv.Text), IssuedAt: schemas.Time(inv.IssuedAt),
			Address: addressFrom(inv.Address), AddressVersion: inv.AddressVersion, SendTo: inv.SendTo, Corrections: inv.Corrections,
		})
	}
	for _, p := range row.Paid {
		s.Paid = append(s.Paid, billing.Paid{Hash: p.Hash, At: schemas.Time(p.At)})
	}
	return s, row.Handled, nil
}
