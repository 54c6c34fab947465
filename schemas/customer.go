package schemas

// Residence is an address with what is known of it.
type Residence struct {
	Address    Address `avro:"address"`
	Reason     string  `avro:"reason"`
	Version    int64   `avro:"version"`    // The version of the customer that set this address.
	Verified   bool    `avro:"verified"`   // Whether the address keeps its country's rules.
	OccurredAt int64   `avro:"occurredAt"` // When it became the customer's address, by the word of whoever told us.
	RecordedAt int64   `avro:"recordedAt"` // When we learned it.
	Source     string  `avro:"source"`     // System of record that told it; empty: nobody but the customer.
	FactID     string  `avro:"factId"`     // The fact's id there.
}

// PendingChange is an address change that has not taken effect.
type PendingChange struct {
	ChangeID      string `avro:"changeId"` // Id of the command that asked for it.
	Status        string `avro:"status"`
	Reason        string `avro:"reason"`
	Version       int64  `avro:"version"` // The version of the customer that asked for it.
	RequestedAt   int64  `avro:"requestedAt"`
	ExpiresAt     int64  `avro:"expiresAt"`     // When an unconfirmed change is withdrawn.
	EffectiveAt   int64  `avro:"effectiveAt"`   // When a confirmed change takes effect; 0: at once.
	Undeliverable string `avro:"undeliverable"` // Code for why the confirmation mail did not arrive; empty: none failed.
}

// Change is an address change that has not taken effect; without an id there is none.
type Change struct {
	ChangeID      string  `avro:"changeId"`
	Status        string  `avro:"status"`
	Address       Address `avro:"address"`
	Reason        string  `avro:"reason"`
	Version       int64   `avro:"version"`
	RequestedAt   int64   `avro:"requestedAt"`
	ExpiresAt     int64   `avro:"expiresAt"`
	EffectiveAt   int64   `avro:"effectiveAt"`
	Reminded      int64   `avro:"reminded"` // The version that asked again; 0: not yet.
	Undeliverable string  `avro:"undeliverable"`
}

// AddressChanged tells that a customer has another address, by the word of a system of record.
type AddressChanged struct {
	CustomerID string  `avro:"customerId"`
	Source     string  `avro:"source"`     // The system of record.
	FactID     string  `avro:"factId"`     // Its id of the fact.
	OccurredAt int64   `avro:"occurredAt"` // When it became the address.
	Address    Address `avro:"address"`
}

// PublicCustomerRegistered tells that the customer is ours.
type PublicCustomerRegistered struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Name     string    `avro:"name"`
	Email    string    `avro:"email"`
	Language string    `avro:"language"`
	Address  Residence `avro:"address"`
}

// PublicCustomerMoved tells that the customer has another address; the old one was right at its time.
type PublicCustomerMoved struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string    `avro:"changeId"` // The change that was asked for; empty: a system of record told it.
	Before   Residence `avro:"before"`
	After    Residence `avro:"after"`
}

// PublicAddressCorrected tells that the address was wrong; what was sent to it needs to be sent again.
type PublicAddressCorrected struct {
	CustomerID string `avro:"customerId"`
	EventHead
	ChangeID string    `avro:"changeId"`
	Before   Residence `avro:"before"`
	After    Residence `avro:"after"`
}

// PublicEmailChanged tells that the customer has another e-mail address.
type PublicEmailChanged struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Before string `avro:"before"`
	After  string `avro:"after"`
}

// PublicCustomerClosed tells that the customer has left.
type PublicCustomerClosed struct {
	CustomerID string `avro:"customerId"`
	EventHead
}

// PublicCustomerErased tells that everything personal has been removed.
type PublicCustomerErased struct {
	CustomerID string `avro:"customerId"`
	EventHead
}

// CustomerState is the whole public state of a customer.
type CustomerState struct {
	CustomerID string         `avro:"customerId"`
	Version    int64          `avro:"version"`
	Status     string         `avro:"status"`
	Name       string         `avro:"name"`
	Email      string         `avro:"email"`
	Language   string         `avro:"language"`
	Address    Residence      `avro:"address"`
	Pending    *PendingChange `avro:"pending"`   // The change that waits, if there is one.
	UpdatedAt  int64          `avro:"updatedAt"` // When this version came about.
}

// CustomerRow is one customer as the processor remembers it.
type CustomerRow struct {
	CustomerID string    `avro:"customerId"`
	Version    int64     `avro:"version"`
	Status     string    `avro:"status"`
	Name       string    `avro:"name"`
	Email      string    `avro:"email"`
	Language   string    `avro:"language"`
	Address    Residence `avro:"address"`
	Change     Change    `avro:"change"`
	Handled    []Handled `avro:"handled"` // Oldest first.
}

// CustomerReply is the outcome of a command.
type CustomerReply struct {
	ReplyFields
}

// AvroName implements Record.
func (*AddressChanged) AvroName() string { return "utopia.crm.AddressChanged" }

// AvroName implements Record.
func (*PublicCustomerRegistered) AvroName() string { return "utopia.customer.CustomerRegistered" }

// AvroName implements Record.
func (*PublicCustomerMoved) AvroName() string { return "utopia.customer.CustomerMoved" }

// AvroName implements Record.
func (*PublicAddressCorrected) AvroName() string { return "utopia.customer.AddressCorrected" }

// AvroName implements Record.
func (*PublicEmailChanged) AvroName() string { return "utopia.customer.EmailChanged" }

// AvroName implements Record.
func (*PublicCustomerClosed) AvroName() string { return "utopia.customer.CustomerClosed" }

// AvroName implements Record.
func (*PublicCustomerErased) AvroName() string { return "utopia.customer.CustomerErased" }

// AvroName implements Record.
func (*CustomerState) AvroName() string { return "utopia.customer.CustomerState" }

// AvroName implements Record.
func (*CustomerRow) AvroName() string { return "utopia.customer.private.CustomerRow" }

// AvroName implements Record.
func (*CustomerReply) AvroName() string { return "utopia.customer.CustomerReply" }

// Fields implements Reply.
func (r *CustomerReply) Fields() *ReplyFields { return &r.ReplyFields }
