package people

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Rejects writes the rows that were not taken, with the reason, to a file next to
// the one they came from. Put right, the file can be imported itself. It is made
// with the first rejected row; one of an earlier run is removed.
type Rejects struct {
	path   string
	format Format
	file   *os.File
	csv    *csv.Writer
	n      int
}

// NewRejects returns the rejects of the file at path. CSV is written for CSV,
// JSON lines for the others.
func NewRejects(path string, f Format) (*Rejects, error) {
	r := &Rejects{path: path + ".rejected.jsonl", format: JSONL}
	if f == CSV {
		r.path, r.format = path+".rejected.csv", CSV
	}
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rejects of an earlier run: %w", err)
	}
	return r, nil
}

// Path returns where rejected rows are, "" if there are none.
func (r *Rejects) Path() string {
	if r.n == 0 {
		return ""
	}
	return r.path
}

// Count returns how many rows were rejected.
func (r *Rejects) Count() int { return r.n }

// Row rejects a row that could be read.
func (r *Rejects) Row(row Row, reason string) error {
	if r.format == CSV {
		var record []string
		for _, c := range columns() {
			record = append(record, *c.of(&row))
		}
		return r.writeCSV(append(record, reason))
	}
	values := map[string]string{"reason": reason}
	for _, c := range columns() {
		if v := *c.of(&row); v != "" {
			values[camel(c.name)] = v
		}
	}
	return r.writeJSON(values)
}

// Unread rejects a row that could not be read.
func (r *Rejects) Unread(e *RowError) error {
	reason := e.Error()
	if r.format == CSV {
		record := make([]string, len(columns())+1)
		record[len(record)-2], record[len(record)-1] = e.Text, reason // text where the street is: the last column of a row
		return r.writeCSV(record)
	}
	return r.writeJSON(map[string]string{"reason": reason, "line": e.Text})
}

func (r *Rejects) writeCSV(record []string) error {
	if err := r.open(); err != nil {
		return err
	}
	if r.csv == nil {
		r.csv = csv.NewWriter(r.file)
		var header []string
		for _, c := range columns() {
			header = append(header, c.name)
		}
		if err := r.csv.Write(append(header, "reason")); err != nil {
			return err
		}
	}
	r.n++
	return r.csv.Write(record)
}

func (r *Rejects) writeJSON(values map[string]string) error {
	if err := r.open(); err != nil {
		return err
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(values); err != nil {
		return err
	}
	r.n++
	_, err := r.file.WriteString(b.String())
	return err
}

func (r *Rejects) open() (err error) {
	if r.file == nil {
		r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // customers' data: for the owner only
	}
	return err
}

// Close writes what is buffered and closes the file.
func (r *Rejects) Close() error {
	if r.file == nil {
		return nil
	}
	if r.csv != nil {
		r.csv.Flush()
		if err := r.csv.Error(); err != nil {
			_ = r.file.Close()
			return err
		}
	}
	return r.file.Close()
}
