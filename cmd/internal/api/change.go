package api

import (
	"strconv"
	"strings"

	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// Change is a public fact about a customer, as those without Kafka are told it: a CloudEvent (CloudEvents 1.0, JSON format).
type Change struct {
	SpecVersion     string     `json:"specversion" enum:"1.0"`
	ID              string     `json:"id" doc:"CUSTOMER/VERSION; the same fact has the same id wherever it is read" example:"c-17/3"`
	Source          string     `json:"source" doc:"The customer's URL, relative to the API's" example:"/v1/customers/c-17"`
	Type            string     `json:"type" doc:"What has happened: the name of the fact's schema; there may be others later" example:"utopia.customer.CustomerMoved"`
	Subject         string     `json:"subject" doc:"The customer" example:"c-17"`
	Time            string     `json:"time" doc:"When it was decided" example:"2026-11-26T12:00:00Z"`
	DataContentType string     `json:"datacontenttype" enum:"application/json"`
	Data            ChangeData `json:"data"`
}

// ChangeData is what has changed; which fields there are depends on the type. Callers who need not know who a customer is get
// neither names nor e-mail addresses, and of an address the country.
type ChangeData struct {
	Version       int64    `json:"version" doc:"The customer's version since then"`
	Receipt       string   `json:"receipt" doc:"Utopia-After takes it" example:"customer/c-17@3"`
	CommandID     string   `json:"commandId,omitempty" doc:"The command that led to it"`
	CorrelationID string   `json:"correlationId,omitempty" doc:"The conversation that it belongs to"`
	ChangeID      string   `json:"changeId,omitempty" doc:"The address change that was asked for; none if a system of record told the address"`
	Name          string   `json:"name,omitempty"`
	Email         string   `json:"email,omitempty" doc:"The e-mail address from now on"`
	EmailBefore   string   `json:"emailBefore,omitempty"`
	Language      string   `json:"language,omitempty"`
	Address       *Address `json:"address,omitempty" doc:"The address from now on"`
	AddressBefore *Address `json:"addressBefore,omitempty"`
}

const changePrefix = "utopia.customer."

// ChangeTypes are the types of changes without their common prefix, as filters name them.
func ChangeTypes() []string {
	var all []string
	for _, name := range topics.CustomerChanges.Records {
		all = append(all, strings.TrimPrefix(name, changePrefix))
	}
	return all
}

// ShortType is a change's type without the common prefix.
func (c Change) ShortType() string { return strings.TrimPrefix(c.Type, changePrefix) }

// ChangeOf shows a record of customer.changes.v1; false if it is none.
func ChangeOf(rec schemas.Record) (Change, bool) {
	switch r := rec.(type) {
	case *schemas.PublicCustomerRegistered:
		c := changeOf(r.AvroName(), r.CustomerID, r.EventHead)
		a := addressOf(r.Address)
		c.Data.Name, c.Data.Email, c.Data.Language, c.Data.Address = r.Name, r.Email, r.Language, &a
		return c, true
	case *schemas.PublicCustomerMoved:
		return addressChange(r.AvroName(), r.CustomerID, r.EventHead, r.ChangeID, r.Before, r.After), true
	case *schemas.PublicAddressCorrected:
		return addressChange(r.AvroName(), r.CustomerID, r.EventHead, r.ChangeID, r.Before, r.After), true
	case *schemas.PublicEmailChanged:
		c := changeOf(r.AvroName(), r.CustomerID, r.EventHead)
		c.Data.EmailBefore, c.Data.Email = r.Before, r.After
		return c, true
	case *schemas.PublicCustomerClosed:
		return changeOf(r.AvroName(), r.CustomerID, r.EventHead), true
	case *schemas.PublicCustomerErased:
		c := changeOf(r.AvroName(), r.CustomerID, r.EventHead)
		c.Data.Receipt = processors.Receipt{Aggregate: topics.Customer, Key: r.CustomerID, Version: r.Version, Gone: true}.String()
		return c, true
	}
	return Change{}, false
}

func changeOf(name, id string, h schemas.EventHead) Change {
	return Change{
		SpecVersion: "1.0", ID: id + "/" + strconv.FormatInt(h.Version, 10), Source: "/v1/customers/" + id, Type: name, Subject: id,
		Time: stamp(h.At), DataContentType: "application/json",
		Data: ChangeData{
			Version: h.Version, CommandID: h.CommandID, CorrelationID: h.CorrelationID,
			Receipt: processors.Receipt{Aggregate: topics.Customer, Key: id, Version: h.Version}.String(),
		},
	}
}

func addressChange(name, id string, h schemas.EventHead, change string, before, after schemas.Residence) Change {
	c := changeOf(name, id, h)
	was, is := addressOf(before), addressOf(after)
	c.Data.ChangeID, c.Data.AddressBefore, c.Data.Address = change, &was, &is
	return c
}

// Masked is a change for those who need not know who a customer is: see ChangeData.
func (c Change) Masked() Change {
	c.Data.Name, c.Data.Email, c.Data.EmailBefore, c.Data.Language = "", "", "", ""
	c.Data.Address, c.Data.AddressBefore = maskedAddress(c.Data.Address), maskedAddress(c.Data.AddressBefore)
	return c
}

func maskedAddress(a *Address) *Address {
	if a == nil {
		return nil
	}
	m := a.Masked()
	return &m
}

// Masked is an address without where in the country it is.
func (a Address) Masked() Address {
	return Address{Country: a.Country, Reason: a.Reason, Version: a.Version, Verified: a.Verified, Since: a.Since}
}
