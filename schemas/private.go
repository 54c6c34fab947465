package schemas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
)

// ErrUnknownFingerprint says that a private record was written with a schema that is not embedded, so by a newer release. A
// processor that meets it in its own log refuses to start.
var ErrUnknownFingerprint = errors.New("written with a schema that this release does not have")

// The mark of Avro's single-object encoding (Avro specification, "Single-object encoding"); the fingerprint follows, least
// significant byte first.
const (
	soeMark0  = 0xC3
	soeMark1  = 0x01
	soeHeader = 10
)

// AppendPrivate appends r to dst in single-object encoding. Any record of this package may be given; what is written to a
// topic in this form is private. ErrNotOfTopic for anything else, ErrSymbol or ErrInvalidUTF8 for a record that could not
// be read again.
func AppendPrivate(dst []byte, r Record) ([]byte, error) {
	k, err := kindOf(r)
	if err != nil {
		return dst, err
	}
	return k.appendPrivate(dst, r)
}

func kindOf(r Record) (*kind, error) {
	s, err := compiled()
	if err != nil {
		return nil, err
	}
	k := s.byType[reflect.TypeOf(r)]
	if k == nil {
		return nil, fmt.Errorf("%w: %T", ErrNotOfTopic, r)
	}
	return k, nil
}

func (k *kind) appendPrivate(dst []byte, r Record) ([]byte, error) {
	fresh := dst == nil
	if fresh {
		dst = k.usual.buffer()
	}
	out, err := k.encode(append(dst, k.header[:]...), r)
	if err != nil {
		return dst, err
	}
	if fresh {
		k.usual.saw(len(out))
	}
	return out, nil
}

// AppendIdentity appends r as the oldest revision writes it that says all of it. Two releases make the same bytes of what both know, so that a hash of
// them is the same on both sides of an upgrade. Errors: those of AppendPrivate.
func AppendIdentity(dst []byte, r Record) ([]byte, error) {
	k, err := kindOf(r)
	if err != nil {
		return dst, err
	}
	if k.write == 0 {
		return k.appendPrivate(dst, r)
	}
	all, err := k.encode(nil, r)
	if err != nil {
		return dst, err
	}
	for i := range k.write {
		head := soe(k.parsed[i])
		out, err := k.parsed[i].AppendEncode(append(dst, head[:]...), r)
		if err != nil {
			continue // a symbol that it does not have
		}
		back, err := k.readers[i].decode(out[len(dst)+soeHeader:])
		if err != nil {
			continue
		}
		if again, err := k.encode(nil, back); err == nil && bytes.Equal(all, again) {
			return out, nil
		}
	}
	return append(append(dst, k.header[:]...), all...), nil
}

// DecodePrivate returns the record of today's type, whatever revision it was written with. It asks no registry.
//
// ErrUnknownFingerprint: a newer release wrote it. ErrMagic, ErrTruncated, ErrTrailing, ErrInvalidUTF8, ErrMalformed: the
// bytes are no such record.
func DecodePrivate(b []byte) (Record, error) {
	r, err := privateReader(b)
	if err != nil {
		return nil, err
	}
	return r.decode(b[soeHeader:])
}

// PrivateSchema takes the single-object encoding off b: the schema it was written with, and the Avro body.
func PrivateSchema(b []byte) (schema Revision, body []byte, err error) {
	r, err := privateReader(b)
	if err != nil {
		return Revision{}, nil, err
	}
	for i, other := range r.kind.readers {
		if other == r {
			return r.kind.revisions[i], b[soeHeader:], nil
		}
	}
	return Revision{}, nil, ErrUnknownFingerprint
}

func privateReader(b []byte) (*reader, error) {
	s, err := compiled()
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) > 0 && b[0] != soeMark0, len(b) > 1 && b[1] != soeMark1:
		return nil, ErrMagic
	case len(b) < soeHeader:
		return nil, ErrTruncated
	}
	r := s.byFingerprint[binary.LittleEndian.Uint64(b[2:])]
	if r == nil {
		return nil, ErrUnknownFingerprint
	}
	return r, nil
}
