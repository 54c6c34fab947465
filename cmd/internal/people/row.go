// Package people reads and writes files of customers: CSV, JSON lines and Avro
// object containers, with the same columns in each, so that what was exported can
// be imported elsewhere and a row means the same whatever the file.
//
// It knows files and fields only. Whether an address is one is asked by whoever
// reads, and no cluster is known here.
package people

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Row is one customer as a file has it. Nothing is validated.
type Row struct {
	ID, Name, Email, Language                                      string
	Country, Region, City, District, PostCode, SortingCode, Street string

	// Version and Status are written by an export and mean nothing to an import.
	Version int64
	Status  string

	// Number is where the row stands in its file, from 1, the header not counted.
	Number int
}

// column is one column of all formats. The name is that of CSV; JSON and Avro
// write it in camel case.
type column struct {
	name string
	of   func(*Row) *string
}

func columns() []column {
	return []column{
		{"id", func(r *Row) *string { return &r.ID }},
		{"name", func(r *Row) *string { return &r.Name }},
		{"email", func(r *Row) *string { return &r.Email }},
		{"language", func(r *Row) *string { return &r.Language }},
		{"country", func(r *Row) *string { return &r.Country }},
		{"region", func(r *Row) *string { return &r.Region }},
		{"city", func(r *Row) *string { return &r.City }},
		{"district", func(r *Row) *string { return &r.District }},
		{"post_code", func(r *Row) *string { return &r.PostCode }},
		{"sorting_code", func(r *Row) *string { return &r.SortingCode }},
		{"street", func(r *Row) *string { return &r.Street }},
	}
}

// Names of columns that a file may have and an import passes over.
func passedOver(name string) bool {
	return name == "version" || name == "status" || name == "reason"
}

// plain makes post_code, postCode, Post-Code and POSTCODE one name.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// camel turns post_code into postCode.
func camel(name string) string {
	parts := strings.Split(name, "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

// field returns where a column's value goes; nil for one that is passed over.
func field(name string) (func(*Row) *string, error) {
	for _, c := range columns() {
		if plain(c.name) == plain(name) {
			return c.of, nil
		}
	}
	if passedOver(plain(name)) {
		return nil, nil
	}
	return nil, fmt.Errorf("%w %q", ErrColumn, name)
}

// CommandID derives the id of the command that a row becomes from its content,
// so that the same row, imported again after an interruption, is the same
// command and has one outcome. A changed row is another command.
func (r *Row) CommandID() string {
	h := sha256.New()
	for _, c := range columns() {
		v := *c.of(r)
		_, _ = fmt.Fprintf(h, "%d:%s,", len(v), v) // a hash takes everything
	}
	return "import-" + hex.EncodeToString(h.Sum(nil)[:20])
}

// Errors of files and rows.
var (
	// ErrColumn says that a file has a column that no customer has: a misspelt
	// one would silently lose what is in it.
	ErrColumn = errors.New("there is no column")
	// ErrFormat says that the format cannot be told or is not one of the three.
	ErrFormat = errors.New("the format is none of csv, jsonl, avro")
)

// RowError is returned by Reader.Read for a row that cannot be read; the rest of
// the file can. Text is the row as it stands in the file, where it is text.
type RowError struct {
	Number int
	Text   string
	Err    error
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("row %d: %v", e.Number, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *RowError) Unwrap() error { return e.Err }

// Format is one of the three file formats.
type Format string

// The formats.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
	Avro  Format = "avro"
)

// Formats lists all formats.
func Formats() []Format { return []Format{CSV, JSONL, Avro} }

// FormatOf returns the format named, or that of the file's extension. ErrFormat.
func FormatOf(name, path string) (Format, error) {
	if name == "" {
		name = strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	}
	switch name {
	case "csv":
		return CSV, nil
	case "jsonl", "ndjson", "json":
		return JSONL, nil
	case "avro":
		return Avro, nil
	default:
		return "", fmt.Errorf("%w: %q", ErrFormat, name)
	}
}

// Reader reads rows.
type Reader interface {
	// Read returns the next row, a *RowError for one that cannot be read, io.EOF at
	// the end, and any other error when the rest of the file cannot be read either.
	Read() (Row, error)
}

// Writer writes rows.
type Writer interface {
	Write(r Row) error
	// Close writes what is buffered. It does not close what it writes to.
	Close() error
}

// NewReader reads the format from r. ErrColumn for a CSV header with a column
// that no customer has.
func NewReader(f Format, r io.Reader) (Reader, error) {
	switch f {
	case CSV:
		return newCSVReader(r)
	case JSONL:
		return newJSONReader(r), nil
	case Avro:
		return newAvroReader(r)
	}
	return nil, fmt.Errorf("%w: %q", ErrFormat, f)
}

// NewWriter writes the format to w.
func NewWriter(f Format, w io.Writer) (Writer, error) {
	switch f {
	case CSV:
		return newCSVWriter(w)
	case JSONL:
		return newJSONWriter(w), nil
	case Avro:
		return newAvroWriter(w)
	}
	return nil, fmt.Errorf("%w: %q", ErrFormat, f)
}
