package people

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// batch is how many rows go into one block of an object container.
const batch = 500

// Limits of a container that is read. It may come from anywhere, and a small one can
// say that it is large.
const (
	maxBlock    = 16 << 20 // bytes of a block in the file
	maxInflated = 32 << 20 // bytes of it when it is decompressed
)

// avroReader is not goavro's, which takes the memory that a container asks for.
type avroReader struct {
	r *ocf.Reader
	n int
}

func newAvroReader(r io.Reader) (*avroReader, error) {
	c, err := ocf.NewReader(r, ocf.WithMaxBlockBytes(maxBlock), ocf.WithMaxDecompressedBlockBytes(maxInflated))
	if err != nil {
		return nil, fmt.Errorf("avro object container: %w", err)
	}
	root := c.Schema().Root()
	if root.Type != "record" {
		return nil, fmt.Errorf("avro object container: a file of customers holds records, this one %s", root.Type)
	}
	if err := checkColumns(root.Fields, false); err != nil {
		return nil, fmt.Errorf("avro object container: %w", err)
	}
	if !slices.ContainsFunc(root.Fields, func(f avro.SchemaField) bool { return plain(f.Name) == "id" }) {
		return nil, fmt.Errorf("avro object container: %w %q", ErrColumn, "id")
	}
	return &avroReader{r: c}, nil
}

// checkColumns refuses a schema with a field that is no column: ErrColumn; and with
// types that no column has: an array without data is as long as it says, and a record
// in itself as deep.
func checkColumns(fields []avro.SchemaField, inAddress bool) error {
	for _, f := range fields {
		if plain(f.Name) == "address" && !inAddress {
			if inner := record(f.Type); inner != nil {
				if err := checkColumns(inner.Fields, true); err != nil {
					return err
				}
				continue
			}
		}
		if _, err := field(f.Name); err != nil {
			return err
		}
		for _, t := range append([]avro.SchemaNode{f.Type}, f.Type.Branches...) {
			if !slices.Contains([]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "union"}, t.Type) {
				return fmt.Errorf("%s is of type %s, not text", f.Name, t.Type)
			}
		}
	}
	return nil
}

// record returns the record that a type is, alone or beside null.
func record(t avro.SchemaNode) *avro.SchemaNode {
	for _, n := range append([]avro.SchemaNode{t}, t.Branches...) {
		if n.Type == "record" {
			return &n
		}
	}
	return nil
}

// Read implements Reader. The writer's schema may have any name and order; its
// fields are the columns, or those of the address in a record "address".
func (a *avroReader) Read() (Row, error) {
	var values map[string]any
	if err := a.r.Decode(&values); errors.Is(err, io.EOF) {
		return Row{}, io.EOF
	} else if err != nil {
		return Row{}, fmt.Errorf("avro object container, row %d: %w", a.n+1, err)
	}
	a.n++
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
