package api

import (
	"time"

	"utopia/processors"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// Webhook is the webhook service.
func Webhook() Service {
	return Service{topics.Webhook, topics.WebhookCommands, topics.WebhookReplies}
}

// WebhookTarget is where and what a webhook is told.
type WebhookTarget struct {
	URL     string   `json:"url" maxLength:"2000" doc:"Where changes are posted: https, port 443 or 8443, a public address" example:"https://partner.example.org/utopia"`
	Events  []string `json:"events,omitempty" maxItems:"20" enum:"CustomerRegistered,CustomerMoved,AddressCorrected,EmailChanged,CustomerClosed,CustomerErased" doc:"The changes that are told; none: all"`
	Payload string   `json:"payload" enum:"thin,delta,state" doc:"thin: id, version, type and URL, the receiver reads back; delta: what changed, with old and new; state: the whole customer, at this version or a later one"`
}

func (t WebhookTarget) parse() (webhook.Target, error) {
	return webhook.ParseTarget(webhook.Target{URL: t.URL, Events: t.Events, Payload: webhook.Payload(t.Payload)})
}

// RegisterWebhook makes a webhook, whose secret is derived from the named key. The error is a refusal.
func RegisterWebhook(id string, t WebhookTarget, owner, keyID string) (Request, error) {
	target, err := t.parse()
	return Request{To: Webhook(), Key: id, Command: &schemas.RegisterWebhook{
		WebhookID: id, URL: target.URL, Events: target.Events, Payload: string(target.Payload), Owner: owner, KeyID: keyID,
	}}, err
}

// ChangeWebhook gives it another target. The error is a refusal.
func ChangeWebhook(id string, t WebhookTarget) (Request, error) {
	target, err := t.parse()
	return Request{To: Webhook(), Key: id, Command: &schemas.ChangeWebhook{
		WebhookID: id, URL: target.URL, Events: target.Events, Payload: string(target.Payload),
	}}, err
}

// PauseWebhook ends its calls until they are resumed.
func PauseWebhook(id string) Request {
	return Request{To: Webhook(), Key: id, Command: &schemas.PauseWebhook{WebhookID: id}}
}

// ResumeWebhook calls on from where it stopped.
func ResumeWebhook(id string) Request {
	return Request{To: Webhook(), Key: id, Command: &schemas.ResumeWebhook{WebhookID: id}}
}

// RotateWebhookSecret gives it another secret, derived from the named key.
func RotateWebhookSecret(id, keyID string) Request {
	return Request{To: Webhook(), Key: id, Command: &schemas.RotateWebhookSecret{WebhookID: id, KeyID: keyID}}
}

// RedeliverWebhook tells again what was told since from, of one customer or of all. The error is a refusal.
func RedeliverWebhook(id string, from time.Time, customer string) (Request, error) {
	r, err := webhook.ParseRedelivery(webhook.Redeliver{From: from, Customer: customer})
	return Request{To: Webhook(), Key: id, Command: &schemas.RedeliverWebhook{
		WebhookID: id, FromAt: schemas.Millis(r.From), CustomerID: r.Customer,
	}}, err
}

// CloseWebhook ends it for good.
func CloseWebhook(id string) Request {
	return Request{To: Webhook(), Key: id, Command: &schemas.CloseWebhook{WebhookID: id}, Gone: true}
}

// WebhookState is a webhook and how its calls go.
type WebhookState struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	Receipt string `json:"receipt"`
	Status  string `json:"status" enum:"active,paused,disabled" doc:"disabled: the calls failed for a day, or the receiver said 410"`
	Owner   string `json:"owner,omitempty" doc:"The partner whose it is; none: the operators"`
	WebhookTarget
	KeyID          string             `json:"keyId" doc:"The key that its secret is derived from"`
	PreviousEndsAt string             `json:"previousEndsAt,omitempty" doc:"Until when the secret before the last rotation signs, too"`
	RegisteredAt   string             `json:"registeredAt"`
	Troubles       []WebhookTrouble   `json:"troubles" doc:"Partitions whose calls fail now"`
	Disabled       *WebhookDisabled   `json:"disabled,omitempty"`
	Redelivery     *WebhookRedelivery `json:"redelivery,omitempty" doc:"What was last asked to be told again"`
	UpdatedAt      string             `json:"updatedAt"`
}

// WebhookTrouble is a partition whose calls fail.
type WebhookTrouble struct {
	Partition int32  `json:"partition"`
	Since     string `json:"since" doc:"When the first attempt failed"`
	Reported  string `json:"reported" doc:"When this was known"`
	Attempts  int32  `json:"attempts"`
	Error     string `json:"error" doc:"status_NNN, timeout, connect, tls, refused_target, unknown_key or state_not_ready"`
}

// WebhookDisabled says why a webhook is no longer called.
type WebhookDisabled struct {
	Reason string `json:"reason" enum:"given_up,gone"`
	Since  string `json:"since" doc:"When the failures began"`
	At     string `json:"at"`
	Error  string `json:"error"`
}

// WebhookRedelivery is what was asked to be told again.
type WebhookRedelivery struct {
	From     string `json:"from"`
	Customer string `json:"customer,omitempty"`
}

// WebhookOf shows a webhook. Its secret is not in it, nor anywhere else.
func WebhookOf(w *schemas.WebhookState) WebhookState {
	v := WebhookState{
		ID: w.WebhookID, Version: w.Version, Status: w.Status, Owner: w.Owner,
		Receipt:       processors.Receipt{Aggregate: topics.Webhook, Key: w.WebhookID, Version: w.Version}.String(),
		WebhookTarget: WebhookTarget{URL: w.URL, Events: w.Events, Payload: w.Payload}, KeyID: w.Secret.KeyID,
		PreviousEndsAt: stamp(w.PreviousEndsAt), RegisteredAt: stamp(w.RegisteredAt), Troubles: []WebhookTrouble{}, UpdatedAt: stamp(w.UpdatedAt),
	}
	for _, t := range w.Troubles {
		v.Troubles = append(v.Troubles, WebhookTrouble{
			Partition: t.Partition, Since: stamp(t.SinceAt), Reported: stamp(t.At), Attempts: t.Attempts, Error: t.Detail,
		})
	}
	if w.DisabledReason != "" {
		v.Disabled = &WebhookDisabled{
			Reason: w.DisabledReason, Since: stamp(w.DisabledSinceAt), At: stamp(w.DisabledAt), Error: w.DisabledDetail,
		}
	}
	if w.Redelivery.Version > 0 {
		v.Redelivery = &WebhookRedelivery{From: stamp(w.Redelivery.FromAt), Customer: w.Redelivery.CustomerID}
	}
	return v
}
