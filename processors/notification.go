package processors

import (
	"fmt"

	"utopia/processors/eos"
	"utopia/processors/letters"
	"utopia/processors/notification"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

type (
	notificationGroup  = group[notification.State, notification.Command, notification.Event]
	notificationChange = change[notification.State, notification.Event]
)

// NewNotification returns the processor of the group notification: it listens to the public records of the customer
// service, asks the mail service to tell customers that an address of theirs has changed, and counts what became of the
// mails. Nothing connects before Run.
func NewNotification(o Options) (*eos.Processor, error) { return newNotificationGroup().start(o) }

func newNotificationGroup() *notificationGroup {
	return &notificationGroup{
		name:      topics.Notification,
		aggregate: "notification",
		inputs: []input[notification.Command]{
			{topic: topics.CustomerState, parse: parseCustomerForNotification, tombstones: true, cause: customerCause},
			{topic: topics.CustomerChanges, parse: parseCustomerForNotification, cause: customerCause},
			{topic: topics.MailReplies, parse: parseMailReply, derived: true, cause: mailReplyCause},
		},
		outputs: []topics.Topic{topics.NotificationState, topics.MailCommands},

		decide:   notification.Decide,
		evolve:   notification.Evolve,
		due:      func(notification.State) []eos.Deadline { return nil },
		version:  func(s notification.State) int64 { return s.Version },
		code:     notification.Code,
		refusals: notification.Refusals(),

		load: loadNotification,
		save: saveNotification,

		events:  topics.NotificationEvents,
		event:   notificationEvent,
		publish: publishNotification,
	}
}

// parseCustomerForNotification reads the customer service's public records: its states, which tell everything, and those
// of its changes that may bring another address or an erasure ahead of the state.
func parseCustomerForNotification(in inbound) (notification.Command, error) {
	if in.record == nil {
		return notification.ForgetCustomer{}, nil
	}
	switch r := in.record.(type) {
	case *schemas.CustomerState:
		return notification.ApplyCustomer{
			Version: r.Version, Status: notificationStatus(r.Status), AddressVersion: r.Address.Version,
			Contact: notification.Contact{Name: r.Name, Email: postal.Email(r.Email), Language: r.Language},
		}, nil
	case *schemas.PublicCustomerMoved:
		return notification.ApplyAddress{Version: r.Version, Before: r.Before.Version}, nil
	case *schemas.PublicAddressCorrected:
		return notification.ApplyAddress{Version: r.Version, Before: r.Before.Version}, nil
	case *schemas.PublicEmailChanged:
		return notification.ApplyEmail{Version: r.Version, Before: postal.Email(r.Before), After: postal.Email(r.After)}, nil
	case *schemas.PublicCustomerErased:
		return notification.ForgetCustomer{Version: r.Version}, nil
	}
	return nil, errSkip
}

// notificationStatus reads a customer's status. One that is newer than this code is somebody who exists.
func notificationStatus(s string) notification.Status {
	switch status := notification.Status(s); status {
	case notification.StatusUnregistered, notification.StatusClosed:
		return status
	case notification.StatusUnknown, notification.StatusActive, notification.StatusForgotten:
	}
	return notification.StatusActive
}

// parseMailReply reads what the mail service says about a mail of ours. That it has taken the command is not news: its
// fate will be told.
func parseMailReply(in inbound) (notification.Command, error) {
	var sender, id string
	var fate notification.Fate
	switch r := in.record.(type) {
	case *schemas.MailSent:
		sender, id, fate = r.Sender, r.MailID, notification.FateSent
	case *schemas.MailUndeliverable:
		sender, id, fate = r.Sender, r.MailID, notification.FateUndeliverable
	case *schemas.MailReply:
		if r.Outcome != outcomeRefused {
			return nil, errSkip
		}
		sender, id, fate = r.Sender, r.CommandID, notification.FateRefused
	}
	m, ours := notification.ParseMail(in.key, id)
	if sender != topics.Notification || !ours {
		return nil, errSkip
	}
	return notification.RecordMail{Mail: m, Fate: fate}, nil
}

// mailReplyCause says which mail caused what follows from a reply.
func mailReplyCause(rec schemas.Record) schemas.Metadata {
	switch r := rec.(type) {
	case *schemas.MailSent:
		return schemas.Metadata{CausationID: r.MailID, CorrelationID: r.CorrelationID}
	case *schemas.MailUndeliverable:
		return schemas.Metadata{CausationID: r.MailID, CorrelationID: r.CorrelationID}
	case *schemas.MailReply:
		return schemas.Metadata{CausationID: r.CommandID, CorrelationID: r.CorrelationID}
	}
	return schemas.Metadata{}
}

// notificationEvent encodes an event for the event store; what is personal in it goes apart.
func notificationEvent(m eventMeta, event notification.Event) (schemas.Record, error) {
	switch e := event.(type) {
	case notification.ContactUpdated:
		c := e.Contact
		p, err := personal(schemas.PersonalData{Name: c.Name, Email: string(c.Email), Language: c.Language})
		return &schemas.ContactUpdated{
			CustomerID: m.Key, EventHead: head(m), CustomerVersion: e.CustomerVersion, Status: string(e.Status),
			AddressVersion: e.AddressVersion, Personal: p,
		}, err
	case notification.Sent:
		d := schemas.PersonalData{Name: e.Name, Language: e.Language}
		for _, to := range e.Recipients {
			d.Recipients = append(d.Recipients, string(to))
		}
		p, err := personal(d)
		return &schemas.NotificationSent{
			CustomerID: m.Key, EventHead: head(m), Kind: string(e.Kind), CustomerVersion: e.CustomerVersion, Personal: p,
		}, err
	case notification.Delivered:
		return &schemas.NotificationDelivered{
			CustomerID: m.Key, EventHead: head(m), Notice: e.Mail.Notice, Mail: int32(e.Mail.N), //nolint:gosec // one of a few
		}, nil
	case notification.Failed:
		return &schemas.NotificationFailed{
			CustomerID: m.Key, EventHead: head(m), Notice: e.Mail.Notice, Mail: int32(e.Mail.N), //nolint:gosec // one of a few
			Fate: string(e.Fate),
		}, nil
	case notification.CustomerForgotten:
		return &schemas.NotificationCustomerForgotten{
			CustomerID: m.Key, EventHead: head(m), CustomerVersion: e.CustomerVersion,
		}, nil
	}
	return nil, fmt.Errorf("notification event %T has no record", event)
}

// publishNotification asks for the mails of each notice and makes the public state.
func publishNotification(c notificationChange) ([]output, error) {
	var outs []output
	for i, event := range c.Events {
		if sent, ok := event.(notification.Sent); ok {
			outs = append(outs, noticeMails(c.Metas[i], sent)...)
		}
	}
	s := c.After
	return append(outs, output{topic: topics.NotificationState, key: c.Key, record: &schemas.NotificationState{
		CustomerID: c.Key, Version: s.Version, CustomerVersion: s.CustomerVersion, Status: schemas.OrUnknown(s.Status),
		AddressVersion: s.AddressVersion, Notices: noticesOf(s.Notices),
		Asked: s.Asked, Delivered: s.Delivered, Failed: s.Failed,
	}}), nil
}

// noticeMails are the commands of one notice, one to each recipient.
func noticeMails(m eventMeta, e notification.Sent) []output {
	outs := make([]output, 0, len(e.Recipients))
	kind := letters.Address
	if e.Kind == notification.KindEmail {
		kind = letters.Email
	}
	letter := letters.Write(kind, e.Language, letters.Gaps{Name: e.Name})
	for i, to := range e.Recipients {
		id := notification.Mail{Notice: m.Version, N: i + 1}.ID(m.Key)
		outs = append(outs, output{topic: topics.MailCommands, key: id, record: &schemas.SendMail{
			MailID: id,
			Meta: schemas.Metadata{
				CommandID: id, CorrelationID: m.Cause.CorrelationID, CausationID: m.id(), ReplyTo: m.Key,
			},
			Sender: topics.Notification, Recipient: string(to), Language: letter.Language,
			Subject: letter.Subject, Text: letter.Text, Links: []schemas.Link{},
		}})
	}
	return outs
}

func noticesOf(notices []notification.Notice) []schemas.Notice {
	out := make([]schemas.Notice, 0, len(notices))
	for _, n := range notices {
		rec := schemas.Notice{
			Version: n.Version, Kind: string(n.Kind), CustomerVersion: n.CustomerVersion, At: schemas.Millis(n.At),
			Mails: make([]string, 0, len(n.Mails)),
		}
		for _, fate := range n.Mails {
			rec.Mails = append(rec.Mails, string(fate))
		}
		out = append(out, rec)
	}
	return out
}

func saveNotification(key string, s notification.State, handled []schemas.Handled) schemas.Record {
	return &schemas.NotificationRow{
		CustomerID: key, Version: s.Version, Status: string(s.Status), CustomerVersion: s.CustomerVersion,
		Name: s.Contact.Name, Email: string(s.Contact.Email), Language: s.Contact.Language, AddressVersion: s.AddressVersion,
		Notices: noticesOf(s.Notices), Asked: s.Asked, Delivered: s.Delivered, Failed: s.Failed, Handled: handled,
	}
}

func loadNotification(rec schemas.Record) (notification.State, []schemas.Handled, error) {
	row, ok := rec.(*schemas.NotificationRow)
	if !ok {
		return notification.State{}, nil, fmt.Errorf("a row of notification is a %s", rec.AvroName())
	}
	s := notification.State{
		Version: row.Version, Status: notification.Status(row.Status), CustomerVersion: row.CustomerVersion,
		Contact:        notification.Contact{Name: row.Name, Email: postal.Email(row.Email), Language: row.Language},
		AddressVersion: row.AddressVersion, Asked: row.Asked, Delivered: row.Delivered, Failed: row.Failed,
	}
	for _, n := range row.Notices {
		notice := notification.Notice{
			Version: n.Version, Kind: notification.Kind(n.Kind), CustomerVersion: n.CustomerVersion, At: schemas.Time(n.At),
		}
		for _, fate := range n.Mails {
			notice.Mails = append(notice.Mails, notification.Fate(fate))
		}
		s.Notices = append(s.Notices, notice)
	}
	return s, row.Handled, nil
}
