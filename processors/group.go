package processors

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// group is one Goka group around one core: S its state, C its commands, E its events. All its functions are pure; the
// flow of a record through them is in plan.go.
type group[S, C, E any] struct {
	name      string // of the Goka group; its table is <name>-table
	aggregate string // what a key identifies, as replies say it
	inputs    []input[C]
	outputs   []topics.Topic // beside events, replies and the table

	decide   func(S, C, time.Time) ([]E, error)
	evolve   func(S, E) S
	due      func(S) []eos.Deadline
	version  func(S) int64
	code     func(error) string
	refusals []error // every refusal of the core, to say a first answer again word for word

	load func(schemas.Record) (S, []schemas.Handled, error)
	save func(key string, s S, handled []schemas.Handled) schemas.Record

	events  topics.Topic
	event   func(eventMeta, E) (schemas.Record, error)
	publish func(change[S, E]) ([]output, error)

	replies topics.Topic // of commands; none for a group that only listens
	reply   func(schemas.ReplyFields, inbound) schemas.Record

	// deadline is the command that a passed deadline puts on the group's commands topic.
	commands topics.Topic
	deadline func(key string, meta schemas.Metadata, d eos.Deadline) schemas.Record
	// forget says whether a record is the deadline command that removes a row, and which deadline it is about. A row that
	// remembers nothing but refusals is removed here, without asking the core; parse answers errSkip for a command that is
	// for nothing else.
	forget     func(schemas.Record) (dueAt time.Time, ok bool)
	forgetKind string
	// gone says that a state needs no row any more; nil: every state does.
	gone func(S) bool
}

// input is one input topic of a group.
type input[C any] struct {
	topic topics.Topic
	// parse turns a record (nil for a tombstone) into a command of the core. An error of a command is its refusal, of
	// any other record a dead letter; errSkip says that the record is of no interest here.
	parse func(inbound) (C, error)
	// tombstones says that a record without a value is data here: the key is gone.
	tombstones bool
	// derived says that keys may be derived ids, which contain a slash.
	derived bool
	// foreignKey says that the key is not the first field of the record: replies are keyed by reply address.
	foreignKey bool
	// cause says what caused a record that is not a command, for the metadata of what follows from it.
	cause func(schemas.Record) schemas.Metadata
	// identity is the id under which a fact is remembered, "" where versions make a second arrival harmless.
	identity func(schemas.Record) string
}

// deadlinesVersion names what the cores' Due functions compute. Change it when one of them would answer otherwise for a
// row that is on disk: the index of deadlines is then built anew.
const deadlinesVersion = "1"

// errSkip says that a listener has no use for a record.
var errSkip = errors.New("of no interest here")

// inbound is one input record as the group sees it.
type inbound struct {
	key       string
	topic     string
	partition int32
	offset    int64
	at        time.Time // the broker's clock (LogAppendTime)
	record    schemas.Record
	command   schemas.Command // the record, where it is a command
	meta      schemas.Metadata
}

// eventMeta is what every private event carries beside its own fields.
type eventMeta struct {
	Key     string
	Version int64
	At      time.Time
	Cause   schemas.Metadata // command id, causation id, correlation id
}

// id is the event's identifier.
func (m eventMeta) id() string { return fmt.Sprintf("%s/%d", m.Key, m.Version) }

// change is what one input record did to one aggregate.
type change[S, E any] struct {
	Key           string
	Before, After S
	Events        []E
	Metas         []eventMeta // of the events, in their order
	At            time.Time
	Input         inbound
}

// output is one record that follows from a change. A nil record is a tombstone.
type output struct {
	topic  topics.Topic
	key    string
	record schemas.Record
}

// running is a group with the codecs and the engine of one process.
type running[S, C, E any] struct {
	*group[S, C, E]
	table    topics.Topic
	codecs   map[string]*schemas.Codec
	byTopic  map[string]*input[C]
	messages map[string]string // code → sentence
	counters Counters
	engine   *eos.Processor

	sabotage func(mistake string) bool // as in Options
	met      sync.Map                  // keys whose handled ids were forgotten, as a mistake
}

// sabotaged says whether a mistake is to be made, for the test of the tests.
func (r *running[S, C, E]) sabotaged(mistake string) bool {
	return r.sabotage != nil && r.sabotage(mistake)
}

// start builds the graph and the engine of a group. It asks the registry for the ids of all its schemas (or the cache on
// disk, where they are known); nothing else connects before Run.
func (g *group[S, C, E]) start(o Options) (*eos.Processor, error) {
	r := &running[S, C, E]{
		group: g, codecs: map[string]*schemas.Codec{}, byTopic: map[string]*input[C]{},
		messages: wiringMessages(), counters: o.Counters, sabotage: o.sabotage,
	}
	r.table, _ = topics.ByName(g.name + "-table")
	if r.counters == nil {
		r.counters = noCounters{}
	}
	for _, err := range g.refusals {
		r.messages[g.code(err)] = err.Error()
	}
	if err := r.makeCodecs(o.IDs); err != nil {
		return nil, err
	}

	cfg := o.Engine
	cfg.Graph = r.graph()
	cfg.Inputs = map[string]eos.Input{}
	for i := range g.inputs {
		in := &g.inputs[i]
		r.byTopic[in.topic.Name] = in
		cfg.Inputs[in.topic.Name] = eos.Input{
			DeadLetters: in.topic.DLQ().Name,
			Move:        true,
			Derived:     in.derived,
			Tombstones:  in.tombstones,
			Admit:       r.admit(in),
		}
	}
	cfg.Row = func(_ string, row []byte) error { // the fingerprint says it, and recovery reads millions
		_, _, err := schemas.PrivateSchema(row)
		return err
	}
	if g.deadline != nil {
		cfg.Deadlines = &eos.Deadlines{
			Topic: g.commands.Name, Due: r.rowDeadlines, Encode: r.encodeDeadline, Version: deadlinesVersion,
		}
	}
	var err error
	r.engine, err = eos.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	return r.engine, nil
}

// makeCodecs looks up the schemas of every topic of the group that is not private.
func (r *running[S, C, E]) makeCodecs(ids schemas.IDs) error {
	named := append([]topics.Topic{}, r.outputs...)
	if r.replies.Name != "" {
		named = append(named, r.replies)
	}
	for _, in := range r.inputs {
		named = append(named, in.topic)
	}
	for _, t := range named {
		if t.Private() {
			continue
		}
		c, err := schemas.NewCodec(t.Name, ids)
		if err != nil {
			return fmt.Errorf("%s: schemas of %s: %w", r.name, t.Name, err)
		}
		// Every id that may be needed is known before the first record: a record must never meet a registry that is away.
		if err := c.Lookup(); err != nil {
			return fmt.Errorf("%s: schemas of %s: %w", r.name, t.Name, err)
		}
		r.codecs[t.Name] = c
	}
	return nil
}

func (r *running[S, C, E]) graph() *goka.GroupGraph {
	var edges []goka.Edge
	for i := range r.inputs {
		in := &r.inputs[i]
		edges = append(edges, goka.Input(goka.Stream(in.topic.Name), inputCodec{r.codecs[in.topic.Name]}, r.handle))
	}
	seen := map[string]bool{}
	for _, t := range append([]topics.Topic{r.events, r.replies}, r.outputs...) {
		if t.Name == "" || seen[t.Name] {
			continue
		}
		seen[t.Name] = true
		edges = append(edges, goka.Output(goka.Stream(t.Name), rawCodec{}))
	}
	edges = append(edges, goka.Persist(rowCodec{}))
	return goka.DefineGroup(goka.Group(r.name), edges...)
}

// admit is the part of admission that needs schemas: framing, a known schema id, a key equal to the record's.
func (r *running[S, C, E]) admit(in *input[C]) func(*kgo.Record) error {
	codec := r.codecs[in.topic.Name]
	return func(rec *kgo.Record) error {
		if rec.Value == nil {
			return nil // the engine has refused it already where it is not data
		}
		key, err := codec.Key(rec.Value)
		var unknown *schemas.UnknownTypeError
		switch {
		case errors.As(err, &unknown):
			return nil // the callback decides: a dead letter for a command, skipped by a listener
		case errors.Is(err, schemas.ErrRegistryDown):
			return fmt.Errorf("%w: %w", eos.ErrBlocked, err)
		case err != nil:
			return &eos.Reject{Reason: deadMalformed, Detail: err.Error()}
		case !in.foreignKey && key != string(rec.Key):
			return &eos.Reject{Reason: "key_mismatch", Detail: "the record's key is not the id inside it"}
		}
		return nil
	}
}

// rowDeadlines lists what is to happen to a row if nothing happens before.
func (r *running[S, C, E]) rowDeadlines(_ string, row []byte) []eos.Deadline {
	rec, err := schemas.DecodePrivate(row)
	if err != nil {
		return nil
	}
	s, handled, err := r.load(rec)
	if err != nil {
		return nil
	}
	return r.deadlines(s, handled)
}

func (r *running[S, C, E]) deadlines(s S, handled []schemas.Handled) []eos.Deadline {
	if r.version(s) > 0 {
		return r.due(s)
	}
	if len(handled) == 0 || r.forgetKind == "" {
		return nil
	}
	return []eos.Deadline{{Kind: r.forgetKind, At: refusalsForgottenAt(handled)}}
}

// encodeDeadline makes the command of a passed deadline. Its id is derived from what it is about, so that a second
// firing is the same command.
func (r *running[S, C, E]) encodeDeadline(key string, d eos.Deadline) ([]byte, error) {
	meta := schemas.Metadata{CommandID: fmt.Sprintf("due/%s/%s/%d", key, d.Kind, d.At.UnixMilli())}
	return r.codecs[r.commands.Name].Append(nil, r.deadline(key, meta, d))
}
