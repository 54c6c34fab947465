package processors

import (
	"cmp"
	"errors"
	"time"

	"utopia/schemas"
	"utopia/topics"
)

// Outcomes of a command, as counters and replies name them.
const (
	outcomeAccepted = "accepted"
	outcomeRefused  = "refused"
	outcomeRepeat   = "repeat"
)

// planCommand gives a command its one outcome: the first time it is decided and the outcome is remembered in the row,
// in the same transaction; every further time the first answer is said again.
func (r *running[S, C, E]) planCommand(src *input[C], in inbound, state S, handled []schemas.Handled, exists bool) plan {
	id := hash64([]byte(in.meta.CommandID))
	body, _, err := bodyHash(in.command, nil)
	if err != nil {
		panic(err)
	}
	in.meta.CorrelationID = cmp.Or(in.meta.CorrelationID, in.meta.CommandID)
	cmd, refusal := src.parse(in)
	known, same, reused := findHandled(handled, id, body)
	if same {
		return r.answerOnly(in, known, r.sentence(known.Refusal, refusal), outcomeRepeat)
	}
	now := schemas.Handled{ID: id, Body: body, At: in.at.Unix(), Version: r.version(state)}
	var events []E
	switch dueAt, forgets := r.forgets(in.record); {
	case reused:
		refusal = ErrIDReused
	case refusal == nil && !validMetadata(in.meta):
		refusal = ErrMetadata
	case forgets && !exists: // fired twice, and the first has removed the row
		return r.answerOnly(in, schemas.Handled{}, "", outcomeRepeat)
	case forgets && (r.version(state) == 0 || errors.Is(refusal, errSkip)):
		if refusal = r.decideForget(state, handled, dueAt, in.at); refusal == nil {
			p := r.answerOnly(in, now, "", outcomeAccepted)
			p.forget = true
			return p
		}
	case refusal == nil:
		events, refusal = r.decide(state, cmd, in.at)
	}
	if refusal == nil {
		var p plan
		err := r.planOutcome(&p, in, state, events, handled, now, nil)
		if err == nil {
			return p
		}
		if !errors.Is(err, ErrTooLarge) {
			panic(err)
		}
		refusal = ErrTooLarge
	}
	now.Refusal = r.codeOf(refusal)
	if now.Refusal == codeNotDue { // a clock ran ahead: the deadline fires again, so this must not count as handled
		return r.answerOnly(in, now, refusal.Error(), outcomeRefused)
	}
	var p plan
	if err := r.planOutcome(&p, in, state, nil, handled, now, refusal); err != nil {
		return tooLargeOrPanic(err)
	}
	return p
}

// planOutcome plans events, row and reply of a command that is decided for the first time.
func (r *running[S, C, E]) planOutcome(
	p *plan, in inbound, state S, events []E, handled []schemas.Handled, now schemas.Handled, refusal error,
) error {
	now.Version += int64(len(events))
	handled = p.remember(handled, now)
	if err := r.follow(p, in, state, events, handled); err != nil {
		return err
	}
	message := ""
	p.outcome = outcomeAccepted
	if refusal != nil {
		message, p.outcome = refusal.Error(), outcomeRefused
	}
	return r.addReply(p, in, now, message, false)
}

// answerOnly plans a reply that leaves the row as it is.
func (r *running[S, C, E]) answerOnly(in inbound, h schemas.Handled, message, outcome string) plan {
	p := plan{outcome: outcome}
	if err := r.addReply(&p, in, h, message, outcome == outcomeRepeat); err != nil {
		return tooLargeOrPanic(err)
	}
	return p
}

func (r *running[S, C, E]) addReply(p *plan, in inbound, h schemas.Handled, message string, repeat bool) error {
	key := in.meta.ReplyTo
	if !topics.ValidDerivedID(key) { // none, or one that nobody could read
		key = in.key
	}
	outcome := outcomeAccepted
	if h.Refusal != "" {
		outcome = outcomeRefused
	}
	rec := r.reply(schemas.ReplyFields{
		ReplyTo: key, CommandID: in.meta.CommandID, CorrelationID: in.meta.CorrelationID,
		Outcome: outcome, Refusal: h.Refusal, Message: message,
		Aggregate: r.aggregate, Key: in.key, Version: h.Version,
		Partition: in.partition, Offset: in.offset, Repeat: repeat,
	}, in)
	e := encoder{codecs: r.codecs}
	return e.add(p, output{topic: r.replies, key: key, record: rec})
}

// sentence is the text of a remembered refusal. A refusal of parsing is found by parsing again: the body is the same.
func (r *running[S, C, E]) sentence(code string, parsed error) string {
	if code == "" {
		return ""
	}
	if parsed != nil && r.codeOf(parsed) == code {
		return parsed.Error()
	}
	return r.messages[code]
}

// forgets says whether a record is the deadline command that removes a row.
func (r *running[S, C, E]) forgets(rec schemas.Record) (dueAt time.Time, ok bool) {
	if r.forget == nil {
		return time.Time{}, false
	}
	return r.forget(rec)
}

// decideForget refuses to remove a row before its time, or one that has lived on since the deadline was set.
func (r *running[S, C, E]) decideForget(state S, handled []schemas.Handled, dueAt, now time.Time) error {
	if dueAt.After(now) {
		return errNotDue
	}
	for _, d := range r.deadlines(state, handled) {
		if d.Kind == r.forgetKind && d.At.Equal(dueAt) {
			return nil
		}
	}
	return ErrStillNeeded
}
