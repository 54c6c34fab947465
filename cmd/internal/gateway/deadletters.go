package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/operator"
	"utopia/topics"
)

// DeadLettersInput asks for dead letters.
type DeadLettersInput struct {
	Topic  string `query:"topic" maxLength:"100" pattern:"^[a-z0-9.]*$" doc:"Only those that came from this topic" example:"customer.commands.v1"`
	State  string `query:"state" enum:"open,retried,dropped" doc:"Only those that nobody has decided about, were sent again, or were dropped"`
	Cursor string `query:"cursor" maxLength:"400" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"0" maximum:"100" doc:"How many at most; 50 if not given"`
}

// DeadLetterPath names a dead letter.
type DeadLetterPath struct {
	Topic     string `path:"topic" maxLength:"100" pattern:"^[a-z0-9.]+$" doc:"The topic that it is in" example:"customer.commands.v1.dlq"`
	Partition int32  `path:"partition" minimum:"0"`
	Offset    int64  `path:"offset" minimum:"0"`
}

func (p DeadLetterPath) ref() cluster.Ref {
	return cluster.Ref{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset}
}

// DecideInput decides about a dead letter.
type DecideInput struct {
	DeadLetterPath
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"Why, in one line without anything personal; it is kept with who did it" example:"release 1.4 reads it"`
	}
}

// Decision is what was decided about a dead letter.
type Decision struct {
	Action string    `json:"action" enum:"retried,dropped"`
	By     string    `json:"by" doc:"Who, as their API key, token or session names them"`
	Role   string    `json:"role"`
	At     time.Time `json:"at" doc:"By the broker's clock"`
	Reason string    `json:"reason"`
	SentAs string    `json:"sentAs,omitempty" doc:"Where the record was sent again to: topic/partition/offset"`
	Repeat bool      `json:"repeat,omitempty" doc:"It had been decided before; this is what was decided then"`
}

// DeadLetter is one that is listed.
type DeadLetter struct {
	Ref      string    `json:"ref" doc:"topic/partition/offset" example:"customer.commands.v1.dlq/3/0"`
	Origin   string    `json:"origin" doc:"Where it was received; -1 if it does not say"`
	At       time.Time `json:"at" doc:"When it was put aside"`
	State    string    `json:"state" enum:"open,retried,dropped"`
	Reason   string    `json:"reason" doc:"Why no code could handle it"`
	Detail   string    `json:"detail,omitempty"`
	Key      string    `json:"key" doc:"As text, or 0x and hexadecimal digits; of a long one the beginning"`
	Bytes    int       `json:"bytes" doc:"How long the value is"`
	Decision *Decision `json:"decision,omitempty"`
}

// DeadLetterHeader is a header of a record.
type DeadLetterHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DeadLetterContent is one with what is in it.
type DeadLetterContent struct {
	DeadLetter
	Headers []DeadLetterHeader `json:"headers" nullable:"false" doc:"As received, and why it is here; the first 100"`
	Type    string             `json:"type,omitempty" doc:"The record's type, if its schema is known"`
	JSON    string             `json:"json,omitempty" doc:"The value as JSON, by its schema, if it can be read"`
	Problem string             `json:"problem,omitempty" doc:"Why it cannot be read"`
	Value   string             `json:"value,omitempty" doc:"Base64; of a value that cannot be read the first 16 KiB"`
	Cut     bool               `json:"cut,omitempty" doc:"The value is longer than what is given; utopia dlq show --raw has all of it"`
}

// DeadLetterPage is a part of the dead letters.
type DeadLetterPage struct {
	Body struct {
		DeadLetters []DeadLetter `json:"deadLetters" nullable:"false"`
		Next        string       `json:"next,omitempty" doc:"The cursor of the next page; none: this was the last"`
		Forgotten   int          `json:"forgotten,omitempty" doc:"How many older ones this instance does not list; utopia dlq list does"`
	}
}

// DeadLetterAnswer is one dead letter.
type DeadLetterAnswer struct{ Body DeadLetterContent }

// DecisionAnswer says what was decided.
type DecisionAnswer struct{ Body Decision }

func (g *Gateway) deadLetterRoutes() {
	add(g, query("list-dead-letters", "/v1/dead-letters", "Records that no code could handle, the newest first, and what was decided about them"), g.deadLetters)
	const one = "/v1/dead-letters/{topic}/{partition}/{offset}"
	add(g, query("get-dead-letter", one, "A dead letter with what is in it"), g.deadLetter)
	decide := func(id, path, summary string, f func(context.Context, cluster.Ref, operator.Who) (operator.Action, error)) {
		op := query(id, path, summary)
		op.Method, op.Tags = http.MethodPost, []string{"commands"}
		op.Errors = []int{
			http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
			http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		}
		add(g, op, func(ctx context.Context, in *DecideInput) (*DecisionAnswer, error) { return g.decide(ctx, in, f) })
	}
	decide("retry-dead-letter", one+"/retry", "Send a dead letter again to the topic it came from, once; asked for twice, the second gets what the first did", g.office.Retry)
	decide("drop-dead-letter", one+"/drop", "Note that nothing is to be done about a dead letter; that is final", g.office.Drop)
}

func (g *Gateway) deadLetters(_ context.Context, in *DeadLettersInput) (*DeadLetterPage, error) {
	if t, ok := topics.ByName(in.Topic); in.Topic != "" && (!ok || !t.Input()) {
		return nil, fault("query.topic", "is not a topic that has dead letters")
	}
	p, err := g.office.Letters(operator.Query{Topic: in.Topic, State: in.State, Cursor: in.Cursor, Limit: pageOf(in.Limit)})
	if err != nil {
		return nil, g.undecided(err)
	}
	out := &DeadLetterPage{}
	out.Body.DeadLetters, out.Body.Next, out.Body.Forgotten = []DeadLetter{}, p.Next, p.Forgotten
	for _, l := range p.Letters {
		out.Body.DeadLetters = append(out.Body.DeadLetters, deadLetterOf(l))
	}
	return out, nil
}

func (g *Gateway) deadLetter(ctx context.Context, in *DeadLetterPath) (*DeadLetterAnswer, error) {
	if !isDeadLetters(in.Topic) {
		return nil, problem(codeNotFound)
	}
	c, err := g.office.Letter(ctx, in.ref())
	if err != nil {
		return nil, g.undecided(err)
	}
	if !callerOf(ctx).SeesPersons() {
		c = c.Masked()
	}
	out := &DeadLetterAnswer{DeadLetterContent{
		DeadLetter: deadLetterOf(c.Letter), Headers: []DeadLetterHeader{}, Type: c.Type, JSON: string(c.JSON), Problem: c.Problem,
		Value: base64.StdEncoding.EncodeToString(c.Value), Cut: c.Cut,
	}}
	for _, h := range c.Headers {
		out.Body.Headers = append(out.Body.Headers, DeadLetterHeader(h))
	}
	return out, nil
}

func (g *Gateway) decide(
	ctx context.Context, in *DecideInput, f func(context.Context, cluster.Ref, operator.Who) (operator.Action, error),
) (*DecisionAnswer, error) {
	reason, err := operator.ParseReason(in.Body.Reason)
	if err != nil {
		return nil, fault("body.reason", err.Error())
	}
	if !isDeadLetters(in.Topic) {
		return nil, problem(codeNotFound)
	}
	if !g.fresh.reachable(g.now()) {
		return nil, problem(codeUnavailable).with("Retry-After", "5")
	}
	a, err := f(ctx, in.ref(), operator.By(callerOf(ctx), reason))
	if err != nil {
		return nil, g.undecided(err)
	}
	return &DecisionAnswer{*decisionOf(&a)}, nil
}

func isDeadLetters(topic string) bool {
	t, ok := topics.ByName(topic)
	return ok && t.Kind == topics.DeadLetters
}

// Letters are the dead letters that this gateway knows, and where operators decide about them.
func (g *Gateway) Letters() *operator.Office { return g.office }

func deadLetterOf(l operator.Letter) DeadLetter {
	return DeadLetter{
		Ref: l.Ref.String(), Origin: l.Origin.String(), At: l.At.UTC(), State: l.State(), Reason: l.Reason, Detail: l.Detail, Key: l.Key,
		Bytes: l.Bytes, Decision: decisionOf(l.Decision),
	}
}

func decisionOf(a *operator.Action) *Decision {
	if a == nil {
		return nil
	}
	return &Decision{
		Action: operator.Letter{Decision: a}.State(), By: a.Caller, Role: a.Role, At: a.At.UTC(), Reason: a.Reason, SentAs: a.Result, Repeat: a.Repeat,
	}
}

// undecided is the problem with dead letters that could not be read or decided.
func (g *Gateway) undecided(err error) *Problem {
	switch {
	case errors.Is(err, cluster.ErrNoDeadLetter):
		return problem(codeNotFound)
	case errors.Is(err, operator.ErrCursor):
		return fault("query.cursor", "is not the next of a page of this list")
	case errors.Is(err, operator.ErrNotReady):
		return problem(codeNotReady).with("Retry-After", "1")
	case errors.Is(err, operator.ErrDecided):
		return problem(codeDecided).because(err.Error())
	case errors.Is(err, cluster.ErrOvertaken):
		return problem(codeOvertaken).because(err.Error())
	case errors.Is(err, cluster.ErrNotKept), errors.Is(err, cluster.ErrNoOrigin):
		return problem(codeNotSendable).because(err.Error())
	case errors.Is(err, operator.ErrUnsettled):
		g.log.Warn("a decision is not settled", slog.Any("error", err))
		return problem(codeUnsettled).with("Retry-After", "5")
	}
	g.log.Warn("dead letters cannot be read or decided", slog.Any("error", err))
	return problem(codeUnsettled).with("Retry-After", "5")
}

// noted says that an operator asks for something, before it is done: what cannot be noted is not done. Of others nothing is noted; what
// they ask for is in the log of commands.
func (g *Gateway) noted(ctx context.Context, action, target, command, reason string) error {
	if callerOf(ctx).Role != Operator {
		return nil
	}
	if reason != "" {
		var err error
		if reason, err = operator.ParseReason(reason); err != nil {
			return fault("header.Utopia-Reason", err.Error())
		}
	}
	if !g.fresh.reachable(g.now()) {
		return problem(codeUnavailable).with("Retry-After", "5")
	}
	if err := g.office.Note(ctx, operator.By(callerOf(ctx), reason), action, target, command); err != nil {
		g.log.Warn("what an operator asks for cannot be noted, and so is not done", slog.String("action", action), slog.Any("error", err))
		return problem(codeUnavailable).with("Retry-After", "5")
	}
	return nil
}
