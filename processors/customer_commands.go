package processors

import (
	"errors"
	"strconv"
	"strings"

	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// parseCustomerCommand turns a command into one of the core. An error is a refusal: what the sender wrote is no address,
// e-mail address, name or language.
func parseCustomerCommand(in inbound) (customer.Command, error) {
	expected := in.meta.ExpectedVersion
	switch r := in.record.(type) {
	case *schemas.RegisterCustomer:
		return parseRegistration(r, expected)
	case *schemas.RequestAddressChange:
		a, err := postal.Parse(postal.Fields(r.Address))
		if err != nil {
			return nil, err
		}
		return customer.RequestChange{
			ExpectedVersion: expected, ChangeID: in.meta.CommandID, Address: a, Reason: customer.Reason(r.Reason),
			EffectiveAt: schemas.Time(r.EffectiveAt),
		}, nil
	case *schemas.ConfirmAddressChange:
		return customer.ConfirmChange{ExpectedVersion: expected, ChangeID: r.ChangeID, ExpiresAt: schemas.Time(r.ExpiresAt)}, nil
	case *schemas.CancelAddressChange:
		return customer.CancelChange{ExpectedVersion: expected, ChangeID: r.ChangeID}, nil
	case *schemas.ChangeEmail:
		email, err := postal.ParseEmail(r.Email)
		if err != nil {
			return nil, err
		}
		return customer.ChangeEmail{ExpectedVersion: expected, Email: email}, nil
	case *schemas.CloseCustomer:
		return customer.Close{ExpectedVersion: expected}, nil
	case *schemas.EraseCustomer:
		return customer.Erase{ExpectedVersion: expected}, nil
	case *schemas.ExpireAddressChange:
		return customer.Expire{ChangeID: r.ChangeID, DueAt: schemas.Time(r.DueAt)}, nil
	case *schemas.ApplyAddressChange:
		return customer.Apply{ChangeID: r.ChangeID, DueAt: schemas.Time(r.DueAt)}, nil
	case *schemas.RemindConfirmation:
		return customer.Remind{ChangeID: r.ChangeID, DueAt: schemas.Time(r.DueAt)}, nil
	case *schemas.ForgetUnknownCustomer:
		return nil, errSkip // about a row, not about a customer: the framework's
	}
	return nil, errSkip
}

func parseRegistration(r *schemas.RegisterCustomer, expected int64) (customer.Command, error) {
	name, err := customer.ParseName(r.Name)
	if err != nil {
		return nil, err
	}
	email, err := postal.ParseEmail(r.Email)
	if err != nil {
		return nil, err
	}
	language, err := customer.ParseLanguage(r.Language)
	if err != nil {
		return nil, err
	}
	a, err := postal.Parse(postal.Fields(r.Address))
	if err != nil {
		return nil, err
	}
	return customer.Register{ExpectedVersion: expected, Name: name, Email: email, Language: language, Address: a}, nil
}

// parseFact turns a fact into a command of the core. An error is a dead letter: what the source wrote is no address at
// all, or no fact, which has a source, an id and a time.
func parseFact(in inbound) (customer.Command, error) {
	r, ok := in.record.(*schemas.AddressChanged)
	if !ok {
		return nil, errSkip
	}
	for _, id := range []string{r.Source, r.FactID} { // kept as they are: identifiers, not prose
		line, err := postal.Line(id)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return nil, customer.ErrNoSource
		}
	}
	if r.OccurredAt == 0 {
		return nil, customer.ErrNoTime
	}
	a, verified, err := postal.AsWritten(postal.Fields(r.Address))
	if err != nil {
		return nil, err
	}
	return customer.RecordFact{
		Source: r.Source, FactID: r.FactID, OccurredAt: schemas.Time(r.OccurredAt), Address: a, Verified: verified,
	}, nil
}

// factID is a fact's identity among all facts.
func factID(source, id string) string { return source + "/" + id }

func factIdentity(rec schemas.Record) string {
	if r, ok := rec.(*schemas.AddressChanged); ok {
		return factID(r.Source, r.FactID)
	}
	return ""
}

func factCause(rec schemas.Record) schemas.Metadata {
	id := traceID(factIdentity(rec))
	return schemas.Metadata{CausationID: id, CorrelationID: id}
}

// mailFate is what a reply of the mail service says about one of our mails that will not arrive.
type mailFate struct {
	sender, mailID, correlationID string
	detail                        string
}

// fateOf reads a reply. A mail that was accepted or sent needs no answer from us: ok is false.
func fateOf(rec schemas.Record) (fate mailFate, ok bool) {
	switch r := rec.(type) {
	case *schemas.MailUndeliverable:
		return mailFate{r.Sender, r.MailID, r.CorrelationID, r.Detail}, true
	case *schemas.MailReply: // of any command about the mail; only the one that asked for it is ours
		if r.Outcome == schemas.OutcomeRefused && r.CommandID == r.Key {
			return mailFate{r.Sender, r.Key, r.CorrelationID, r.Refusal}, true
		}
	}
	return mailFate{}, false
}

var errForeignMail = errors.New("the mail's id is not one that we give")

// parseMailFate turns a reply of the mail service into a command of the core.
func parseMailFate(in inbound) (customer.Command, error) {
	fate, ok := fateOf(in.record)
	if !ok || fate.sender != topics.Customer {
		return nil, errSkip
	}
	version, err := mailVersion(in.key, fate.mailID)
	if err != nil {
		return nil, err
	}
	return customer.RecordUndeliverable{Mail: version, Detail: fate.detail}, nil
}

// mailVersion is the version of the event that asked for a mail, from the mail's id.
func mailVersion(key, mailID string) (int64, error) {
	rest, ok := strings.CutPrefix(mailID, topics.Customer+"/"+key+"/")
	if !ok {
		return 0, errForeignMail
	}
	number, _, _ := strings.Cut(rest, "/")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil || version < 1 {
		return 0, errForeignMail
	}
	return version, nil
}

// mailIdentity remembers a fate: a mail can fail only once, however often we are told.
func mailIdentity(rec schemas.Record) string {
	if fate, ok := fateOf(rec); ok && fate.sender == topics.Customer {
		return undeliverableID(fate.mailID)
	}
	return ""
}

// undeliverableID is the identity of a mail's fate among all that a customer's row remembers.
func undeliverableID(mailID string) string { return "undeliverable/" + mailID }

func mailCause(rec schemas.Record) schemas.Metadata {
	fate, _ := fateOf(rec)
	return schemas.Metadata{CausationID: fate.mailID, CorrelationID: fate.correlationID}
}
