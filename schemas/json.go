package schemas

import (
	"errors"
	"fmt"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
)

// ErrJSON says that a text is not JSON, or does not fit the schema. The message says where and what is wanted, and quotes
// nothing.
var ErrJSON = errors.New("not JSON for this schema")

// JSON translates between Avro and JSON for any schema, given at run time. It is for people: what they see they can type.
//
//   - Fields have their plain names, in the order of the schema. A field that is left out, or null, takes its default.
//   - A value of a union of null and one type is the plain value or null. One of several types is an object with the
//     type's name as its only key; where only one type fits, the plain value may be typed as well.
//   - Times are RFC 3339 (2006-01-02T15:04:05.999Z), dates 2006-01-02; their number may be typed as well. A time of 0
//     whose field has the default 0 is an absent one and shown as null.
//   - Bytes are base64. Numbers that JSON has no form for are the strings NaN, Infinity and -Infinity.
//   - An unknown field is an error: it is a typing error more often than anything else.
//
// It is safe for concurrent use.
type JSON struct {
	root    *avro.SchemaNode
	named   map[string]*avro.SchemaNode
	program *program
	codec   *goavro.Codec
}

// NewJSON compiles a schema. ErrSchema.
func NewJSON(schema string) (*JSON, error) {
	p, err := parse(schema)
	if err != nil {
		return nil, err
	}
	j := &JSON{root: p.Root().ExpandReferences(), named: map[string]*avro.SchemaNode{}}
	j.collect(j.root)
	if j.program, err = newProgram(p); err != nil {
		return nil, err
	}
	// The canonical form has neither logical types nor defaults, which this package handles itself: goavro's times lose
	// numbers far from today.
	if j.codec, err = goavro.NewCodec(string(p.Canonical())); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return j, nil
}

// ToJSON is NewJSON and JSON.ToJSON in one, for a schema that is used once.
func ToJSON(schema string, avroBody []byte) ([]byte, error) {
	j, err := NewJSON(schema)
	if err != nil {
		return nil, err
	}
	return j.ToJSON(avroBody)
}

// FromJSON is NewJSON and JSON.FromJSON in one, for a schema that is used once.
func FromJSON(schema string, text []byte) ([]byte, error) {
	j, err := NewJSON(schema)
	if err != nil {
		return nil, err
	}
	return j.FromJSON(text)
}

// AppendJSON appends the record that is written in JSON, of a type of the codec's topic: what Append does, for people.
// ErrNotOfTopic, ErrJSON and the errors of Append.
func (c *Codec) AppendJSON(dst []byte, record string, text []byte) ([]byte, error) {
	for _, w := range c.writers {
		if w.kind.name != record {
			continue
		}
		body, err := FromJSON(w.kind.revisions[w.kind.write].Schema, text)
		if err != nil {
			return dst, err
		}
		h, err := c.lookup(w)
		if err != nil {
			return dst, err
		}
		return append(append(dst, h[:]...), body...), nil
	}
	return dst, fmt.Errorf("%w: %s, %s", ErrNotOfTopic, record, c.topic)
}

// collect remembers the named types, so that a recursive schema can refer to them.
func (j *JSON) collect(n *avro.SchemaNode) {
	if n == nil {
		return
	}
	if n.Name != "" {
		j.named[fullName(n)] = n
	}
	for i := range n.Fields {
		j.collect(&n.Fields[i].Type)
	}
	for i := range n.Branches {
		j.collect(&n.Branches[i])
	}
	j.collect(n.Items)
	j.collect(n.Values)
}

// resolve follows a reference by name, seen from inside namespace.
func (j *JSON) resolve(n *avro.SchemaNode, namespace string) *avro.SchemaNode {
	if d := j.named[n.Type]; d != nil {
		return d
	}
	if d := j.named[namespace+"."+n.Type]; d != nil {
		return d
	}
	return n
}

// inside is the namespace that names within n are relative to.
func inside(n *avro.SchemaNode, namespace string) string {
	if n.Name == "" {
		return namespace
	}
	if i := strings.LastIndexByte(fullName(n), '.'); i >= 0 {
		return fullName(n)[:i]
	}
	return ""
}

// absent reports whether a field's value 0 means that there is no time.
func absent(f *avro.SchemaField) bool {
	zero, ok := f.Default.(int64)
	return ok && zero == 0 && f.HasDefault && strings.Contains(f.Type.LogicalType, "timestamp-")
}
