package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cluster"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// CommandHeaders are the headers of every command.
type CommandHeaders struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"66" doc:"The command's id, 1 to 64 of A-Z a-z 0-9 . _ ~ -; the same again, with the same body, gets the first answer again, from any instance. Kept per customer for its last 32 commands. Without one, a retry is another command"`
	IfMatch        string `header:"If-Match" maxLength:"32" doc:"The version that the caller has seen, as ETag gave it; the command is refused with 412 and the current ETag if there is another"`
	Prefer         string `header:"Prefer" maxLength:"200" doc:"wait=SECONDS: how long to wait for the outcome, 5 if not given, at most 30; respond-async: not at all"`
	Reason         string `header:"Utopia-Reason" maxLength:"200" doc:"Why, in one line without anything personal. What operators ask for is noted with who did and why, before it is done; of others it is ignored"`
	Correlation    string `header:"Utopia-Correlation-Id" maxLength:"160" doc:"Id of the conversation that this belongs to"`
}

// Answer is what a command is answered with, unless it is refused.
type Answer struct {
	Status            int
	Location          string `header:"Location" doc:"Where the outcome will be"`
	ETag              string `header:"ETag" doc:"The version after the command"`
	Receipt           string `header:"Utopia-Receipt" doc:"How far the aggregate has come; Utopia-After takes it"`
	IdempotencyKey    string `header:"Idempotency-Key" doc:"The command's id"`
	PreferenceApplied string `header:"Preference-Applied"`
	RetryAfter        string `header:"Retry-After"`
	Body              api.Outcome
}

// metadata fills in what the headers say. The error is a *Problem.
func (h CommandHeaders) metadata(m *schemas.Metadata) error {
	if key := unquote(h.IdempotencyKey); key != "" {
		if !topics.ValidID(key) {
			return fault("header.Idempotency-Key", api.ErrID.Error())
		}
		m.CommandID = key
	}
	if h.Correlation != "" {
		if !topics.ValidDerivedID(h.Correlation) {
			return fault("header.Utopia-Correlation-Id", "is not 1 to 160 of A-Z a-z 0-9 . _ ~ - /")
		}
		m.CorrelationID = h.Correlation
	}
	if h.IfMatch != "" {
		version, err := strconv.ParseInt(unquote(h.IfMatch), 10, 64)
		if err != nil || version < 1 || !strings.HasPrefix(h.IfMatch, `"`) {
			return fault("header.If-Match", `is not one strong entity tag like "4"`)
		}
		m.ExpectedVersion = version
	}
	return nil
}

// unquote takes the quotes from a header's value that is one quoted string; drafts of Idempotency-Key have them, people have not.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func etag(version int64) string {
	if version == 0 {
		return ""
	}
	return `"` + strconv.FormatInt(version, 10) + `"`
}

func fault(location, message string) *Problem {
	p := problem(codeMalformed)
	p.Faults = []Fault{{location, message}}
	return p
}

// wait is how long the caller wants to wait (RFC 7240), and what to say that was applied. What is not understood is ignored, as
// that RFC asks.
func wait(prefer string) (time.Duration, string) {
	for part := range strings.SplitSeq(prefer, ",") {
		part, _, _ = strings.Cut(part, ";") // what follows are parameters of this preference
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			return 0, "respond-async"
		case "wait":
			n, err := strconv.ParseUint(unquote(strings.TrimSpace(value)), 10, 31)
			if err != nil {
				continue
			}
			d := min(time.Duration(n)*time.Second, maxWait)
			return d, "wait=" + seconds(d)
		}
	}
	return defaultWait, ""
}

// impossible is the problem with a request that no command can be made of: the one that the service would have refused it with.
func impossible(err error) *Problem {
	if errors.Is(err, api.ErrID) {
		return problem(codeID).because(err.Error())
	}
	if code := api.Code(err); code != "" {
		return problem(code).because(err.Error())
	}
	return problem("invalid").because(err.Error())
}

// send stores a command and waits for its outcome as long as the caller wants. The error is a *Problem.
func (g *Gateway) send(ctx context.Context, r api.Request, h CommandHeaders) (*Answer, error) {
	meta := r.Command.Metadata()
	if err := h.metadata(meta); err != nil {
		return nil, err
	}
	asker := g.asker(r.To)
	if asker == nil || !g.fresh.reachable(g.now()) {
		return nil, problem(codeUnavailable).with("Retry-After", "5")
	}
	ask.Identify(meta)
	if err := g.noted(ctx, shortName(r.Command), r.Key, meta.CommandID, h.Reason); err != nil {
		return nil, err
	}
	patience, applied := wait(h.Prefer)
	began := g.now()
	storing, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	question, err := asker.Begin(storing, r.Key, r.Command)
	if err != nil {
		return nil, g.notStored(r, err)
	}
	defer question.Close()
	if patience == 0 { // also if the outcome is there already: the same question is always answered in the same way
		return later(r, question, began, applied), nil
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(g.hurry, cancel)() //nolint:contextcheck // the gateway's end is the waiting's, too
	reply, err := question.Reply(waiting)
	if err != nil {
		return later(r, question, began, applied), nil
	}
	return answer(r, reply, applied)
}

// notStored is the problem with a command that the cluster has not acknowledged.
func (g *Gateway) notStored(r api.Request, err error) *Problem {
	if !errors.Is(err, ask.ErrNotStored) {
		g.log.Warn("a command cannot be stored", slog.String("topic", r.To.Commands.Name), slog.Any("error", err))
	}
	p := problem(codeUnavailable).with("Retry-After", "5")
	p.CommandID = r.Command.Metadata().CommandID
	return p.with("Idempotency-Key", p.CommandID)
}

// later says that the command is stored, and where its outcome will be.
func later(r api.Request, question *ask.Question, began time.Time, applied string) *Answer {
	id := r.Command.Metadata().CommandID
	partition, offset := question.Input()
	input := cluster.Ref{Topic: r.To.Commands.Name, Partition: partition, Offset: offset}
	q := url.Values{"customer": {r.Key}, "input": {input.String()}, "sent": {strconv.FormatInt(began.UnixMilli(), 10)}}
	if r.Gone {
		q.Set("gone", "true")
	}
	return &Answer{
		Status: http.StatusAccepted, Location: "/v1/commands/" + id + "?" + q.Encode(), RetryAfter: "1", IdempotencyKey: id, PreferenceApplied: applied,
		Body: api.Outcome{Outcome: outcomePending, CommandID: id, Key: r.Key},
	}
}

// answer makes an answer of a reply: a refusal is a problem.
func answer(r api.Request, f schemas.ReplyFields, applied string) (*Answer, error) {
	o := api.OutcomeOf(f, r.To, r.Gone)
	if o.Outcome != schemas.OutcomeAccepted {
		p := problem(f.Refusal).because(f.Message)
		p.CommandID, p.Version, p.Repeat = f.CommandID, f.Version, f.Repeat
		p.headers.Set("Idempotency-Key", f.CommandID)
		if f.Version > 0 {
			p.headers.Set("ETag", etag(f.Version))
			p.headers.Set("Utopia-Receipt", o.Receipt)
		}
		return nil, p
	}
	a := &Answer{Status: http.StatusOK, ETag: etag(f.Version), Receipt: o.Receipt, IdempotencyKey: f.CommandID, PreferenceApplied: applied, Body: o}
	if r.Gone {
		a.ETag = "" // there is nothing any more that has a version
	}
	return a, nil
}

// shortName is the last word of a record's type.
func shortName(r schemas.Record) string {
	return r.AvroName()[strings.LastIndexByte(r.AvroName(), '.')+1:]
}
