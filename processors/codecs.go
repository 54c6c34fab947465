package processors

import (
	"errors"
	"fmt"

	"utopia/schemas"
)

// encoded is a value that is bytes already: everything is encoded and measured before the first call to Goka.
type encoded []byte

// rawCodec passes bytes on. It is the codec of every output.
type rawCodec struct{}

// Encode implements goka.Codec.
func (rawCodec) Encode(value any) ([]byte, error) {
	b, ok := value.(encoded)
	if !ok {
		return nil, fmt.Errorf("output is %T, not encoded bytes", value)
	}
	return b, nil
}

// Decode implements goka.Codec.
func (rawCodec) Decode(data []byte) (any, error) { return encoded(data), nil }

// rowCodec reads rows of a group table. Rows are written as bytes that are encoded already.
type rowCodec struct{ rawCodec }

// Decode implements goka.Codec. A row that cannot be read stops the processor: it is our own, and the start-up guard
// has refused rows that are newer than this code.
func (rowCodec) Decode(data []byte) (any, error) {
	rec, err := schemas.DecodePrivate(data)
	if err != nil {
		return nil, fmt.Errorf("row: %w", err)
	}
	return rec, nil
}

// malformed stands for an input record that could not be decoded. Input codecs never fail: a codec error stops a Goka
// processor, and the next start meets the same record.
type malformed struct{ err error }

// unknownType stands for an input record whose schema is readable but whose type this code does not know.
type unknownType struct{ name string }

// inputCodec decodes the records of one input topic.
type inputCodec struct{ codec *schemas.Codec }

// Encode implements goka.Codec; inputs are never written through it.
func (inputCodec) Encode(any) ([]byte, error) {
	return nil, errors.New("an input is not written by its reader")
}

// Decode implements goka.Codec and never fails. No value at all is a tombstone, a nil record.
func (c inputCodec) Decode(data []byte) (any, error) {
	if len(data) == 0 {
		return schemas.Record(nil), nil
	}
	rec, err := c.codec.Decode(data)
	var unknown *schemas.UnknownTypeError
	switch {
	case err == nil:
		return rec, nil
	case errors.As(err, &unknown):
		return unknownType{name: unknown.Name}, nil
	default:
		return malformed{err: err}, nil
	}
}
