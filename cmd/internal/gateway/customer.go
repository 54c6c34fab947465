package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"utopia/cmd/internal/api"
	"utopia/processors/postal"
)

// CustomerPath names the customer.
type CustomerPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"The customer's id" example:"c-17"`
}

// AddressBody is an address as somebody writes it. Which fields it needs depends on the country.
type AddressBody struct {
	Country     string   `json:"country" minLength:"2" maxLength:"2" doc:"ISO 3166-1 alpha-2" example:"NL"`
	Region      string   `json:"region,omitempty" doc:"State, province or prefecture"`
	City        string   `json:"city,omitempty" example:"Gouda"`
	District    string   `json:"district,omitempty" doc:"Part of the city"`
	PostCode    string   `json:"postCode,omitempty" example:"2801 JG"`
	SortingCode string   `json:"sortingCode,omitempty" doc:"Such as CEDEX"`
	Street      []string `json:"street,omitempty" maxItems:"20" doc:"Its lines"`
}

func (b AddressBody) fields() postal.Fields {
	return postal.Fields{
		Country: b.Country, Region: b.Region, City: b.City, District: b.District, PostCode: b.PostCode, SortingCode: b.SortingCode,
		Street: strings.Join(b.Street, "\n"),
	}
}

// Nothing is the body of a command that needs none.
type Nothing struct{}

// RegisterInput makes somebody a customer.
type RegisterInput struct {
	CustomerPath
	CommandHeaders
	Body struct {
		Name     string      `json:"name" example:"Grace Hopper"`
		Email    string      `json:"email" example:"grace@example.org"`
		Language string      `json:"language,omitempty" doc:"Language tag for letters, BCP 47" example:"en"`
		Address  AddressBody `json:"address"`
	}
}

// ChangeInput asks for another address.
type ChangeInput struct {
	CustomerPath
	CommandHeaders
	Body struct {
		Address     AddressBody `json:"address"`
		Reason      string      `json:"reason" enum:"moved,corrected" doc:"moved: the old address was right at its time; corrected: it never was"`
		EffectiveAt time.Time   `json:"effectiveAt,omitempty" doc:"Not before"`
	}
}

// ChangePath names a change of a customer.
type ChangePath struct {
	CustomerPath
	Change string `path:"change" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"The change's id: that of the command that asked for it"`
}

// ChangeIDInput is about one change.
type ChangeIDInput struct {
	ChangePath
	CommandHeaders
	Body *Nothing
}

// CustomerInput is about a customer and says nothing more.
type CustomerInput struct {
	CustomerPath
	CommandHeaders
	Body *Nothing
}

// EmailInput gives another e-mail address.
type EmailInput struct {
	CustomerPath
	CommandHeaders
	Body struct {
		Email string `json:"email" example:"grace@example.org"`
	}
}

func (g *Gateway) customerRoutes() {
	add(g, g.command("register-customer", http.MethodPut, "/v1/customers/{id}", "Make somebody a customer"),
		func(ctx context.Context, in *RegisterInput) (*Answer, error) {
			r, err := api.Register(in.ID, api.Registration{Name: in.Body.Name, Email: in.Body.Email, Language: in.Body.Language, Address: in.Body.Address.fields()})
			if err != nil {
				return nil, impossible(err)
			}
			return g.send(ctx, r, in.CommandHeaders)
		})
	add(g, g.command("request-address-change", http.MethodPost, "/v1/customers/{id}/address-changes", "Ask for another address; the customer is asked by mail to confirm it"),
		func(ctx context.Context, in *ChangeInput) (*Answer, error) {
			r, err := api.RequestChange(in.ID, in.Body.Address.fields(), in.Body.Reason, in.Body.EffectiveAt)
			if err != nil {
				return nil, impossible(err)
			}
			return g.send(ctx, r, in.CommandHeaders)
		})
	add(g, g.command("confirm-address-change", http.MethodPost, "/v1/customers/{id}/address-changes/{change}/confirmation", "Confirm a change without its link: the caller has asked the customer"),
		func(ctx context.Context, in *ChangeIDInput) (*Answer, error) {
			return g.send(ctx, api.Confirm(in.ID, in.Change, time.Time{}), in.CommandHeaders)
		})
	add(g, g.command("cancel-address-change", http.MethodDelete, "/v1/customers/{id}/address-changes/{change}", "Take a change back, if it is the present one"),
		func(ctx context.Context, in *ChangeIDInput) (*Answer, error) {
			return g.send(ctx, api.Cancel(in.ID, in.Change), in.CommandHeaders)
		})
	add(g, g.command("cancel-any-address-change", http.MethodDelete, "/v1/customers/{id}/address-changes", "Take back whatever change there is"),
		func(ctx context.Context, in *CustomerInput) (*Answer, error) {
			return g.send(ctx, api.Cancel(in.ID, ""), in.CommandHeaders)
		})
	add(g, g.command("change-email", http.MethodPut, "/v1/customers/{id}/email", "Give a customer another e-mail address"),
		func(ctx context.Context, in *EmailInput) (*Answer, error) {
			r, err := api.ChangeEmail(in.ID, in.Body.Email)
			if err != nil {
				return nil, impossible(err)
			}
			return g.send(ctx, r, in.CommandHeaders)
		})
	add(g, g.command("close-customer", http.MethodPost, "/v1/customers/{id}/closure", "End the relation with a customer; the data stay"),
		func(ctx context.Context, in *CustomerInput) (*Answer, error) {
			return g.send(ctx, api.Close(in.ID), in.CommandHeaders)
		})
	add(g, g.command("erase-customer", http.MethodDelete, "/v1/customers/{id}", "Remove everything personal of a customer, for good"),
		func(ctx context.Context, in *CustomerInput) (*Answer, error) {
			return g.send(ctx, api.Erase(in.ID), in.CommandHeaders)
		})
}

// InvoicePath names an invoice of a customer.
type InvoicePath struct {
	CustomerPath
	Invoice string `path:"invoice" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"The invoice's id" example:"r-2026-1"`
}

// IssueInput sends an invoice.
type IssueInput struct {
	InvoicePath
	CommandHeaders
	Body struct {
		AmountCents int64  `json:"amountCents" doc:"In the currency's smallest unit" example:"1250"`
		Currency    string `json:"currency" doc:"ISO 4217" example:"EUR"`
		Text        string `json:"text,omitempty" doc:"What it is for"`
	}
}

// PayInput settles an invoice.
type PayInput struct {
	InvoicePath
	CommandHeaders
	Body *Nothing
}

func (g *Gateway) billingRoutes() {
	add(g, g.command("issue-invoice", http.MethodPut, "/v1/customers/{id}/billing/invoices/{invoice}", "Send a customer an invoice"),
		func(ctx context.Context, in *IssueInput) (*Answer, error) {
			return g.send(ctx, api.Issue(in.ID, in.Invoice, in.Body.AmountCents, in.Body.Currency, in.Body.Text), in.CommandHeaders)
		})
	add(g, g.command("pay-invoice", http.MethodPost, "/v1/customers/{id}/billing/invoices/{invoice}/payment", "Settle an open invoice"),
		func(ctx context.Context, in *PayInput) (*Answer, error) {
			return g.send(ctx, api.Pay(in.ID, in.Invoice), in.CommandHeaders)
		})
}
