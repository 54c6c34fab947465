package people

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a JSON line: an address has at most 20 lines of 200 characters.
const maxLine = 1 << 20

var errLine = errors.New("the line is longer than 1 MiB")

type jsonReader struct {
	r *bufio.Reader
	n int
}

func newJSONReader(r io.Reader) *jsonReader { return &jsonReader{r: bufio.NewReaderSize(r, 64<<10)} }

// Read implements Reader. Empty lines are passed over.
func (j *jsonReader) Read() (Row, error) {
	for {
		text, err := j.line()
		if err != nil && !errors.Is(err, errLine) {
			return Row{}, err
		}
		if err == nil && len(text) == 0 {
			continue
		}
		j.n++
		row := Row{Number: j.n}
		if err == nil {
			err = fromJSON(text, &row)
		}
		if err != nil {
			return Row{}, &RowError{Number: j.n, Text: string(text), Err: err}
		}
		return row, nil
	}
}

// line returns the next line. Of one that is too long it returns the beginning and
// errLine; the next call goes on behind it.
func (j *jsonReader) line() ([]byte, error) {
	const shown = 1000
	var text []byte
	long := false
	for {
		part, err := j.r.ReadSlice('\n')
		if long = long || len(text)+len(part) > maxLine; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(text) == 0 && !long):
			return nil, err
		case long:
			return text[:min(shown, len(text))], errLine
		}
		return bytes.TrimSpace(text), nil
	}
}

// fromJSON accepts the columns side by side, or those of the address in an
// object "address".
func fromJSON(text []byte, row *Row) error {
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	return fromValues(values, row)
}

// fromValues is shared with Avro, whose records are maps too.
func fromValues(values map[string]any, row *Row) error {
	for name, v := range values {
		v = unwrap(v)
		if inner, ok := v.(map[string]any); ok && plain(name) == "address" {
			if err := fromValues(inner, row); err != nil {
				return err
			}
			continue
		}
		of, err := field(name)
		if err != nil {
			return err
		}
		if of == nil || v == nil {
			continue
		}
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s is not text", name)
		}
		*of(row) = s
	}
	return nil
}

// unwrap takes off what goavro puts around the value of a union.
func unwrap(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return v
	}
	for name, inner := range m {
		if _, isColumn := field(name); isColumn != nil {
			return inner
		}
	}
	return v
}

type jsonWriter struct{ w *bufio.Writer }

func newJSONWriter(w io.Writer) *jsonWriter { return &jsonWriter{bufio.NewWriter(w)} }

// Write implements Writer. Columns keep their order; empty ones are left out.
func (j *jsonWriter) Write(r Row) error {
	line := []byte{'{'}
	add := func(name string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if len(line) > 1 {
			line = append(line, ',')
		}
		line = append(append(line, '"'), name...)
		line = append(append(line, '"', ':'), b...)
		return nil
	}
	for _, c := range columns() {
		if v := *c.of(&r); v != "" {
			if err := add(camel(c.name), v); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(add("version", r.Version), add("status", r.Status)); err != nil {
		return err
	}
	_, err := j.w.Write(append(line, '}', '\n'))
	return err
}

// Close implements Writer.
func (j *jsonWriter) Close() error { return j.w.Flush() }
