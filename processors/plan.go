package processors

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/lovoo/goka"

	"utopia/schemas"
	"utopia/topics"
)

// plan is everything one input record leads to, encoded and measured: what is left is to hand it to Goka.
type plan struct {
	outputs []encodedOutput
	slab    []byte  // holds the outputs' values
	row     encoded // nil: unchanged
	forget  bool    // the row goes
	dead    *deadLetter
	outcome string // of a command: accepted, refused, repeat
	skipped string // why a listener had no use for the record
	young   []time.Duration
}

type encodedOutput struct {
	topic goka.Stream
	key   string
	value encoded // nil: tombstone
}

type deadLetter struct{ reason, detail string }

// handle is the callback of every input: read the row, plan, hand the plan to Goka. It decides nothing.
func (r *running[S, C, E]) handle(ctx goka.Context, msg any) {
	row, _ := ctx.Value().(schemas.Record)
	p := r.guarded(inboundOf(ctx), row, msg)
	if p.dead != nil {
		r.engine.DeadLetter(ctx, p.dead.reason, p.dead.detail)
		return
	}
	for _, out := range p.outputs {
		if out.value == nil {
			if !r.sabotaged("no tombstone on erasure") {
				ctx.Emit(out.topic, out.key, nil)
			}
			continue
		}
		if r.sabotaged("publish state twice") && strings.HasSuffix(string(out.topic), ".state.v1") {
			ctx.Emit(out.topic, out.key, out.value)
		}
		ctx.Emit(out.topic, out.key, out.value)
	}
	switch {
	case p.forget:
		ctx.Delete()
	case p.row != nil:
		ctx.SetValue(p.row)
	}
	r.count(ctx, p)
}

func (r *running[S, C, E]) count(ctx goka.Context, p plan) {
	if p.outcome != "" {
		r.counters.Outcome(r.name, p.outcome)
	}
	if p.skipped != "" {
		r.counters.Skipped(r.name, string(ctx.Topic()), p.skipped)
	}
	for _, age := range p.young {
		r.counters.Forgotten(r.name, age)
	}
}

// inboundOf takes what is known of a record without looking into it.
func inboundOf(ctx goka.Context) inbound {
	return inbound{
		key: ctx.Key(), topic: string(ctx.Topic()), partition: ctx.Partition(), offset: ctx.Offset(),
		at: ctx.Timestamp().UTC().Truncate(time.Millisecond),
	}
}

// guarded plans under recover: a panic is a defect of this code, the record goes to the dead letters with the stack and
// without its content, and the processor goes on. Goka's own panics never pass here: no call to Goka is made.
func (r *running[S, C, E]) guarded(in inbound, row schemas.Record, msg any) (p plan) {
	defer func() {
		if recover() != nil { // the panic's value may quote the record
			p = plan{dead: &deadLetter{reason: deadDefect, detail: string(debug.Stack())}}
		}
	}()
	return r.plan(in, row, msg)
}

func (r *running[S, C, E]) plan(in inbound, row schemas.Record, msg any) plan {
	src := r.byTopic[in.topic]
	isCommand := src.topic.Kind == topics.Command
	switch m := msg.(type) {
	case malformed:
		return plan{dead: &deadLetter{reason: deadMalformed, detail: m.err.Error()}}
	case unknownType:
		if isCommand {
			return plan{dead: &deadLetter{reason: deadUnknownType, detail: m.name}}
		}
		return plan{skipped: deadUnknownType}
	case schemas.Record:
		in.record = m
	case nil:
	}

	var state S
	var handled []schemas.Handled
	if row != nil {
		var err error
		if state, handled, err = r.load(row); err != nil {
			panic(fmt.Errorf("row of %s: %w", r.name, err))
		}
		if r.sabotaged("forget handled command ids on restart") {
			if _, met := r.met.LoadOrStore(in.key, true); !met {
				handled = nil
			}
		}
	}
	if isCommand {
		cmd, ok := in.record.(schemas.Command)
		if !ok {
			return plan{dead: &deadLetter{reason: deadUnknownType, detail: in.record.AvroName()}}
		}
		in.command, in.meta = cmd, *cmd.Metadata()
		if !validCommandID(in.meta.CommandID) {
			return plan{dead: &deadLetter{reason: deadInvalid, detail: "the command id is not 1–64 characters of A–Z a–z 0–9 . _ ~ -"}}
		}
		return r.planCommand(src, in, state, handled, row != nil)
	}
	return r.planListened(src, in, state, handled)
}

// validCommandID allows what senders choose and what the system derives.
func validCommandID(id string) bool { return topics.ValidID(id) || topics.ValidDerivedID(id) }

// validMetadata looks at the ids that go on from a command to what follows from it.
func validMetadata(m schemas.Metadata) bool {
	for _, id := range []string{m.CorrelationID, m.CausationID, m.ReplyTo} {
		if id != "" && !topics.ValidDerivedID(id) {
			return false
		}
	}
	return true
}

// planListened plans a record that informs: an event, a state, a fact or another service's reply.
func (r *running[S, C, E]) planListened(src *input[C], in inbound, state S, handled []schemas.Handled) plan {
	if src.cause != nil && in.record != nil {
		in.meta = src.cause(in.record)
	}
	var id int64
	if src.identity != nil && in.record != nil {
		if name := src.identity(in.record); name != "" {
			id = hash64([]byte(name))
			if _, known, _ := findHandled(handled, id, 0); known {
				return plan{skipped: "known"}
			}
		}
	}
	cmd, err := src.parse(in)
	if errors.Is(err, errSkip) {
		return plan{skipped: "not_ours"}
	}
	if err != nil {
		return plan{dead: &deadLetter{reason: deadInvalid, detail: r.codeOf(err)}}
	}
	events, err := r.decide(state, cmd, in.at)
	var p plan
	switch {
	case err != nil:
		p.skipped = r.code(err)
	case len(events) == 0:
		p.skipped = "known"
	}
	if id == 0 && len(events) == 0 {
		return p
	}
	if id != 0 { // a fact that changes nothing leaves this marker, which holds no data
		handled = p.remember(handled, schemas.Handled{ID: id, Version: r.version(state) + int64(len(events)), At: in.at.Unix()})
	}
	if err := r.follow(&p, in, state, events, handled); err != nil {
		return tooLargeOrPanic(err)
	}
	return p
}

// remember pushes h into the window and notes what left it too young.
func (p *plan) remember(handled []schemas.Handled, h schemas.Handled) []schemas.Handled {
	next, out := pushHandled(handled, h)
	if out != nil {
		if age := time.Duration(h.At-out.At) * time.Second; age < 24*time.Hour {
			p.young = append(p.young, age)
		}
	}
	return next
}

// follow folds the events and encodes everything that follows from them, and the row.
func (r *running[S, C, E]) follow(p *plan, in inbound, before S, events []E, handled []schemas.Handled) error {
	after := before
	metas := make([]eventMeta, len(events))
	e := encoder{codecs: r.codecs}
	for i, ev := range events {
		after = r.evolve(after, ev)
		metas[i] = eventMeta{Key: in.key, Version: r.version(after), At: in.at, Cause: in.meta}
		rec, err := r.event(metas[i], ev)
		if err != nil {
			return err
		}
		if err := e.add(p, output{topic: r.events, key: in.key, record: rec}); err != nil {
			return err
		}
	}
	if len(events) > 0 {
		outs, err := r.publish(change[S, E]{
			Key: in.key, Before: before, After: after, Events: events, Metas: metas, At: in.at, Input: in,
		})
		if err != nil {
			return err
		}
		for _, out := range outs {
			if err := e.add(p, out); err != nil {
				return err
			}
		}
	}
	if r.gone != nil && r.gone(after) {
		p.forget = true
		return nil
	}
	row, err := schemas.AppendPrivate(nil, r.save(in.key, after, handled))
	if err != nil {
		return fmt.Errorf("encode row: %w", err)
	}
	p.row = row
	return e.fits(r.table, len(in.key)+len(row))
}

// codeOf is the stable code of a refusal; a parse error has none of the core's.
func (r *running[S, C, E]) codeOf(err error) string {
	switch {
	case errors.Is(err, ErrIDReused):
		return codeIDReused
	case errors.Is(err, ErrTooLarge):
		return codeTooLarge
	case errors.Is(err, ErrMetadata):
		return codeMetadata
	case errors.Is(err, ErrStillNeeded):
		return codeStillNeeded
	case errors.Is(err, errNotDue):
		return codeNotDue
	}
	if code := r.code(err); code != "" {
		return code
	}
	return codeInvalid
}

func tooLargeOrPanic(err error) plan {
	if errors.Is(err, ErrTooLarge) {
		return plan{dead: &deadLetter{reason: deadTooLarge}}
	}
	panic(err)
}
