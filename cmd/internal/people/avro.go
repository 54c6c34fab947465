package people

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/linkedin/goavro/v2"
)

// batch is how many rows go into one block of an object container.
const batch = 500

type avroReader struct {
	r *goavro.OCFReader
	n int
}

func newAvroReader(r io.Reader) (*avroReader, error) {
	ocf, err := goavro.NewOCFReader(r)
	if err != nil {
		return nil, fmt.Errorf("avro object container: %w", err)
	}
	return &avroReader{r: ocf}, nil
}

// Read implements Reader. The writer's schema may have any name and order; its
// fields are the columns, or those of the address in a record "address".
func (a *avroReader) Read() (Row, error) {
	if !a.r.Scan() {
		if err := a.r.Err(); err != nil {
			return Row{}, fmt.Errorf("avro object container: %w", err)
		}
		return Row{}, io.EOF
	}
	a.n++
	v, err := a.r.Read()
	if err != nil {
		return Row{}, fmt.Errorf("avro object container, row %d: %w", a.n, err)
	}
	values, ok := v.(map[string]any)
	if !ok {
		return Row{}, &RowError{Number: a.n, Err: errors.New("not a record")}
	}
	row := Row{Number: a.n}
	if err := fromValues(values, &row); err != nil {
		return Row{}, &RowError{Number: a.n, Text: fmt.Sprint(values), Err: err}
	}
	return row, nil
}

type avroWriter struct {
	w    *goavro.OCFWriter
	rows []any
}

// schema is the flat record of an export.
func schema() string {
	var fields []string
	for _, c := range columns() {
		fields = append(fields, fmt.Sprintf(`{"name":%q,"type":"string","default":""}`, camel(c.name)))
	}
	fields = append(fields, `{"name":"version","type":"long","default":0}`, `{"name":"status","type":"string","default":""}`)
	return `{"type":"record","name":"Customer","namespace":"utopia.export","doc":"A customer as utopia customer export writes it.","fields":[` +
		strings.Join(fields, ",") + `]}`
}

func newAvroWriter(w io.Writer) (*avroWriter, error) {
	ocf, err := goavro.NewOCFWriter(goavro.OCFConfig{W: w, Schema: schema(), CompressionName: goavro.CompressionDeflateLabel})
	if err != nil {
		return nil, fmt.Errorf("avro object container: %w", err)
	}
	return &avroWriter{w: ocf}, nil
}

// Write implements Writer.
func (a *avroWriter) Write(r Row) error {
	values := map[string]any{"version": r.Version, "status": r.Status}
	for _, c := range columns() {
		values[camel(c.name)] = *c.of(&r)
	}
	a.rows = append(a.rows, values)
	if len(a.rows) < batch {
		return nil
	}
	return a.Close()
}

// Close implements Writer.
func (a *avroWriter) Close() error {
	if len(a.rows) == 0 {
		return nil
	}
	rows := a.rows
	a.rows = nil
	if err := a.w.Append(rows); err != nil {
		return fmt.Errorf("avro object container: %w", err)
	}
	return nil
}
