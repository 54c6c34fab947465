package audit

import (
	"encoding/json"
	"strings"
	"time"
)

// canonical writes a schema in Parsing Canonical Form (Avro 1.12, "Transforming into Parsing Canonical Form"). goavro's
// own form keeps {"type":"long"} around logical types, which the specification reduces to "long".
func canonical(b *strings.Builder, schema any, namespace string) {
	switch s := schema.(type) {
	case string:
		quote(b, qualified(s, namespace))
	case []any:
		b.WriteByte('[')
		for i, branch := range s {
			comma(b, i)
			canonical(b, branch, namespace)
		}
		b.WriteByte(']')
	case map[string]any:
		canonicalType(b, s, namespace)
	}
}

func canonicalType(b *strings.Builder, s map[string]any, namespace string) {
	kind, ok := s["type"].(string)
	if !ok {
		canonical(b, s["type"], namespace)
		return
	}
	switch kind {
	case "record", "error", "enum", "fixed":
		name := fullName(s, namespace)
		inner := ""
		if dot := strings.LastIndexByte(name, '.'); dot > 0 {
			inner = name[:dot]
		}
		b.WriteString(`{"name":`)
		quote(b, name)
		b.WriteString(`,"type":`)
		quote(b, kind)
		canonicalBody(b, s, inner)
		b.WriteByte('}')
	case "array":
		b.WriteString(`{"type":"array","items":`)
		canonical(b, s["items"], namespace)
		b.WriteByte('}')
	case "map":
		b.WriteString(`{"type":"map","values":`)
		canonical(b, s["values"], namespace)
		b.WriteByte('}')
	default:
		canonical(b, kind, namespace)
	}
}

// canonicalBody writes what a named type has beside name and type.
func canonicalBody(b *strings.Builder, s map[string]any, namespace string) {
	if fields, ok := s["fields"].([]any); ok {
		b.WriteString(`,"fields":[`)
		for i, f := range fields {
			field, _ := f.(map[string]any)
			comma(b, i)
			b.WriteString(`{"name":`)
			quote(b, field["name"])
			b.WriteString(`,"type":`)
			canonical(b, field["type"], namespace)
			b.WriteByte('}')
		}
		b.WriteByte(']')
	}
	if symbols, ok := s["symbols"].([]any); ok {
		b.WriteString(`,"symbols":[`)
		for i, symbol := range symbols {
			comma(b, i)
			quote(b, symbol)
		}
		b.WriteByte(']')
	}
	if size, ok := s["size"]; ok {
		b.WriteString(`,"size":`)
		quote(b, size)
	}
}

func comma(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}

func quote(b *strings.Builder, v any) {
	text, _ := json.Marshal(v)
	b.Write(text)
}

// fullName is the name of a named type with its namespace.
func fullName(s map[string]any, namespace string) string {
	name, _ := s["name"].(string)
	if own, ok := s["namespace"].(string); ok {
		namespace = own
	}
	if strings.Contains(name, ".") || namespace == "" {
		return name
	}
	return namespace + "." + name
}

// qualified is a reference with its namespace; primitive types have none.
func qualified(name, namespace string) string {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return name
	}
	if strings.Contains(name, ".") || namespace == "" {
		return name
	}
	return namespace + "." + name
}

// crc64Avro is the fingerprint of the Avro specification ("Schema Fingerprints"): a CRC that starts with its polynomial.
func crc64Avro(b []byte) uint64 {
	const empty = 0xc15d213aa4d7a795
	crc := uint64(empty)
	for _, c := range b {
		crc ^= uint64(c)
		for range 8 {
			crc = crc>>1 ^ empty&-(crc&1)
		}
	}
	return crc
}

// normal makes goavro's values comparable: times are milliseconds, every integer is an int64, a union's value stands for
// itself, bytes are a string.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for branch, inner := range v {
				// A union's value comes as {branch: value}; a field's name never holds a dot, a record's always does.
				if strings.Contains(branch, ".") || branch == "string" || branch == "long" {
					return normal(inner)
				}
			}
		}
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = normal(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = normal(inner)
		}
		return out
	case time.Time:
		return v.UnixMilli()
	case int32:
		return int64(v)
	case []byte:
		return string(v)
	default:
		return v
	}
}
