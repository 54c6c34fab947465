package gateway_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/gateway"
	"utopia/schemas"
	"utopia/topics"
)

// bury sends what no code can handle, and waits until an instance lists it.
func (w *world) bury(i *instance, topic topics.Topic, key string, value []byte) gateway.DeadLetter {
	w.t.Helper()
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, w.Client...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	var found gateway.DeadLetter
	gateway.Eventually(w.t, time.Minute, "the dead letter is listed", func() bool {
		a := i.do(http.MethodGet, "/v1/dead-letters?state=open&topic="+topic.Name, "", operators...)
		if a.Status != http.StatusOK {
			return false
		}
		for _, d := range gateway.Decoded[struct{ DeadLetters []gateway.DeadLetter }](w.t, a).DeadLetters {
			if d.Key == key {
				found = d
				return true
			}
		}
		return false
	})
	return found
}

// actions is what operators did, as the log has it.
func (w *world) actions() (all []schemas.OperatorAction) {
	w.t.Helper()
	codec, err := schemas.NewCodec(topics.OperatorActions.Name, w.IDs)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cluster.Scan(w.t.Context(), w.Client, cluster.Range{Topic: topics.OperatorActions.Name, Partition: -1}, func(r *kgo.Record) error {
		rec, err := codec.Decode(r.Value)
		if err != nil {
			return err
		}
		a, ok := rec.(*schemas.OperatorAction)
		if !ok {
			return schemas.ErrNotOfTopic
		}
		all = append(all, *a)
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

var operators = []string{"Authorization", "Bearer operator-key"}

// asOperator lets in one operator, and everybody for everything else.
func asOperator(t *testing.T) func(*gateway.Config) {
	t.Helper()
	keys, err := gateway.ParseKeys(strings.NewReader(gateway.KeyLine("ada", gateway.Operator, "", "operator-key")))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *gateway.Config) { c.Keys = keys }
}

func TestADeadLetterIsFoundReadAndDecided(t *testing.T) {
	w := start(t)
	g, other := w.gateway(asOperator(t)), w.gateway(asOperator(t))
	d := w.bury(g, topics.BillingCommands, "c-17", []byte("not avro"))
	path := "/v1/dead-letters/" + d.Ref
	if d.State != "open" || d.Reason == "" || d.Bytes != 8 || !strings.HasPrefix(d.Origin, "billing.commands.v1/") {
		t.Errorf("%+v", d)
	}
	c := gateway.Decoded[gateway.DeadLetterContent](t, g.do(http.MethodGet, path, "", operators...))
	if c.Value != "bm90IGF2cm8=" || c.Problem == "" || c.JSON != "" || len(c.Headers) == 0 {
		t.Errorf("%+v", c)
	}

	// Two instances at the same time: one outcome, told to both.
	var told [2]gateway.Answered
	var both sync.WaitGroup
	for i, at := range []*instance{g, other} {
		both.Go(func() {
			told[i] = at.do(http.MethodPost, path+"/retry", `{"reason":"release 1.4 reads it"}`, operators...)
		})
	}
	both.Wait()
	one, two := gateway.Decoded[gateway.Decision](t, told[0]), gateway.Decoded[gateway.Decision](t, told[1])
	if told[0].Status != http.StatusOK || told[1].Status != http.StatusOK || one.SentAs != two.SentAs || one.Repeat == two.Repeat || one.By != "ada" || one.Role != "operator" {
		t.Fatalf("%s\n%s", told[0].Body, told[1].Body)
	}
	if p := g.do(http.MethodPost, path+"/drop", `{"reason":"no use"}`, operators...); p.Status != http.StatusConflict || p.Problem(t).Code != "letter_decided" {
		t.Errorf("%d %s", p.Status, p.Body)
	}
	c = gateway.Decoded[gateway.DeadLetterContent](t, g.do(http.MethodGet, path, "", operators...))
	if c.State != "retried" || c.Decision == nil || c.Decision.SentAs != one.SentAs || c.Decision.Reason != "release 1.4 reads it" {
		t.Errorf("%+v", c)
	}

	// It was as unreadable as before: another dead letter, which is dropped.
	var back gateway.DeadLetter
	gateway.Eventually(t, time.Minute, "it has come back", func() bool {
		a := g.do(http.MethodGet, "/v1/dead-letters?state=open", "", operators...)
		all := gateway.Decoded[struct{ DeadLetters []gateway.DeadLetter }](t, a).DeadLetters
		if len(all) == 1 {
			back = all[0]
		}
		return len(all) == 1
	})
	if back.Origin != one.SentAs {
		t.Errorf("%+v", back)
	}
	if a := g.do(http.MethodPost, "/v1/dead-letters/"+back.Ref+"/drop", `{"reason":"a test"}`, operators...); a.Status != http.StatusOK || gateway.Decoded[gateway.Decision](t, a).Action != "dropped" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if noted := w.actions(); len(noted) != 2 {
		t.Errorf("%+v", noted)
	}
}

func TestARecordOfAKnownSchemaIsDecoded(t *testing.T) {
	w := start(t)
	g := w.gateway(asOperator(t))
	codec, err := schemas.NewCodec(topics.BillingCommands.Name, w.IDs)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.Append(nil, &schemas.PayInvoice{CustomerID: "c-18", InvoiceID: "i-1"})
	if err != nil {
		t.Fatal(err)
	}
	d := w.bury(g, topics.BillingCommands, "another key", value)
	c := gateway.Decoded[gateway.DeadLetterContent](t, g.do(http.MethodGet, "/v1/dead-letters/"+d.Ref, "", operators...))
	if c.Type != "utopia.billing.PayInvoice" || !strings.Contains(c.JSON, `"invoiceId":"i-1"`) || c.Value != "" || c.Problem != "" {
		t.Errorf("%+v", c)
	}
}

func TestWhatIsWrongWithADecision(t *testing.T) {
	w := start(t)
	g := w.gateway(asOperator(t))
	d := w.bury(g, topics.BillingCommands, "c-17", []byte("not avro"))
	at := "/v1/dead-letters/" + d.Ref
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{http.MethodPost, at + "/retry", ``, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/retry", `{}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/retry", `{"reason":""}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/retry", `{"reason":"   "}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/drop", `{"reason":"two\nlines"}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/drop", `{"reason":"` + strings.Repeat("x", 201) + `"}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/drop", `{"reason":"x","force":true}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, at + "/drop", `{"reason":"x`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, "/v1/dead-letters/billing.commands.v1.dlq/0/999/retry", `{"reason":"x"}`, http.StatusNotFound, "not_found"},
		{http.MethodPost, "/v1/dead-letters/billing.commands.v1.dlq/999/0/drop", `{"reason":"x"}`, http.StatusNotFound, "not_found"},
		{http.MethodPost, "/v1/dead-letters/billing.commands.v1/0/0/retry", `{"reason":"x"}`, http.StatusNotFound, "not_found"},
		{http.MethodPost, "/v1/dead-letters/customer.events.v1.dlq/0/0/retry", `{"reason":"x"}`, http.StatusNotFound, "not_found"},
		{http.MethodPost, "/v1/dead-letters/billing.commands.v1.dlq/-1/0/retry", `{"reason":"x"}`, http.StatusBadRequest, "malformed"},
		{http.MethodPost, "/v1/dead-letters/billing.commands.v1.dlq/a/0/retry", `{"reason":"x"}`, http.StatusBadRequest, "malformed"},
		{http.MethodGet, "/v1/dead-letters/billing.commands.v1.dlq/0/99999999999999999999", ``, http.StatusBadRequest, "malformed"},
		{http.MethodGet, "/v1/dead-letters/billing.commands.v1.dlq/0/999", ``, http.StatusNotFound, "not_found"},
		{http.MethodGet, "/v1/dead-letters?topic=billing.events.v1", ``, http.StatusBadRequest, "malformed"},
		{http.MethodGet, "/v1/dead-letters?state=closed", ``, http.StatusBadRequest, "malformed"},
		{http.MethodGet, "/v1/dead-letters?cursor=x", ``, http.StatusBadRequest, "malformed"},
		{http.MethodGet, "/v1/dead-letters?limit=101", ``, http.StatusBadRequest, "malformed"},
	} {
		a := g.do(c.method, c.path, c.body, operators...)
		if a.Status != c.status || a.Problem(t).Code != c.code {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.Status, a.Body)
		}
	}
	if noted := w.actions(); len(noted) != 0 {
		t.Errorf("something was decided: %+v", noted)
	}
}

// What an operator asks for is noted before it is done, with who and why; what cannot be noted is not done.
func TestWhatOperatorsAskForIsNoted(t *testing.T) {
	w := start(t)
	g := w.gateway(asOperator(t))
	g.register("c-1")
	headers := append([]string{"Utopia-Reason", "asked by letter", "Idempotency-Key", "erase-1"}, operators...)
	if a := g.do(http.MethodDelete, "/v1/customers/c-1", "", append([]string{"Utopia-Reason", strings.Repeat("x", 201)}, operators...)...); a.Status != http.StatusBadRequest {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := g.do(http.MethodDelete, "/v1/customers/c-1", "", headers...); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.do(http.MethodGet, "/v1/mails/notification%2Fc-1%2F1%2F1", "", operators...)
	noted := w.actions()
	if len(noted) != 2 {
		t.Fatalf("%+v", noted)
	}
	for _, want := range []schemas.OperatorAction{
		{Target: "c-1", Action: "EraseCustomer", Caller: "ada", Role: "operator", Reason: "asked by letter", Outcome: "asked", CommandID: "erase-1"},
		{Target: "notification/c-1/1/1", Action: "ReadMail", Caller: "ada", Role: "operator", Outcome: "asked"},
	} {
		if noted[0] != want && noted[1] != want {
			t.Errorf("not noted: %+v in %+v", want, noted)
		}
	}
	g.cut.pull()
	if a := g.do(http.MethodGet, "/v1/mails/notification%2Fc-1%2F1%2F1", "", operators...); a.Status != http.StatusServiceUnavailable {
		t.Errorf("what cannot be noted: %d %s", a.Status, a.Body)
	}
}
