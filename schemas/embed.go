package schemas

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/avro"
)

// files holds every schema that was ever released.
//
//go:embed */*.avsc
var files embed.FS

// Revision is one released schema.
type Revision struct {
	Topic  string // the topic it belongs to; "nested" for a record inside another's bytes field
	Record string // full name, for example utopia.customer.CustomerState
	Number int    // from 1
	Schema string // the .avsc file
}

// Subject is the name under which a registry knows the record type: topic and full name, Confluent's
// TopicRecordNameStrategy.
func (r Revision) Subject() string { return r.Topic + "-" + r.Record }

// Private reports whether only the owner reads the record, so that it is in no registry.
func (r Revision) Private() bool { return private(r.Record) }

func private(record string) bool { return strings.Contains(record, ".private.") }

// Revisions returns every released schema of a topic, by record and then by revision; of all topics for "".
func Revisions(topic string) []Revision {
	s, err := compiled()
	if err != nil {
		return nil // a test keeps the embedded schemas readable; codecs report the error
	}
	var out []Revision
	for _, r := range s.revisions {
		if topic == "" || r.Topic == topic {
			out = append(out, r)
		}
	}
	return out
}

// New returns an empty record of the type with that full name.
func New(record string) (Record, bool) {
	s, err := compiled()
	if err != nil {
		return nil, false
	}
	k, ok := s.byName[record]
	if !ok {
		return nil, false
	}
	return k.new(), true
}

// set is every embedded schema, parsed.
type set struct {
	revisions     []Revision
	byName        map[string]*kind
	byType        map[reflect.Type]*kind
	byFingerprint map[uint64]*reader
}

// kind is one record type.
type kind struct {
	name, topic string
	new         func() Record
	typ         reflect.Type
	revisions   []Revision      // oldest first
	parsed      []*avro.Schema  // of revisions
	readers     []*reader       // of revisions
	layout      *layout         // of the latest
	write       int             // index of the revision that this code writes
	header      [soeHeader]byte // of the single-object encoding of what is written
	usual       *usualSize      // of the single-object encoding
}

// usualSize is about how large the larger ones of the last records were. A buffer of that size is made once; one that
// begins empty is made, copied and thrown away again for every doubling.
type usualSize struct{ n atomic.Int32 }

// usualAtMost bounds what one large record can make the next small ones take.
const usualAtMost = 4096

func (u *usualSize) buffer() []byte { return make([]byte, 0, u.n.Load()) }

func (u *usualSize) saw(size int) {
	n := u.n.Load()
	if next := max(int32(min(size, usualAtMost)), n-n/64); next != n { //nolint:gosec // at most usualAtMost
		u.n.Store(next)
	}
}

// latest is the schema that every record is decoded to.
func (k *kind) latest() *avro.Schema { return k.parsed[len(k.parsed)-1] }

// encode appends the body of r, which is of type k.
func (k *kind) encode(dst []byte, r Record) ([]byte, error) {
	p := reflect.ValueOf(r).UnsafePointer()
	if p == nil {
		return nil, fmt.Errorf("encode %s: %w", k.name, ErrNotOfTopic)
	}
	var out []byte
	var err error
	if k.write == len(k.parsed)-1 {
		out, err = k.layout.encode(dst, p)
	} else {
		out, err = k.parsed[k.write].AppendEncode(dst, r)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k.name, err)
	}
	return out, nil
}

// compiled is read once and never changes: in effect a constant table.
var compiled = sync.OnceValues(compile) //nolint:gochecknoglobals // the parsed form of the embedded files

func compile() (*set, error) {
	s := &set{
		byName:        map[string]*kind{},
		byType:        map[reflect.Type]*kind{},
		byFingerprint: map[uint64]*reader{},
	}
	for _, empty := range types() {
		r := empty()
		k := &kind{name: r.AvroName(), new: empty, typ: reflect.TypeOf(r), usual: new(usualSize)}
		if s.byName[k.name] != nil {
			return nil, fmt.Errorf("schemas: %s is in the table twice", k.name)
		}
		s.byName[k.name] = k
		s.byType[k.typ] = k
	}
	if err := s.readFiles(); err != nil {
		return nil, err
	}
	for _, k := range s.byName {
		if err := s.finish(k); err != nil {
			return nil, fmt.Errorf("schemas: %s: %w", k.name, err)
		}
	}
	return s, nil
}

// readFiles gives each kind its revisions.
func (s *set) readFiles() error {
	dirs, err := files.ReadDir(".")
	if err != nil {
		return fmt.Errorf("schemas: %w", err)
	}
	for _, dir := range dirs {
		entries, err := files.ReadDir(dir.Name())
		if err != nil {
			return fmt.Errorf("schemas: %w", err)
		}
		for _, e := range entries {
			if err := s.readFile(dir.Name(), e.Name()); err != nil {
				return fmt.Errorf("schemas: %s/%s: %w", dir.Name(), e.Name(), err)
			}
		}
	}
	slices.SortFunc(s.revisions, func(a, b Revision) int {
		if c := strings.Compare(a.Subject(), b.Subject()); c != 0 {
			return c
		}
		return a.Number - b.Number
	})
	for _, r := range s.revisions {
		k := s.byName[r.Record]
		if r.Number != len(k.revisions)+1 {
			return fmt.Errorf("schemas: %s has no revision %d", r.Record, len(k.revisions)+1)
		}
		k.revisions = append(k.revisions, r)
	}
	return nil
}

// readFile reads <topic>/<Record>.<revision>.avsc.
func (s *set) readFile(topic, file string) error {
	text, err := files.ReadFile(path.Join(topic, file))
	if err != nil {
		return err
	}
	part := strings.Split(file, ".")
	if len(part) != 3 {
		return errors.New("file is not named <Record>.<revision>.avsc")
	}
	number, err := strconv.Atoi(part[1])
	if err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	name, err := FullName(string(text))
	if err != nil {
		return err
	}
	k := s.byName[name]
	if k == nil {
		return fmt.Errorf("no Go type for %s", name)
	}
	if short := name[strings.LastIndexByte(name, '.')+1:]; short != part[0] {
		return fmt.Errorf("file holds %s", name)
	}
	if k.topic != "" && k.topic != topic {
		return fmt.Errorf("%s is in %s too", name, k.topic)
	}
	k.topic = topic
	s.revisions = append(s.revisions, Revision{Topic: topic, Record: name, Number: number, Schema: string(text)})
	return nil
}

// finish parses the revisions of k and makes a reader of each, into the latest.
func (s *set) finish(k *kind) error {
	if len(k.revisions) == 0 {
		return errors.New("no schema")
	}
	for _, r := range k.revisions {
		p, err := avro.Parse(r.Schema)
		if err != nil {
			return fmt.Errorf("revision %d: %w", r.Number, err)
		}
		k.parsed = append(k.parsed, p)
	}
	var err error
	if k.layout, err = newLayout(k.latest(), k.typ.Elem()); err != nil {
		return err
	}
	for i, p := range k.parsed {
		r, err := newReader(k, p)
		if err != nil {
			return fmt.Errorf("revision %d: %w", i+1, err)
		}
		r.latest = i == len(k.parsed)-1
		k.readers = append(k.readers, r)
		s.byFingerprint[fingerprint(p)] = r
	}
	number := len(k.parsed)
	if n, ok := writes(k.name); ok {
		number = n
	}
	return k.writeRevision(number)
}

// writeRevision makes a revision the one that is written.
func (k *kind) writeRevision(number int) error {
	if number < 1 || number > len(k.parsed) {
		return fmt.Errorf("revision %d is to be written and is not there", number)
	}
	k.write = number - 1
	k.header = soe(k.parsed[k.write])
	return nil
}

// soe is the header of what is written with a schema in single-object encoding.
func soe(s *avro.Schema) (header [soeHeader]byte) {
	header[0], header[1] = soeMark0, soeMark1
	binary.LittleEndian.PutUint64(header[2:], fingerprint(s))
	return header
}

// fingerprint is the schema's CRC-64-AVRO (Avro specification, "Schema Fingerprints").
func fingerprint(s *avro.Schema) uint64 {
	h := avro.NewRabin()
	_, _ = h.Write(s.Canonical()) // a hash's Write returns no error
	return h.Sum64()
}
