package audit

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// world is a small log without a contradiction: a customer who registers and moves, a duplicate command, a refused one, a
// dead letter, a mail, and billing that has applied it all.
func world() *auditor {
	a := &auditor{
		report: &Report{Counted: map[string]int64{}},
		log:    map[string][]*record{},
		commits: map[string]map[string]map[int32]int64{
			"customer": {"customer.commands.v1": {0: 9}, "mail.replies.v1": {0: 9}},
			"mail":     {"mail.commands.v1": {0: 9}},
			"billing":  {"customer.state.v1": {0: 9}, "customer.changes.v1": {0: 9}},
		},
	}
	home, away := address("Gouda"), address("Utrecht")
	ask := func(id, name string) *record {
		return a.add("customer.commands.v1", "c", name, fields{"customerId": "c", "metadata": fields{"commandId": id}, "what": name})
	}
	reply := func(id string, offset, version int64, refusal string, repeat bool) {
		outcome := "accepted"
		if refusal != "" {
			outcome = "refused"
		}
		a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{
			"commandId": id, "key": "c", "aggregate": "customer", "partition": int64(0), "offset": offset,
			"version": version, "outcome": outcome, "refusal": refusal, "message": refusal, "repeat": repeat,
		})
	}
	ask("r1", "utopia.customer.RegisterCustomer")
	reply("r1", 0, 1, "", false)
	ask("r1", "utopia.customer.RegisterCustomer")
	reply("r1", 1, 1, "", true)
	ask("x1", "utopia.customer.ChangeEmail")
	reply("x1", 2, 1, "same_email", false)
	poison := a.add("customer.commands.v1", "c", "", nil)
	poison.raw = []byte("poison")
	letter := a.add("customer.commands.v1.dlq", "c", "", nil)
	letter.raw = []byte("poison")
	letter.headers = map[string]string{
		"utopia-topic": "customer.commands.v1", "utopia-partition": "0", "utopia-offset": "3", "utopia-reason": "malformed",
	}

	event := func(version int64, name, command string, city, more fields) {
		body := fields{"customerId": "c", "version": version, "at": version * 10, "commandId": command}
		maps.Copy(body, more)
		e := a.add("customer.events.v1", "c", "utopia.customer.private."+name, body)
		e.personal = fields{"name": "N", "email": "E", "language": "nl", "address": city}
		a.add("customer.changes.v1", "c", "utopia.customer."+name, fields{"customerId": "c", "version": version})
	}
	event(1, "CustomerRegistered", "r1", home, nil)
	event(2, "CustomerMoved", "", away, fields{"source": "crm", "factId": "f", "occurredAt": int64(5), "verified": true})
	residence := fields{
		"address": away, "reason": "moved", "version": int64(2), "verified": true,
		"occurredAt": int64(5), "recordedAt": int64(20), "source": "crm", "factId": "f",
	}
	state := fields{"customerId": "c", "version": int64(2), "status": "active", "name": "N", "email": "E", "language": "nl", "address": residence}
	row := maps.Clone(state)
	row["change"], row["handled"] = noChange(), []any{}
	a.add("customer-table", "c", "utopia.customer.private.CustomerRow", row)
	public := maps.Clone(state)
	public["pending"], public["updatedAt"] = nil, int64(20)
	a.add("customer.state.v1", "c", "utopia.customer.CustomerState", public)

	a.addMail()
	a.addBilling(away)
	for topic, records := range a.log {
		a.spans = append(a.spans, span{topic: topic, last: int64(len(records)), high: int64(len(records)), stable: int64(len(records))})
	}
	return a
}

func (a *auditor) addMail() {
	a.add("mail.commands.v1", "customer/c/2/1", "utopia.mail.SendMail", fields{"mailId": "customer/c/2/1", "metadata": fields{"commandId": "customer/c/2/1"}})
	a.add("mail.replies.v1", "c", "utopia.mail.MailReply", fields{
		"commandId": "customer/c/2/1", "key": "customer/c/2/1", "partition": int64(0), "offset": int64(0), "version": int64(1),
		"outcome": "accepted", "refusal": "", "message": "", "repeat": false, "sender": "customer",
	})
	id := fields{"mailId": "customer/c/2/1", "version": int64(1)}
	event := fields{"at": int64(30), "commandId": "customer/c/2/1", "sender": "customer", "replyTo": "c", "correlationId": "k"}
	maps.Copy(event, id)
	a.add("mail.events.v1", "customer/c/2/1", "utopia.mail.private.MailAccepted", event)
	a.add("mail.outbox.v1", "customer/c/2/1", "utopia.mail.private.MailToSend", maps.Clone(id))
	state := fields{"status": "queued", "sender": "customer", "acceptedAt": int64(30), "reportedAt": int64(0), "attempts": int64(0), "detail": ""}
	maps.Copy(state, id)
	row := maps.Clone(state)
	row["replyTo"], row["correlationId"], row["handled"] = "c", "k", []any{}
	a.add("mail-table", "customer/c/2/1", "utopia.mail.private.MailRow", row)
	a.add("mail.state.v1", "customer/c/2/1", "utopia.mail.MailState", state)
}

func (a *auditor) addBilling(at fields) {
	e := a.add("billing.events.v1", "c", "utopia.billing.private.CustomerVersionApplied", fields{
		"customerId": "c", "version": int64(1), "customerVersion": int64(2), "status": "active", "addressVersion": int64(2), "reason": "moved",
	})
	e.personal = fields{"address": at}
	a.add("billing-table", "c", "utopia.billing.private.BillingRow", fields{
		"customerId": "c", "version": int64(1), "status": "active", "customerVersion": int64(2), "open": []any{}, "paid": []any{},
		"residence": fields{"address": at, "version": int64(2), "reason": "moved"}, "handled": []any{},
	})
	a.add("billing.state.v1", "c", "utopia.billing.BillingState", fields{
		"customerId": "c", "version": int64(1), "customerVersion": int64(2), "status": "active", "address": at,
		"addressVersion": int64(2), "reason": "moved", "open": []any{},
	})
}

func address(city string) fields {
	out := noAddress()
	out["city"] = city
	return out
}

// add appends a record to partition 0.
func (a *auditor) add(topic, key, name string, body fields) *record {
	r := &record{
		topic: topic, offset: int64(len(a.log[topic])), key: key, name: name, body: body, personal: fields{},
		raw: []byte(name), headers: map[string]string{},
	}
	a.log[topic] = append(a.log[topic], r)
	return r
}

// inspect runs every check that needs no broker and returns the invariants that are violated.
func (a *auditor) inspect(t *testing.T) []string {
	t.Helper()
	a.check()
	if err := a.checkPrivacy(); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, v := range a.report.Violations {
		if !slices.Contains(found, v.Invariant) {
			found = append(found, v.Invariant)
		}
	}
	return found
}

func TestALogWithoutContradictionIsAccepted(t *testing.T) {
	t.Parallel()
	a := world()
	if found := a.inspect(t); len(found) > 0 {
		t.Fatalf("violations: %+v", a.report.Violations)
	}
	for what, want := range map[string]int64{
		"commands": 5, "replies": 4, "dead letters": 1, "duplicates": 1, "refused": 1, "accepted": 2, "folded keys": 3,
		"published changes": 2, "mails asked for": 1, "agreements": 1,
	} {
		if got := a.report.Counted[what]; got != want {
			t.Errorf("counted %d %s, want %d", got, what, want)
		}
	}
}

func TestEveryContradictionIsFound(t *testing.T) {
	t.Parallel()
	drop := func(topic string) func(*auditor) {
		return func(a *auditor) { a.log[topic] = a.log[topic][:len(a.log[topic])-1] }
	}
	double := func(topic string) func(*auditor) {
		return func(a *auditor) {
			again := *a.log[topic][len(a.log[topic])-1]
			again.offset++
			a.log[topic] = append(a.log[topic], &again)
		}
	}
	set := func(topic string, n int, field string, v any) func(*auditor) {
		return func(a *auditor) { a.log[topic][n].body[field] = v }
	}
	for name, c := range map[string]struct {
		sabotage func(*auditor)
		want     string
	}{
		"a reply is lost":                       {drop("customer.replies.v1"), outcomes},
		"a reply is written twice":              {double("customer.replies.v1"), outcomes},
		"a duplicate is decided again":          {set("customer.replies.v1", 1, "repeat", false), outcomes},
		"a duplicate gets another answer":       {set("customer.replies.v1", 1, "version", int64(7)), outcomes},
		"a reply to nothing":                    {set("customer.replies.v1", 1, "offset", int64(70)), outcomes},
		"a dead letter is lost":                 {drop("customer.commands.v1.dlq"), outcomes},
		"a dead letter is changed":              {func(a *auditor) { a.log["customer.commands.v1.dlq"][0].raw = []byte("poisoN") }, outcomes},
		"an event is lost":                      {drop("customer.events.v1"), folded},
		"an event is written twice":             {double("customer.events.v1"), versions},
		"an event number is left out":           {set("customer.events.v1", 1, "version", int64(3)), versions},
		"a row is behind":                       {set("customer-table", 0, "email", "F"), folded},
		"a state is behind":                     {set("customer.state.v1", 0, "email", "F"), folded},
		"a state is not withdrawn":              {set("customer.events.v1", 1, "version", int64(3)), versions},
		"a state is published twice":            {double("customer.state.v1"), versions},
		"a row appears from nowhere":            {drop("mail.events.v1"), folded},
		"a change is not published":             {drop("customer.changes.v1"), atomic},
		"a change is published twice":           {double("customer.changes.v1"), atomic},
		"a refused command has an event":        {set("customer.events.v1", 1, "commandId", "x1"), atomic},
		"an accepted command has no event":      {set("customer.events.v1", 0, "commandId", "y"), atomic},
		"a mail is asked for twice":             {double("mail.commands.v1"), atomic},
		"a mail is asked for by no event":       {set("customer.events.v1", 1, "version", int64(3)), atomic},
		"a mail is in the outbox twice":         {double("mail.outbox.v1"), atomic},
		"an accepted mail is not in the outbox": {drop("mail.outbox.v1"), atomic},
		"billing has not applied the last move": {set("billing.state.v1", 0, "customerVersion", int64(1)), agreements},
		"billing does not know the customer":    {drop("billing.state.v1"), agreements},
		"offsets are not committed":             {func(a *auditor) { a.commits["mail"]["mail.commands.v1"][0] = 0 }, reflected},
		"a transaction stays open":              {func(a *auditor) { a.spans[0].stable-- }, stable},
		"a key is in the wrong partition": {func(a *auditor) {
			a.spans = append(a.spans, span{topic: "customer.state.v1", partition: 1})
			a.log["customer.state.v1"][0].partition = 1
		}, placed},
		"a canary is in a header of a dead letter": {func(a *auditor) {
			a.config.Canaries = []string{"Wolpertinger"}
			a.log["customer.commands.v1.dlq"][0].headers["utopia-detail"] = "name Wolpertinger"
		}, personal},
		"a canary is in a mail's status": {func(a *auditor) {
			a.config.Canaries = []string{"Wolpertinger"}
			a.log["mail.state.v1"][0].raw = []byte("to Wolpertinger")
		}, personal},
		"a canary is in an event outside the personal part": {func(a *auditor) {
			a.config.Canaries = []string{"Wolpertinger"}
			a.log["customer.events.v1"][0].body["changeId"] = "Wolpertinger"
		}, personal},
		"nothing was aborted although the run was to kill": {func(a *auditor) { a.config.WantAborts = true }, atomic},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := world()
			c.sabotage(a)
			if found := a.inspect(t); !slices.Contains(found, c.want) {
				t.Errorf("found %v, want %s", found, c.want)
			}
		})
	}
}

func TestADeadLetterThatWasSentAgainIsNoOutcome(t *testing.T) {
	t.Parallel()
	a := world()
	again := a.add("customer.commands.v1", "c", "", nil)
	again.raw, again.headers["utopia-retry-of"] = []byte("poison"), "customer.commands.v1.dlq/0/0"
	a.inspect(t)
	var texts []string
	for _, v := range a.report.Violations {
		texts = append(texts, v.Text)
	}
	// The outcome of the first sending is that of the second, which has none yet.
	if n := strings.Count(strings.Join(texts, "\n"), "0 replies, 0 dead letters, 0 dead letters sent again"); n != 1 {
		t.Errorf("violations: %q", texts)
	}
}

// A command that was accepted and, outside the window, refused when it came again, has the event of the first answer; one that was refused both times has none.
func TestADecisionThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	sending := func(outcome string, repeat bool) *command {
		return &command{replies: []*record{{body: fields{"outcome": outcome, "repeat": repeat, "refusal": ""}}}}
	}
	for name, c := range map[string]struct {
		sendings []*command
		want     string
	}{
		"accepted, then refused": {[]*command{sending("accepted", false), sending("refused", false)}, "accepted"},
		"refused, then accepted": {[]*command{sending("refused", false), sending("accepted", false)}, "accepted"},
		"refused twice":          {[]*command{sending("refused", false), sending("refused", false)}, "refused"},
		"accepted once":          {[]*command{sending("accepted", false), sending("refused", true)}, "accepted"},
	} {
		if got := text(decision(c.sendings).body["outcome"]); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A row remembers the last commands of its key: a repetition from within is never decided again, and no other body under its id; one from further
// back may be.
func TestAnIDIsDecidedOnceWithinTheWindow(t *testing.T) {
	t.Parallel()
	for c, want := range map[struct {
		between int
		body    string
	}]int{{window - 1, "p"}: 1, {window, "p"}: 0, {window - 1, "other"}: 1, {window, "other"}: 0} {
		a := world()
		reply := func(key string) *record {
			return a.add("customer.replies.v1", key, "utopia.customer.CustomerReply", fields{"key": key, "repeat": false, "refusal": ""})
		}
		sent := a.log["customer.commands.v1"][0]
		first := reply("c")
		for range c.between {
			reply("c")
			reply("another")
		}
		a.checkDecidedOnce([]*command{{record: sent, payload: "p", replies: []*record{first}}, {record: sent, payload: c.body, replies: []*record{reply("c")}}})
		if got := len(a.report.Violations); got != want {
			t.Errorf("%+v: %d violations, want %d: %+v", c, got, want, a.report.Violations)
		}
	}
}

// Facts, fates of mails and refusals of another body have a place in the window of a customer's row, too.
func TestWhatElseARowRemembers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		add  func(*auditor)
		want int
	}{
		"a fact": {func(a *auditor) { a.add("crm.changes.v1", "c", "utopia.crm.AddressChanged", fields{}) }, 0},
		"a mail that was given up": {func(a *auditor) {
			a.add("mail.replies.v1", "c", "utopia.mail.MailUndeliverable", fields{"sender": "customer", "mailId": "customer/c/1/1"})
		}, 0},
		"a mail that was refused": {func(a *auditor) {
			a.add("mail.replies.v1", "c", "utopia.mail.MailReply", fields{"sender": "customer", "outcome": "refused", "commandId": "m", "key": "m"})
		}, 0},
		"a mail that was sent": {func(a *auditor) { a.add("mail.replies.v1", "c", "utopia.mail.MailSent", fields{"sender": "customer"}) }, 1},
		"a mail of another service": {func(a *auditor) {
			a.add("mail.replies.v1", "c", "utopia.mail.MailUndeliverable", fields{"sender": "notification"})
		}, 1},
		"an end": {func(a *auditor) { // of the row
			a.log["customer.replies.v1"] = a.log["customer.replies.v1"][:4] // to the first decision
			a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "outcome": "accepted", "commandId": "due/c/ForgetUnknownCustomer/1"})
		}, 0},
		"another body": {func(a *auditor) {
			a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "repeat": false, "refusal": "id_reused"})
		}, 0},
		"a deadline that was early": {func(a *auditor) {
			a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "repeat": false, "refusal": notDue})
		}, 1},
		"another customer's": {func(a *auditor) { a.add("crm.changes.v1", "another", "utopia.crm.AddressChanged", fields{}) }, 1},
	} {
		a := world()
		reply := func() *record {
			return a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "repeat": false, "refusal": ""})
		}
		sent := a.log["customer.commands.v1"][0]
		for _, topic := range []string{"crm.changes.v1", "mail.replies.v1"} {
			a.log[topic] = nil
		}
		first := reply()
		for range window - 1 {
			reply()
		}
		c.add(a)
		a.checkDecidedOnce([]*command{{record: sent, payload: "p", replies: []*record{first}}, {record: sent, payload: "p", replies: []*record{reply()}}})
		if got := len(a.report.Violations); got != c.want {
			t.Errorf("%s: %d violations, want %d: %+v", name, got, c.want, a.report.Violations)
		}
	}
}

// A command that is decided again, outside the window, has a first answer before and another one after; each repetition tells that of its time.
func TestARepetitionTellsTheAnswerOfItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told [2]int64 // by the repetition after the first decision, and by the one after the second
		want int
	}{
		"as decided":   {[2]int64{1, 2}, 0},
		"the old one":  {[2]int64{1, 1}, 1},
		"the next one": {[2]int64{2, 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := world()
			sent := a.log["customer.commands.v1"][0]
			var sendings []*command
			answer := func(repeat bool, version int64) {
				r := a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "repeat": repeat, "refusal": "", "version": version})
				sendings = append(sendings, &command{record: sent, payload: "p", replies: []*record{r}})
			}
			answer(false, 1)
			answer(true, c.told[0])
			for range window {
				a.add("customer.replies.v1", "c", "utopia.customer.CustomerReply", fields{"key": "c", "repeat": false, "refusal": ""})
			}
			answer(false, 2)
			answer(true, c.told[1])
			slices.Reverse(sendings) // they may have been sent in another order than they were answered
			a.checkDecidedOnce(sendings)
			if got := len(a.report.Violations); got != c.want {
				t.Errorf("%d violations, want %d: %+v", got, c.want, a.report.Violations)
			}
		})
	}
}
