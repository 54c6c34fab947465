// Package api is what can be asked of the system by those who are no part of it, and how the answers look: commands made of
// plain values that were checked before anything is sent, states and outcomes as JSON. The command line and the gateway share
// it, so that both mean the same by the same name.
//
// It connects nothing and decides no business rule: what is checked here is what the cores would refuse anyway.
package api

import (
	"errors"
	"time"

	"utopia/processors/billing"
	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// ErrID says that a text is not an id that somebody may choose.
var ErrID = errors.New("an id is 1 to 64 of A-Z a-z 0-9 . _ ~ -")

// FieldError tells which value of a request cannot be. Its text never has the value in it.
type FieldError struct {
	Field string // in the words of the command line's flags: email
	Err   error
}

// Error implements error.
func (e *FieldError) Error() string {
	var part *postal.FieldError
	if errors.As(e.Err, &part) { // it names its part itself
		return e.Err.Error()
	}
	return e.Field + ": " + e.Err.Error()
}

// Unwrap returns what is wrong with it.
func (e *FieldError) Unwrap() error { return e.Err }

// Service is what a command is sent to.
type Service struct {
	Name              string // also the aggregate of its receipts
	Commands, Replies topics.Topic
}

// Customer is the customer service.
func Customer() Service {
	return Service{topics.Customer, topics.CustomerCommands, topics.CustomerReplies}
}

// Billing is the billing service.
func Billing() Service {
	return Service{topics.Billing, topics.BillingCommands, topics.BillingReplies}
}

// Request is one command that somebody asks for.
type Request struct {
	To      Service
	Key     string
	Command schemas.Command
	Gone    bool // an accepted one leaves no row
}

// Registration is what is said of somebody who becomes a customer.
type Registration struct {
	Name, Email, Language string
	Address               postal.Fields
}

// Register makes somebody a customer. A *FieldError names what cannot be.
func Register(id string, r Registration) (Request, error) {
	name, err := customer.ParseName(r.Name)
	if err != nil {
		return Request{}, &FieldError{"name", err}
	}
	email, err := postal.ParseEmail(r.Email)
	if err != nil {
		return Request{}, &FieldError{"email", err}
	}
	language, err := customer.ParseLanguage(r.Language)
	if err != nil {
		return Request{}, &FieldError{"language", err}
	}
	a, err := address(r.Address)
	return Request{To: Customer(), Key: id, Command: &schemas.RegisterCustomer{
		CustomerID: id, Name: string(name), Email: string(email), Language: string(language), Address: a,
	}}, err
}

func address(f postal.Fields) (schemas.Address, error) {
	a, err := postal.Parse(f)
	if err != nil {
		return schemas.Address{}, &FieldError{"address", err}
	}
	return schemas.Address(a.Fields()), nil
}

// RequestChange asks for another address, at once or not before effectiveAt. A *FieldError names what cannot be.
func RequestChange(id string, f postal.Fields, reason string, effectiveAt time.Time) (Request, error) {
	a, err := address(f)
	return Request{To: Customer(), Key: id, Command: &schemas.RequestAddressChange{
		CustomerID: id, Address: a, Reason: reason, EffectiveAt: schemas.Millis(effectiveAt),
	}}, err
}

// Confirm says that the customer wants the change. expiresAt is the link's, zero if the confirmation came another way.
func Confirm(id, change string, expiresAt time.Time) Request {
	return Request{To: Customer(), Key: id, Command: &schemas.ConfirmAddressChange{
		CustomerID: id, ChangeID: change, ExpiresAt: schemas.Millis(expiresAt),
	}}
}

// Cancel takes a change back; an empty change is whatever change there is.
func Cancel(id, change string) Request {
	return Request{To: Customer(), Key: id, Command: &schemas.CancelAddressChange{CustomerID: id, ChangeID: change}}
}

// ChangeEmail gives the customer another e-mail address. A *FieldError says that it is none.
func ChangeEmail(id, email string) (Request, error) {
	e, err := postal.ParseEmail(email)
	if err != nil {
		return Request{}, &FieldError{"email", err}
	}
	return Request{To: Customer(), Key: id, Command: &schemas.ChangeEmail{CustomerID: id, Email: string(e)}}, nil
}

// Close ends the relation with a customer.
func Close(id string) Request {
	return Request{To: Customer(), Key: id, Command: &schemas.CloseCustomer{CustomerID: id}}
}

// Erase removes everything personal of a customer.
func Erase(id string) Request {
	return Request{To: Customer(), Key: id, Command: &schemas.EraseCustomer{CustomerID: id}, Gone: true}
}

// Issue sends a customer an invoice.
func Issue(id, invoice string, cents int64, currency, text string) Request {
	return Request{To: Billing(), Key: id, Command: &schemas.IssueInvoice{
		CustomerID: id, InvoiceID: invoice, AmountCents: cents, Currency: currency, Text: text,
	}}
}

// Pay settles an open invoice.
func Pay(id, invoice string) Request {
	return Request{To: Billing(), Key: id, Command: &schemas.PayInvoice{CustomerID: id, InvoiceID: invoice}}
}

// Code is the stable code of an error that a request could not be made for, the same that a reply would carry; "" for none.
func Code(err error) string {
	if code := customer.Code(err); code != "" {
		return code
	}
	if code := webhook.Code(err); code != "" {
		return code
	}
	return billing.Code(err)
}
