package schemas

import (
	"math"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

// decode fills the struct at p, of the type that l was compiled for, from exactly b. ErrTruncated, ErrTrailing,
// ErrInvalidUTF8, ErrMalformed; then the struct is half filled.
//
// Strings share one copy of b. Every length is compared with what is left of b before anything is allocated for it.
func (l *layout) decode(b []byte, p unsafe.Pointer) error {
	i, err := l.read(b, string(b), 0, p)
	if err != nil {
		return err
	}
	if i != len(b) {
		return ErrTrailing
	}
	return nil
}

// read reads one record at b[i:] into the struct at p and returns the index after it; s is b again, for strings to share.
func (l *layout) read(b []byte, s string, i int, p unsafe.Pointer) (int, error) {
	for k := range l.fields {
		f := &l.fields[k]
		at := unsafe.Add(p, f.offset)
		if i >= len(b) {
			return 0, ErrTruncated // every value takes at least one byte
		}
		var err error
		switch f.code {
		case opString:
			from := i + 1
			if c := b[i]; c < 0x80 && c&1 == 0 && from+int(c>>1) <= len(b) { // one byte of length, and it fits
				i = from + int(c>>1)
			} else if from, i, err = span(b, i); err != nil {
				return 0, err
			}
			if !utf8.Valid(b[from:i]) {
				return 0, ErrInvalidUTF8
			}
			*(*string)(at) = s[from:i]
		case opLong:
			if u := b[i]; u < 0x80 {
				*(*int64)(at) = int64(u>>1) ^ -int64(u&1)
				i++
				continue
			}
			if *(*int64)(at), i, err = varint(b, i); err != nil {
				return 0, err
			}
		case opUnion:
			if i, err = f.readOptional(b, s, i, at); err != nil {
				return 0, err
			}
		case opArray:
			if i, err = f.readItems(b, s, i, at); err != nil {
				return 0, err
			}
		case opInt, opEnum, opBool, opBytes, opNull, opFixed, opRecord, opMap:
			if i, err = f.readScalar(b, i, at); err != nil {
				return 0, err
			}
		}
	}
	return i, nil
}

// readScalar reads one of the less frequent values at b[i:], where at least one byte is, to p.
func (f *field) readScalar(b []byte, i int, p unsafe.Pointer) (int, error) {
	switch f.code {
	case opInt:
		v, i, err := varint(b, i)
		if err == nil && (v < math.MinInt32 || v > math.MaxInt32) {
			err = ErrMalformed
		}
		*(*int32)(p) = int32(v)
		return i, err
	case opEnum:
		v, i, err := varint(b, i)
		if err != nil {
			return 0, err
		}
		if v < 0 || v >= int64(len(f.symbols)) {
			return 0, ErrMalformed
		}
		*(*string)(p) = f.symbols[v]
		return i, nil
	case opBool:
		if b[i] > 1 {
			return 0, ErrMalformed
		}
		*(*bool)(p) = b[i] == 1
		return i + 1, nil
	case opBytes:
		from, to, err := span(b, i)
		if err == nil {
			*(*[]byte)(p) = append([]byte(nil), b[from:to]...)
		}
		return to, err
	case opString, opLong, opUnion, opArray, opNull, opFixed, opRecord, opMap: // elsewhere, or in no layout
	}
	return 0, ErrMalformed
}

// readOptional reads a union of null and a record into the pointer at p.
func (f *field) readOptional(b []byte, s string, i int, p unsafe.Pointer) (int, error) {
	v, i, err := varint(b, i)
	if err != nil {
		return 0, err
	}
	switch v {
	case 0:
		return i, nil
	case 1:
		rec := reflect.New(f.typ).UnsafePointer()
		*(*unsafe.Pointer)(p) = rec
		return f.sub.read(b, s, i, rec)
	}
	return 0, ErrMalformed
}

// readItems reads the blocks of an array into the slice at p; without items the slice stays nil.
func (f *field) readItems(b []byte, s string, i int, p unsafe.Pointer) (int, error) {
	var all reflect.Value
	for n, blocks := 0, 0; ; blocks++ {
		count, end, next, err := blockHead(b, i)
		if err != nil {
			return 0, err
		}
		if i = next; count == 0 {
			return i, nil
		}
		if count > (len(b)-i)/f.sub.least {
			return 0, ErrTruncated
		}
		if blocks == maxBlocks {
			return 0, ErrMalformed
		}
		grown := reflect.MakeSlice(f.typ, n+count, n+count)
		if n > 0 {
			reflect.Copy(grown, all)
		}
		all = grown
		reflect.NewAt(f.typ, p).Elem().Set(all)
		first := all.UnsafePointer()
		for ; count > 0; count-- {
			if i, err = f.sub.read(b, s, i, unsafe.Add(first, uintptr(n)*f.size)); err != nil {
				return 0, err
			}
			n++
		}
		if end >= 0 && i != end {
			return 0, ErrMalformed
		}
	}
}
