package schemas

// RegisterCustomer makes the customer ours.
type RegisterCustomer struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	Name       string   `avro:"name"`
	Email      string   `avro:"email"`
	Language   string   `avro:"language"` // Language tag, RFC 5646; empty: unknown.
	Address    Address  `avro:"address"`
}

// RequestAddressChange asks for another address; the customer is asked to confirm it.
type RequestAddressChange struct {
	CustomerID  string   `avro:"customerId"`
	Meta        Metadata `avro:"metadata"`
	Address     Address  `avro:"address"`
	Reason      string   `avro:"reason"`
	EffectiveAt int64    `avro:"effectiveAt"` // Not before; 0: as soon as it is confirmed.
}

// ConfirmAddressChange says that the customer wants the change.
type ConfirmAddressChange struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	ChangeID   string   `avro:"changeId"`  // Id of the command that asked for the change.
	ExpiresAt  int64    `avro:"expiresAt"` // The expiry that the link carried; 0: no link.
}

// CancelAddressChange takes the change back, unconfirmed or scheduled.
type CancelAddressChange struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	ChangeID   string   `avro:"changeId"` // Empty: whatever change there is.
}

// ChangeEmail gives the customer another e-mail address.
type ChangeEmail struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	Email      string   `avro:"email"`
}

// CloseCustomer ends the relation with the customer.
type CloseCustomer struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
}

// EraseCustomer removes everything personal.
type EraseCustomer struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
}

// ExpireAddressChange withdraws the question whether a change is wanted. A deadline.
type ExpireAddressChange struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	ChangeID   string   `avro:"changeId"` // Id of the command that asked for the change.
	DueAt      int64    `avro:"dueAt"`    // The deadline that has passed.
}

// ApplyAddressChange lets a scheduled change take effect. A deadline.
type ApplyAddressChange struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	ChangeID   string   `avro:"changeId"` // Id of the command that asked for the change.
	DueAt      int64    `avro:"dueAt"`    // The deadline that has passed.
}

// RemindConfirmation asks the customer once more. A deadline.
type RemindConfirmation struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	ChangeID   string   `avro:"changeId"` // Id of the command that asked for the change.
	DueAt      int64    `avro:"dueAt"`    // The deadline that has passed.
}

// ForgetUnknownCustomer removes a row that remembers nothing but refusals. A deadline.
type ForgetUnknownCustomer struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	DueAt      int64    `avro:"dueAt"` // The deadline that has passed.
}

// AvroName implements Record.
func (*RegisterCustomer) AvroName() string { return "utopia.customer.RegisterCustomer" }

// AvroName implements Record.
func (*RequestAddressChange) AvroName() string { return "utopia.customer.RequestAddressChange" }

// AvroName implements Record.
func (*ConfirmAddressChange) AvroName() string { return "utopia.customer.ConfirmAddressChange" }

// AvroName implements Record.
func (*CancelAddressChange) AvroName() string { return "utopia.customer.CancelAddressChange" }

// AvroName implements Record.
func (*ChangeEmail) AvroName() string { return "utopia.customer.ChangeEmail" }

// AvroName implements Record.
func (*CloseCustomer) AvroName() string { return "utopia.customer.CloseCustomer" }

// AvroName implements Record.
func (*EraseCustomer) AvroName() string { return "utopia.customer.EraseCustomer" }

// AvroName implements Record.
func (*ExpireAddressChange) AvroName() string { return "utopia.customer.ExpireAddressChange" }

// AvroName implements Record.
func (*ApplyAddressChange) AvroName() string { return "utopia.customer.ApplyAddressChange" }

// AvroName implements Record.
func (*RemindConfirmation) AvroName() string { return "utopia.customer.RemindConfirmation" }

// AvroName implements Record.
func (*ForgetUnknownCustomer) AvroName() string { return "utopia.customer.ForgetUnknownCustomer" }

// Metadata implements Command.
func (r *RegisterCustomer) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RequestAddressChange) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ConfirmAddressChange) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *CancelAddressChange) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ChangeEmail) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *CloseCustomer) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *EraseCustomer) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ExpireAddressChange) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ApplyAddressChange) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RemindConfirmation) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ForgetUnknownCustomer) Metadata() *Metadata { return &r.Meta }
