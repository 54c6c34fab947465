package processors

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"utopia/processors/customer"
	"utopia/schemas"
	"utopia/topics"
)

// entry is one input record as the broker has it.
type entry struct {
	topic, key string
	value      []byte
	at         time.Time
}

// reader is a group that reads entries, one after the other, and writes down everything that follows, byte by byte.
type reader[S, C, E any] struct {
	t    *rapid.T
	r    *running[S, C, E]
	rows map[string][]byte
	read map[string]int64 // records of each topic
	out  []entry
	said bytes.Buffer
}

func newReader[S, C, E any](t *rapid.T, g *group[S, C, E], ids schemas.IDs) *reader[S, C, E] {
	r := &running[S, C, E]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[C]{}, messages: wiringMessages(), counters: noCounters{},
	}
	for _, err := range g.refusals {
		r.messages[g.code(err)] = err.Error()
	}
	if err := r.makeCodecs(ids); err != nil {
		t.Fatal(err)
	}
	for i := range g.inputs {
		r.byTopic[g.inputs[i].topic.Name] = &g.inputs[i]
	}
	return &reader[S, C, E]{t: t, r: r, rows: map[string][]byte{}, read: map[string]int64{}}
}

// take handles one entry and returns what followed.
func (r *reader[S, C, E]) take(e entry) []entry {
	msg, err := inputCodec{r.r.codecs[e.topic]}.Decode(e.value)
	if err != nil {
		r.t.Fatal(err)
	}
	var row schemas.Record
	if b, ok := r.rows[e.key]; ok {
		if row, err = schemas.DecodePrivate(b); err != nil {
			r.t.Fatal(err)
		}
	}
	p := r.r.guarded(inbound{key: e.key, topic: e.topic, offset: r.read[e.topic], at: e.at}, row, msg)
	r.read[e.topic]++
	if p.dead != nil {
		r.t.Fatalf("%s: a dead letter %s: %s", e.topic, p.dead.reason, p.dead.detail)
	}
	switch {
	case p.forget:
		delete(r.rows, e.key)
	case p.row != nil:
		r.rows[e.key] = p.row
	}
	from, replies := len(r.out), 0
	for _, o := range p.outputs {
		r.out = append(r.out, entry{topic: string(o.topic), key: o.key, value: o.value, at: e.at})
		_, _ = fmt.Fprintf(&r.said, "%s %s %x\n", o.topic, o.key, []byte(o.value))
		if string(o.topic) == r.r.replies.Name {
			replies++
		}
	}
	if r.r.byTopic[e.topic].topic.Kind == topics.Command && replies != 1 {
		r.t.Fatalf("a command on %s has %d replies", e.topic, replies)
	}
	_, _ = fmt.Fprintf(&r.said, "row %s %x %t %s\n", e.key, []byte(p.row), p.forget, p.skipped)
	return r.out[from:]
}

// replayed says the log again to a group that knows nothing, and compares every byte.
func replayed[S, C, E any](live *reader[S, C, E], g *group[S, C, E], ids schemas.IDs, log []entry) {
	again := newReader(live.t, g, ids)
	for _, e := range log {
		again.take(e)
	}
	if !bytes.Equal(live.said.Bytes(), again.said.Bytes()) {
		live.t.Fatalf("%s: another replay says something else", live.r.name)
	}
}

// life is one customer who is asked and told things, and the other services that listen.
type life struct {
	t   *rapid.T
	ids *schemas.MemoryIDs
	now time.Time
	c   *reader[customer.State, customer.Command, customer.Event]
	log []entry // of the customer group
}

func (l *life) give(topic topics.Topic, rec schemas.Record) []entry {
	codec, err := schemas.NewCodec(topic.Name, l.ids)
	if err != nil {
		l.t.Fatal(err)
	}
	value, err := codec.Append(nil, rec)
	if err != nil {
		l.t.Fatal(err)
	}
	e := entry{topic.Name, "c-1", value, l.now}
	l.log = append(l.log, e)
	return l.c.take(e)
}

// command draws one; ids come from a small set, so that some are sent again and some are used for something else.
func (l *life) command() schemas.Command {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(l.t, name) }
	meta := withID(pick("id", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"))
	meta.ExpectedVersion = rapid.SampledFrom([]int64{0, 0, 0, 0, 1, 3}).Draw(l.t, "expected")
	at := place(pick("city", "Gouda", "Delft", "Leiden"))
	switch pick("command", "register", "register", "request", "request", "request", "confirm", "confirm", "cancel", "email", "close", "erase") {
	case "register":
		return &schemas.RegisterCustomer{CustomerID: "c-1", Meta: meta, Name: "Ada", Email: "ada@example.com", Address: at}
	case "request":
		c := &schemas.RequestAddressChange{CustomerID: "c-1", Meta: meta, Address: at, Reason: pick("reason", "moved", "corrected")}
		if rapid.Bool().Draw(l.t, "dated") {
			c.EffectiveAt = schemas.Millis(l.now.Add(30 * time.Hour))
		}
		return c
	case "confirm":
		s, _ := l.state()
		return &schemas.ConfirmAddressChange{CustomerID: "c-1", Meta: meta, ChangeID: s.Change.ID}
	case "cancel":
		return &schemas.CancelAddressChange{CustomerID: "c-1", Meta: meta}
	case "email":
		return &schemas.ChangeEmail{CustomerID: "c-1", Meta: meta, Email: pick("email", "ada@example.org", "ada@example.net", "no address")}
	case "close":
		return &schemas.CloseCustomer{CustomerID: "c-1", Meta: meta}
	}
	return &schemas.EraseCustomer{CustomerID: "c-1", Meta: meta}
}

func (l *life) state() (customer.State, []schemas.Handled) {
	if l.c.rows["c-1"] == nil {
		return customer.State{}, nil
	}
	rec, err := schemas.DecodePrivate(l.c.rows["c-1"])
	if err != nil {
		l.t.Fatal(err)
	}
	s, handled, err := loadCustomer(rec)
	if err != nil {
		l.t.Fatal(err)
	}
	return s, handled
}

// step lets one thing happen.
func (l *life) step() {
	l.now = l.now.Add(time.Duration(rapid.IntRange(0, 20*3600).Draw(l.t, "seconds pass")) * time.Second)
	switch rapid.IntRange(0, 5).Draw(l.t, "what") {
	case 0:
		f := fact(fmt.Sprint("f", rapid.IntRange(1, 5).Draw(l.t, "fact")), l.now.Add(-time.Duration(rapid.IntRange(-5, 50).Draw(l.t, "hours ago"))*time.Hour),
			place(rapid.SampledFrom([]string{"Breda", "Gouda"}).Draw(l.t, "city")))
		l.give(topics.CRMChanges, f)
	case 1:
		s, _ := l.state()
		l.give(topics.MailReplies, &schemas.MailUndeliverable{
			ReplyTo: "c-1", MailID: fmt.Sprintf("customer/c-1/%d/1", max(1, s.Change.Version)), Sender: "customer", Detail: "full",
		})
	case 2:
		due := l.c.r.rowDeadlines("c-1", l.c.rows["c-1"])
		if len(due) == 0 {
			return
		}
		if late := rapid.Bool().Draw(l.t, "in time"); late && due[0].At.After(l.now) {
			l.now = due[0].At
		}
		value, err := l.c.r.encodeDeadline("c-1", due[0])
		if err != nil {
			l.t.Fatal(err)
		}
		e := entry{topics.CustomerCommands.Name, "c-1", value, l.now}
		l.log = append(l.log, e)
		l.c.take(e)
	default:
		l.give(topics.CustomerCommands, l.command())
	}
}

// Whatever is asked and told, in whatever order: said again, one log makes the same bytes in all four services; the events
// fold into the row; and those who listen end where the customer is.
func TestOneLogMakesTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := schemas.NewMemoryIDs()
		g := customerGroup()
		l := &life{t: t, ids: ids, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), c: newReader(t, g, ids)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			l.step()
		}
		replayed(l.c, g, ids, l.log)

		var folded customer.State
		for _, e := range l.c.out {
			if e.topic != topics.CustomerEvents.Name {
				continue
			}
			rec, err := schemas.DecodePrivate(e.value)
			if err != nil {
				t.Fatal(err)
			}
			event, head, err := readCustomerEvent(rec)
			if err != nil {
				t.Fatal(err)
			}
			if folded = customer.Evolve(folded, event); folded.Version != head.Version {
				t.Fatalf("%T is version %d and number %d", event, head.Version, folded.Version)
			}
		}
		state, handled := l.state()
		if want, err := schemas.AppendPrivate(nil, saveCustomer("c-1", folded, handled)); err != nil || l.c.rows["c-1"] != nil && !bytes.Equal(want, l.c.rows["c-1"]) {
			t.Fatalf("the events fold into %+v, the row says %+v (%v)", folded, state, err)
		}
		l.listeners(state)
	})
}

// listeners hear what the customer service published, states and changes in any order, some of it twice.
func (l *life) listeners(state customer.State) {
	var states, changes, mails []entry
	for _, e := range l.c.out {
		switch e.topic {
		case topics.CustomerState.Name:
			states = append(states, e)
		case topics.CustomerChanges.Name:
			changes = append(changes, e)
		case topics.MailCommands.Name:
			mails = append(mails, e)
		}
	}
	var news []entry
	for len(states)+len(changes) > 0 {
		from := &states
		if len(states) == 0 || len(changes) > 0 && rapid.Bool().Draw(l.t, "a change first") {
			from = &changes
		}
		news = append(news, (*from)[0])
		if !rapid.Bool().Draw(l.t, "again") || len(news) > 200 {
			*from = (*from)[1:]
		}
	}
	bill, notify, post := newReader(l.t, newBillingGroup(), l.ids), newReader(l.t, newNotificationGroup(), l.ids), newReader(l.t, newMailGroup(), l.ids)
	for _, e := range news {
		bill.take(e)
		for _, o := range notify.take(e) {
			if o.topic == topics.MailCommands.Name {
				mails = append(mails, o)
			}
		}
	}
	for _, e := range mails {
		post.take(e)
	}
	replayed(bill, newBillingGroup(), l.ids, news)
	replayed(notify, newNotificationGroup(), l.ids, news)
	replayed(post, newMailGroup(), l.ids, mails)
	for _, o := range post.out {
		if r, ok := mailReply(l.t, post.r.codecs, o); ok && r.Outcome != outcomeAccepted {
			l.t.Fatalf("the mail service does not take %s: %s", r.CommandID, r.Message)
		}
	}
	if state.Version == 0 {
		return
	}
	billed, told := lastRow[*schemas.BillingRow](l.t, bill.rows), lastRow[*schemas.NotificationRow](l.t, notify.rows)
	if billed.CustomerVersion != state.Version || told.CustomerVersion != state.Version {
		l.t.Fatalf("the customer is at %d, billing at %d, notification at %d", state.Version, billed.CustomerVersion, told.CustomerVersion)
	}
	if billed.Residence.Address != addressOf(state.Address.Address) || told.Email != string(state.Email) {
		l.t.Fatalf("billing and notification know somebody else: %+v, %+v", billed, told)
	}
}

func mailReply(t *rapid.T, codecs map[string]*schemas.Codec, o entry) (*schemas.MailReply, bool) {
	if o.topic != topics.MailReplies.Name {
		return nil, false
	}
	rec, err := codecs[o.topic].Decode(o.value)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := rec.(*schemas.MailReply)
	return r, ok
}

func lastRow[T schemas.Record](t *rapid.T, rows map[string][]byte) T {
	var none T
	rec, err := schemas.DecodePrivate(rows["c-1"])
	if err != nil {
		t.Fatal(err)
	}
	row, ok := rec.(T)
	if !ok {
		return none
	}
	return row
}
