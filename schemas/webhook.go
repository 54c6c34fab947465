package schemas

import "slices"

// RegisterWebhook makes a webhook: what changes about customers is told to a URL.
type RegisterWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
	URL       string   `avro:"url"`
	Events    []string `avro:"events"` // Names of the changes that are told; empty: all.
	Payload   string   `avro:"payload"`
	Owner     string   `avro:"owner"` // Whose it is: the name of a caller; empty: the operators.
	KeyID     string   `avro:"keyId"` // The master key that its secret is derived from; never the secret.
}

// ChangeWebhook gives a webhook another URL, other events or another payload.
type ChangeWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
	URL       string   `avro:"url"`
	Events    []string `avro:"events"`
	Payload   string   `avro:"payload"`
}

// PauseWebhook ends the calls until they are resumed; nothing is lost meanwhile.
type PauseWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
}

// ResumeWebhook calls on from where it stopped.
type ResumeWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
}

// RotateWebhookSecret gives a webhook another secret; the present one also signs for a day.
type RotateWebhookSecret struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
	KeyID     string   `avro:"keyId"` // The master key that the secret is derived from; never the secret.
}

// RedeliverWebhook tells again what has been told since a time.
type RedeliverWebhook struct {
	WebhookID  string   `avro:"webhookId"`
	Meta       Metadata `avro:"metadata"`
	FromAt     int64    `avro:"fromAt"`     // The oldest change to tell again.
	CustomerID string   `avro:"customerId"` // Only of this customer; empty: of all.
}

// RecordTrouble the sender reports how calls go.
type RecordTrouble struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
	Result    string   `avro:"result"`
	Partition int32    `avro:"partition"` // Of the changes.
	SinceAt   int64    `avro:"sinceAt"`   // When the first attempt of the change that waits failed.
	Attempts  int32    `avro:"attempts"`
	Detail    string   `avro:"detail"` // Code of the last failure.
	// That of the webhook's state when the calls were made: a report about calls before it was changed or resumed is refused. 0: not known.
	ActiveAt int64 `avro:"activeAt"`
}

// CloseWebhook ends a webhook for good.
type CloseWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
}

// ForgetUnknownWebhook removes a row that remembers nothing but refusals. A deadline.
type ForgetUnknownWebhook struct {
	WebhookID string   `avro:"webhookId"`
	Meta      Metadata `avro:"metadata"`
	DueAt     int64    `avro:"dueAt"` // The deadline that has passed.
}

// WebhookReply is the outcome of a command.
type WebhookReply struct {
	ReplyFields
}

// WebhookRegistered tells that the webhook is called from now on.
type WebhookRegistered struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	URL     string   `avro:"url"`
	Events  []string `avro:"events"` // Empty: all.
	Payload string   `avro:"payload"`
	Owner   string   `avro:"owner"`
	KeyID   string   `avro:"keyId"`
}

// WebhookChanged tells that the webhook has another target.
type WebhookChanged struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	URL     string   `avro:"url"`
	Events  []string `avro:"events"` // Empty: all.
	Payload string   `avro:"payload"`
}

// WebhookPaused tells that the webhook is not called until it is resumed.
type WebhookPaused struct {
	WebhookID string `avro:"webhookId"`
	EventHead
}

// WebhookResumed tells that the webhook is called again.
type WebhookResumed struct {
	WebhookID string `avro:"webhookId"`
	EventHead
}

// WebhookSecretRotated tells that the webhook has another secret.
type WebhookSecretRotated struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	KeyID string `avro:"keyId"`
}

// RedeliveryRequested tells that changes are told again.
type RedeliveryRequested struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	FromAt     int64  `avro:"fromAt"`
	CustomerID string `avro:"customerId"`
}

// WebhookTroubleRecorded tells that calls fail, or no longer.
type WebhookTroubleRecorded struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	Result    string `avro:"result"`
	Partition int32  `avro:"partition"` // Of the changes.
	SinceAt   int64  `avro:"sinceAt"`   // When the first attempt of the change that waits failed.
	Attempts  int32  `avro:"attempts"`
	Detail    string `avro:"detail"` // Code of the last failure.
}

// WebhookDisabled tells that the sender has given up.
type WebhookDisabled struct {
	WebhookID string `avro:"webhookId"`
	EventHead
	Reason    string `avro:"reason"`
	Partition int32  `avro:"partition"` // Of the changes.
	SinceAt   int64  `avro:"sinceAt"`   // When the first attempt of the change that waits failed.
	Attempts  int32  `avro:"attempts"`
	Detail    string `avro:"detail"` // Code of the last failure.
}

// WebhookClosed tells that the webhook is gone.
type WebhookClosed struct {
	WebhookID string `avro:"webhookId"`
	EventHead
}

// WebhookSecret says which secret signs; the secret itself is derived where it is needed.
type WebhookSecret struct {
	Version int64  `avro:"version"` // Version of the webhook that set it; 0: none.
	At      int64  `avro:"at"`
	KeyID   string `avro:"keyId"` // The master key that it is derived from.
}

// WebhookTrouble is a partition of the changes whose calls fail.
type WebhookTrouble struct {
	Partition int32  `avro:"partition"`
	SinceAt   int64  `avro:"sinceAt"` // When the first attempt failed.
	At        int64  `avro:"at"`      // When it was reported.
	Attempts  int32  `avro:"attempts"`
	Detail    string `avro:"detail"` // Code of the last failure.
}

// WebhookRedelivery is what is to be told again.
type WebhookRedelivery struct {
	Version    int64  `avro:"version"`    // Version of the webhook that asked for it; 0: nothing.
	FromAt     int64  `avro:"fromAt"`     // The oldest change.
	CustomerID string `avro:"customerId"` // Only of this customer; empty: of all.
}

// WebhookFields is what the state and the row of a webhook have in common.
type WebhookFields struct {
	WebhookID       string            `avro:"webhookId"`
	Version         int64             `avro:"version"`
	Status          string            `avro:"status"`
	Owner           string            `avro:"owner"` // Whose it is; empty: the operators.
	URL             string            `avro:"url"`
	Events          []string          `avro:"events"` // Empty: all.
	Payload         string            `avro:"payload"`
	Secret          WebhookSecret     `avro:"secret"`
	Previous        WebhookSecret     `avro:"previous"` // Signs too until PreviousEndsAt.
	PreviousEndsAt  int64             `avro:"previousEndsAt"`
	RegisteredAt    int64             `avro:"registeredAt"`
	ActiveAt        int64             `avro:"activeAt"`        // Failures before do not count: registered, changed or resumed then.
	Troubles        []WebhookTrouble  `avro:"troubles"`        // Partitions whose calls fail now.
	DisabledReason  string            `avro:"disabledReason"`  // given_up after a day of failures, or gone: the receiver said 410.
	DisabledSinceAt int64             `avro:"disabledSinceAt"` // When the failures began.
	DisabledAt      int64             `avro:"disabledAt"`
	DisabledDetail  string            `avro:"disabledDetail"` // Code of the last failure.
	Redelivery      WebhookRedelivery `avro:"redelivery"`
	UpdatedAt       int64             `avro:"updatedAt"`
	// What was asked for before Redelivery, oldest first; at most 15.
	EarlierRedeliveries []WebhookRedelivery `avro:"earlierRedeliveries"`
}

// Redeliveries is everything that is remembered of what was asked to be told again, oldest first.
func (w *WebhookFields) Redeliveries() []WebhookRedelivery {
	if w.Redelivery.Version == 0 {
		return nil
	}
	return append(slices.Clip(w.EarlierRedeliveries), w.Redelivery)
}

// WebhookState is a webhook: where changes are told, how that goes, and which secret signs.
type WebhookState struct {
	WebhookFields
}

// WebhookRow is one webhook as the processor remembers it.
type WebhookRow struct {
	WebhookFields
	Handled []Handled `avro:"handled"` // Oldest first.
}

// WebhookPosition is how far one webhook is in one partition of the changes.
type WebhookPosition struct {
	WebhookID    string `avro:"webhookId"`
	Partition    int32  `avro:"partition"`
	RegisteredAt int64  `avro:"registeredAt"` // Tells this webhook from an earlier one of the same id.
	Offset       int64  `avro:"offset"`       // The next change to tell.
	Redelivery   int64  `avro:"redelivery"`   // The version of the webhook whose redelivery has begun.
	Only         string `avro:"only"`         // Before Until, only changes of this customer are told.
	Until        int64  `avro:"until"`
	FailingAt    int64  `avro:"failingAt"` // When the first attempt of the change at Offset failed; 0: none has.
	Attempts     int32  `avro:"attempts"`  // Of the change at Offset.
}

// AvroName implements Record.
func (*RegisterWebhook) AvroName() string { return "utopia.webhook.RegisterWebhook" }

// AvroName implements Record.
func (*ChangeWebhook) AvroName() string { return "utopia.webhook.ChangeWebhook" }

// AvroName implements Record.
func (*PauseWebhook) AvroName() string { return "utopia.webhook.PauseWebhook" }

// AvroName implements Record.
func (*ResumeWebhook) AvroName() string { return "utopia.webhook.ResumeWebhook" }

// AvroName implements Record.
func (*RotateWebhookSecret) AvroName() string { return "utopia.webhook.RotateWebhookSecret" }

// AvroName implements Record.
func (*RedeliverWebhook) AvroName() string { return "utopia.webhook.RedeliverWebhook" }

// AvroName implements Record.
func (*RecordTrouble) AvroName() string { return "utopia.webhook.RecordTrouble" }

// AvroName implements Record.
func (*CloseWebhook) AvroName() string { return "utopia.webhook.CloseWebhook" }

// AvroName implements Record.
func (*ForgetUnknownWebhook) AvroName() string { return "utopia.webhook.ForgetUnknownWebhook" }

// AvroName implements Record.
func (*WebhookReply) AvroName() string { return "utopia.webhook.WebhookReply" }

// AvroName implements Record.
func (*WebhookState) AvroName() string { return "utopia.webhook.WebhookState" }

// AvroName implements Record.
func (*WebhookRegistered) AvroName() string { return "utopia.webhook.private.WebhookRegistered" }

// AvroName implements Record.
func (*WebhookChanged) AvroName() string { return "utopia.webhook.private.WebhookChanged" }

// AvroName implements Record.
func (*WebhookPaused) AvroName() string { return "utopia.webhook.private.WebhookPaused" }

// AvroName implements Record.
func (*WebhookResumed) AvroName() string { return "utopia.webhook.private.WebhookResumed" }

// AvroName implements Record.
func (*WebhookSecretRotated) AvroName() string { return "utopia.webhook.private.WebhookSecretRotated" }

// AvroName implements Record.
func (*RedeliveryRequested) AvroName() string { return "utopia.webhook.private.RedeliveryRequested" }

// AvroName implements Record.
func (*WebhookTroubleRecorded) AvroName() string {
	return "utopia.webhook.private.WebhookTroubleRecorded"
}

// AvroName implements Record.
func (*WebhookDisabled) AvroName() string { return "utopia.webhook.private.WebhookDisabled" }

// AvroName implements Record.
func (*WebhookClosed) AvroName() string { return "utopia.webhook.private.WebhookClosed" }

// AvroName implements Record.
func (*WebhookRow) AvroName() string { return "utopia.webhook.private.WebhookRow" }

// AvroName implements Record.
func (*WebhookPosition) AvroName() string { return "utopia.webhook.private.WebhookPosition" }

// Metadata implements Command.
func (r *RegisterWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ChangeWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *PauseWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ResumeWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RotateWebhookSecret) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RedeliverWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RecordTrouble) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *CloseWebhook) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ForgetUnknownWebhook) Metadata() *Metadata { return &r.Meta }

// Fields implements Reply.
func (r *WebhookReply) Fields() *ReplyFields { return &r.ReplyFields }
