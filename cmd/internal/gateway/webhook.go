package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/webhooks"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

const (
	// maxWebhooks bounds what the senders of webhooks have to do: each webhook is a reader of its own.
	maxWebhooks = 200
	// maxPage is the most that a page of a list has.
	maxPage = 100
)

// WebhookPath names a webhook.
type WebhookPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"The webhook's id" example:"partner-1"`
}

// WebhookQuery asks about a webhook.
type WebhookQuery struct {
	WebhookPath
	QueryHeaders
}

// WebhookInput is about a webhook and says nothing more.
type WebhookInput struct {
	WebhookPath
	CommandHeaders
	Body *Nothing
}

// TargetInput says where and what is told.
type TargetInput struct {
	WebhookPath
	CommandHeaders
	Body api.WebhookTarget
}

// RedeliverInput says what is told again.
type RedeliverInput struct {
	WebhookPath
	CommandHeaders
	Body struct {
		From     time.Time `json:"from" doc:"The oldest change to tell again; changes are kept for 30 days"`
		Customer string    `json:"customer,omitempty" maxLength:"64" doc:"Only of this customer"`
	}
}

// SecretAnswer is an outcome with the secret that the command has made.
type SecretAnswer struct {
	Status            int
	Location          string `header:"Location" doc:"Where the outcome will be"`
	ETag              string `header:"ETag" doc:"The version after the command"`
	Receipt           string `header:"Utopia-Receipt" doc:"How far the webhook has come; Utopia-After takes it"`
	IdempotencyKey    string `header:"Idempotency-Key" doc:"The command's id"`
	PreferenceApplied string `header:"Preference-Applied"`
	RetryAfter        string `header:"Retry-After"`
	Body              SecretOutcome
}

// SecretOutcome has the secret, which is shown by this answer alone. The same command with the same Idempotency-Key shows it again, as
// long as it is the webhook's secret.
type SecretOutcome struct {
	api.Outcome
	Secret string `json:"secret,omitempty" doc:"whsec_ and base64: what calls are signed with, by Standard Webhooks. None if the outcome took too long: send the same again"`
}

// WebhooksInput asks for a page.
type WebhooksInput struct {
	After string `query:"after" maxLength:"64" doc:"The last id of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many"`
}

// WebhooksPage is a page of webhooks, by id.
type WebhooksPage struct {
	Age  string `header:"Utopia-Age"`
	Body struct {
		Webhooks []api.WebhookState `json:"webhooks"`
		Next     string             `json:"next,omitempty" doc:"What after takes for the next page; none: this is the last"`
	}
}

func (g *Gateway) webhookRoutes() {
	hooks := reading[*schemas.WebhookState]{topics.Webhook, g.cfg.Views.Webhooks, func(s *schemas.WebhookState) int64 { return s.Version }, nil}
	add(g, query("get-webhook", "/v1/webhooks/{id}", "A webhook and how its calls go"),
		func(ctx context.Context, in *WebhookQuery) (*State[api.WebhookState], error) {
			if p := g.owned(ctx, in.ID, in.After != ""); p != nil {
				return nil, p
			}
			answer, err := state(ctx, g, hooks, in.ID, in.QueryHeaders, func(s *schemas.WebhookState) (api.WebhookState, string) {
				w := api.WebhookOf(s)
				return w, w.Receipt
			})
			if err == nil && !callerOf(ctx).Owns(answer.Body.Owner) {
				return nil, problem(codeNotFound)
			}
			return answer, err
		})
	add(g, query("list-webhooks", "/v1/webhooks", "Webhooks by id"), g.webhooks)
	add(g, g.command("register-webhook", http.MethodPut, "/v1/webhooks/{id}", "Be told of changes from now on; the answer shows the secret"), g.registerWebhook)
	add(g, g.command("change-webhook", http.MethodPut, "/v1/webhooks/{id}/target", "Be told elsewhere or otherwise"),
		func(ctx context.Context, in *TargetInput) (*Answer, error) {
			if p := g.targets(ctx, in); p != nil {
				return nil, p
			}
			r, err := api.ChangeWebhook(in.ID, in.Body)
			if err != nil {
				return nil, impossible(err)
			}
			return g.toOwn(ctx, r, in.CommandHeaders)
		})
	add(g, g.command("pause-webhook", http.MethodPost, "/v1/webhooks/{id}/pause", "Do not be told until this is resumed; nothing is lost meanwhile"),
		func(ctx context.Context, in *WebhookInput) (*Answer, error) {
			return g.toOwn(ctx, api.PauseWebhook(in.ID), in.CommandHeaders)
		})
	add(g, g.command("resume-webhook", http.MethodPost, "/v1/webhooks/{id}/resumption", "Be told on from where it stopped, whoever stopped it"),
		func(ctx context.Context, in *WebhookInput) (*Answer, error) {
			return g.toOwn(ctx, api.ResumeWebhook(in.ID), in.CommandHeaders)
		})
	add(g, g.command("rotate-webhook-secret", http.MethodPost, "/v1/webhooks/{id}/secret", "Get another secret; the present one also signs for a day"), g.rotateSecret)
	add(g, g.command("redeliver-webhook", http.MethodPost, "/v1/webhooks/{id}/redeliveries", "Be told again what happened since a time; what has not been told yet is told, too"),
		func(ctx context.Context, in *RedeliverInput) (*Answer, error) {
			r, err := api.RedeliverWebhook(in.ID, in.Body.From, in.Body.Customer)
			if err != nil {
				return nil, impossible(err)
			}
			return g.toOwn(ctx, r, in.CommandHeaders)
		})
	add(g, g.command("close-webhook", http.MethodDelete, "/v1/webhooks/{id}", "Be told nothing any more"),
		func(ctx context.Context, in *WebhookInput) (*Answer, error) {
			return g.toOwn(ctx, api.CloseWebhook(in.ID), in.CommandHeaders)
		})
}

// owned is the problem of a partner with a webhook that is not its own, or that nobody has; whether there is one it does not learn.
func (g *Gateway) owned(ctx context.Context, id string, later bool) *Problem {
	caller := callerOf(ctx)
	if caller.Role != Partner {
		return nil
	}
	w, err := g.cfg.Views.Webhooks.Get(id)
	if err != nil {
		if p := unread(err); p.Code != codeNotFound || !later { // a receipt may be ahead of the view
			return p
		}
		return nil
	}
	if !caller.Owns(w.Owner) {
		return problem(codeNotFound)
	}
	return nil
}

// toOwn sends a command about a webhook that the caller may touch.
func (g *Gateway) toOwn(ctx context.Context, r api.Request, h CommandHeaders) (*Answer, error) {
	if p := g.owned(ctx, r.Key, false); p != nil {
		return nil, p
	}
	return g.send(ctx, r, h)
}

// targets is the problem with a target: one that no guard lets through, or more than a partner may know.
func (g *Gateway) targets(ctx context.Context, in *TargetInput) *Problem {
	if callerOf(ctx).Role == Partner && in.Body.Payload != string(webhook.Thin) {
		return problem(codeForbidden).because("a partner's webhooks are thin")
	}
	if err := (webhooks.Guard{Loopback: g.cfg.WebhookLoopback}).Check(in.Body.URL); err != nil {
		return problem(webhook.Code(webhook.ErrURL)).because(err.Error())
	}
	return nil
}

func (g *Gateway) registerWebhook(ctx context.Context, in *TargetInput) (*SecretAnswer, error) {
	if p := g.targets(ctx, in); p != nil {
		return nil, p
	}
	if g.cfg.WebhookKeys.Len() == 0 {
		return nil, problem(codeWebhooksOff)
	}
	owner := ""
	if c := callerOf(ctx); c.Role == Partner {
		owner = c.Name
	}
	r, err := api.RegisterWebhook(in.ID, in.Body, owner, g.cfg.WebhookKeys.First())
	if err != nil {
		return nil, impossible(err)
	}
	all, err := g.ids()
	if err != nil {
		return nil, unread(err)
	}
	if !slices.Contains(all, in.ID) && len(all) >= maxWebhooks {
		return nil, problem(codeWebhooksMany)
	}
	return g.sendForSecret(ctx, r, in.CommandHeaders)
}

func (g *Gateway) rotateSecret(ctx context.Context, in *WebhookInput) (*SecretAnswer, error) {
	if g.cfg.WebhookKeys.Len() == 0 {
		return nil, problem(codeWebhooksOff)
	}
	if p := g.owned(ctx, in.ID, false); p != nil {
		return nil, p
	}
	return g.sendForSecret(ctx, api.RotateWebhookSecret(in.ID, g.cfg.WebhookKeys.First()), in.CommandHeaders)
}

// sendForSecret sends a command that makes a secret, and shows it: what the webhook's state says of it is enough to derive it.
func (g *Gateway) sendForSecret(ctx context.Context, r api.Request, h CommandHeaders) (*SecretAnswer, error) {
	a, err := g.send(ctx, r, h)
	if err != nil {
		return nil, err
	}
	out := &SecretAnswer{
		Status: a.Status, Location: a.Location, ETag: a.ETag, Receipt: a.Receipt, IdempotencyKey: a.IdempotencyKey,
		PreferenceApplied: a.PreferenceApplied, RetryAfter: a.RetryAfter, Body: SecretOutcome{Outcome: a.Body},
	}
	if a.Status != http.StatusOK {
		return out, nil
	}
	waiting, cancel := context.WithTimeout(ctx, defaultWait)
	defer cancel()
	defer context.AfterFunc(g.hurry, cancel)() //nolint:contextcheck // the gateway's end is the waiting's, too
	version := a.Body.Version
	w, err := g.cfg.Views.Webhooks.Until(waiting, r.Key, func(w *schemas.WebhookState, found bool) bool { return found && w.Version >= version })
	if err != nil || w.Secret.Version != version || !callerOf(ctx).Owns(w.Owner) {
		return out, nil // the outcome is known, the secret is not
	}
	secret, err := webhooks.Derive(g.cfg.WebhookKeys, r.Key, w.Secret)
	if err == nil { // else it was made from a key that another gateway has
		out.Body.Secret = secret.Reveal()
	}
	return out, nil
}

// ids are those of all webhooks.
func (g *Gateway) ids() ([]string, error) {
	var all []string
	err := g.cfg.Views.Webhooks.Each(func(id string, _ *schemas.WebhookState) error {
		all = append(all, id)
		return nil
	})
	return all, err
}

// webhooks lists those that the caller may see.
func (g *Gateway) webhooks(ctx context.Context, in *WebhooksInput) (*WebhooksPage, error) {
	out := &WebhooksPage{Age: g.age(topics.Webhook)}
	caller, all := callerOf(ctx), []api.WebhookState{}
	err := g.cfg.Views.Webhooks.Each(func(id string, w *schemas.WebhookState) error {
		if id > in.After && caller.Owns(w.Owner) {
			all = append(all, api.WebhookOf(w))
		}
		return nil
	})
	if err != nil {
		return nil, unread(err)
	}
	slices.SortFunc(all, func(a, b api.WebhookState) int { return strings.Compare(a.ID, b.ID) })
	if limit := min(in.Limit, maxPage); len(all) > limit {
		all = all[:limit]
		out.Body.Next = all[limit-1].ID
	}
	out.Body.Webhooks = all
	return out, nil
}
