package pages_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/operator"
	"utopia/cmd/internal/pages"
	"utopia/schemas"
)

// shelf is a few dead letters in memory.
type shelf struct {
	letters []*operator.Content
	refuse  error
}

func newShelf() *shelf {
	one := &operator.Content{
		Letter: operator.Letter{
			Ref: cluster.Ref{Topic: "billing.commands.v1.dlq", Partition: 3, Offset: 7}, Origin: cluster.Ref{Topic: "billing.commands.v1", Partition: 3, Offset: 41},
			At: time.Unix(1_770_000_000, 0), Reason: "malformed", Detail: "truncated", Key: "c-<i>", Bytes: 8,
		},
		Headers: []operator.Header{{Name: "traceparent", Value: "00-1"}}, Problem: "magic byte", Value: []byte("not <b>avro"),
	}
	two := &operator.Content{
		Letter: operator.Letter{Ref: cluster.Ref{Topic: "customer.state.v1.dlq"}, Reason: "defect", Key: "c-2", Bytes: 5},
		Type:   "utopia.customer.CustomerState", JSON: []byte(`{"name":"Ada <b>"}`),
	}
	return &shelf{letters: []*operator.Content{one, two}}
}

func (s *shelf) Letters(q operator.Query) (p operator.Page, err error) {
	if q.Cursor == "?" {
		return p, operator.ErrCursor
	}
	for _, c := range s.letters {
		if q.State == "" || c.State() == q.State {
			p.Letters = append(p.Letters, c.Letter)
		}
	}
	if q.Cursor == "" {
		p.Next = "n"
	}
	return p, s.refuse
}

func (s *shelf) find(ref cluster.Ref) (*operator.Content, error) {
	for _, c := range s.letters {
		if c.Ref == ref {
			return c, nil
		}
	}
	return nil, cluster.ErrNoDeadLetter
}

func (s *shelf) Letter(_ context.Context, ref cluster.Ref) (operator.Content, error) {
	c, err := s.find(ref)
	if err != nil {
		return operator.Content{}, err
	}
	return *c, nil
}

func (s *shelf) decide(ref cluster.Ref, action, result string, who operator.Who) (operator.Action, error) {
	c, err := s.find(ref)
	if err = errors.Join(err, s.refuse); err != nil {
		return operator.Action{}, err
	}
	c.Decision = &operator.Action{OperatorAction: schemas.OperatorAction{
		Target: ref.String(), Action: action, Caller: who.Name, Role: who.Role, Reason: who.Reason, Outcome: schemas.ActionDone, Result: result,
	}}
	return *c.Decision, nil
}

func (s *shelf) Retry(_ context.Context, ref cluster.Ref, who operator.Who) (operator.Action, error) {
	return s.decide(ref, operator.Retry, "billing.commands.v1/3/42", who)
}

func (s *shelf) Drop(_ context.Context, ref cluster.Ref, who operator.Who) (operator.Action, error) {
	return s.decide(ref, operator.Drop, "", who)
}

func (s *shelf) decided() (n int) {
	for _, c := range s.letters {
		if c.Decision != nil {
			n++
		}
	}
	return n
}

// pages are those that an operator sees.
func (s *shelf) pages(t *testing.T) http.Handler {
	t.Helper()
	return newTown(t).clerk(t, func(c *pages.Config) {
		c.Clerk.Letters, c.Login = s, anybody(t, access.Caller{Name: "grace", Role: access.Operator})
	})
}

const letter = "/dead-letters/billing.commands.v1.dlq/3/7"

func TestDeadLettersAreListedAndRead(t *testing.T) {
	s := newShelf()
	h := s.pages(t)
	has(t, get(h, "/dead-letters"), 200, `aria-current="page">Dead letters</a>`, `href="`+letter+`"`, "malformed", "truncated", "c-&lt;i&gt;", ">open<",
		`href="/dead-letters?from=n&amp;state=&amp;topic="`)
	has(t, get(h, "/dead-letters?state=dropped&topic=crm.changes.v1&from=n"), 200, "There is none like that.", `value="dropped" selected`)
	has(t, get(h, "/dead-letters?from=%3F"), 400, "No such page")
	has(t, get(h, letter), 200, "billing.commands.v1/3/41", "magic byte", "not &lt;b&gt;avr", "traceparent", `name="reason"`, `value="drop"`)
	has(t, get(h, "/dead-letters/customer.state.v1.dlq/0/0"), 200, `href="/schemas/utopia.customer.CustomerState"`, "&#34;name&#34;: &#34;Ada &lt;b&gt;&#34;")
	for _, path := range []string{"billing.commands.v1.dlq/3/8", "billing.commands.v1/3/7", "no.such.dlq/0/0", "billing.commands.v1.dlq/x/0", "billing.commands.v1.dlq/0/-1"} {
		has(t, get(h, "/dead-letters/"+path), 404, "No such dead letter")
	}
	s.refuse = operator.ErrNotReady
	has(t, get(h, "/dead-letters"), 503, "Load this page again in a moment")
}

func TestADeadLetterIsDecidedOnItsPage(t *testing.T) {
	s := newShelf()
	h := s.pages(t)
	say := func(do, reason string, head ...string) *httptest.ResponseRecorder {
		return post(h, letter, url.Values{"do": {do}, "reason": {reason}}, head...)
	}
	has(t, say("", ""), 422, "Choose what is to be done.", "Say why", `aria-invalid="true"`, `role="alert"`)
	has(t, say("retry", " "), 422, "Say why", `value="retry" checked`)
	has(t, say("drop", strings.Repeat("x", 201)), 422, "Say why")
	has(t, say("erase", "because"), 422, "Choose what is to be done.", `value="because"`)
	has(t, say("retry", "because", "Sec-Fetch-Site", "cross-site"), 403)
	has(t, post(h, "/dead-letters/billing.commands.v1.dlq/3/8", url.Values{"do": {"drop"}, "reason": {"x"}}), 404)
	for err, why := range map[error]string{
		cluster.ErrOvertaken: "has replaced this one", cluster.ErrNotKept: "too large to be kept", cluster.ErrNoOrigin: "nowhere to send it to", operator.ErrDecided: "decided otherwise",
	} {
		s.refuse = err
		has(t, say("retry", "because"), 409, why, `value="because"`, "Nothing was done")
	}
	s.refuse = operator.ErrUnsettled
	has(t, say("retry", "because"), 503, "does nothing twice")
	if s.refuse = nil; s.decided() != 0 {
		t.Fatal("something was decided")
	}
	if w := say("retry", " release 1.4 reads it "); w.Code != http.StatusSeeOther || w.Header().Get("Location") != letter {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	w := get(h, letter)
	has(t, w, 200, "sent again", "grace (operator)", "release 1.4 reads it", "billing.commands.v1/3/42")
	if strings.Contains(w.Body.String(), `method="post" action="`+letter) {
		t.Error("a decided letter can be decided again")
	}
}
