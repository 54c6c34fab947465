package schemas

// table holds one line for every record type: every full name that an embedded schema may have, and the Go type that it
// decodes to. It is the one place beside the .avsc file and the struct that a new record touches.
type table []func() Record

// types returns the table of all records.
func types() table {
	var all table
	for _, t := range []table{
		customerInputs(), customerEvents(), customerOutputs(), billingRecords(), mailRecords(), notificationRecords(),
		webhookRecords(), operatorRecords(), nestedRecords(),
	} {
		all = append(all, t...)
	}
	return all
}

func customerInputs() table {
	return table{
		of[RegisterCustomer],
		of[RequestAddressChange],
		of[ConfirmAddressChange],
		of[CancelAddressChange],
		of[ChangeEmail],
		of[CloseCustomer],
		of[EraseCustomer],
		of[ExpireAddressChange],
		of[ApplyAddressChange],
		of[RemindConfirmation],
		of[ForgetUnknownCustomer],
		of[AddressChanged],
	}
}

func customerEvents() table {
	return table{
		of[CustomerRegistered],
		of[AddressChangeRequested],
		of[ConfirmationReminded],
		of[ConfirmationUndeliverable],
		of[AddressChangeScheduled],
		of[AddressChangeCancelled],
		of[AddressChangeExpired],
		of[AddressChangeOutdated],
		of[CustomerMoved],
		of[AddressCorrected],
		of[FactRecorded],
		of[EmailChanged],
		of[CustomerClosed],
		of[CustomerErased],
	}
}

func customerOutputs() table {
	return table{
		of[PublicCustomerRegistered],
		of[PublicCustomerMoved],
		of[PublicAddressCorrected],
		of[PublicEmailChanged],
		of[PublicCustomerClosed],
		of[PublicCustomerErased],
		of[CustomerState],
		of[CustomerRow],
		of[CustomerReply],
	}
}

func billingRecords() table {
	return table{
		of[IssueInvoice],
		of[PayInvoice],
		of[BillingForgetUnknownCustomer],
		of[BillingReply],
		of[InvoiceIssued],
		of[InvoiceAddressFrozen],
		of[InvoiceReaddressed],
		of[InvoiceCorrected],
		of[InvoicePaid],
		of[CustomerVersionApplied],
		of[BillingCustomerForgotten],
		of[BillingState],
		of[BillingRow],
	}
}

func mailRecords() table {
	return table{
		of[SendMail],
		of[RecordDelivery],
		of[ForgetMail],
		of[MailReply],
		of[MailSent],
		of[MailUndeliverable],
		of[MailToSend],
		of[MailAccepted],
		of[MailDelivered],
		of[MailFailed],
		of[MailForgotten],
		of[MailState],
		of[MailRow],
	}
}

func notificationRecords() table {
	return table{
		of[ContactUpdated],
		of[NotificationSent],
		of[NotificationDelivered],
		of[NotificationFailed],
		of[NotificationCustomerForgotten],
		of[NotificationState],
		of[NotificationRow],
	}
}

func webhookRecords() table {
	return table{
		of[RegisterWebhook],
		of[ChangeWebhook],
		of[PauseWebhook],
		of[ResumeWebhook],
		of[RotateWebhookSecret],
		of[RedeliverWebhook],
		of[RecordTrouble],
		of[CloseWebhook],
		of[ForgetUnknownWebhook],
		of[WebhookReply],
		of[WebhookState],
		of[WebhookRegistered],
		of[WebhookChanged],
		of[WebhookPaused],
		of[WebhookResumed],
		of[WebhookSecretRotated],
		of[RedeliveryRequested],
		of[WebhookTroubleRecorded],
		of[WebhookDisabled],
		of[WebhookClosed],
		of[WebhookRow],
		of[WebhookPosition],
	}
}

func operatorRecords() table {
	return table{
		of[OperatorAction],
	}
}

func nestedRecords() table {
	return table{
		of[PersonalData],
	}
}

// of makes an empty record of one type.
func of[T any, P interface {
	*T
	Record
}]() Record {
	return P(new(T))
}

// writes names the records of which an older revision than the latest is written. A row is embedded, and so readable, one
// release before any code writes it, so that neighbouring releases read each other's rows; the line here goes in the
// release after.
func writes(record string) (revision int, ok bool) {
	revision, ok = map[string]int{}[record]
	return revision, ok
}
