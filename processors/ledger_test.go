package processors

import (
	"fmt"
	"testing"
	"time"

	"utopia/schemas"
	"utopia/topics"
)

// ledger is the topics of the system without a broker: everything that was ever written, in order. Groups read from it one
// record at a time, through the same codecs and the same plan as behind the engine.
type ledger struct {
	t      *testing.T
	now    time.Time
	ids    *schemas.MemoryIDs
	topics map[string][]message
}

// message is a record as bytes; a nil value is a tombstone.
type message struct {
	key   string
	value []byte
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	return &ledger{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ids: schemas.NewMemoryIDs(), topics: map[string][]message{},
	}
}

// write appends a record, as somebody outside would; a nil record is a tombstone.
func (l *ledger) write(topic topics.Topic, key string, rec schemas.Record) {
	l.t.Helper()
	var value []byte
	if rec != nil {
		codec, err := schemas.NewCodec(topic.Name, l.ids)
		if err != nil {
			l.t.Fatal(err)
		}
		if value, err = codec.Append(nil, rec); err != nil {
			l.t.Fatalf("%s: %v", topic.Name, err)
		}
	}
	l.topics[topic.Name] = append(l.topics[topic.Name], message{key, value})
}

// read decodes everything in a topic; a tombstone is nil.
func (l *ledger) read(topic topics.Topic) []schemas.Record {
	l.t.Helper()
	var out []schemas.Record
	for _, m := range l.topics[topic.Name] {
		if m.value == nil {
			out = append(out, nil)
			continue
		}
		var rec schemas.Record
		var err error
		if topic.Private() {
			rec, err = schemas.DecodePrivate(m.value)
		} else {
			var codec *schemas.Codec
			if codec, err = schemas.NewCodec(topic.Name, l.ids); err != nil {
				l.t.Fatal(err)
			}
			rec, err = codec.Decode(m.value)
		}
		if err != nil {
			l.t.Fatalf("%s: %v", topic.Name, err)
		}
		out = append(out, rec)
	}
	return out
}

// last is the newest record of a topic.
func last[T schemas.Record](l *ledger, topic topics.Topic) T {
	l.t.Helper()
	all := l.read(topic)
	if len(all) == 0 {
		l.t.Fatalf("%s is empty", topic.Name)
	}
	rec, ok := all[len(all)-1].(T)
	if !ok {
		l.t.Fatalf("%s ends with a %T", topic.Name, all[len(all)-1])
	}
	return rec
}

// names are the record types in a topic from a place on, without their namespaces.
func (l *ledger) names(topic topics.Topic, from int) []string {
	l.t.Helper()
	out := []string{}
	for _, rec := range l.read(topic)[from:] {
		if rec == nil {
			out = append(out, "tombstone")
			continue
		}
		out = append(out, fmt.Sprintf("%T", rec)[len("*schemas."):])
	}
	return out
}

// member is a group that reads the ledger.
type member[S, C, E any] struct {
	*ledger
	r       *running[S, C, E]
	next    map[string]int
	rows    map[string][]byte
	dead    []deadLetter
	skipped map[string]int // by topic and reason
}

func join[S, C, E any](l *ledger, g *group[S, C, E]) *member[S, C, E] {
	l.t.Helper()
	r := &running[S, C, E]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[C]{},
		messages: wiringMessages(), counters: noCounters{},
	}
	for _, err := range g.refusals {
		r.messages[g.code(err)] = err.Error()
	}
	if err := r.makeCodecs(l.ids); err != nil {
		l.t.Fatal(err)
	}
	for i := range g.inputs {
		r.byTopic[g.inputs[i].topic.Name] = &g.inputs[i]
	}
	return &member[S, C, E]{ledger: l, r: r, next: map[string]int{}, rows: map[string][]byte{}, skipped: map[string]int{}}
}

// step handles the next record of one topic, false if there is none.
func (m *member[S, C, E]) step(topic string) bool {
	m.t.Helper()
	at := m.next[topic]
	if at >= len(m.topics[topic]) {
		return false
	}
	m.next[topic]++
	m.handle(topic, at)
	return true
}

// catchUp reads every input to its end, the topics in the order in which the group names them or in that given.
func (m *member[S, C, E]) catchUp(order ...topics.Topic) {
	m.t.Helper()
	if order == nil {
		for _, in := range m.r.inputs {
			order = append(order, in.topic)
		}
	}
	for progress := true; progress; {
		progress = false
		for _, topic := range order {
			for m.step(topic.Name) {
				progress = true
			}
		}
	}
}

func (m *member[S, C, E]) handle(topic string, at int) {
	m.t.Helper()
	msg := m.topics[topic][at]
	input, err := inputCodec{m.r.codecs[topic]}.Decode(msg.value)
	if err != nil {
		m.t.Fatal(err)
	}
	var row schemas.Record
	if b, ok := m.rows[msg.key]; ok {
		if row, err = schemas.DecodePrivate(b); err != nil {
			m.t.Fatal(err)
		}
	}
	p := m.r.guarded(inbound{key: msg.key, topic: topic, offset: int64(at), at: m.now}, row, input)
	if p.dead != nil {
		m.dead = append(m.dead, *p.dead)
		return
	}
	if p.skipped != "" {
		m.skipped[topic+" "+p.skipped]++
	}
	for _, out := range p.outputs {
		m.topics[string(out.topic)] = append(m.topics[string(out.topic)], message{out.key, out.value})
	}
	switch {
	case p.forget:
		delete(m.rows, msg.key)
	case p.row != nil:
		m.rows[msg.key] = p.row
	}
}

// fire writes the commands of every deadline that has passed, and reads them.
func (m *member[S, C, E]) fire() int {
	m.t.Helper()
	fired := 0
	for key, row := range m.rows {
		for _, d := range m.r.rowDeadlines(key, row) {
			if d.At.After(m.now) {
				continue
			}
			value, err := m.r.encodeDeadline(key, d)
			if err != nil {
				m.t.Fatal(err)
			}
			m.topics[m.r.commands.Name] = append(m.topics[m.r.commands.Name], message{key, value})
			fired++
		}
	}
	m.catchUp()
	return fired
}

// state is the state in a row; the zero state if there is none.
func (m *member[S, C, E]) state(key string) S {
	m.t.Helper()
	var s S
	b, ok := m.rows[key]
	if !ok {
		return s
	}
	row, err := schemas.DecodePrivate(b)
	if err != nil {
		m.t.Fatal(err)
	}
	if s, _, err = m.r.load(row); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// withID is the metadata of a command with an id.
func withID(id string) schemas.Metadata { return schemas.Metadata{CommandID: id} }
