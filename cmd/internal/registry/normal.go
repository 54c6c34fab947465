package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// key stands for what a schema says, however it is laid out.
type key [sha256.Size]byte

// keysOf returns the key of a schema, and the key it has without its documentation. References are part of both.
func keysOf(in Schema) (whole, plain key, err error) {
	dec := json.NewDecoder(strings.NewReader(in.Text))
	dec.UseNumber() // defaults are compared as they are written
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return key{}, key{}, err
	}
	refs, err := json.Marshal(append([]Reference{}, in.References...)) // none and an empty list are the same
	if err != nil {
		return key{}, key{}, err
	}
	for _, k := range []*key{&whole, &plain} {
		n := normalizer{plain: k == &plain}
		b, err := json.Marshal(n.schema(tree, "")) // sorts the keys of objects
		if err != nil {
			return key{}, key{}, err
		}
		*k = sha256.Sum256(append(b, refs...))
	}
	return whole, plain, nil
}

// compact takes the layout out of a schema text and leaves the rest as it was written.
func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}

// normalizer rewrites a schema that the Avro library has taken: names become full names, {"type": "int"} becomes "int",
// and what says nothing goes. What it does not know it keeps.
type normalizer struct{ plain bool }

// schema rewrites one schema inside a namespace (Avro specification, "Names").
func (n normalizer) schema(v any, space string) any {
	switch v := v.(type) {
	case string:
		return fullName(v, space)
	case []any: // a union
		out := make([]any, len(v))
		for i := range v {
			out[i] = n.schema(v[i], space)
		}
		return out
	case map[string]any:
		return n.object(v, space)
	}
	return v
}

func (n normalizer) object(in map[string]any, space string) any {
	kind, _ := in["type"].(string)
	switch kind {
	case "record", "error", "enum", "fixed":
		return n.named(in, space)
	}
	out := map[string]any{}
	for k, v := range in {
		switch k {
		case "type", "items", "values":
			out[k] = n.schema(v, space)
		case "doc":
			n.doc(out, v)
		default:
			out[k] = v
		}
	}
	if len(out) == 1 && out["type"] != nil {
		return out["type"]
	}
	return out
}

func (n normalizer) named(in map[string]any, space string) any {
	name, _ := in["name"].(string)
	if own, ok := in["namespace"].(string); ok && !strings.Contains(name, ".") {
		space = own
	}
	name = fullName(name, space)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		space = name[:i]
	}
	out := map[string]any{}
	for k, v := range in {
		switch k {
		case "namespace":
		case "name":
			out[k] = name
		case "aliases":
			out[k] = n.schema(v, space) // names, like those in a union
		case "doc":
			n.doc(out, v)
		case "fields":
			out[k] = n.fields(v, space)
		default:
			out[k] = v
		}
	}
	return out
}

func (n normalizer) fields(v any, space string) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, f := range list {
		in, ok := f.(map[string]any)
		if !ok {
			out[i] = f
			continue
		}
		field := map[string]any{}
		for k, v := range in {
			switch {
			case k == "type":
				field[k] = n.schema(v, space)
			case k == "doc":
				n.doc(field, v)
			case k == "order" && v == "ascending": // the default
			default:
				field[k] = v
			}
		}
		out[i] = field
	}
	return out
}

func (n normalizer) doc(out map[string]any, v any) {
	if !n.plain && fmt.Sprint(v) != "" {
		out["doc"] = v
	}
}

func fullName(name, space string) string {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return name
	}
	if space == "" || strings.Contains(name, ".") {
		return name
	}
	return space + "." + name
}
