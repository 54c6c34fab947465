package mailer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// fate is what became of a mail.
type fate struct {
	mailID        string
	correlationID string
	acceptedAt    time.Time
	result        string
	attempts      int32
	detail        string
}

// handle sends one mail and reports its fate. It reports whether the outbox record is finished; it is not when the
// partition or the process had to go first, and whoever has the partition next sends it.
func (m *Mailer) handle(p *part, r *kgo.Record) bool {
	rec, err := schemas.DecodePrivate(r.Value)
	toSend, ok := rec.(*schemas.MailToSend)
	var f fate
	switch {
	case errors.Is(err, schemas.ErrUnknownFingerprint):
		m.fail(fmt.Errorf("%w (partition %d, offset %d)", ErrNewer, r.Partition, r.Offset))
		return false
	case err != nil || !ok || toSend.MailID != string(r.Key):
		m.cfg.Logger.Error("outbox record is not a mail", slog.Int64("partition", int64(r.Partition)), slog.Int64("offset", r.Offset))
		f = fate{mailID: string(r.Key), acceptedAt: r.Timestamp, result: resultUndeliverable, attempts: 1, detail: codeDefect}
		if !topics.ValidID(f.mailID) && !topics.ValidDerivedID(f.mailID) {
			return true // nobody can be told
		}
	default:
		f = fate{mailID: toSend.MailID, correlationID: toSend.CorrelationID, acceptedAt: schemas.Time(toSend.AcceptedAt)}
		if f.acceptedAt.IsZero() {
			f.acceptedAt = r.Timestamp
			toSend.AcceptedAt = schemas.Millis(r.Timestamp)
		}
		if !m.deliver(p, toSend, &f) {
			return false
		}
	}
	return m.report(p, f)
}

// deliver tries until the mail is handed over or given up, and writes down what happened. It returns false if the
// process or the partition had to go before.
func (m *Mailer) deliver(p *part, r *schemas.MailToSend, f *fate) bool {
	log := m.cfg.Logger.With(slog.String("mail_id", f.mailID))
	left := max(m.cfg.Retry.MaxAge-time.Since(f.acceptedAt), 1) // 0 would mean no limit
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.Multiplier = m.cfg.Retry.First, m.cfg.Retry.Limit, 2
	var last *Failure
	_, err := backoff.Retry(p.wait, func() (struct{}, error) {
		err := m.attempt(p, r, f)
		switch {
		case err == nil:
			return struct{}{}, nil
		case !errors.As(err, &last): // the end of the process or of the partition
			return struct{}{}, backoff.Permanent(err)
		case !last.Temporary:
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(left), backoff.WithMaxTries(uint(m.cfg.Retry.Attempts)),
		backoff.WithNotify(func(err error, next time.Duration) {
			log.Info("mail is tried again", slog.Any("error", err), slog.Duration("after", next))
		}))
	switch {
	case err == nil:
		f.result = resultSent
		return true
	case last == nil || (last.Temporary && p.wait.Err() != nil):
		return false
	}
	f.result, f.detail = resultUndeliverable, last.Code
	log.Warn("mail is given up", slog.Any("error", last), slog.Int64("attempts", int64(f.attempts)))
	return true
}

// attempt waits for its turn and hands the mail over once. The mail is composed anew, because its links may have died
// while it waited.
func (m *Mailer) attempt(p *part, r *schemas.MailToSend, f *fate) error {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-p.wait.Done():
		return p.wait.Err()
	}
	if err := p.wait.Err(); err != nil {
		return err
	}
	f.attempts++
	err := m.attemptNow(p.send, r)
	code := "sent"
	var failure *Failure
	if errors.As(err, &failure) {
		code = failure.Code
	} else if err != nil {
		return err
	}
	m.cfg.Hooks.Attempt(code)
	return err
}

func (m *Mailer) attemptNow(ctx context.Context, r *schemas.MailToSend) error {
	msg, err := m.compose.compose(r, time.Now())
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, m.cfg.Retry.Attempt)
	defer cancel()
	err = m.cfg.Sender.Send(limited, msg)
	var failure *Failure
	switch {
	case err == nil, errors.As(err, &failure):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return &Failure{Code: codeTimeout, Temporary: true, Err: limited.Err()}
	}
	// A sender that breaks its contract is not the mail's fault.
	return &Failure{Code: codeConnect, Temporary: true, Err: err}
}

// report produces the fate to the mail service and waits for the acknowledgement, however long it takes: the mail has
// been sent, and sending it again is what has to be avoided. It returns false if the process or partition had to go.
func (m *Mailer) report(p *part, f fate) bool {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 10*time.Second
	// Reports outlive the end of attempts (p.wait), so that what was just sent is told before the partition goes.
	_, err := backoff.Retry(p.send, func() (struct{}, error) {
		return struct{}{}, m.reportOnce(p.send, f)
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		m.cfg.Logger.Error("mail report is not acknowledged", slog.String("mail_id", f.mailID), slog.Any("error", err), slog.Duration("after", next))
	}))
	if err != nil {
		return false
	}
	m.cfg.Hooks.Reported(f.result, max(time.Since(f.acceptedAt), 0))
	m.cfg.Logger.Info("mail is reported", slog.String("mail_id", f.mailID), slog.String("result", f.result),
		slog.String("detail", f.detail), slog.Int64("attempts", int64(f.attempts)))
	return true
}

func (m *Mailer) reportOnce(ctx context.Context, f fate) error {
	value, err := m.cfg.Commands.Append(nil, &schemas.RecordDelivery{
		MailID: f.mailID,
		Meta: schemas.Metadata{
			CommandID:     reportID(f.mailID),
			CorrelationID: f.correlationID,
			CausationID:   acceptedEvent(f.mailID),
		},
		Result: f.result, Attempts: f.attempts, Detail: f.detail,
	})
	if err != nil {
		return err
	}
	acked := make(chan error, 1)
	// Not ProduceSync: it may outlive ctx when the broker is gone.
	m.client.Produce(ctx, &kgo.Record{Topic: topics.MailCommands.Name, Key: []byte(f.mailID), Value: value},
		func(_ *kgo.Record, err error) { acked <- err })
	select {
	case err := <-acked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acceptedEvent is the id of the event that put the mail into the outbox: the first of its aggregate.
func acceptedEvent(mailID string) string { return mailID + "/1" }

// reportID derives the command id <group>/<event id>/<n> from the mail's id, so that a second report is known as such.
// An id that would be too long is hashed.
func reportID(mailID string) string {
	id := topics.Mail + "/" + acceptedEvent(mailID) + "/0"
	if topics.ValidDerivedID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(mailID))
	return topics.Mail + "/" + acceptedEvent(hex.EncodeToString(sum[:])) + "/0"
}
