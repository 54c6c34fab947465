package api

import (
	"fmt"
	"time"

	"utopia/processors"
	"utopia/schemas"
)

// Outcome is the reply to a command as people and programs see it.
type Outcome struct {
	Outcome   string `json:"outcome" enum:"accepted,refused,sent,pending" doc:"What became of the command"`
	Receipt   string `json:"receipt,omitempty" doc:"How far the aggregate had come; reading commands and Utopia-After take it" example:"customer/c-17@4"`
	CommandID string `json:"commandId" doc:"The idempotency key: the same again gets the first answer again"`
	Key       string `json:"key,omitempty" doc:"The customer"`
	Version   int64  `json:"version,omitempty" doc:"The aggregate's version after the command; of a refusal, the current one"`
	Refusal   string `json:"refusal,omitempty" doc:"Stable code of the refusal"`
	Message   string `json:"message,omitempty" doc:"The refusal as a sentence"`
	Input     string `json:"input,omitempty" doc:"Where the command is in the log: topic/partition/offset"`
	Repeat    bool   `json:"repeat,omitempty" doc:"The command had been answered before; this is the first answer again"`
}

// OutcomeOf shows a reply. gone says that the command, if it was accepted, leaves no row.
func OutcomeOf(f schemas.ReplyFields, to Service, gone bool) Outcome {
	return Outcome{
		Outcome: f.Outcome, CommandID: f.CommandID, Key: f.Key, Version: f.Version, Refusal: f.Refusal, Message: f.Message,
		Input: fmt.Sprintf("%s/%d/%d", to.Commands.Name, f.Partition, f.Offset), Repeat: f.Repeat,
		Receipt: receipt(f, gone),
	}
}

func receipt(f schemas.ReplyFields, gone bool) string {
	if f.Version == 0 {
		return ""
	}
	accepted := f.Outcome == schemas.OutcomeAccepted
	return processors.Receipt{Aggregate: f.Aggregate, Key: f.Key, Version: f.Version, Gone: gone && accepted}.String()
}

// CustomerState is a customer.
type CustomerState struct {
	ID        string   `json:"id"`
	Version   int64    `json:"version"`
	Receipt   string   `json:"receipt"`
	Status    string   `json:"status"`
	Name      string   `json:"name"`
	Email     string   `json:"email"`
	Language  string   `json:"language,omitempty"`
	Address   Address  `json:"address"`
	Pending   *Pending `json:"pending,omitempty"`
	UpdatedAt string   `json:"updatedAt"`
}

// Pending is an address change that has not taken effect.
type Pending struct {
	ChangeID      string `json:"changeId"`
	Status        string `json:"status"`
	Reason        string `json:"reason"`
	Version       int64  `json:"version"`
	RequestedAt   string `json:"requestedAt"`
	ExpiresAt     string `json:"expiresAt,omitempty"`
	EffectiveAt   string `json:"effectiveAt,omitempty"`
	Undeliverable string `json:"undeliverable,omitempty"` // why the confirmation mail did not arrive
}

// CustomerOf shows a customer.
func CustomerOf(c *schemas.CustomerState) CustomerState {
	v := CustomerState{
		ID: c.CustomerID, Version: c.Version, Status: c.Status, Name: c.Name, Email: c.Email, Language: c.Language,
		Receipt: processors.Receipt{Aggregate: "customer", Key: c.CustomerID, Version: c.Version}.String(),
		Address: addressOf(c.Address), UpdatedAt: stamp(c.UpdatedAt),
	}
	if p := c.Pending; p != nil {
		v.Pending = &Pending{
			ChangeID: p.ChangeID, Status: p.Status, Reason: p.Reason, Version: p.Version,
			RequestedAt: stamp(p.RequestedAt), ExpiresAt: stamp(p.ExpiresAt),
			EffectiveAt: stamp(p.EffectiveAt), Undeliverable: p.Undeliverable,
		}
	}
	return v
}

// BillingState is what billing knows of a customer.
type BillingState struct {
	ID              string    `json:"id"`
	Version         int64     `json:"version"`
	Receipt         string    `json:"receipt"`
	CustomerVersion int64     `json:"customerVersion"` // the newest that billing has applied
	Status          string    `json:"status"`
	Address         string    `json:"address,omitempty"`
	Open            []Invoice `json:"open"`
}

// Invoice is an open invoice.
type Invoice struct {
	ID             string `json:"id"`
	Amount         string `json:"amount"`
	Text           string `json:"text,omitempty"`
	IssuedAt       string `json:"issuedAt"`
	Address        string `json:"address,omitempty"` // frozen at issue; none while the customer is not known
	AddressVersion int64  `json:"addressVersion"`
	SendTo         int64  `json:"sendTo"` // the version of the address for what follows
	Corrections    int32  `json:"corrections"`
}

// BillingOf shows what billing knows of a customer.
func BillingOf(b *schemas.BillingState) BillingState {
	v := BillingState{
		ID: b.CustomerID, Version: b.Version, CustomerVersion: b.CustomerVersion, Status: b.Status, Address: OneLine(b.Address), Open: []Invoice{},
		Receipt: processors.Receipt{Aggregate: "billing", Key: b.CustomerID, Version: b.Version}.String(),
	}
	for _, i := range b.Open {
		v.Open = append(v.Open, Invoice{
			ID: i.InvoiceID, Amount: fmt.Sprintf("%d.%02d %s", i.AmountCents/100, i.AmountCents%100, i.Currency), Text: i.Text,
			IssuedAt: stamp(i.IssuedAt), Address: OneLine(i.Address), AddressVersion: i.AddressVersion, SendTo: i.SendTo, Corrections: i.Corrections,
		})
	}
	return v
}

// NotificationState is what a customer was told, and what became of it.
type NotificationState struct {
	ID              string   `json:"id"`
	Version         int64    `json:"version"`
	Receipt         string   `json:"receipt"`
	CustomerVersion int64    `json:"customerVersion"` // the newest that notification has applied
	Status          string   `json:"status"`
	Asked           int64    `json:"asked"`
	Delivered       int64    `json:"delivered"`
	Failed          int64    `json:"failed"`
	Notices         []Notice `json:"notices"`
}

// Notice is one telling.
type Notice struct {
	Version         int64    `json:"version"`
	Kind            string   `json:"kind"`
	CustomerVersion int64    `json:"customerVersion"`
	At              string   `json:"at"`
	Mails           []string `json:"mails"` // what became of each
}

// NotificationOf shows what a customer was told.
func NotificationOf(n *schemas.NotificationState) NotificationState {
	v := NotificationState{
		ID: n.CustomerID, Version: n.Version, CustomerVersion: n.CustomerVersion, Status: n.Status,
		Asked: n.Asked, Delivered: n.Delivered, Failed: n.Failed, Notices: []Notice{},
		Receipt: processors.Receipt{Aggregate: "notification", Key: n.CustomerID, Version: n.Version}.String(),
	}
	for _, notice := range n.Notices {
		v.Notices = append(v.Notices, Notice{
			Version: notice.Version, Kind: notice.Kind, CustomerVersion: notice.CustomerVersion, At: stamp(notice.At), Mails: notice.Mails,
		})
	}
	return v
}

// MailState is the status of a mail; nothing of its content is known.
type MailState struct {
	ID         string `json:"id"`
	Version    int64  `json:"version"`
	Receipt    string `json:"receipt"`
	Status     string `json:"status"`
	Sender     string `json:"sender"` // the service that asked for it
	AcceptedAt string `json:"acceptedAt"`
	ReportedAt string `json:"reportedAt,omitempty"`
	Attempts   int32  `json:"attempts"`
	Detail     string `json:"detail,omitempty"` // code of the mail server's last answer
}

// MailOf shows the status of a mail.
func MailOf(m *schemas.MailState) MailState {
	return MailState{
		ID: m.MailID, Version: m.Version, Status: m.Status, Sender: m.Sender, AcceptedAt: stamp(m.AcceptedAt), ReportedAt: stamp(m.ReportedAt),
		Attempts: m.Attempts, Detail: m.Detail, Receipt: processors.Receipt{Aggregate: "mail", Key: m.MailID, Version: m.Version}.String(),
	}
}

// WaitingChange is an address change that waits, without the addresses.
type WaitingChange struct {
	Customer string  `json:"customer"`
	Name     string  `json:"name"`
	Receipt  string  `json:"receipt"`
	WaitsFor string  `json:"waitsFor" enum:"confirmation,mail,date" doc:"The customer's confirmation; a mail that did not arrive; its date"`
	Seconds  int64   `json:"seconds" doc:"For how long it has waited"`
	Change   Pending `json:"change"`
}

// WaitingOf shows a customer's pending change.
func WaitingOf(c *schemas.CustomerState, now time.Time) WaitingChange {
	v := CustomerOf(c)
	w := WaitingChange{Customer: v.ID, Name: v.Name, Receipt: v.Receipt, WaitsFor: processors.WaitsFor(c.Pending)}
	if v.Pending != nil {
		w.Change = *v.Pending
		w.Seconds = int64(processors.Since(c.Pending, now).Seconds())
	}
	return w
}
