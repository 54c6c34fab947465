package gateway

import (
	"context"
	"slices"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cluster"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

const outcomePending = "pending"

// StatusInput asks what became of a command. The query is what Location had.
type StatusInput struct {
	ID       string `path:"id" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"The command's id, its Idempotency-Key"`
	Customer string `query:"customer" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"Whom the command was about; ids are per customer"`
	Input    string `query:"input" maxLength:"100" doc:"Where the command is, topic/partition/offset: tells it from another with the same id, of another service or with another body"`
	Sent     int64  `query:"sent" minimum:"1" doc:"When it was sent, in milliseconds since 1970: tells a command that is pending from one that is not known"`
	Gone     bool   `query:"gone" doc:"The command was to erase the customer"`
}

// StatusAnswer is what became of a command. A refused one is no problem here: the question was answered.
type StatusAnswer struct {
	ETag       string `header:"ETag"`
	Receipt    string `header:"Utopia-Receipt"`
	RetryAfter string `header:"Retry-After"`
	Body       api.Outcome
}

// status answers from the outcomes that this instance has read, whoever asked for them. What is older than they are is not
// lost: sending the command again with its id gets the first answer.
func (g *Gateway) status(ctx context.Context, in *StatusInput) (*StatusAnswer, error) {
	caller := callerOf(ctx)
	input, err := in.input()
	if err != nil {
		return nil, err
	}
	since, complete := time.Time{}, true
	for _, to := range asked() {
		if input.Topic != "" && input.Topic != to.Commands.Name {
			continue
		}
		if to.Name == topics.Webhook && caller.Role == CustomerRole {
			continue // a webhook may have the id of a customer
		}
		asker := g.asker(to)
		if asker == nil {
			return nil, problem(codeNotReady).with("Retry-After", "1")
		}
		found, from, all := asker.Outcome(in.ID)
		for _, f := range found {
			if (in.Customer == "" || in.Customer == f.Key) && caller.Sees(f.Key) && answers(f, input) {
				return told(f, to, in.Gone), nil
			}
		}
		complete = complete && all
		if from.After(since) {
			since = from
		}
	}
	switch {
	case !complete:
		return nil, problem(codeNotReady).with("Retry-After", "1")
	case in.Sent == 0 || time.UnixMilli(in.Sent).Before(since):
		return nil, problem(codeUnknownCommand)
	}
	return &StatusAnswer{RetryAfter: "1", Body: api.Outcome{Outcome: outcomePending, CommandID: in.ID, Key: in.Customer}}, nil
}

// input is what the query names, empty if it names none.
func (in *StatusInput) input() (cluster.Ref, error) {
	if in.Input == "" {
		return cluster.Ref{}, nil
	}
	ref, err := cluster.ParseRef(in.Input)
	if err != nil || !slices.ContainsFunc(asked(), func(to api.Service) bool { return to.Commands.Name == ref.Topic }) {
		return ref, fault("query.input", "is not where a command can be: topic/partition/offset")
	}
	return ref, nil
}

// answers says whether f is the answer to the command at input. Without an input any is that is not about another command, which has only taken the
// id.
func answers(f schemas.ReplyFields, input cluster.Ref) bool {
	if input.Topic == "" {
		return f.Refusal != schemas.RefusedIDReused
	}
	return ask.Answers(f, input.Partition, input.Offset)
}

func told(f schemas.ReplyFields, to api.Service, gone bool) *StatusAnswer {
	o := api.OutcomeOf(f, to, gone)
	return &StatusAnswer{ETag: etag(f.Version), Receipt: o.Receipt, Body: o}
}
