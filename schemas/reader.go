package schemas

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/twmb/avro"
)

// UnknownTypeError says that a record is of a type that this code does not know in this place. A listener skips such a
// record; a command of an unknown type is a dead letter.
type UnknownTypeError struct{ Name string }

// Error implements error.
func (e *UnknownTypeError) Error() string { return "unknown record type " + e.Name }

// reader decodes what was written with one schema into today's type.
type reader struct {
	kind     *kind
	schema   *avro.Schema // from the writer's to the latest
	program  *program     // of the writer's schema
	keyFirst bool         // the writer's first field is ours, and a string
	latest   bool         // the writer's schema is our latest
	foreign  bool         // the writer's schema is none of ours
	err      error        // why nothing can be decoded, for ever
}

// newReader makes a reader of what was written with the given schema. ErrIncompatible.
func newReader(k *kind, writer *avro.Schema) (*reader, error) {
	resolved, err := avro.Resolve(writer, k.latest())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIncompatible, err)
	}
	p, err := newProgram(writer)
	if err != nil {
		return nil, err
	}
	r := &reader{kind: k, schema: resolved, program: p}
	ours, theirs := k.latest().Root().Fields, writer.Root().Fields
	r.keyFirst = len(theirs) > 0 && theirs[0].Name == ours[0].Name && theirs[0].Type.Type == "string"
	return r, nil
}

// decode returns the record whose body is b.
func (r *reader) decode(b []byte) (Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	rec := r.kind.new()
	if r.latest {
		if err := r.kind.layout.decode(b, reflect.ValueOf(rec).UnsafePointer()); err != nil {
			return nil, err
		}
		return rec, nil
	}
	if err := r.program.check(b); err != nil {
		return nil, err
	}
	if _, err := r.schema.Decode(b, rec); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, r.kind.name, err)
	}
	// Bytes of another's schema may become a string of ours.
	if r.foreign && !validStrings(reflect.ValueOf(rec).Elem()) {
		return nil, ErrInvalidUTF8
	}
	return rec, nil
}

// key returns the first field, the aggregate's id.
func (r *reader) key(b []byte) (string, error) {
	if r.err != nil {
		return "", r.err
	}
	if r.keyFirst {
		from, to, err := span(b, 0)
		if err != nil {
			return "", err
		}
		if !utf8.Valid(b[from:to]) {
			return "", ErrInvalidUTF8
		}
		return string(b[from:to]), nil
	}
	rec, err := r.decode(b)
	if err != nil {
		return "", err
	}
	return reflect.ValueOf(rec).Elem().FieldByIndex(firstField(r.kind.typ.Elem())).String(), nil
}

// firstField is the index of the first field, inside the embedded struct if there is one.
func firstField(t reflect.Type) []int {
	if f := t.Field(0); f.Anonymous {
		return append([]int{0}, firstField(f.Type)...)
	}
	return []int{0}
}

// validStrings reports whether every string in v is UTF-8.
func validStrings(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // other kinds hold no strings
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if !validStrings(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !validStrings(v.Index(i)) {
				return false
			}
		}
	case reflect.Pointer:
		return v.IsNil() || validStrings(v.Elem())
	}
	return true
}
