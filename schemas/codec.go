package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
)

// Why a codec cannot be made or used.
var (
	// ErrTopic: there are no public schemas for the topic.
	ErrTopic = errors.New("no public schemas for this topic")
	// ErrNotOfTopic: the record does not belong to the codec's topic.
	ErrNotOfTopic = errors.New("record does not belong to this topic")
	// ErrSymbol: an enum's value is none of its symbols; OrUnknown makes "" one.
	ErrSymbol = errors.New("not a symbol of the enum")
	// ErrIncompatible: the writer's schema cannot be read with ours.
	ErrIncompatible = errors.New("incompatible schema")
)

// confluentHeader is the size of the Confluent framing: a zero byte and the schema id, most significant byte first.
const confluentHeader = 5

// Codec translates between the records of one topic that is not private and bytes in Confluent framing. It is safe for
// concurrent use.
type Codec struct {
	topic   string
	ids     IDs
	writers map[reflect.Type]*writer
	mu      sync.Mutex // serialises changes of readers
	readers atomic.Pointer[map[int]*reader]
}

// writer encodes one record type.
type writer struct {
	kind   *kind
	header atomic.Pointer[[confluentHeader]byte] // nil until the id has been looked up
}

// NewCodec returns the codec of a topic. It does not look anything up: a codec that only reads needs no id of ours. Whoever
// writes calls Lookup first. ErrTopic.
func NewCodec(topic string, ids IDs) (*Codec, error) {
	s, err := compiled()
	if err != nil {
		return nil, err
	}
	c := &Codec{topic: topic, ids: ids, writers: map[reflect.Type]*writer{}}
	for _, k := range s.byName {
		if k.topic == topic && !private(k.name) {
			c.writers[k.typ] = &writer{kind: k}
		}
	}
	if len(c.writers) == 0 {
		return nil, fmt.Errorf("%s: %w", topic, ErrTopic)
	}
	c.readers.Store(&map[int]*reader{})
	return c, nil
}

// Lookup finds the ids of every schema of the topic that Append writes, so that Append cannot fail for want of one later.
// ErrUnknownID (it is not registered) or ErrRegistryDown.
func (c *Codec) Lookup() error {
	for _, w := range c.writers {
		if _, err := c.lookup(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *Codec) lookup(w *writer) (*[confluentHeader]byte, error) {
	if h := w.header.Load(); h != nil {
		return h, nil
	}
	subject := w.kind.revisions[w.kind.write].Subject()
	id, err := c.ids.ID(subject)
	if err != nil {
		return nil, fmt.Errorf("schema id of %s: %w", subject, err)
	}
	var h [confluentHeader]byte
	binary.BigEndian.PutUint32(h[1:], uint32(id))
	w.header.Store(&h)
	return &h, nil
}

// Append appends r to dst. ErrNotOfTopic; ErrUnknownID or ErrRegistryDown if Lookup has not been called; ErrSymbol or
// ErrInvalidUTF8 for a record that could not be read again.
func (c *Codec) Append(dst []byte, r Record) ([]byte, error) {
	w := c.writers[reflect.TypeOf(r)]
	if w == nil {
		return dst, fmt.Errorf("%w: %T, %s", ErrNotOfTopic, r, c.topic)
	}
	h, err := c.lookup(w)
	if err != nil {
		return dst, err
	}
	out, err := w.kind.encode(append(dst, h[:]...), r)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode returns the record of today's type, whatever revision it was written with.
//
// ErrMagic, ErrTruncated, ErrTrailing, ErrInvalidUTF8, ErrMalformed: the bytes are no such record. ErrUnknownID: the
// registry does not know the schema. ErrIncompatible: it does, and it cannot be read. *UnknownTypeError: it is a record
// type that this code does not know in this topic. ErrRegistryDown: nobody can tell now; try again.
func (c *Codec) Decode(b []byte) (Record, error) {
	r, body, err := c.reader(b)
	if err != nil {
		return nil, err
	}
	return r.decode(body)
}

// Key returns the record's first field, the aggregate's id (of a reply: the reply address), without decoding the rest.
// Its errors are those of Decode; a nil error does not say that the rest can be decoded.
func (c *Codec) Key(b []byte) (string, error) {
	r, body, err := c.reader(b)
	if err != nil {
		return "", err
	}
	return r.key(body)
}

// reader takes the framing off b and finds the reader of its schema.
func (c *Codec) reader(b []byte) (r *reader, body []byte, err error) {
	id, body, err := SchemaID(b)
	if err != nil {
		return nil, nil, err
	}
	if r := (*c.readers.Load())[id]; r != nil {
		return r, body, nil
	}
	_, schema, err := c.ids.ByID(id)
	if err != nil {
		return nil, nil, fmt.Errorf("schema %d: %w", id, err)
	}
	r = c.newReader(schema)
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(*c.readers.Load())
	next[id] = r
	c.readers.Store(&next)
	return r, body, nil
}

// newReader makes the reader of a writer's schema; what cannot be read has a reader that says so, because a schema with an
// id never changes.
func (c *Codec) newReader(schema string) *reader {
	p, err := parse(schema)
	if err != nil {
		return &reader{err: err}
	}
	name := typeName(p.Root())
	for _, w := range c.writers {
		if w.kind.name != name {
			continue
		}
		for i, ours := range w.kind.parsed {
			if fingerprint(ours) == fingerprint(p) {
				return w.kind.readers[i]
			}
		}
		r, err := newReader(w.kind, p)
		if err != nil {
			return &reader{err: err}
		}
		r.foreign = true
		return r
	}
	return &reader{err: &UnknownTypeError{Name: name}}
}

// SchemaID takes the Confluent framing off b: the schema's id and the Avro body. ErrMagic, ErrTruncated.
func SchemaID(b []byte) (id int, body []byte, err error) {
	if len(b) > 0 && b[0] != 0 {
		return 0, nil, ErrMagic
	}
	if len(b) < confluentHeader {
		return 0, nil, ErrTruncated
	}
	return int(binary.BigEndian.Uint32(b[1:])), b[confluentHeader:], nil
}
