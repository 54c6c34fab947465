package processors

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// The framework is tested with the smallest core there is: a counter of e-mail changes that refuses some of them.
type (
	toyState   struct{ Version, Count int64 }
	toyCommand struct{ email string }
	toyEvent   struct{}
)

var (
	errToyBusy   = errors.New("the toy is busy")
	errToyNotDue = errors.New("too early for the toy")
)

func toyGroup() *group[toyState, toyCommand, toyEvent] {
	return &group[toyState, toyCommand, toyEvent]{
		name: topics.Customer, aggregate: "customer",
		inputs: []input[toyCommand]{
			{topic: topics.CustomerCommands, parse: toyParse},
			{
				topic: topics.CRMChanges,
				parse: func(inbound) (toyCommand, error) { return toyCommand{email: "fact"}, nil },
				identity: func(r schemas.Record) string {
					f, ok := r.(*schemas.AddressChanged)
					if !ok {
						return ""
					}
					return f.Source + "/" + f.FactID
				},
			},
		},
		outputs: []topics.Topic{topics.CustomerState},
		decide: func(_ toyState, c toyCommand, _ time.Time) ([]toyEvent, error) {
			switch c.email {
			case "busy":
				return nil, errToyBusy
			case "early":
				return nil, errToyNotDue
			case "panic":
				panic("secret of the record")
			}
			return []toyEvent{{}}, nil
		},
		evolve:  func(s toyState, _ toyEvent) toyState { return toyState{s.Version + 1, s.Count + 1} },
		due:     func(toyState) []eos.Deadline { return nil },
		version: func(s toyState) int64 { return s.Version },
		code: func(err error) string {
			switch {
			case errors.Is(err, errToyBusy):
				return "busy"
			case errors.Is(err, errToyNotDue):
				return codeNotDue
			}
			return ""
		},
		refusals: []error{errToyBusy, errToyNotDue},
		load: func(r schemas.Record) (toyState, []schemas.Handled, error) {
			row, ok := r.(*schemas.CustomerRow)
			if !ok {
				return toyState{}, nil, errors.New("another row")
			}
			return toyState{row.Version, row.Version}, row.Handled, nil
		},
		save: func(key string, s toyState, h []schemas.Handled) schemas.Record {
			return &schemas.CustomerRow{
				CustomerID: key, Version: s.Version, Status: "active", Handled: h,
				Address: toyResidence(), Change: schemas.Change{Status: schemas.Unknown, Reason: schemas.Unknown},
			}
		},
		events: topics.CustomerEvents,
		event: func(m eventMeta, _ toyEvent) (schemas.Record, error) {
			return &schemas.ConfirmationReminded{CustomerID: m.Key, EventHead: schemas.EventHead{Version: m.Version}}, nil
		},
		publish: func(c change[toyState, toyEvent]) ([]output, error) {
			name := "n"
			if cmd, ok := c.Input.record.(*schemas.ChangeEmail); ok && cmd.Email == "huge" {
				name = strings.Repeat("x", topics.CustomerState.MaxBytes)
			}
			return []output{{topics.CustomerState, c.Key, &schemas.CustomerState{
				CustomerID: c.Key, Version: c.After.Version, Status: "active", Name: name, Address: toyResidence(),
			}}}, nil
		},
		replies: topics.CustomerReplies,
		reply:   func(f schemas.ReplyFields, _ inbound) schemas.Record { return &schemas.CustomerReply{ReplyFields: f} },
		forget: func(r schemas.Record) (time.Time, bool) {
			f, ok := r.(*schemas.ForgetUnknownCustomer)
			if !ok {
				return time.Time{}, false
			}
			return schemas.Time(f.DueAt), true
		},
		forgetKind: "ForgetUnknownCustomer",
	}
}

func toyResidence() schemas.Residence { return schemas.Residence{Reason: schemas.Unknown} }

func toyParse(in inbound) (toyCommand, error) {
	switch c := in.record.(type) {
	case *schemas.ChangeEmail:
		return toyCommand{email: c.Email}, nil
	case *schemas.ForgetUnknownCustomer:
		return toyCommand{}, errSkip
	}
	return toyCommand{}, errors.New("half an address")
}

// toy runs plans against one row, as the engine would.
type toy struct {
	t    *testing.T
	r    *running[toyState, toyCommand, toyEvent]
	row  schemas.Record
	now  time.Time
	last plan
}

func newToy(t *testing.T) *toy {
	t.Helper()
	g := toyGroup()
	r := &running[toyState, toyCommand, toyEvent]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[toyCommand]{},
		messages: wiringMessages(), counters: noCounters{},
	}
	r.messages["busy"] = errToyBusy.Error()
	if err := r.makeCodecs(schemas.NewMemoryIDs()); err != nil {
		t.Fatal(err)
	}
	for i := range g.inputs {
		r.byTopic[g.inputs[i].topic.Name] = &g.inputs[i]
	}
	return &toy{t: t, r: r, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// give plans one record and applies what it does to the row.
func (y *toy) give(topic topics.Topic, msg any) plan {
	y.t.Helper()
	in := inbound{key: "c-1", topic: topic.Name, offset: 7, at: y.now}
	p := y.r.guarded(in, y.row, msg)
	switch {
	case p.forget:
		y.row = nil
	case p.row != nil:
		row, err := schemas.DecodePrivate(p.row)
		if err != nil {
			y.t.Fatal(err)
		}
		y.row = row
	}
	y.last = p
	return p
}

func (y *toy) change(id, email string) schemas.ReplyFields {
	y.t.Helper()
	p := y.give(topics.CustomerCommands, &schemas.ChangeEmail{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: id}, Email: email})
	return y.reply(p)
}

func (y *toy) reply(p plan) schemas.ReplyFields {
	y.t.Helper()
	for _, out := range p.outputs {
		if string(out.topic) != topics.CustomerReplies.Name {
			continue
		}
		rec, err := y.r.codecs[topics.CustomerReplies.Name].Decode(out.value)
		if err != nil {
			y.t.Fatal(err)
		}
		reply, ok := rec.(*schemas.CustomerReply)
		if !ok {
			y.t.Fatalf("a %T among the replies", rec)
		}
		return reply.ReplyFields
	}
	y.t.Fatalf("no reply: %+v %+v", p, p.dead)
	return schemas.ReplyFields{}
}

func (y *toy) version() int64 {
	row, ok := y.row.(*schemas.CustomerRow)
	if !ok {
		return -1
	}
	return row.Version
}

func TestARepeatedCommandGetsTheFirstAnswerAndDoesNothing(t *testing.T) {
	y := newToy(t)
	first := y.change("a", "new@example.org")
	y.change("b", "newer@example.org")
	again := y.change("a", "new@example.org")
	if y.version() != 2 || y.last.row != nil {
		t.Fatalf("the repeat changed the row: version %d", y.version())
	}
	first.Repeat = true
	if diff := cmp.Diff(first, again); diff != "" {
		t.Fatal(diff)
	}
}

func TestARefusalIsRememberedWordForWord(t *testing.T) {
	y := newToy(t)
	for _, email := range []string{"busy", "huge"} {
		first := y.change("id-"+email, email)
		if first.Outcome != "refused" || first.Refusal == "" || first.Message == "" {
			t.Fatalf("%s: %+v", email, first)
		}
		again := y.change("id-"+email, email)
		again.Repeat = false
		if email == "busy" {
			if diff := cmp.Diff(first, again); diff != "" {
				t.Fatal(diff)
			}
		}
	}
	if y.version() != 0 {
		t.Fatalf("a refusal counted as an event: version %d", y.version())
	}
}

func TestAnIDWithAnotherBodyIsRefusedOnceAndThenRepeated(t *testing.T) {
	y := newToy(t)
	y.change("a", "one@example.org")
	reused := y.change("a", "two@example.org")
	if reused.Refusal != codeIDReused || reused.Repeat {
		t.Fatalf("%+v", reused)
	}
	if again := y.change("a", "two@example.org"); again.Refusal != codeIDReused || !again.Repeat {
		t.Fatalf("%+v", again)
	}
	if one := y.change("a", "one@example.org"); one.Outcome != "accepted" || !one.Repeat {
		t.Fatalf("the first body lost its answer: %+v", one)
	}
}

func TestMetadataIsNoPartOfABody(t *testing.T) {
	y := newToy(t)
	y.change("a", "one@example.org")
	p := y.give(topics.CustomerCommands, &schemas.ChangeEmail{
		CustomerID: "c-1", Email: "one@example.org",
		Meta: schemas.Metadata{CommandID: "a", CorrelationID: "other", ReplyTo: "elsewhere"},
	})
	f := y.reply(p)
	if !f.Repeat || f.ReplyTo != "elsewhere" || f.CorrelationID != "other" {
		t.Fatalf("%+v", f)
	}
}

// An id in the metadata goes on to other services; one that they would refuse is refused here, where somebody hears of it.
func TestMetadataThatOthersWouldRefuse(t *testing.T) {
	long := strings.Repeat("x", 161)
	for name, c := range map[string]struct {
		meta schemas.Metadata
		key  string
	}{
		"a long correlation id":     {schemas.Metadata{CorrelationID: long, ReplyTo: "me"}, "me"},
		"a correlation of two":      {schemas.Metadata{CorrelationID: "a b", ReplyTo: "me"}, "me"},
		"a cause with a line break": {schemas.Metadata{CausationID: "a\n", ReplyTo: "me/1"}, "me/1"},
		"a long reply address":      {schemas.Metadata{ReplyTo: long}, "c-1"},
		"a strange reply address":   {schemas.Metadata{ReplyTo: "a b"}, "c-1"},
	} {
		t.Run(name, func(t *testing.T) {
			y := newToy(t)
			cmd := &schemas.ChangeEmail{CustomerID: "c-1", Meta: c.meta, Email: "v@example.org"}
			cmd.Meta.CommandID = "a"
			f := y.reply(y.give(topics.CustomerCommands, cmd))
			if f.Refusal != codeMetadata || f.Message != ErrMetadata.Error() || y.version() != 0 {
				t.Fatalf("%+v, version %d", f, y.version())
			}
			if f.ReplyTo != c.key || y.last.outputs[0].key != c.key {
				t.Errorf("the reply goes to %q, key %q", f.ReplyTo, y.last.outputs[0].key)
			}
			if f = y.reply(y.give(topics.CustomerCommands, cmd)); !f.Repeat || f.Refusal != codeMetadata || f.Message != ErrMetadata.Error() {
				t.Errorf("again: %+v", f)
			}
		})
	}
}

func TestTheWindowForgetsTheOldestAndCountsThoseTooYoung(t *testing.T) {
	y := newToy(t)
	for i := range handledWindow {
		y.change(string(rune('a'+i%26))+strings.Repeat("x", i), "v@example.org")
	}
	if len(y.last.young) != 0 {
		t.Fatal("nothing had to leave yet")
	}
	y.now = y.now.Add(time.Hour)
	y.change("one-more", "v@example.org")
	if diff := cmp.Diff([]time.Duration{time.Hour}, y.last.young); diff != "" {
		t.Fatal(diff)
	}
	y.now = y.now.Add(24 * time.Hour)
	y.change("and-another", "v@example.org")
	if len(y.last.young) != 0 {
		t.Fatal("a day is long enough")
	}
}

func TestAPanicIsADeadLetterWithoutTheRecord(t *testing.T) {
	y := newToy(t)
	p := y.give(topics.CustomerCommands, &schemas.ChangeEmail{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: "a"}, Email: "panic"})
	if p.dead == nil || p.dead.reason != deadDefect {
		t.Fatalf("%+v", p)
	}
	if strings.Contains(p.dead.detail, "secret") || !strings.Contains(p.dead.detail, "plan_test.go") {
		t.Fatalf("the detail must be a stack without the panic's words: %s", p.dead.detail)
	}
}

func TestNotDueIsNotRemembered(t *testing.T) {
	y := newToy(t)
	if f := y.change("a", "early"); f.Refusal != codeNotDue {
		t.Fatalf("%+v", f)
	}
	if y.row != nil {
		t.Fatal("a row was written")
	}
	if f := y.change("a", "early"); f.Repeat {
		t.Fatal("it must be decided anew each time")
	}
}

func TestARowOfRefusalsIsForgottenAfterADay(t *testing.T) {
	y := newToy(t)
	y.change("a", "busy")
	due := y.now.Add(forgetRefusalsAfter)
	forget := func(at time.Time) plan {
		return y.give(topics.CustomerCommands, &schemas.ForgetUnknownCustomer{
			CustomerID: "c-1", Meta: schemas.Metadata{CommandID: "due/c-1/ForgetUnknownCustomer/1"}, DueAt: schemas.Millis(at),
		})
	}
	if f := y.reply(forget(due)); f.Refusal != codeNotDue {
		t.Fatalf("too early: %+v", f)
	}
	y.now = due
	if f := y.reply(forget(due.Add(-time.Minute))); f.Refusal != codeStillNeeded {
		t.Fatalf("another deadline: %+v", f)
	}
	y = newToy(t)
	y.change("a", "busy")
	y.now = due
	if f := y.reply(forget(due)); f.Outcome != "accepted" || y.row != nil {
		t.Fatalf("%+v, row %v", f, y.row)
	}
	if f := y.reply(forget(due)); !f.Repeat || f.Outcome != "accepted" {
		t.Fatalf("fired twice: %+v", f)
	}
}

func TestAFactIsTakenOnce(t *testing.T) {
	y := newToy(t)
	fact := &schemas.AddressChanged{CustomerID: "c-1", Source: "crm", FactID: "f-1"}
	if p := y.give(topics.CRMChanges, fact); p.row == nil || p.skipped != "" {
		t.Fatalf("%+v", p)
	}
	if p := y.give(topics.CRMChanges, fact); p.row != nil || p.skipped != "known" {
		t.Fatalf("%+v", p)
	}
	if y.version() != 1 {
		t.Fatalf("version %d", y.version())
	}
}

func TestWhatCannotBeReadIsADeadLetterOrSkipped(t *testing.T) {
	y := newToy(t)
	for name, c := range map[string]struct {
		topic   topics.Topic
		msg     any
		dead    string
		skipped string
	}{
		"garbage":                           {topics.CustomerCommands, malformed{errors.New("cut off")}, deadMalformed, ""},
		"an unknown command":                {topics.CustomerCommands, unknownType{"utopia.customer.Fly"}, deadUnknownType, ""},
		"an unknown fact":                   {topics.CRMChanges, unknownType{"utopia.crm.Married"}, "", deadUnknownType},
		"a state among the commands":        {topics.CustomerCommands, &schemas.CustomerState{}, deadUnknownType, ""},
		"a command without an id":           {topics.CustomerCommands, &schemas.ChangeEmail{CustomerID: "c-1"}, deadInvalid, ""},
		"a command with an id of two words": {topics.CustomerCommands, &schemas.ChangeEmail{Meta: schemas.Metadata{CommandID: "a b"}}, deadInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := y.give(c.topic, c.msg)
			if got := ""; c.dead != got && (p.dead == nil || p.dead.reason != c.dead) {
				t.Fatalf("want dead letter %s, got %+v", c.dead, p)
			}
			if p.skipped != c.skipped || p.row != nil {
				t.Fatalf("%+v", p)
			}
		})
	}
}

func TestReceiptsReadBackAsTheyPrint(t *testing.T) {
	for _, r := range []Receipt{{"customer", "c-17", 4, false}, {"customer", "c@17", 5, true}, {"mail", "customer/c-1/3/1", 2, false}} {
		got, err := ParseReceipt(r.String())
		if err != nil || got != r {
			t.Fatalf("%s: %+v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "customer", "customer/c-17", "customer/c-17@", "customer/c-17@x", "/c@1", "customer/@1", "customer/c@-1"} {
		if _, err := ParseReceipt(s); !errors.Is(err, ErrReceipt) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
