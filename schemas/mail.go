package schemas

// Link is a claim that the mailer signs when it sends; it takes the place of {{link:name}} in both parts.
type Link struct {
	Name      string `avro:"name"`
	Purpose   string `avro:"purpose"`
	Subject   string `avro:"subject"` // Whom it is about, in the sender's words.
	Change    string `avro:"change"`  // What it confirms.
	ExpiresAt int64  `avro:"expiresAt"`
}

// SendMail sends a mail. Its id is the id of the command.
type SendMail struct {
	MailID    string   `avro:"mailId"`
	Meta      Metadata `avro:"metadata"`
	Sender    string   `avro:"sender"` // The group that asks; others skip the reply.
	Recipient string   `avro:"recipient"`
	Language  string   `avro:"language"` // Language tag, RFC 5646.
	Subject   string   `avro:"subject"`
	Text      string   `avro:"text"`
	HTML      string   `avro:"html"` // Empty: the mailer makes the HTML part from the text.
	Links     []Link   `avro:"links"`
}

// RecordDelivery the mailer reports.
type RecordDelivery struct {
	MailID   string   `avro:"mailId"`
	Meta     Metadata `avro:"metadata"`
	Result   string   `avro:"result"`
	Attempts int32    `avro:"attempts"`
	Detail   string   `avro:"detail"` // Code of the last answer.
}

// ForgetMail removes what is known of a mail. A deadline.
type ForgetMail struct {
	MailID string   `avro:"mailId"`
	Meta   Metadata `avro:"metadata"`
	DueAt  int64    `avro:"dueAt"` // The deadline that has passed.
}

// MailReply is the outcome of a command.
type MailReply struct {
	ReplyFields
	Sender string `avro:"sender"` // The group that asked.
}

// MailSent tells that a mail server took the mail.
type MailSent struct {
	ReplyTo       string `avro:"replyTo"` // Key of the reply.
	MailID        string `avro:"mailId"`
	Sender        string `avro:"sender"` // The group that asked.
	CorrelationID string `avro:"correlationId"`
	At            int64  `avro:"at"`
	Attempts      int32  `avro:"attempts"`
}

// MailUndeliverable tells that the mail was given up.
type MailUndeliverable struct {
	ReplyTo       string `avro:"replyTo"` // Key of the reply.
	MailID        string `avro:"mailId"`
	Sender        string `avro:"sender"` // The group that asked.
	CorrelationID string `avro:"correlationId"`
	At            int64  `avro:"at"`
	Attempts      int32  `avro:"attempts"`
	Detail        string `avro:"detail"` // Code of the last answer.
}

// MailToSend is what the mailer sends.
type MailToSend struct {
	MailID        string `avro:"mailId"`
	Sender        string `avro:"sender"`
	CorrelationID string `avro:"correlationId"`
	AcceptedAt    int64  `avro:"acceptedAt"`
	Recipient     string `avro:"recipient"`
	Language      string `avro:"language"` // Language tag, RFC 5646.
	Subject       string `avro:"subject"`
	Text          string `avro:"text"`
	HTML          string `avro:"html"` // Empty: the mailer makes the HTML part from the text.
	Links         []Link `avro:"links"`
}

// MailAccepted tells that the mail will be sent.
type MailAccepted struct {
	MailID string `avro:"mailId"`
	EventHead
	Sender  string `avro:"sender"`
	ReplyTo string `avro:"replyTo"`
}

// MailDelivered tells that a mail server took the mail.
type MailDelivered struct {
	MailID string `avro:"mailId"`
	EventHead
	Attempts int32  `avro:"attempts"`
	Detail   string `avro:"detail"`
}

// MailFailed tells that the mail was given up.
type MailFailed struct {
	MailID string `avro:"mailId"`
	EventHead
	Attempts int32  `avro:"attempts"`
	Detail   string `avro:"detail"`
}

// MailForgotten tells that the mail is no longer known.
type MailForgotten struct {
	MailID string `avro:"mailId"`
	EventHead
}

// MailState is the status of a mail.
type MailState struct {
	MailID     string `avro:"mailId"`
	Version    int64  `avro:"version"`
	Status     string `avro:"status"`
	Sender     string `avro:"sender"`
	AcceptedAt int64  `avro:"acceptedAt"`
	ReportedAt int64  `avro:"reportedAt"`
	Attempts   int32  `avro:"attempts"`
	Detail     string `avro:"detail"` // Code of the last answer.
}

// MailRow is one mail as the processor remembers it; nothing personal.
type MailRow struct {
	MailID        string    `avro:"mailId"`
	Version       int64     `avro:"version"`
	Status        string    `avro:"status"`
	Sender        string    `avro:"sender"`
	ReplyTo       string    `avro:"replyTo"`
	CorrelationID string    `avro:"correlationId"`
	AcceptedAt    int64     `avro:"acceptedAt"`
	ReportedAt    int64     `avro:"reportedAt"`
	Attempts      int32     `avro:"attempts"`
	Detail        string    `avro:"detail"`
	Handled       []Handled `avro:"handled"` // Oldest first.
}

// AvroName implements Record.
func (*SendMail) AvroName() string { return "utopia.mail.SendMail" }

// AvroName implements Record.
func (*RecordDelivery) AvroName() string { return "utopia.mail.RecordDelivery" }

// AvroName implements Record.
func (*ForgetMail) AvroName() string { return "utopia.mail.ForgetMail" }

// AvroName implements Record.
func (*MailReply) AvroName() string { return "utopia.mail.MailReply" }

// AvroName implements Record.
func (*MailSent) AvroName() string { return "utopia.mail.MailSent" }

// AvroName implements Record.
func (*MailUndeliverable) AvroName() string { return "utopia.mail.MailUndeliverable" }

// AvroName implements Record.
func (*MailToSend) AvroName() string { return "utopia.mail.private.MailToSend" }

// AvroName implements Record.
func (*MailAccepted) AvroName() string { return "utopia.mail.private.MailAccepted" }

// AvroName implements Record.
func (*MailDelivered) AvroName() string { return "utopia.mail.private.MailDelivered" }

// AvroName implements Record.
func (*MailFailed) AvroName() string { return "utopia.mail.private.MailFailed" }

// AvroName implements Record.
func (*MailForgotten) AvroName() string { return "utopia.mail.private.MailForgotten" }

// AvroName implements Record.
func (*MailState) AvroName() string { return "utopia.mail.MailState" }

// AvroName implements Record.
func (*MailRow) AvroName() string { return "utopia.mail.private.MailRow" }

// Metadata implements Command.
func (r *SendMail) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *RecordDelivery) Metadata() *Metadata { return &r.Meta }

// Metadata implements Command.
func (r *ForgetMail) Metadata() *Metadata { return &r.Meta }

// Fields implements Reply.
func (r *MailReply) Fields() *ReplyFields { return &r.ReplyFields }
