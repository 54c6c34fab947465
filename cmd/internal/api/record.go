package api

import (
	"fmt"
	"sync"

	"utopia/schemas"
	"utopia/topics"
)

// Records turns the bytes of records into JSON, by the schema they were written with. It remembers compiled schemas, and is safe for
// concurrent use.
type Records struct {
	ids    schemas.IDs
	mu     sync.Mutex
	byText map[string]*schemas.JSON
}

// NewRecords returns a reader of records of any of our topics.
func NewRecords(ids schemas.IDs) *Records {
	return &Records{ids: ids, byText: map[string]*schemas.JSON{}}
}

// JSON returns what a record of topic says, and the name of its type. Errors are those of the codecs: schemas.ErrRegistryDown if nobody can
// tell now, otherwise the bytes are no such record.
func (r *Records) JSON(topic string, b []byte) (name string, value []byte, err error) {
	schema, body, err := r.schema(topic, b)
	if err != nil {
		return "", nil, err
	}
	if name, err = schemas.FullName(schema); err != nil {
		return "", nil, err
	}
	j, err := r.compiled(schema)
	if err != nil {
		return "", nil, err
	}
	value, err = j.ToJSON(body)
	return name, value, err
}

// schema finds the schema that bytes were written with, and takes the framing off them.
func (r *Records) schema(topic string, b []byte) (schema string, body []byte, err error) {
	if t, _ := topics.ByName(topic); t.Private() {
		rev, body, err := schemas.PrivateSchema(b)
		return rev.Schema, body, err
	}
	id, body, err := schemas.SchemaID(b)
	if err != nil {
		return "", nil, err
	}
	if _, schema, err = r.ids.ByID(id); err != nil {
		return "", nil, fmt.Errorf("schema id %d: %w", id, err)
	}
	return schema, body, nil
}

func (r *Records) compiled(schema string) (*schemas.JSON, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.byText[schema]; j != nil {
		return j, nil
	}
	j, err := schemas.NewJSON(schema)
	if err != nil {
		return nil, err
	}
	r.byText[schema] = j
	return j, nil
}
