package topics

import (
	"slices"
	"sync"
	"time"
)

const day = 24 * time.Hour

// Principals: who writes and reads. A service is one processor group and the binary that runs it.
const (
	Customer     = "customer"
	Billing      = "billing"
	Mail         = "mail"
	Notification = "notification"
	Webhook      = "webhook"
	Gateway      = "gateway"   // the HTTP API: sends commands for its callers, reads replies and public states
	CRM          = "crm"       // the systems of record outside
	Producers    = "producers" // anybody who is authorised to send commands
	Consumers    = "consumers" // anybody who is authorised to read public topics
	Operators    = "operators" // people with the command line
)

// Operator owns the record of what operators did. It is no service.
const Operator = "operator"

// Services returns the processor groups, each also the name of its consumer group.
func Services() []string { return []string{Customer, Billing, Mail, Notification, Webhook} }

// Mailer is the consumer group that hands the mails of the outbox to a mail server. It is no processor and has no table. Its
// name begins with that of the mail service, whose binary it runs in and whose principal's rights it uses.
const Mailer = "mail-mailer"

// WebhookSender is the consumer group whose members share the partitions of the changes that webhooks are told. It is no
// processor either; it runs in the webhook service's binary, with that principal's rights.
const WebhookSender = "webhook-sender"

// Groups returns every consumer group of the system: whose offsets and lag an operator looks at.
func Groups() []string { return append(Services(), Mailer, WebhookSender) }

// The catalogue. No topic name is spelled anywhere else.
var (
	CustomerCommands = Topic{
		Name: "customer.commands.v1", Kind: Command, Audience: FromProducers, Owner: Customer,
		Writers: []string{Producers, Gateway, Customer}, Readers: []string{Customer},
		Key: "customer id", Cleanup: Delete, Retention: 7 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc: "The durable input log of the customer service: what it is asked to do.",
		Records: []string{
			"utopia.customer.RegisterCustomer",
			"utopia.customer.RequestAddressChange",
			"utopia.customer.ConfirmAddressChange",
			"utopia.customer.CancelAddressChange",
			"utopia.customer.ChangeEmail",
			"utopia.customer.CloseCustomer",
			"utopia.customer.EraseCustomer",
			"utopia.customer.ExpireAddressChange",
			"utopia.customer.ApplyAddressChange",
			"utopia.customer.RemindConfirmation",
			"utopia.customer.ForgetUnknownCustomer",
		},
	}
	CustomerReplies = Topic{
		Name: "customer.replies.v1", Kind: Reply, Audience: ForCallers, Owner: Customer,
		Writers: []string{Customer}, Readers: []string{Producers, Gateway},
		Key: "reply address", Cleanup: Delete, Retention: day, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The committed outcome of each command: accepted or refused.",
		Records: []string{"utopia.customer.CustomerReply"},
	}
	CustomerEvents = Topic{
		Name: "customer.events.v1", Kind: Event, Audience: Private, Owner: Customer,
		Writers: []string{Customer}, Readers: []string{Customer},
		Key: "customer id", Cleanup: Keep, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc: "The event store of the customer service: every event, in order, for ever.",
		Records: []string{
			"utopia.customer.private.CustomerRegistered",
			"utopia.customer.private.AddressChangeRequested",
			"utopia.customer.private.ConfirmationReminded",
			"utopia.customer.private.ConfirmationUndeliverable",
			"utopia.customer.private.AddressChangeScheduled",
			"utopia.customer.private.AddressChangeCancelled",
			"utopia.customer.private.AddressChangeExpired",
			"utopia.customer.private.AddressChangeOutdated",
			"utopia.customer.private.CustomerMoved",
			"utopia.customer.private.AddressCorrected",
			"utopia.customer.private.EmailChanged",
			"utopia.customer.private.CustomerClosed",
			"utopia.customer.private.CustomerErased",
			"utopia.customer.private.FactRecorded",
		},
	}
	CustomerChanges = Topic{
		Name: "customer.changes.v1", Kind: Change, Audience: Public, Owner: Customer,
		Writers: []string{Customer}, Readers: []string{Consumers, Gateway, Billing, Notification, Webhook},
		Key: "customer id", Cleanup: Delete, Retention: 30 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc: "What changed about a customer, with old and new.",
		Records: []string{
			"utopia.customer.CustomerRegistered",
			"utopia.customer.CustomerMoved",
			"utopia.customer.AddressCorrected",
			"utopia.customer.EmailChanged",
			"utopia.customer.CustomerClosed",
			"utopia.customer.CustomerErased",
		},
	}
	CustomerState = Topic{
		Name: "customer.state.v1", Kind: State, Audience: Public, Owner: Customer,
		Writers: []string{Customer}, Readers: []string{Consumers, Gateway, Billing, Notification, Webhook},
		Key: "customer id", Cleanup: Compact, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "The whole public state of a customer with its version; a tombstone on erasure.",
		Records: []string{"utopia.customer.CustomerState"},
	}
	CustomerTable = Topic{
		Name: "customer-table", Kind: Table, Audience: Private, Owner: Customer,
		Writers: []string{Customer}, Readers: []string{Customer},
		Key: "customer id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The changelog of the customer processor: one row per customer.",
		Records: []string{"utopia.customer.private.CustomerRow"},
	}
	CRMChanges = Topic{
		Name: "crm.changes.v1", Kind: Change, Audience: FromProducers, Owner: CRM,
		Writers: []string{CRM}, Readers: []string{Customer},
		Key: "customer id", Cleanup: Delete, Retention: 30 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "Facts from systems of record outside: the other way to produce an address change.",
		Records: []string{"utopia.crm.AddressChanged"},
	}

	BillingCommands = Topic{
		Name: "billing.commands.v1", Kind: Command, Audience: FromProducers, Owner: Billing,
		Writers: []string{Producers, Gateway, Billing}, Readers: []string{Billing},
		Key: "customer id", Cleanup: Delete, Retention: 7 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "The durable input log of the billing service: what it is asked to do.",
		Records: []string{"utopia.billing.IssueInvoice", "utopia.billing.PayInvoice", "utopia.billing.ForgetUnknownCustomer"},
	}
	BillingReplies = Topic{
		Name: "billing.replies.v1", Kind: Reply, Audience: ForCallers, Owner: Billing,
		Writers: []string{Billing}, Readers: []string{Producers, Gateway},
		Key: "reply address", Cleanup: Delete, Retention: day, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The committed outcome of each command: accepted or refused.",
		Records: []string{"utopia.billing.BillingReply"},
	}
	BillingEvents = Topic{
		Name: "billing.events.v1", Kind: Event, Audience: Private, Owner: Billing,
		Writers: []string{Billing}, Readers: []string{Billing},
		Key: "customer id", Cleanup: Keep, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc: "The event store of the billing service: every event, in order, for ever.",
		Records: []string{
			"utopia.billing.private.InvoiceIssued",
			"utopia.billing.private.InvoiceAddressFrozen",
			"utopia.billing.private.InvoiceReaddressed",
			"utopia.billing.private.InvoiceCorrected",
			"utopia.billing.private.InvoicePaid",
			"utopia.billing.private.CustomerVersionApplied",
			"utopia.billing.private.CustomerForgotten",
		},
	}
	BillingState = Topic{
		Name: "billing.state.v1", Kind: State, Audience: Public, Owner: Billing,
		Writers: []string{Billing}, Readers: []string{Consumers, Gateway},
		Key: "customer id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The open invoices of a customer and the customer version that billing has applied.",
		Records: []string{"utopia.billing.BillingState"},
	}
	BillingTable = Topic{
		Name: "billing-table", Kind: Table, Audience: Private, Owner: Billing,
		Writers: []string{Billing}, Readers: []string{Billing},
		Key: "customer id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The changelog of the billing processor: one row per customer.",
		Records: []string{"utopia.billing.private.BillingRow"},
	}

	MailCommands = Topic{
		Name: "mail.commands.v1", Kind: Command, Audience: FromProducers, Owner: Mail,
		Writers: []string{Customer, Notification, Mail}, Readers: []string{Mail},
		Key: "mail id", Cleanup: Delete, Retention: 7 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "The durable input log of the mail service: what to send, and what became of it.",
		Records: []string{"utopia.mail.SendMail", "utopia.mail.RecordDelivery", "utopia.mail.ForgetMail"},
	}
	MailReplies = Topic{
		Name: "mail.replies.v1", Kind: Reply, Audience: ForCallers, Owner: Mail,
		Writers: []string{Mail}, Readers: []string{Customer, Notification},
		Key: "reply address", Cleanup: Delete, Retention: 7 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "What became of each mail; each record names the group that sent it, and other groups skip it.",
		Records: []string{"utopia.mail.MailReply", "utopia.mail.MailSent", "utopia.mail.MailUndeliverable"},
	}
	MailOutbox = Topic{
		Name: "mail.outbox.v1", Kind: Outbox, Audience: Private, Owner: Mail,
		Writers: []string{Mail}, Readers: []string{Mail},
		Key: "mail id", Cleanup: Delete, Retention: 7 * day, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "What the mailer takes up and sends.",
		Records: []string{"utopia.mail.private.MailToSend"},
	}
	MailEvents = Topic{
		Name: "mail.events.v1", Kind: Event, Audience: Private, Owner: Mail,
		Writers: []string{Mail}, Readers: []string{Mail},
		Key: "mail id", Cleanup: Keep, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc: "The event store of the mail service: facts only, never a recipient or a text.",
		Records: []string{
			"utopia.mail.private.MailAccepted",
			"utopia.mail.private.MailDelivered",
			"utopia.mail.private.MailFailed",
			"utopia.mail.private.MailForgotten",
		},
	}
	MailState = Topic{
		Name: "mail.state.v1", Kind: State, Audience: Public, Owner: Mail,
		Writers: []string{Mail}, Readers: []string{Consumers, Gateway},
		Key: "mail id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The status of a mail, nothing else.",
		Records: []string{"utopia.mail.MailState"},
	}
	MailTable = Topic{
		Name: "mail-table", Kind: Table, Audience: Private, Owner: Mail,
		Writers: []string{Mail}, Readers: []string{Mail},
		Key: "mail id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The changelog of the mail processor: one row per mail.",
		Records: []string{"utopia.mail.private.MailRow"},
	}

	NotificationEvents = Topic{
		Name: "notification.events.v1", Kind: Event, Audience: Private, Owner: Notification,
		Writers: []string{Notification}, Readers: []string{Notification},
		Key: "customer id", Cleanup: Keep, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc: "The event store of the notification service: every event, in order, for ever.",
		Records: []string{
			"utopia.notification.private.ContactUpdated",
			"utopia.notification.private.NotificationSent",
			"utopia.notification.private.NotificationDelivered",
			"utopia.notification.private.NotificationFailed",
			"utopia.notification.private.CustomerForgotten",
		},
	}
	NotificationState = Topic{
		Name: "notification.state.v1", Kind: State, Audience: Public, Owner: Notification,
		Writers: []string{Notification}, Readers: []string{Consumers, Gateway},
		Key: "customer id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "What a customer was told, what became of it, and the customer version that notification has applied.",
		Records: []string{"utopia.notification.NotificationState"},
	}
	NotificationTable = Topic{
		Name: "notification-table", Kind: Table, Audience: Private, Owner: Notification,
		Writers: []string{Notification}, Readers: []string{Notification},
		Key: "customer id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The changelog of the notification processor: one row per customer.",
		Records: []string{"utopia.notification.private.NotificationRow"},
	}

	WebhookCommands = Topic{
		Name: "webhook.commands.v1", Kind: Command, Audience: FromProducers, Owner: Webhook,
		Writers: []string{Operators, Gateway, Webhook}, Readers: []string{Webhook},
		Key: "webhook id", Cleanup: Delete, Retention: 7 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc: "The durable input log of the webhook service: what it is asked to do, and how its calls go.",
		Records: []string{
			"utopia.webhook.RegisterWebhook",
			"utopia.webhook.ChangeWebhook",
			"utopia.webhook.PauseWebhook",
			"utopia.webhook.ResumeWebhook",
			"utopia.webhook.RotateWebhookSecret",
			"utopia.webhook.RedeliverWebhook",
			"utopia.webhook.RecordTrouble",
			"utopia.webhook.CloseWebhook",
			"utopia.webhook.ForgetUnknownWebhook",
		},
	}
	WebhookReplies = Topic{
		Name: "webhook.replies.v1", Kind: Reply, Audience: ForCallers, Owner: Webhook,
		Writers: []string{Webhook}, Readers: []string{Operators, Gateway},
		Key: "reply address", Cleanup: Delete, Retention: day, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The committed outcome of each command: accepted or refused.",
		Records: []string{"utopia.webhook.WebhookReply"},
	}
	WebhookEvents = Topic{
		Name: "webhook.events.v1", Kind: Event, Audience: Private, Owner: Webhook,
		Writers: []string{Webhook}, Readers: []string{Webhook},
		Key: "webhook id", Cleanup: Keep, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc: "The event store of the webhook service: every event, in order, for ever; never a secret.",
		Records: []string{
			"utopia.webhook.private.WebhookRegistered",
			"utopia.webhook.private.WebhookChanged",
			"utopia.webhook.private.WebhookPaused",
			"utopia.webhook.private.WebhookResumed",
			"utopia.webhook.private.WebhookSecretRotated",
			"utopia.webhook.private.RedeliveryRequested",
			"utopia.webhook.private.WebhookTroubleRecorded",
			"utopia.webhook.private.WebhookDisabled",
			"utopia.webhook.private.WebhookClosed",
		},
	}
	WebhookState = Topic{
		Name: "webhook.state.v1", Kind: State, Audience: Public, Owner: Webhook,
		Writers: []string{Webhook}, Readers: []string{Operators, Gateway, Webhook},
		Key: "webhook id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "Each webhook with how its calls go; a tombstone when it is closed.",
		Records: []string{"utopia.webhook.WebhookState"},
	}
	WebhookPositions = Topic{
		Name: "webhook.positions.v1", Kind: Positions, Audience: Private, Owner: Webhook,
		Writers: []string{Webhook}, Readers: []string{Webhook},
		Key: "webhook id/partition, in that partition", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "How far each webhook is in each partition of the customer changes.",
		Records: []string{"utopia.webhook.private.WebhookPosition"},
	}
	WebhookTable = Topic{
		Name: "webhook-table", Kind: Table, Audience: Private, Owner: Webhook,
		Writers: []string{Webhook}, Readers: []string{Webhook},
		Key: "webhook id", Cleanup: Compact, Timestamp: CreateTime, MaxBytes: RecordBytes,
		Doc:     "The changelog of the webhook processor: one row per webhook.",
		Records: []string{"utopia.webhook.private.WebhookRow"},
	}

	// OperatorActions is kept for 400 days: whoever looks at a year afterwards still finds all of it, and names of people are not kept for
	// ever. It has the broker's time, which whoever acts cannot choose.
	OperatorActions = Topic{
		Name: "operator.actions.v1", Kind: Action, Audience: ForPeople, Owner: Operator,
		Writers: []string{Operators, Gateway}, Readers: []string{Operators, Gateway},
		Key: "what it was done to", Cleanup: Delete, Retention: 400 * day, Timestamp: LogAppendTime, MaxBytes: RecordBytes,
		Doc:     "What operators did by hand: who, when, to what, why, and what came of it.",
		Records: []string{"utopia.operator.OperatorAction"},
	}
)

// catalogue holds every topic, dead letters included, and byName finds them: processors ask for each record.
var (
	catalogue = sync.OnceValue(collect)
	byName    = sync.OnceValue(func() map[string]Topic {
		m := map[string]Topic{}
		for _, t := range catalogue() {
			m[t.Name] = t
		}
		return m
	})
)

func collect() []Topic {
	base := []Topic{
		CustomerCommands, CustomerReplies, CustomerEvents, CustomerChanges, CustomerState, CustomerTable, CRMChanges,
		BillingCommands, BillingReplies, BillingEvents, BillingState, BillingTable,
		MailCommands, MailReplies, MailOutbox, MailEvents, MailState, MailTable,
		NotificationEvents, NotificationState, NotificationTable,
		WebhookCommands, WebhookReplies, WebhookEvents, WebhookState, WebhookPositions, WebhookTable,
		OperatorActions,
	}
	var all []Topic
	for _, t := range base {
		all = append(all, t)
		if t.Input() {
			all = append(all, t.DLQ())
		}
	}
	return all
}

// All returns every topic of the system, by service, each input topic followed by its dead letters.
func All() []Topic { return slices.Clone(catalogue()) }

// ByName returns the topic of that name, dead-letter topics included.
func ByName(name string) (Topic, bool) {
	t, ok := byName()[name]
	return t, ok
}

// Inputs returns the topics that a group consumes.
func Inputs(group string) []Topic {
	if group == Mailer {
		return []Topic{MailOutbox}
	}
	if group == WebhookSender {
		return []Topic{CustomerChanges}
	}
	var in []Topic
	for _, t := range All() {
		if t.Input() && slices.Contains(t.Readers, group) && t.processedBy(group) {
			in = append(in, t)
		}
	}
	return in
}
