package schemas

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/twmb/avro"
)

// Why a record's bytes cannot be read. None of the errors of this package quotes what it read.
var (
	// ErrMagic: the bytes do not begin with the mark of their framing.
	ErrMagic = errors.New("not in the framing of this topic")
	// ErrTruncated: the bytes end within a value, or a length goes beyond them.
	ErrTruncated = errors.New("truncated")
	// ErrTrailing: bytes follow the record.
	ErrTrailing = errors.New("bytes after the end of the record")
	// ErrInvalidUTF8: a string is not UTF-8.
	ErrInvalidUTF8 = errors.New("a string is not valid UTF-8")
	// ErrMalformed: a number, an index or a nesting is out of its range.
	ErrMalformed = errors.New("malformed")
)

const (
	// maxDepth is how deep records may nest; only a recursive schema of somebody else could go further.
	maxDepth = 32
	// maxBlocks is how many blocks an array or a map may have. Writers use one, or one for every 64 KiB; a decoder that
	// grows its slice block by block needs time and memory for the square of their number.
	maxBlocks = 32
	// maxEmptyItems is how many items without bytes an array may have.
	maxEmptyItems = 4096
)

// opcode says how to pass over one value.
type opcode uint8

const (
	opNull opcode = iota
	opBool
	opInt
	opLong
	opFixed
	opBytes
	opString
	opEnum
	opRecord
	opArray
	opMap
	opUnion
)

// op passes over one value of a record.
type op struct {
	code opcode
	n    int        // bytes of a fixed, symbols of an enum
	sub  []*program // of a record, of the items of an array or a map, of each branch of a union
}

// program checks the bytes of one type against its schema before any decoder sees them: every length lies within the
// bytes, every string is UTF-8, every index is in range. After that a decoder's allocations are bounded by what is there,
// not by what a length says.
type program struct{ ops []op }

// newProgram compiles a schema. It starts from the canonical form, in which every name is a full one.
func newProgram(s *avro.Schema) (*program, error) {
	canonical, err := avro.Parse(string(s.Canonical()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return compileType(canonical.Root(), map[string]*program{})
}

func compileType(n *avro.SchemaNode, named map[string]*program) (*program, error) {
	p := new(program)
	switch n.Type {
	case "record", "error", "enum", "fixed":
		named[fullName(n)] = p
	}
	o, err := compileOp(n, p, named)
	if err != nil {
		return nil, err
	}
	if o.code != opRecord {
		p.ops = []op{o}
	}
	return p, nil
}

// compileOp compiles n; the fields of a record go into p itself.
func compileOp(n *avro.SchemaNode, p *program, named map[string]*program) (op, error) {
	switch n.Type {
	case "null":
		return op{code: opNull}, nil
	case "boolean":
		return op{code: opBool}, nil
	case "int":
		return op{code: opInt}, nil
	case "long":
		return op{code: opLong}, nil
	case "float":
		return op{code: opFixed, n: 4}, nil
	case "double":
		return op{code: opFixed, n: 8}, nil
	case "bytes":
		return op{code: opBytes}, nil
	case "string":
		return op{code: opString}, nil
	case "fixed":
		return op{code: opFixed, n: n.Size}, nil
	case "enum":
		return op{code: opEnum, n: len(n.Symbols)}, nil
	case "array":
		return compileSub(opArray, named, n.Items)
	case "map":
		return compileSub(opMap, named, n.Values)
	case "union":
		branches := make([]*avro.SchemaNode, len(n.Branches))
		for i := range n.Branches {
			branches[i] = &n.Branches[i]
		}
		return compileSub(opUnion, named, branches...)
	case "record", "error":
		for i := range n.Fields {
			o, err := compileField(&n.Fields[i].Type, named)
			if err != nil {
				return op{}, err
			}
			p.ops = append(p.ops, o)
		}
		return op{code: opRecord, sub: []*program{p}}, nil
	}
	return op{}, fmt.Errorf("%w: type %q", ErrSchema, n.Type)
}

// compileField compiles a value inside another: simple ones in place, named ones by reference.
func compileField(n *avro.SchemaNode, named map[string]*program) (op, error) {
	if p, ok := named[n.Type]; ok {
		return op{code: opRecord, sub: []*program{p}}, nil
	}
	switch n.Type {
	case "record", "error", "enum", "fixed":
		return compileSub(opRecord, named, n)
	}
	return compileOp(n, nil, named)
}

func compileSub(code opcode, named map[string]*program, nodes ...*avro.SchemaNode) (op, error) {
	o := op{code: code}
	for _, n := range nodes {
		p, ok := named[n.Type]
		if !ok {
			var err error
			if p, err = compileType(n, named); err != nil {
				return op{}, err
			}
		}
		o.sub = append(o.sub, p)
	}
	return o, nil
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// check reports whether b is exactly one value. ErrTruncated, ErrTrailing, ErrInvalidUTF8, ErrMalformed.
func (p *program) check(b []byte) error {
	i, err := p.run(b, 0, 0)
	if err != nil {
		return err
	}
	if i != len(b) {
		return ErrTrailing
	}
	return nil
}

// run passes over one value at b[i:] and returns the index after it.
func (p *program) run(b []byte, i, depth int) (int, error) {
	if depth > maxDepth {
		return 0, ErrMalformed
	}
	for k := range p.ops {
		o := &p.ops[k]
		var v int64
		var err error
		switch o.code {
		case opNull:
		case opLong:
			_, i, err = varint(b, i)
		case opBytes:
			_, i, err = span(b, i)
		case opString:
			var from int
			if from, i, err = span(b, i); err == nil && !utf8.Valid(b[from:i]) {
				err = ErrInvalidUTF8
			}
		case opBool, opInt, opEnum, opFixed:
			i, err = o.scalar(b, i)
		case opRecord:
			i, err = o.sub[0].run(b, i, depth+1)
		case opArray, opMap:
			i, err = o.blocks(b, i, depth)
		case opUnion:
			if v, i, err = varint(b, i); err == nil && (v < 0 || v >= int64(len(o.sub))) {
				err = ErrMalformed
			}
			if err == nil {
				i, err = o.sub[v].run(b, i, depth+1)
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return i, nil
}

// scalar passes over one of the less frequent values.
func (o *op) scalar(b []byte, i int) (int, error) {
	least, most := int64(0), int64(1)
	switch o.code {
	case opFixed:
		if i+o.n > len(b) {
			return 0, ErrTruncated
		}
		return i + o.n, nil
	case opBool:
		if i < len(b) && b[i] > 1 {
			return 0, ErrMalformed
		}
		if i >= len(b) {
			return 0, ErrTruncated
		}
		return i + 1, nil
	case opInt:
		least, most = math.MinInt32, math.MaxInt32
	case opEnum:
		most = int64(o.n) - 1
	case opNull, opLong, opBytes, opString, opRecord, opArray, opMap, opUnion: // not here
	}
	v, i, err := varint(b, i)
	if err == nil && (v < least || v > most) {
		err = ErrMalformed
	}
	return i, err
}

// blocks passes over the blocks of an array or a map.
func (o *op) blocks(b []byte, i, depth int) (int, error) {
	empty := 0
	for blocks := 0; ; blocks++ {
		count, end, next, err := blockHead(b, i)
		if err != nil {
			return 0, err
		}
		if i = next; count == 0 {
			return i, nil
		}
		if blocks == maxBlocks {
			return 0, ErrMalformed
		}
		for ; count > 0; count-- {
			from := i
			if o.code == opMap {
				var key int
				if key, i, err = span(b, i); err != nil {
					return 0, err
				}
				if !utf8.Valid(b[key:i]) {
					return 0, ErrInvalidUTF8
				}
			}
			if i, err = o.sub[0].run(b, i, depth+1); err != nil {
				return 0, err
			}
			if i == from {
				if empty++; empty > maxEmptyItems {
					return 0, ErrMalformed
				}
			}
		}
		if end >= 0 && i != end {
			return 0, ErrMalformed
		}
	}
}

// blockHead reads the count of a block's items at b[i:], and where the block ends, -1 if that is not said (Avro
// specification, "Arrays": a negative count is followed by the block's size in bytes).
func blockHead(b []byte, i int) (count, end, next int, err error) {
	n, i, err := varint(b, i)
	if err != nil {
		return 0, 0, 0, err
	}
	end = -1
	if n < 0 {
		var size int64
		if size, i, err = varint(b, i); err != nil {
			return 0, 0, 0, err
		}
		if size < 0 || size > int64(len(b)-i) || n == math.MinInt64 {
			return 0, 0, 0, ErrMalformed
		}
		n, end = -n, i+int(size)
	}
	if n > math.MaxInt32 {
		return 0, 0, 0, ErrMalformed
	}
	return int(n), end, i, nil
}

// span reads a length at b[i:] and returns where its bytes begin and end.
func span(b []byte, i int) (from, to int, err error) {
	if i < len(b) && b[i] < 0x80 && b[i]&1 == 0 { // one byte and not negative
		from = i + 1
		if to = from + int(b[i]>>1); to > len(b) {
			return 0, 0, ErrTruncated
		}
		return from, to, nil
	}
	n, from, err := varint(b, i)
	switch {
	case err != nil:
		return 0, 0, err
	case n < 0:
		return 0, 0, ErrMalformed
	case n > int64(len(b)-from):
		return 0, 0, ErrTruncated
	}
	return from, from + int(n), nil
}

// varint reads a zig-zag number of at most 64 bits at b[i:].
func varint(b []byte, i int) (v int64, next int, err error) {
	var u uint64
	for shift := uint(0); i < len(b); shift += 7 {
		c := b[i]
		i++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, 0, ErrMalformed
			}
			u |= uint64(c) << (shift & 63)
			return int64(u>>1) ^ -int64(u&1), i, nil
		}
		if shift == 63 {
			return 0, 0, ErrMalformed
		}
		u |= uint64(c&0x7f) << (shift & 63)
	}
	return 0, 0, ErrTruncated
}
