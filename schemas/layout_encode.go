package schemas

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
	"unsafe"
)

// encode appends the struct at p, of the type that l was compiled for. A string that is not UTF-8 or an enum's symbol that
// the schema does not have is an error: nothing is written that could not be read.
func (l *layout) encode(dst []byte, p unsafe.Pointer) ([]byte, error) {
	for k := range l.fields {
		f := &l.fields[k]
		at := unsafe.Add(p, f.offset)
		switch f.code {
		case opString:
			s := *(*string)(at)
			if s == "" {
				dst = append(dst, 0)
				continue
			}
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("%s: %w", f.name, ErrInvalidUTF8)
			}
			if len(s) < 0x40 {
				dst = append(dst, byte(len(s)<<1))
			} else {
				dst = appendLong(dst, int64(len(s)))
			}
			dst = append(dst, s...)
		case opLong:
			if v := *(*int64)(at); 0 <= v && v < 0x40 {
				dst = append(dst, byte(v<<1))
			} else {
				dst = appendLong(dst, v)
			}
		case opInt:
			dst = appendLong(dst, int64(*(*int32)(at)))
		case opEnum:
			i := f.symbol(*(*string)(at))
			if i < 0 {
				return nil, fmt.Errorf("%s: %w", f.name, ErrSymbol)
			}
			dst = appendLong(dst, int64(i))
		case opBool:
			dst = append(dst, *(*byte)(at)) // Go keeps a bool as 0 or 1, as Avro does
		case opBytes:
			b := *(*[]byte)(at)
			dst = append(appendLong(dst, int64(len(b))), b...)
		case opUnion:
			var err error
			if dst, err = f.appendOptional(dst, at); err != nil {
				return nil, err
			}
		case opArray:
			var err error
			if dst, err = f.appendItems(dst, at); err != nil {
				return nil, err
			}
		case opNull, opFixed, opRecord, opMap: // no layout has them
		}
	}
	return dst, nil
}

// symbol is the index of an enum's symbol, -1 if it has none such.
func (f *field) symbol(s string) int {
	for i, known := range f.symbols {
		if known == s {
			return i
		}
	}
	return -1
}

// appendOptional appends the pointer at p as a union of null and a record.
func (f *field) appendOptional(dst []byte, p unsafe.Pointer) ([]byte, error) {
	rec := *(*unsafe.Pointer)(p)
	if rec == nil {
		return append(dst, 0), nil
	}
	return f.sub.encode(append(dst, 2), rec)
}

// appendItems appends the slice at p as one block.
func (f *field) appendItems(dst []byte, p unsafe.Pointer) ([]byte, error) {
	// All slices have the same header: the length is that of the slice, whatever its items are.
	n := len(*(*[]struct{})(p))
	if n > 0 {
		first := *(*unsafe.Pointer)(p)
		dst = appendLong(dst, int64(n))
		for i := range n {
			var err error
			if dst, err = f.sub.encode(dst, unsafe.Add(first, uintptr(i)*f.size)); err != nil {
				return nil, err
			}
		}
	}
	return append(dst, 0), nil
}

// appendLong appends a zig-zag number.
func appendLong(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	if u < 0x80 {
		return append(dst, byte(u))
	}
	// Hashes in rows take nine or ten bytes; one append for all of them is twice as fast as one for each.
	switch c := func(shift uint) byte { return byte(u>>shift) | 0x80 }; {
	case u >= 1<<63:
		return append(dst, c(0), c(7), c(14), c(21), c(28), c(35), c(42), c(49), c(56), byte(u>>63))
	case u >= 1<<56:
		return append(dst, c(0), c(7), c(14), c(21), c(28), c(35), c(42), c(49), byte(u>>56))
	}
	return binary.AppendUvarint(dst, u)
}
