package catalogue

import (
	"encoding/json"
	"strings"

	"utopia/schemas"
)

// Schema is a record type with every revision that was released.
type Schema struct {
	Name          string     `json:"name" doc:"The full name of the record" example:"utopia.customer.CustomerMoved"`
	Subject       string     `json:"subject,omitempty" doc:"Under which a registry has it; none if only its owner reads it"`
	Private       bool       `json:"private" doc:"Only its owner reads it"`
	Doc           string     `json:"doc,omitempty"`
	Compatibility string     `json:"compatibility" doc:"What every revision promises to those before"`
	Topics        []string   `json:"topics" nullable:"false" doc:"Which topics carry it; none: it is inside a field of others"`
	Revisions     []Revision `json:"revisions" nullable:"false" doc:"Oldest first"`
}

// Revision is one released schema.
type Revision struct {
	Number int     `json:"revision"`
	Fields []Field `json:"fields" nullable:"false" doc:"In the order of the encoding; those of a record inside follow its own"`
	Schema string  `json:"schema" doc:"The Avro schema, as released"`
}

// Field is a field of a record; of a record inside another, with the way to it in its name.
type Field struct {
	Name    string `json:"name" example:"address.city"`
	Type    string `json:"type" example:"string"`
	Default string `json:"default,omitempty" doc:"As JSON; none: it must be there"`
	Doc     string `json:"doc,omitempty"`
}

// Newest is the last revision.
func (s Schema) Newest() Revision { return s.Revisions[len(s.Revisions)-1] }

// Schemas returns every record type, by topic and name.
func Schemas() []Schema {
	all := []Schema{}
	for _, r := range schemas.Revisions("") {
		if n := len(all); n == 0 || all[n-1].Name != r.Record {
			s := Schema{
				Name: r.Record, Private: r.Private(), Compatibility: string(schemas.ModeOf(r.Record)), Topics: uses(r.Record),
			}
			if !s.Private {
				s.Subject = r.Subject()
			}
			all = append(all, s)
		}
		s := &all[len(all)-1]
		doc, fields := read(r.Schema)
		s.Doc = doc
		s.Revisions = append(s.Revisions, Revision{Number: r.Number, Fields: fields, Schema: r.Schema})
	}
	return all
}

// SchemaByName returns the record type of a full name, or of a registry's subject.
func SchemaByName(name string) (Schema, bool) {
	for _, s := range Schemas() {
		if s.Name == name || s.Subject != "" && s.Subject == name {
			return s, true
		}
	}
	return Schema{}, false
}

// node is as much of an Avro schema as is shown. The embedded schemas are Avro; package schemas tests that.
type node struct {
	Type        json.RawMessage `json:"type"`
	Name        string          `json:"name"`
	Doc         string          `json:"doc"`
	LogicalType string          `json:"logicalType"`
	Items       json.RawMessage `json:"items"`
	Values      json.RawMessage `json:"values"`
	Symbols     []string        `json:"symbols"`
	Default     json.RawMessage `json:"default"`
	Fields      []node          `json:"fields"`
}

func read(schema string) (doc string, fields []Field) {
	var n node
	if json.Unmarshal([]byte(schema), &n) != nil {
		return "", []Field{}
	}
	return n.Doc, flat([]Field{}, "", n.Fields)
}

// flat appends fields, each followed by those of the record in it. A record that is named again was shown where it was first.
func flat(out []Field, prefix string, fields []node) []Field {
	for _, f := range fields {
		kind, inside := describe(f.Type)
		out = append(out, Field{Name: prefix + f.Name, Type: kind, Default: string(f.Default), Doc: f.Doc})
		out = flat(out, prefix+f.Name+".", inside)
	}
	return out
}

// describe says a type in words, and which fields are in it.
func describe(raw json.RawMessage) (words string, inside []node) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name, nil
	}
	var union []json.RawMessage
	if json.Unmarshal(raw, &union) == nil {
		var all []string
		for _, branch := range union {
			w, fields := describe(branch)
			all, inside = append(all, w), append(inside, fields...)
		}
		return strings.Join(all, " or "), inside
	}
	var n node
	if json.Unmarshal(raw, &n) != nil {
		return "", nil
	}
	switch kind, _ := describe(n.Type); kind {
	case "record":
		return n.Name, n.Fields
	case "enum":
		return n.Name + ": " + strings.Join(n.Symbols, ", "), nil
	case "array":
		items, fields := describe(n.Items)
		return "array of " + items, fields
	case "map":
		values, fields := describe(n.Values)
		return "map of " + values, fields
	default:
		if n.LogicalType != "" {
			return kind + " (" + n.LogicalType + ")", nil
		}
		return kind, nil
	}
}
