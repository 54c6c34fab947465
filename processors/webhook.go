package processors

import (
	"fmt"
	"time"

	"utopia/processors/eos"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

type (
	webhookGroup  = group[webhook.State, webhook.Command, webhook.Event]
	webhookChange = change[webhook.State, webhook.Event]
)

// NewWebhook returns the processor of the group webhook: it keeps who is told of changes, and how that goes. Nothing connects
// before Run.
func NewWebhook(o Options) (*eos.Processor, error) { return newWebhookGroup().start(o) }

func newWebhookGroup() *webhookGroup {
	return &webhookGroup{
		name:      topics.Webhook,
		aggregate: "webhook",
		inputs:    []input[webhook.Command]{{topic: topics.WebhookCommands, parse: parseWebhookCommand}},
		outputs:   []topics.Topic{topics.WebhookState},

		decide:   webhook.Decide,
		evolve:   webhook.Evolve,
		due:      func(webhook.State) []eos.Deadline { return nil },
		version:  func(s webhook.State) int64 { return s.Version },
		code:     webhook.Code,
		refusals: webhook.Refusals(),

		load: loadWebhook,
		save: saveWebhook,

		events:  topics.WebhookEvents,
		event:   webhookEvent,
		publish: publishWebhook,

		replies: topics.WebhookReplies,
		reply:   func(f schemas.ReplyFields, _ inbound) schemas.Record { return &schemas.WebhookReply{ReplyFields: f} },

		commands: topics.WebhookCommands,
		deadline: func(key string, meta schemas.Metadata, d eos.Deadline) schemas.Record {
			return &schemas.ForgetUnknownWebhook{WebhookID: key, Meta: meta, DueAt: schemas.Millis(d.At)}
		},
		forget: func(rec schemas.Record) (time.Time, bool) {
			r, ok := rec.(*schemas.ForgetUnknownWebhook)
			if !ok {
				return time.Time{}, false
			}
			return schemas.Time(r.DueAt), true
		},
		forgetKind: "ForgetUnknownWebhook",
	}
}

func parseWebhookCommand(in inbound) (webhook.Command, error) {
	expected := in.meta.ExpectedVersion
	switch r := in.record.(type) {
	case *schemas.RegisterWebhook:
		return parseRegisterWebhook(expected, r)
	case *schemas.ChangeWebhook:
		target, err := webhook.ParseTarget(webhook.Target{URL: r.URL, Events: r.Events, Payload: webhook.Payload(r.Payload)})
		return webhook.Change{ExpectedVersion: expected, Target: target}, err
	case *schemas.PauseWebhook:
		return webhook.Pause{ExpectedVersion: expected}, nil
	case *schemas.ResumeWebhook:
		return webhook.Resume{ExpectedVersion: expected}, nil
	case *schemas.RotateWebhookSecret:
		key, err := webhook.ParseKey(r.KeyID)
		return webhook.Rotate{ExpectedVersion: expected, Key: key}, err
	case *schemas.RedeliverWebhook:
		return webhook.ParseRedelivery(webhook.Redeliver{ExpectedVersion: expected, From: schemas.Time(r.FromAt), Customer: r.CustomerID})
	case *schemas.RecordTrouble:
		return webhook.ParseReport(webhook.Record{ExpectedVersion: expected, Result: webhook.Result(r.Result), Trouble: webhook.Trouble{
			Partition: r.Partition, Since: schemas.Time(r.SinceAt), Attempts: r.Attempts, Detail: r.Detail,
		}, ActiveAt: schemas.Time(r.ActiveAt)})
	case *schemas.CloseWebhook:
		return webhook.Close{ExpectedVersion: expected}, nil
	}
	return nil, errSkip
}

func parseRegisterWebhook(expected int64, r *schemas.RegisterWebhook) (webhook.Command, error) {
	target, err := webhook.ParseTarget(webhook.Target{URL: r.URL, Events: r.Events, Payload: webhook.Payload(r.Payload)})
	if err != nil {
		return nil, err
	}
	owner, err := webhook.ParseOwner(r.Owner)
	if err != nil {
		return nil, err
	}
	key, err := webhook.ParseKey(r.KeyID)
	return webhook.Register{ExpectedVersion: expected, Owner: owner, Target: target, Key: key}, err
}

// webhookEvent encodes an event for the event store: which secret, never the secret.
func webhookEvent(m eventMeta, event webhook.Event) (schemas.Record, error) {
	switch e := event.(type) {
	case webhook.Registered:
		return &schemas.WebhookRegistered{
			WebhookID: m.Key, EventHead: head(m), URL: e.Target.URL, Events: list(e.Target.Events), Payload: string(e.Target.Payload),
			Owner: e.Owner, KeyID: e.Key,
		}, nil
	case webhook.Changed:
		return &schemas.WebhookChanged{
			WebhookID: m.Key, EventHead: head(m), URL: e.Target.URL, Events: list(e.Target.Events), Payload: string(e.Target.Payload),
		}, nil
	case webhook.Paused:
		return &schemas.WebhookPaused{WebhookID: m.Key, EventHead: head(m)}, nil
	case webhook.Resumed:
		return &schemas.WebhookResumed{WebhookID: m.Key, EventHead: head(m)}, nil
	case webhook.SecretRotated:
		return &schemas.WebhookSecretRotated{WebhookID: m.Key, EventHead: head(m), KeyID: e.Key}, nil
	case webhook.RedeliveryRequested:
		return &schemas.RedeliveryRequested{WebhookID: m.Key, EventHead: head(m), FromAt: schemas.Millis(e.From), CustomerID: e.Customer}, nil
	case webhook.TroubleRecorded:
		t := e.Trouble
		return &schemas.WebhookTroubleRecorded{
			WebhookID: m.Key, EventHead: head(m), Result: string(e.Result), Partition: t.Partition, SinceAt: schemas.Millis(t.Since),
			Attempts: t.Attempts, Detail: t.Detail,
		}, nil
	case webhook.WasDisabled:
		t := e.Trouble
		return &schemas.WebhookDisabled{
			WebhookID: m.Key, EventHead: head(m), Reason: string(e.Reason), Partition: t.Partition, SinceAt: schemas.Millis(t.Since),
			Attempts: t.Attempts, Detail: t.Detail,
		}, nil
	case webhook.Closed:
		return &schemas.WebhookClosed{WebhookID: m.Key, EventHead: head(m)}, nil
	}
	return nil, fmt.Errorf("webhook event %T has no record", event)
}

// list is never nil: Avro has no other empty array.
func list(s []string) []string { return append([]string{}, s...) }

// publishWebhook makes the public state, a tombstone when the webhook is closed.
func publishWebhook(c webhookChange) ([]output, error) {
	out := output{topic: topics.WebhookState, key: c.Key}
	if c.After.Status != webhook.StatusUnknown {
		fields := webhookFields(c.Key, c.After)
		out.record = &schemas.WebhookState{WebhookFields: fields}
	}
	return []output{out}, nil
}

func webhookFields(key string, s webhook.State) schemas.WebhookFields {
	f := schemas.WebhookFields{
		WebhookID: key, Version: s.Version, Status: string(s.Status), Owner: s.Owner,
		URL: s.Target.URL, Events: list(s.Target.Events), Payload: string(s.Target.Payload),
		Secret: saveSecret(s.Secret), Previous: saveSecret(s.Previous), PreviousEndsAt: schemas.Millis(s.PreviousEndsAt),
		RegisteredAt: schemas.Millis(s.RegisteredAt), ActiveAt: schemas.Millis(s.ActiveAt), Troubles: []schemas.WebhookTrouble{},
		DisabledReason: string(s.Disabled.Reason), DisabledSinceAt: schemas.Millis(s.Disabled.Since),
		DisabledAt: schemas.Millis(s.Disabled.At), DisabledDetail: s.Disabled.Detail,
		UpdatedAt: schemas.Millis(s.UpdatedAt), EarlierRedeliveries: []schemas.WebhookRedelivery{},
	}
	for i, r := range s.Redeliveries {
		wish := schemas.WebhookRedelivery{Version: r.Version, FromAt: schemas.Millis(r.From), CustomerID: r.Customer}
		if i == len(s.Redeliveries)-1 {
			f.Redelivery = wish // where it was when there was only one
		} else {
			f.EarlierRedeliveries = append(f.EarlierRedeliveries, wish)
		}
	}
	for _, t := range s.Troubles {
		f.Troubles = append(f.Troubles, schemas.WebhookTrouble{
			Partition: t.Partition, SinceAt: schemas.Millis(t.Since), At: schemas.Millis(t.At), Attempts: t.Attempts, Detail: t.Detail,
		})
	}
	return f
}

func saveSecret(s webhook.Secret) schemas.WebhookSecret {
	return schemas.WebhookSecret{Version: s.Version, At: schemas.Millis(s.At), KeyID: s.Key}
}

func loadSecret(s schemas.WebhookSecret) webhook.Secret {
	return webhook.Secret{Version: s.Version, At: schemas.Time(s.At), Key: s.KeyID}
}

func saveWebhook(key string, s webhook.State, handled []schemas.Handled) schemas.Record {
	return &schemas.WebhookRow{WebhookFields: webhookFields(key, s), Handled: handled}
}

func loadWebhook(rec schemas.Record) (webhook.State, []schemas.Handled, error) {
	row, ok := rec.(*schemas.WebhookRow)
	if !ok {
		return webhook.State{}, nil, fmt.Errorf("a row of webhook is a %s", rec.AvroName())
	}
	s := webhook.State{
		Version: row.Version, Status: webhook.Status(row.Status), Owner: row.Owner,
		Target: webhook.Target{URL: row.URL, Events: row.Events, Payload: webhook.Payload(row.Payload)},
		Secret: loadSecret(row.Secret), Previous: loadSecret(row.Previous), PreviousEndsAt: schemas.Time(row.PreviousEndsAt),
		RegisteredAt: schemas.Time(row.RegisteredAt), ActiveAt: schemas.Time(row.ActiveAt),
		Disabled: webhook.Disabled{
			Reason: webhook.Result(row.DisabledReason), Since: schemas.Time(row.DisabledSinceAt), At: schemas.Time(row.DisabledAt),
			Detail: row.DisabledDetail,
		},
		UpdatedAt: schemas.Time(row.UpdatedAt),
	}
	for _, r := range row.Redeliveries() {
		s.Redeliveries = append(s.Redeliveries, webhook.Redelivery{Version: r.Version, From: schemas.Time(r.FromAt), Customer: r.CustomerID})
	}
	for _, t := range row.Troubles {
		s.Troubles = append(s.Troubles, webhook.Trouble{
			Partition: t.Partition, Since: schemas.Time(t.SinceAt), At: schemas.Time(t.At), Attempts: t.Attempts, Detail: t.Detail,
		})
	}
	return s, row.Handled, nil
}
