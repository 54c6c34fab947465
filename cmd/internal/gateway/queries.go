package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utopia/cmd/internal/api"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// CustomerQuery asks about a customer.
type CustomerQuery struct {
	CustomerPath
	QueryHeaders
}

// MailQuery asks about a mail.
type MailQuery struct {
	ID     string `path:"id" pattern:"^[A-Za-z0-9._~/-]{1,160}$" doc:"The mail's id: SERVICE/CUSTOMER/VERSION/NUMBER, the version of the service that asked for it, / written as %2F" example:"customer/c-17/2/1"`
	Reason string `header:"Utopia-Reason" maxLength:"200" doc:"Why, in one line without anything personal: it is noted with who asks"`
	QueryHeaders
}

func (g *Gateway) queryRoutes() {
	v := g.cfg.Views
	customers := reading[*schemas.CustomerState]{topics.Customer, v.Customers, func(s *schemas.CustomerState) int64 { return s.Version }, nil}
	billing := reading[*schemas.BillingState]{
		topics.Billing, v.Billing, func(s *schemas.BillingState) int64 { return s.Version }, func(s *schemas.BillingState) int64 { return s.CustomerVersion },
	}
	notifications := reading[*schemas.NotificationState]{
		topics.Notification, v.Notifications, func(s *schemas.NotificationState) int64 { return s.Version },
		func(s *schemas.NotificationState) int64 { return s.CustomerVersion },
	}
	mails := reading[*schemas.MailState]{topics.Mail, v.Mails, func(s *schemas.MailState) int64 { return s.Version }, nil}

	add(g, query("get-customer", "/v1/customers/{id}", "A customer with the pending change"),
		func(ctx context.Context, in *CustomerQuery) (*State[api.CustomerState], error) {
			return state(ctx, g, customers, in.ID, in.QueryHeaders, func(s *schemas.CustomerState) (api.CustomerState, string) {
				c := masked(callerOf(ctx), api.CustomerOf(s))
				return c, c.Receipt
			})
		})
	add(g, query("get-billing", "/v1/customers/{id}/billing", "A customer's open invoices"),
		func(ctx context.Context, in *CustomerQuery) (*State[api.BillingState], error) {
			return state(ctx, g, billing, in.ID, in.QueryHeaders, func(s *schemas.BillingState) (api.BillingState, string) {
				b := maskedBilling(callerOf(ctx), api.BillingOf(s))
				return b, b.Receipt
			})
		})
	add(g, query("get-notifications", "/v1/customers/{id}/notifications", "What a customer was told, and what became of it"),
		func(ctx context.Context, in *CustomerQuery) (*State[api.NotificationState], error) {
			return state(ctx, g, notifications, in.ID, in.QueryHeaders, func(s *schemas.NotificationState) (api.NotificationState, string) {
				n := api.NotificationOf(s)
				return n, n.Receipt
			})
		})
	add(g, query("get-mail", "/v1/mails/{id}", "The status of a mail"),
		func(ctx context.Context, in *MailQuery) (*State[api.MailState], error) {
			if err := g.noted(ctx, "ReadMail", in.ID, "", in.Reason); err != nil {
				return nil, err
			}
			return state(ctx, g, mails, in.ID, in.QueryHeaders, func(s *schemas.MailState) (api.MailState, string) {
				m := api.MailOf(s)
				return m, m.Receipt
			})
		})
	add(g, query("get-command", "/v1/commands/{id}", "What became of a command, asked of any instance"), g.status)
	g.findRoutes()
	g.timelineRoutes()
}

// state answers with a row. show makes of it what is answered, and its receipt.
func state[R schemas.Record, T any](
	ctx context.Context, g *Gateway, from reading[R], key string, h QueryHeaders, show func(R) (T, string),
) (*State[T], error) {
	age := g.age(from.name) // before the row is read: it can only be fresher than that
	row, err := read(ctx, g, from, key, h)
	if err != nil {
		var p *Problem
		if errors.As(err, &p) && age != "" {
			p.headers.Set("Utopia-Age", age)
		}
		return nil, err
	}
	body, receipt := show(row)
	return &State[T]{ETag: etag(from.version(row)), Receipt: receipt, Age: age, Body: body}, nil
}

// LinkInput carries the token of a link: the page that the link opens posts what its fragment has.
type LinkInput struct {
	CommandHeaders
	Body struct {
		Token string `json:"token" maxLength:"4096" doc:"What follows the # of the link, or the whole link"`
	}
}

func (g *Gateway) publicRoutes() {
	confirm := g.command("confirm-by-link", http.MethodPost, "/v1/confirmations", "Confirm a change with the link of the mail that asked for it")
	add(g, confirm, func(ctx context.Context, in *LinkInput) (*Answer, error) {
		return g.byLink(ctx, in, processors.PurposeConfirm)
	})
	reject := g.command("reject-by-link", http.MethodPost, "/v1/rejections", "Take a change back with the link of the mail: that was not me")
	add(g, reject, func(ctx context.Context, in *LinkInput) (*Answer, error) {
		return g.byLink(ctx, in, processors.PurposeCancel)
	})
}

// byLink verifies a link and sends what it asks for. What can be wrong with a forged one is told alike.
func (g *Gateway) byLink(ctx context.Context, in *LinkInput, purpose string) (*Answer, error) {
	claims, err := verify(g.cfg.Links, in.Body.Token, g.now())
	switch {
	case errors.Is(err, errLinkExpired):
		return nil, problem(codeLinkExpired)
	case err != nil, claims.Purpose != purpose:
		return nil, problem(codeLink)
	}
	r := api.Cancel(claims.Subject, claims.Change)
	if purpose == processors.PurposeConfirm {
		r = api.Confirm(claims.Subject, claims.Change, claims.ExpiresAt)
	}
	a, err := g.send(ctx, r, in.CommandHeaders)
	if a != nil && a.Status == http.StatusAccepted {
		a.Location = "" // needs a caller who is known; posting the link again with the same Idempotency-Key gets the outcome
	}
	return a, err
}

var _ huma.StatusError = (*Problem)(nil)
