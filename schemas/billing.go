package schemas

// Invoice is an open invoice.
type Invoice struct {
	InvoiceID      string  `avro:"invoiceId"`
	AmountCents    int64   `avro:"amountCents"` // In the currency's smallest unit.
	Currency       string  `avro:"currency"`    // ISO 4217 code.
	Text           string  `avro:"text"`
	IssuedAt       int64   `avro:"issuedAt"`
	Address        Address `avro:"address"`        // The one it was issued to.
	AddressVersion int64   `avro:"addressVersion"` // The version of the customer that set it; 0: none is known yet.
	SendTo         int64   `avro:"sendTo"`         // The version of the address for whatever follows.
	Corrections    int32   `avro:"corrections"`    // How often it was issued again with a correction note.
}

// BillingResidence is the customer's address as last applied.
type BillingResidence struct {
	Address Address `avro:"address"`
	Version int64   `avro:"version"`
	Reason  string  `avro:"reason"`
}

// Paid is what is left of a paid invoice.
type Paid struct {
	Hash int64 `avro:"hash"`
	At   int64 `avro:"at"` // When it was paid.
}

// IssueInvoice sends the customer an invoice.
type IssueInvoice struct {
	CustomerID  string   `avro:"customerId"`
	Meta        Metadata `avro:"metadata"`
	InvoiceID   string   `avro:"invoiceId"`
	AmountCents int64    `avro:"amountCents"` // In the currency's smallest unit.
	Currency    string   `avro:"currency"`    // ISO 4217 code.
	Text        string   `avro:"text"`
}

// PayInvoice settles an open invoice.
type PayInvoice struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	InvoiceID  string   `avro:"invoiceId"`
}

// BillingForgetUnknownCustomer removes a row that remembers nothing but refusals. A deadline.
type BillingForgetUnknownCustomer struct {
	CustomerID string   `avro:"customerId"`
	Meta       Metadata `avro:"metadata"`
	DueAt      int64    `avro:"dueAt"` // The deadline that has passed.
}

// BillingReply is the outcome of a command.
type BillingReply struct {
	ReplyFields
}

// InvoiceIssued tells that an invoice was sent.
type InvoiceIssued struct {
	CustomerID string `avro:"customerId"`
	EventHead
	InvoiceID      string   `avro:"invoiceId"`
	AmountCents    int64    `avro:"amountCents"`
	Currency       string   `avro:"currency"`
	AddressVersion int64    `avro:"addressVersion"` // The version of the customer that set the address; 0: none.
	Personal       Personal `avro:"personal"`
}

// InvoiceAddressFrozen tells that an invoice that waited for an address has one.
type InvoiceAddressFrozen struct {
	CustomerID string `avro:"customerId"`
	EventHead
	InvoiceID      string   `avro:"invoiceId"`
	AddressVersion int64    `avro:"addressVersion"` // The version of the customer that set the address; 0: none.
	Personal       Personal `avro:"personal"`
}

// InvoiceReaddressed tells that whatever follows the invoice goes to another address.
type InvoiceReaddressed struct {
	CustomerID string `avro:"customerId"`
	EventHead
	InvoiceID      string   `avro:"invoiceId"`
	AddressVersion int64    `avro:"addressVersion"` // The version of the customer that set the address; 0: none.
	Personal       Personal `avro:"personal"`
}

// InvoiceCorrected tells that the invoice was issued again with a correction note.
type InvoiceCorrected struct {
	CustomerID string `avro:"customerId"`
	EventHead
	InvoiceID      string   `avro:"invoiceId"`
	AddressVersion int64    `avro:"addressVersion"` // The version of the customer that set the address; 0: none.
	Correction     int32    `avro:"correction"`     // 1: the first.
	Personal       Personal `avro:"personal"`
}

// InvoicePaid tells that an invoice is settled.
type InvoicePaid struct {
	CustomerID string `avro:"customerId"`
	EventHead
	InvoiceID   string `avro:"invoiceId"`
	AmountCents int64  `avro:"amountCents"`
	Currency    string `avro:"currency"`
}

// CustomerVersionApplied tells that a version of the customer has been applied.
type CustomerVersionApplied struct {
	CustomerID string `avro:"customerId"`
	EventHead
	CustomerVersion int64    `avro:"customerVersion"`
	Status          string   `avro:"status"`
	AddressVersion  int64    `avro:"addressVersion"` // The version of the customer that set the address; 0: none.
	Reason          string   `avro:"reason"`
	Personal        Personal `avro:"personal"`
}

// BillingCustomerForgotten tells that the customer was erased.
type BillingCustomerForgotten struct {
	CustomerID string `avro:"customerId"`
	EventHead
	CustomerVersion int64 `avro:"customerVersion"` // 0: nobody told it.
}

// BillingState is what billing knows of a customer, and the open invoices.
type BillingState struct {
	CustomerID      string    `avro:"customerId"`
	Version         int64     `avro:"version"`
	CustomerVersion int64     `avro:"customerVersion"` // The highest version of the customer that billing has applied.
	Status          string    `avro:"status"`
	Address         Address   `avro:"address"`
	AddressVersion  int64     `avro:"addressVersion"`
	Reason          string    `avro:"reason"`
	Open            []Invoice `avro:"open"` // In the order of their issue.
}

// BillingRow is one customer as the billing processor remembers it.
type BillingRow struct {
	CustomerID      string           `avro:"customerId"`
	Version         int64            `avro:"version"`
	Status          string           `avro:"status"`
	CustomerVersion int64            `avro:"customerVersion"`
	Residence       BillingResidence `avro:"residence"`
	Open            []Invoice        `avro:"open"`
	Paid            []Paid           `avro:"paid"`
	Handled         []Handled        `avro:"handled"` // Oldest first.
}

// AvroName implements Record.
func (*IssueInvoice) AvroName() string { return "utopia.billing.IssueInvoice" }

// AvroName implements Record.
func (*PayInvoice) AvroName() string { return "utopia.billing.PayInvoice" }

// AvroName implements Record.
func (*BillingForgetUnknownCustomer) AvroName() string { return "utopia.billing.ForgetUnknownCustomer" }

// AvroName implements Record.
func (*BillingReply) AvroName() string { return "utopia.billing.BillingReply" }

// AvroName implements Record.
func (*InvoiceIssued) AvroName() string { return "utopia.billing.private.InvoiceIssued" }

// AvroName implements Record.
func (*InvoiceAddressFrozen) AvroName() string { return "utopia.billing.private.InvoiceAddressFrozen" }

// AvroName implements Record.
func (*InvoiceReaddressed) AvroName() string { return "utopia.billing.private.InvoiceReaddressed" }

// AvroName implements Record.
func (*InvoiceCorrected) AvroName() string { return "utopia.billing.private.InvoiceCorrected" }

// AvroName implements Record.
func (*InvoicePaid) AvroName() string { return "utopia.billing.private.InvoicePaid" }

// AvroName implements Record.
func (*CustomerVersionApplied) AvroName() string {
	return "utopia.billing.private.CustomerVersionApplied"
}

// AvroName implements Record.
func (*BillingCustomerForgotten) AvroName() string { return "utopia.billing.private.CustomerForgotten" }

// AvroName implements Record.
func (*BillingState) AvroName() string { return "utopia.billing.BillingState" }

// AvroName implements Record.
func (*BillingRow) AvroName() string { return "utopia.billing.private.BillingRow" }

// Metadata implements Command.
func (r *IssueInvoice) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *PayInvoice) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *BillingForgetUnknownCustomer) Metadata() *Metadata { return &r.Meta }

// Fields implements Reply.
func (r *BillingReply) Fields() *ReplyFields { return &r.ReplyFields }
