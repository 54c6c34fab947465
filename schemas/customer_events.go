package schemas

// CustomerRegistered tells that the customer is ours.
type CustomerRegistered struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Personal  Personal `avro:"personal"`
	KeepsFact bool     `avro:"keepsFact"` // A system of record had told a later address, which stays.
}

// AddressChangeRequested tells that somebody asked for another address.
type AddressChangeRequested struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID    string   `avro:"changeId"` // Id of the command that asked for the change.
	Reason      string   `avro:"reason"`
	ExpiresAt   int64    `avro:"expiresAt"`
	EffectiveAt int64    `avro:"effectiveAt"`
	Supersedes  string   `avro:"supersedes"` // Id of the change that it ended.
	Personal    Personal `avro:"personal"`
}

// ConfirmationReminded tells that the customer was asked once more.
type ConfirmationReminded struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string `avro:"changeId"` // Id of the command that asked for the change.
}

// ConfirmationUndeliverable tells that a mail that asked for the confirmation did not arrive.
type ConfirmationUndeliverable struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string `avro:"changeId"` // Id of the command that asked for the change.
	Mail     int64  `avro:"mail"`     // Version of the event that asked for the mail.
	Detail   string `avro:"detail"`   // The mail service's code.
}

// AddressChangeScheduled tells that the customer confirmed a change that takes effect later.
type AddressChangeScheduled struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID    string `avro:"changeId"` // Id of the command that asked for the change.
	EffectiveAt int64  `avro:"effectiveAt"`
}

// AddressChangeCancelled tells that the change was taken back.
type AddressChangeCancelled struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string `avro:"changeId"` // Id of the command that asked for the change.
}

// AddressChangeExpired tells that nobody confirmed the change in time.
type AddressChangeExpired struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string `avro:"changeId"` // Id of the command that asked for the change.
}

// AddressChangeOutdated tells that the change was confirmed or due when a later address was already known.
type AddressChangeOutdated struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string `avro:"changeId"` // Id of the command that asked for the change.
}

// CustomerMoved tells that the customer has another address.
type CustomerMoved struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID   string   `avro:"changeId"`
	Source     string   `avro:"source"`
	FactID     string   `avro:"factId"`
	OccurredAt int64    `avro:"occurredAt"`
	Verified   bool     `avro:"verified"`
	Personal   Personal `avro:"personal"`
}

// AddressCorrected tells that the address was wrong.
type AddressCorrected struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID   string   `avro:"changeId"`
	OccurredAt int64    `avro:"occurredAt"`
	Personal   Personal `avro:"personal"`
}

// FactRecorded tells that a system of record told an address that changed nothing.
type FactRecorded struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Source     string   `avro:"source"`
	FactID     string   `avro:"factId"`
	OccurredAt int64    `avro:"occurredAt"`
	Verified   bool     `avro:"verified"`
	Outcome    string   `avro:"outcome"`
	Personal   Personal `avro:"personal"`
}

// EmailChanged tells that the customer has another e-mail address.
type EmailChanged struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Personal Personal `avro:"personal"`
}

// CustomerClosed tells that the customer has left.
type CustomerClosed struct {
	CustomerID string `avro:"customerId"`
	EventHead
}

// CustomerErased tells that everything personal has been removed.
type CustomerErased struct {
	CustomerID string `avro:"customerId"`
	EventHead
}

// AvroName implements Record.
func (*CustomerRegistered) AvroName() string { return "utopia.customer.private.CustomerRegistered" }

// AvroName implements Record.
func (*AddressChangeRequested) AvroName() string {
	return "utopia.customer.private.AddressChangeRequested"
}

// AvroName implements Record.
func (*ConfirmationReminded) AvroName() string { return "utopia.customer.private.ConfirmationReminded" }

// AvroName implements Record.
func (*ConfirmationUndeliverable) AvroName() string {
	return "utopia.customer.private.ConfirmationUndeliverable"
}

// AvroName implements Record.
func (*AddressChangeScheduled) AvroName() string {
	return "utopia.customer.private.AddressChangeScheduled"
}

// AvroName implements Record.
func (*AddressChangeCancelled) AvroName() string {
	return "utopia.customer.private.AddressChangeCancelled"
}

// AvroName implements Record.
func (*AddressChangeExpired) AvroName() string { return "utopia.customer.private.AddressChangeExpired" }

// AvroName implements Record.
func (*AddressChangeOutdated) AvroName() string {
	return "utopia.customer.private.AddressChangeOutdated"
}

// AvroName implements Record.
func (*CustomerMoved) AvroName() string { return "utopia.customer.private.CustomerMoved" }

// AvroName implements Record.
func (*AddressCorrected) AvroName() string { return "utopia.customer.private.AddressCorrected" }

// AvroName implements Record.
func (*FactRecorded) AvroName() string { return "utopia.customer.private.FactRecorded" }

// AvroName implements Record.
func (*EmailChanged) AvroName() string { return "utopia.customer.private.EmailChanged" }

// AvroName implements Record.
func (*CustomerClosed) AvroName() string { return "utopia.customer.private.CustomerClosed" }

// AvroName implements Record.
func (*CustomerErased) AvroName() string { return "utopia.customer.private.CustomerErased" }
