package people

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

type csvReader struct {
	r      *csv.Reader
	fields []func(*Row) *string
	n      int
}

func newCSVReader(r io.Reader) (*csvReader, error) {
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" { // spreadsheets put it there
		_, _ = b.Discard(3)
	}
	c := &csvReader{r: csv.NewReader(b)}
	c.r.FieldsPerRecord = -1
	c.r.ReuseRecord = true
	header, err := c.r.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for _, name := range header {
		of, err := field(name)
		if err != nil {
			return nil, err
		}
		c.fields = append(c.fields, of)
	}
	return c, nil
}

// Read implements Reader.
func (c *csvReader) Read() (Row, error) {
	record, err := c.r.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		c.n++
		return Row{}, &RowError{Number: c.n, Text: strings.Join(record, ","), Err: parse.Err}
	case err != nil:
		return Row{}, err // io.EOF, or the file cannot be read
	}
	c.n++
	if len(record) != len(c.fields) {
		return Row{}, &RowError{Number: c.n, Text: strings.Join(record, ","), Err: fmt.Errorf("%d columns where the header has %d", len(record), len(c.fields))}
	}
	row := Row{Number: c.n}
	for i, of := range c.fields {
		if of != nil {
			*of(&row) = record[i]
		}
	}
	return row, nil
}

type csvWriter struct{ w *csv.Writer }

func newCSVWriter(w io.Writer) (*csvWriter, error) {
	c := &csvWriter{csv.NewWriter(w)}
	var header []string
	for _, col := range columns() {
		header = append(header, col.name)
	}
	return c, c.w.Write(append(header, "version", "status"))
}

// Write implements Writer.
func (c *csvWriter) Write(r Row) error {
	var record []string
	for _, col := range columns() {
		record = append(record, *col.of(&r))
	}
	return c.w.Write(append(record, strconv.FormatInt(r.Version, 10), r.Status))
}

// Close implements Writer.
func (c *csvWriter) Close() error {
	c.w.Flush()
	return c.w.Error()
}
