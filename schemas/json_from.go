package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
)

// FromJSON returns the Avro encoding of the value that text writes. ErrJSON, ErrInvalidUTF8.
func (j *JSON) FromJSON(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, ErrInvalidUTF8
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: not JSON at character %d", ErrJSON, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more follows after the value", ErrJSON)
	}
	native, err := j.read(j.root, "", "", v, 0)
	if err != nil {
		return nil, err
	}
	body, err := j.codec.BinaryFromNative(nil, native)
	if err != nil {
		return nil, ErrJSON // goavro's message quotes the value
	}
	return body, nil
}

// wants says what should stand at a path.
func wants(path, what string) error {
	if path == "" {
		return fmt.Errorf("%w: want %s", ErrJSON, what)
	}
	return fmt.Errorf("%w: %s: want %s", ErrJSON, path, what)
}

// read turns one JSON value into what goavro encodes.
func (j *JSON) read(n *avro.SchemaNode, namespace, path string, v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, wants(path, "less depth")
	}
	n = j.resolve(n, namespace)
	namespace = inside(n, namespace)
	switch n.Type {
	case "null":
		if v == nil {
			return nil, nil
		}
		return nil, wants(path, "null")
	case "boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, wants(path, "true or false")
	case "int":
		i, err := readInteger(n, path, v, math.MinInt32, math.MaxInt32)
		return int32(i), err
	case "long":
		return readInteger(n, path, v, math.MinInt64, math.MaxInt64)
	case "float":
		f, err := readFloat(path, v, 32)
		return float32(f), err
	case "double":
		return readFloat(path, v, 64)
	case "string":
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, wants(path, "a string")
	case "enum":
		if s, ok := v.(string); ok && slices.Contains(n.Symbols, s) {
			return s, nil
		}
		return nil, wants(path, fmt.Sprintf("one of %q", n.Symbols))
	case "bytes", "fixed":
		return readBytes(n, path, v)
	case "array":
		return j.readArray(n, namespace, path, v, depth)
	case "map":
		return j.readMap(n, namespace, path, v, depth)
	case "union":
		return j.readUnion(n, namespace, path, v, depth)
	}
	return j.readRecord(n, namespace, path, v, depth)
}

func readInteger(n *avro.SchemaNode, path string, v any, least, most int64) (int64, error) {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
		if i, ok := number(n.LogicalType, v); ok {
			return i, nil
		}
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err == nil && least <= i && i <= most {
		return i, nil
	}
	if _, layout, ok := clock(n.LogicalType, 0); ok {
		return 0, wants(path, "a time like "+layout)
	}
	return 0, wants(path, fmt.Sprintf("a whole number from %d to %d", least, most))
}

func readFloat(path string, v any, bits int) (float64, error) {
	switch v := v.(type) {
	case json.Number:
		if f, err := strconv.ParseFloat(v.String(), bits); err == nil {
			return f, nil
		}
	case string:
		switch v {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	return 0, wants(path, "a number")
}

func readBytes(n *avro.SchemaNode, path string, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, wants(path, "a string of base64")
	}
	if n.LogicalType == "decimal" {
		return readDecimal(n, path, s)
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, wants(path, "a string of base64")
	}
	if n.Type == "fixed" && len(b) != n.Size {
		return nil, wants(path, fmt.Sprintf("%d bytes of base64", n.Size))
	}
	return b, nil
}

// readDecimal is the reverse of decimal. A number with more digits after the point than the type has is refused.
func readDecimal(n *avro.SchemaNode, path, s string) (any, error) {
	what := fmt.Sprintf("a decimal number with at most %d digits after the point", n.Scale)
	if len(s) > 1000 {
		return nil, wants(path, what)
	}
	for _, c := range s {
		if (c < '0' || c > '9') && c != '.' && c != '-' {
			return nil, wants(path, what)
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, wants(path, what)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.Scale)), nil)))
	if !r.IsInt() {
		return nil, wants(path, what)
	}
	size := r.Num().BitLen()/8 + 1
	if n.Type == "fixed" {
		if size > n.Size {
			return nil, wants(path, what)
		}
		size = n.Size
	}
	v := r.Num()
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	return v.FillBytes(make([]byte, size)), nil
}

func (j *JSON) readArray(n *avro.SchemaNode, namespace, path string, v any, depth int) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, wants(path, "a list")
	}
	out := make([]any, len(items))
	for i, item := range items {
		var err error
		if out[i], err = j.read(n.Items, namespace, fmt.Sprintf("%s[%d]", path, i), item, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (j *JSON) readMap(n *avro.SchemaNode, namespace, path string, v any, depth int) (any, error) {
	values, ok := v.(map[string]any)
	if !ok {
		return nil, wants(path, "an object")
	}
	out := make(map[string]any, len(values))
	for key, value := range values {
		var err error
		if out[key], err = j.read(n.Values, namespace, path+"[…]", value, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (j *JSON) readRecord(n *avro.SchemaNode, namespace, path string, v any, depth int) (any, error) {
	values, ok := v.(map[string]any)
	if !ok {
		return nil, wants(path, "an object")
	}
	out := make(map[string]any, len(n.Fields))
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		value, given := values[f.Name]
		var err error
		if f.HasDefault && value == nil {
			out[f.Name], err = j.standard(&f.Type, namespace, f.Default)
		} else if !given {
			return nil, wants(prefix+f.Name, "a value, it has no default")
		} else {
			out[f.Name], err = j.read(&f.Type, namespace, prefix+f.Name, value, depth+1)
		}
		if err != nil {
			return nil, err
		}
	}
	for name := range values {
		if !slices.ContainsFunc(n.Fields, func(f avro.SchemaField) bool { return f.Name == name }) {
			return nil, fmt.Errorf("%w: %s%s: no such field", ErrJSON, prefix, name)
		}
	}
	return out, nil
}

// readUnion takes null, a value named by its type, or a plain one that fits the first possible type.
func (j *JSON) readUnion(n *avro.SchemaNode, namespace, path string, v any, depth int) (any, error) {
	var first error
	for i := range n.Branches {
		b := j.resolve(&n.Branches[i], namespace)
		name := typeName(b)
		if named, ok := v.(map[string]any); ok && len(named) == 1 {
			if value, ok := named[name]; ok {
				native, err := j.read(b, namespace, path, value, depth+1)
				return goavro.Union(name, native), err
			}
		}
	}
	for i := range n.Branches {
		b := j.resolve(&n.Branches[i], namespace)
		if b.Type == "null" && v != nil {
			continue
		}
		native, err := j.read(b, namespace, path, v, depth+1)
		if err == nil {
			return goavro.Union(typeName(b), native), nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// standard turns a field's default into what goavro encodes.
func (j *JSON) standard(n *avro.SchemaNode, namespace string, v any) (any, error) {
	n = j.resolve(n, namespace)
	namespace = inside(n, namespace)
	if n.Type == "union" {
		for i := range n.Branches {
			b := j.resolve(&n.Branches[i], namespace)
			if !holds(b.Type, v) {
				continue
			}
			if native, err := j.standard(b, namespace, v); err == nil {
				return goavro.Union(typeName(b), native), nil
			}
		}
	}
	if !holds(n.Type, v) {
		return nil, fmt.Errorf("%w: a default does not fit", ErrSchema)
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = j.standard(n.Items, namespace, item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return j.standardObject(n, namespace, v)
	}
	return v, nil
}

// standardObject is standard for a record or a map. What a record's default leaves out takes the field's own.
func (j *JSON) standardObject(n *avro.SchemaNode, namespace string, v map[string]any) (any, error) {
	out := make(map[string]any, len(v))
	var err error
	if n.Type == "map" {
		for key, value := range v {
			if out[key], err = j.standard(n.Values, namespace, value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		value, ok := v[f.Name]
		if !ok {
			value = f.Default
		}
		if out[f.Name], err = j.standard(&f.Type, namespace, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// holds reports whether a default's Go value can be one of a type.
func holds(typ string, v any) bool {
	switch v.(type) {
	case nil:
		return typ == "null"
	case bool:
		return typ == "boolean"
	case int32:
		return typ == "int"
	case int64:
		return typ == "long"
	case float32:
		return typ == "float"
	case float64:
		return typ == "double"
	case string:
		return typ == "string" || typ == "enum"
	case []byte:
		return typ == "bytes" || typ == "fixed"
	case []any:
		return typ == "array"
	case map[string]any:
		return typ == "map" || typ == "record" || typ == "error"
	}
	return false
}
