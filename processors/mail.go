package processors

import (
	"fmt"
	"time"

	"utopia/processors/eos"
	"utopia/processors/mail"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

type (
	mailGroup  = group[mail.State, mail.Command, mail.Event]
	mailChange = change[mail.State, mail.Event]
)

// NewMail returns the processor of the group mail: it takes commands to send, hands each mail once to the outbox, and
// tells the sender what became of it. Nothing connects before Run.
func NewMail(o Options) (*eos.Processor, error) { return newMailGroup().start(o) }

func newMailGroup() *mailGroup {
	return &mailGroup{
		name:      topics.Mail,
		aggregate: "mail",
		inputs:    []input[mail.Command]{{topic: topics.MailCommands, parse: parseMailCommand, derived: true}},
		outputs:   []topics.Topic{topics.MailOutbox, topics.MailState},

		decide:   mail.Decide,
		evolve:   mail.Evolve,
		due:      mailDue,
		version:  func(s mail.State) int64 { return s.Version },
		code:     mail.Code,
		refusals: mail.Refusals(),

		load: loadMail,
		save: saveMail,
		gone: func(s mail.State) bool { return s.Version > 0 && s.Status == mail.StatusUnknown },

		events:  topics.MailEvents,
		event:   mailEvent,
		publish: publishMail,

		replies: topics.MailReplies,
		reply: func(f schemas.ReplyFields, in inbound) schemas.Record {
			return &schemas.MailReply{ReplyFields: f, Sender: mailSender(in.record)}
		},

		commands: topics.MailCommands,
		deadline: func(key string, meta schemas.Metadata, d eos.Deadline) schemas.Record {
			return &schemas.ForgetMail{MailID: key, Meta: meta, DueAt: schemas.Millis(d.At)}
		},
		forget: func(rec schemas.Record) (time.Time, bool) {
			r, ok := rec.(*schemas.ForgetMail)
			if !ok {
				return time.Time{}, false
			}
			return schemas.Time(r.DueAt), true
		},
		forgetKind: mail.KindForget,
	}
}

// mailSender is the group that a reply is for: the one that asked for the mail, or this one, whose own commands the
// mailer's reports and the deadlines are.
func mailSender(rec schemas.Record) string {
	if r, ok := rec.(*schemas.SendMail); ok {
		return r.Sender
	}
	return topics.Mail
}

func mailDue(s mail.State) []eos.Deadline {
	var due []eos.Deadline
	for _, d := range mail.Due(s) {
		due = append(due, eos.Deadline{Kind: d.Kind, At: d.At})
	}
	return due
}

func parseMailCommand(in inbound) (mail.Command, error) {
	switch r := in.record.(type) {
	case *schemas.SendMail:
		return parseSend(in, r)
	case *schemas.RecordDelivery:
		return mail.ParseReport(mail.RecordDelivery{
			ExpectedVersion: in.meta.ExpectedVersion, Result: mail.Status(r.Result), Attempts: r.Attempts, Detail: r.Detail,
		})
	case *schemas.ForgetMail:
		return mail.Forget{DueAt: schemas.Time(r.DueAt)}, nil
	}
	return nil, errSkip
}

func parseSend(in inbound, r *schemas.SendMail) (mail.Command, error) {
	if err := mail.CheckID(r.MailID, in.meta.CommandID); err != nil {
		return nil, err
	}
	origin := mail.Origin{Sender: r.Sender, ReplyTo: in.meta.ReplyTo, CorrelationID: in.meta.CorrelationID}
	if origin.ReplyTo == "" {
		origin.ReplyTo = in.key
	}
	origin, err := mail.ParseOrigin(origin)
	if err != nil {
		return nil, err
	}
	m := mail.Message{
		Recipient: postal.Email(r.Recipient), Language: r.Language, Subject: r.Subject, Text: r.Text, HTML: r.HTML,
	}
	for _, l := range r.Links {
		m.Links = append(m.Links, mail.Link{
			Name: l.Name, Purpose: l.Purpose, Subject: l.Subject, Change: l.Change, ExpiresAt: schemas.Time(l.ExpiresAt),
		})
	}
	if m, err = mail.ParseMessage(m); err != nil {
		return nil, err
	}
	return mail.Send{ExpectedVersion: in.meta.ExpectedVersion, Origin: origin, Message: m}, nil
}

// mailEvent encodes an event for the event store: never a recipient or a text.
func mailEvent(m eventMeta, event mail.Event) (schemas.Record, error) {
	switch e := event.(type) {
	case mail.Accepted:
		return &schemas.MailAccepted{MailID: m.Key, EventHead: head(m), Sender: e.Origin.Sender, ReplyTo: e.Origin.ReplyTo}, nil
	case mail.Delivered:
		return &schemas.MailDelivered{MailID: m.Key, EventHead: head(m), Attempts: e.Attempts, Detail: e.Detail}, nil
	case mail.Failed:
		return &schemas.MailFailed{MailID: m.Key, EventHead: head(m), Attempts: e.Attempts, Detail: e.Detail}, nil
	case mail.Forgotten:
		return &schemas.MailForgotten{MailID: m.Key, EventHead: head(m)}, nil
	}
	return nil, fmt.Errorf("mail event %T has no record", event)
}

// publishMail makes the outbox record, the word to the sender, and the public state.
func publishMail(c mailChange) ([]output, error) {
	var outs []output
	state := func() {
		s := c.After
		outs = append(outs, output{topic: topics.MailState, key: c.Key, record: &schemas.MailState{
			MailID: c.Key, Version: s.Version, Status: schemas.OrUnknown(s.Status), Sender: s.Origin.Sender,
			AcceptedAt: schemas.Millis(s.AcceptedAt), ReportedAt: schemas.Millis(s.ReportedAt), Attempts: s.Attempts, Detail: s.Detail,
		}})
	}
	to := c.Before.Origin
	for _, event := range c.Events {
		switch e := event.(type) {
		case mail.Accepted:
			outs = append(outs, output{topic: topics.MailOutbox, key: c.Key, record: mailToSend(c.Key, e)})
			state()
		case mail.Delivered:
			outs = append(outs, output{topic: topics.MailReplies, key: to.ReplyTo, record: &schemas.MailSent{
				ReplyTo: to.ReplyTo, MailID: c.Key, Sender: to.Sender, CorrelationID: to.CorrelationID,
				At: schemas.Millis(e.At), Attempts: e.Attempts,
			}})
			state()
		case mail.Failed:
			outs = append(outs, output{topic: topics.MailReplies, key: to.ReplyTo, record: &schemas.MailUndeliverable{
				ReplyTo: to.ReplyTo, MailID: c.Key, Sender: to.Sender, CorrelationID: to.CorrelationID,
				At: schemas.Millis(e.At), Attempts: e.Attempts, Detail: e.Detail,
			}})
			state()
		case mail.Forgotten:
			outs = append(outs, output{topic: topics.MailState, key: c.Key})
		}
	}
	return outs, nil
}

func mailToSend(id string, e mail.Accepted) *schemas.MailToSend {
	m := e.Message
	rec := &schemas.MailToSend{
		MailID: id, Sender: e.Origin.Sender, CorrelationID: e.Origin.CorrelationID, AcceptedAt: schemas.Millis(e.At),
		Recipient: string(m.Recipient), Language: m.Language, Subject: m.Subject, Text: m.Text, HTML: m.HTML,
		Links: []schemas.Link{},
	}
	for _, l := range m.Links {
		rec.Links = append(rec.Links, schemas.Link{
			Name: l.Name, Purpose: l.Purpose, Subject: l.Subject, Change: l.Change, ExpiresAt: schemas.Millis(l.ExpiresAt),
		})
	}
	return rec
}

func saveMail(key string, s mail.State, handled []schemas.Handled) schemas.Record {
	return &schemas.MailRow{
		MailID: key, Version: s.Version, Status: string(s.Status),
		Sender: s.Origin.Sender, ReplyTo: s.Origin.ReplyTo, CorrelationID: s.Origin.CorrelationID,
		AcceptedAt: schemas.Millis(s.AcceptedAt), ReportedAt: schemas.Millis(s.ReportedAt),
		Attempts: s.Attempts, Detail: s.Detail, Handled: handled,
	}
}

func loadMail(rec schemas.Record) (mail.State, []schemas.Handled, error) {
	row, ok := rec.(*schemas.MailRow)
	if !ok {
		return mail.State{}, nil, fmt.Errorf("a row of mail is a %s", rec.AvroName())
	}
	return mail.State{
		Version: row.Version, Status: mail.Status(row.Status),
		Origin:     mail.Origin{Sender: row.Sender, ReplyTo: row.ReplyTo, CorrelationID: row.CorrelationID},
		AcceptedAt: schemas.Time(row.AcceptedAt), ReportedAt: schemas.Time(row.ReportedAt),
		Attempts: row.Attempts, Detail: row.Detail,
	}, row.Handled, nil
}
