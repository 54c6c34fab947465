package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/avro"
)

// ToJSON returns the value whose Avro encoding is exactly body. ErrTruncated, ErrTrailing, ErrInvalidUTF8, ErrMalformed.
func (j *JSON) ToJSON(body []byte) ([]byte, error) {
	if err := j.program.check(body); err != nil {
		return nil, err
	}
	native, _, err := j.codec.NativeFromBinary(body)
	if err != nil {
		return nil, ErrMalformed // goavro's message may quote what it read
	}
	return j.show(nil, j.root, "", native)
}

// show appends what goavro made of one value.
func (j *JSON) show(dst []byte, n *avro.SchemaNode, namespace string, v any) ([]byte, error) {
	n = j.resolve(n, namespace)
	namespace = inside(n, namespace)
	var err error
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int32:
		return showNumber(dst, n, int64(v)), nil
	case int64:
		return showNumber(dst, n, v), nil
	case float32:
		return showFloat(dst, float64(v), 32), nil
	case float64:
		return showFloat(dst, v, 64), nil
	case string:
		return showString(dst, v)
	case []byte:
		if n.LogicalType == "decimal" && len(v) <= maxDecimal {
			return showString(dst, decimal(v, n.Scale))
		}
		return showString(dst, base64.StdEncoding.EncodeToString(v))
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = j.show(dst, n.Items, namespace, item); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		return j.showObject(dst, n, namespace, v)
	}
	return nil, fmt.Errorf("%w: %T", ErrMalformed, v)
}

// showObject appends a record, a map or a value of a union.
func (j *JSON) showObject(dst []byte, n *avro.SchemaNode, namespace string, v map[string]any) ([]byte, error) {
	switch n.Type {
	case "union":
		return j.showBranch(dst, n, namespace, v)
	case "map":
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			var err error
			if dst, err = showKey(dst, i, key); err != nil {
				return nil, err
			}
			if dst, err = j.show(dst, n.Values, namespace, v[key]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
	dst = append(dst, '{')
	for i := range n.Fields {
		f := &n.Fields[i]
		var err error
		if dst, err = showKey(dst, i, f.Name); err != nil {
			return nil, err
		}
		value := v[f.Name]
		if ms, ok := value.(int64); ok && ms == 0 && absent(f) {
			value = nil
		}
		if dst, err = j.show(dst, &f.Type, namespace, value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// showBranch appends a value of a union that is not null: plain if no other type is possible.
func (j *JSON) showBranch(dst []byte, n *avro.SchemaNode, namespace string, v map[string]any) ([]byte, error) {
	others := 0
	var branch *avro.SchemaNode
	var value any
	for i := range n.Branches {
		b := j.resolve(&n.Branches[i], namespace)
		if b.Type == "null" {
			continue
		}
		others++
		if of, ok := v[typeName(b)]; ok {
			branch, value = b, of
		}
	}
	if branch == nil {
		return nil, ErrMalformed
	}
	if others == 1 {
		return j.show(dst, branch, namespace, value)
	}
	dst, err := showKey(append(dst, '{'), 0, typeName(branch))
	if err != nil {
		return nil, err
	}
	if dst, err = j.show(dst, branch, namespace, value); err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}

func showKey(dst []byte, i int, key string) ([]byte, error) {
	if i > 0 {
		dst = append(dst, ',')
	}
	dst, err := showString(dst, key)
	return append(dst, ':'), err
}

func showString(dst []byte, s string) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // for people, not for a page
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// showFloat appends a number, or the names of those that JSON has none for.
func showFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

// showNumber appends an int or a long: a time or a date where the schema says so and RFC 3339 can express it.
func showNumber(dst []byte, n *avro.SchemaNode, v int64) []byte {
	if t, layout, ok := clock(n.LogicalType, v); ok && t.Year() >= 1 && t.Year() <= 9999 {
		return t.AppendFormat(append(dst, '"'), layout+`"`)
	}
	return strconv.AppendInt(dst, v, 10)
}

// Layouts of times that people read.
const (
	instant   = "2006-01-02T15:04:05.999999999Z07:00"
	wallClock = "2006-01-02T15:04:05.999999999"
	timeOfDay = "15:04:05.999999999"
)

// clock returns the time that a number stands for, and how it is written.
func clock(logical string, v int64) (t time.Time, layout string, ok bool) {
	switch logical {
	case "timestamp-millis":
		return time.UnixMilli(v).UTC(), instant, true
	case "timestamp-micros":
		return time.UnixMicro(v).UTC(), instant, true
	case "timestamp-nanos":
		return time.Unix(0, v).UTC(), instant, true
	case "local-timestamp-millis":
		return time.UnixMilli(v).UTC(), wallClock, true
	case "local-timestamp-micros":
		return time.UnixMicro(v).UTC(), wallClock, true
	case "local-timestamp-nanos":
		return time.Unix(0, v).UTC(), wallClock, true
	case "date":
		return time.Unix(v*86400, 0).UTC(), time.DateOnly, true
	case "time-millis":
		return time.UnixMilli(v).UTC(), timeOfDay, 0 <= v && v < 86400_000
	case "time-micros":
		return time.UnixMicro(v).UTC(), timeOfDay, 0 <= v && v < 86400_000_000
	}
	return time.Time{}, "", false
}

// number is the reverse of clock: the number that a written time stands for. A time that the type cannot hold to its last
// digit is refused.
func number(logical, s string) (v int64, ok bool) {
	_, layout, known := clock(logical, 0)
	if !known {
		return 0, false
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return 0, false
	}
	switch logical {
	case "timestamp-millis", "local-timestamp-millis":
		v = t.UnixMilli()
	case "timestamp-micros", "local-timestamp-micros":
		v = t.UnixMicro()
	case "timestamp-nanos", "local-timestamp-nanos":
		v = t.UnixNano()
	case "date":
		v = t.Unix() / 86400
	case "time-millis":
		v = t.Sub(t.Truncate(24 * time.Hour)).Milliseconds()
	case "time-micros":
		v = t.Sub(t.Truncate(24 * time.Hour)).Microseconds()
	}
	back, _, _ := clock(logical, v)
	if layout == timeOfDay {
		return v, back.Format(layout) == t.Format(layout)
	}
	return v, back.Equal(t)
}

// maxDecimal is how many bytes of a decimal are shown as a number; to convert many takes long.
const maxDecimal = 1024

// decimal writes an unscaled two's-complement number (Avro specification, "Decimal").
func decimal(b []byte, scale int) string {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
}
