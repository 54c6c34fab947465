package schemas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"
)

// framed puts the id of the schema that is written today before a body.
func framed(tb testing.TB, k *kind, b []byte) []byte {
	tb.Helper()
	id := stableID(k.revisions[k.write])
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), b...)
}

func TestDecodeRefuses(t *testing.T) {
	c := newCodec(t, "customer.state.v1", NewMemoryIDs())
	good := encoded(t, c, gouda())
	changed := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, tc := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                      {nil, ErrTruncated},
		"half a header":                {good[:3], ErrTruncated},
		"only a header":                {good[:5], ErrTruncated},
		"another framing":              {changed(0, 0xC3), ErrMagic},
		"text":                         {[]byte(`{"customerId":"c-17"}`), ErrMagic},
		"an id nobody knows":           {changed(2, 0x77), ErrUnknownID},
		"one byte less":                {good[:len(good)-1], ErrTruncated},
		"one byte more":                {append(bytes.Clone(good), 0), ErrTrailing},
		"a string that is not UTF-8":   {changed(6, 0xff), ErrInvalidUTF8},
		"a string of negative length":  {changed(5, 0x07), ErrMalformed},
		"a string longer than all":     {append(append(bytes.Clone(good[:5]), long(1000)...), good[6:]...), ErrTruncated},
		"a symbol that does not exist": {changed(11, 0x10), ErrMalformed},
		"a number of too many bytes":   {append(good[:10:10], bytes.Repeat([]byte{0xff}, 11)...), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Decode(tc.b); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestDecodePrivateRefuses(t *testing.T) {
	good, err := AppendPrivate(nil, &CustomerRow{CustomerID: "c-17", Handled: []Handled{{ID: 1, Body: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	neither := bytes.Clone(good)
	neither[29] = 9 // verified
	newer := bytes.Clone(good)
	newer[4] ^= 1
	public, err := newCodec(t, "customer.state.v1", NewMemoryIDs()).Append(nil, gouda())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                      {nil, ErrTruncated},
		"half a header":                {good[:9], ErrTruncated},
		"a public record":              {public, ErrMagic},
		"what a newer release wrote":   {newer, ErrUnknownFingerprint},
		"one byte less":                {good[:len(good)-1], ErrTruncated},
		"one byte more":                {append(bytes.Clone(good), 0), ErrTrailing},
		"an array without its end":     {good[:len(good)-2], ErrTruncated},
		"a boolean that is neither":    {neither, ErrMalformed},
		"a mark and nothing else":      {[]byte{0xC3}, ErrTruncated},
		"the first mark without other": {[]byte{0xC3, 0x02}, ErrMagic},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodePrivate(tc.b); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// long is a zig-zag number.
func long(v int64) []byte { return appendLong(nil, v) }

// bombs are short bodies that announce much, and long ones of the smallest possible items.
func bombs() map[string][]byte {
	row := func(handled ...byte) []byte {
		// All of a CustomerRow but its handled ids: empty strings, zeroes and false.
		return append(make([]byte, 36), handled...)
	}
	items := func(n int) []byte {
		b := long(int64(n))
		return append(append(b, make([]byte, 5*n)...), 0)
	}
	var blocks []byte
	for range 5_000 {
		blocks = append(blocks, 2, 0, 0, 0, 0, 0)
	}
	return map[string][]byte{
		"a string of 4 GiB":                   long(math.MaxUint32),
		"a string of 8 EiB":                   long(math.MaxInt64),
		"a string of negative length":         long(math.MinInt64),
		"2^31 items":                          row(long(math.MaxInt32)...),
		"2^62 items":                          row(long(math.MaxInt64)...),
		"-2^63 items":                         row(append(long(math.MinInt64), long(1)...)...),
		"2^31 items in a block of 4 GiB":      row(append(long(-math.MaxInt32), long(math.MaxUint32)...)...),
		"as many items as bytes that follow":  row(append(long(100), make([]byte, 100)...)...),
		"20,000 items of nothing":             row(items(20_000)...),
		"5,000 blocks of one item":            row(append(blocks, 0)...),
		"32 blocks of 500 items":              row(append(bytes.Repeat(append(long(500), make([]byte, 2500)...), 32), 0)...),
		"a block that is longer than it says": row(append(append(long(-1), long(2)...), 0, 0, 0, 0, 0, 0)...),
	}
}

// What a decoder allocates is bounded by what it was given, not by what that says.
func TestDecodingAllocatesLittle(t *testing.T) {
	k := everything(t).byName["utopia.customer.private.CustomerRow"]
	if got := bytes.Count(body(t, k.latest()), nil); got == 0 {
		t.Fatal("no sample")
	}
	if r := decoded(t, k, append(make([]byte, 36), 0)); len(r.(*CustomerRow).Handled) != 0 { //nolint:forcetypeassert // it is
		t.Fatal("36 zero bytes are not the fields before the handled ids: the bombs miss")
	}
	readers := map[string]func([]byte) error{
		"typed": func(b []byte) error { _, err := k.readers[0].decode(b); return err },
		"checked, then by twmb/avro": func(b []byte) error {
			r := *k.readers[0]
			r.latest = false
			_, err := r.decode(b)
			return err
		},
		"JSON": func(b []byte) error { _, err := ToJSON(k.revisions[0].Schema, b); return err },
	}
	for reader, decode := range readers {
		_ = decode(make([]byte, 37)) // what is allocated once
		for name, b := range bombs() {
			t.Run(reader+"/"+name, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := decode(b)
				runtime.ReadMemStats(&after)
				if got, most := after.TotalAlloc-before.TotalAlloc, uint64(400*len(b)+2<<20); got > most {
					t.Errorf("%d bytes allocated for %d (%v)", got, len(b), err)
				}
			})
		}
	}
}

func TestAForeignSchemaCannotNestForEver(t *testing.T) {
	ids := NewMemoryIDs()
	const schema = `{"type":"record","name":"utopia.customer.CustomerState","fields":[
		{"name":"customerId","type":"string"},{"name":"version","type":"long"},
		{"name":"status","type":{"type":"enum","name":"utopia.customer.Status","symbols":["active"]}},
		{"name":"list","type":["null",{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}]}` + restOfState
	ids.Add(5, "customer.state.v1", "utopia.customer.CustomerState", schema)
	c := newCodec(t, "customer.state.v1", ids)
	deep := append([]byte{0, 0, 0, 0, 5, 0, 0, 0}, bytes.Repeat([]byte{2}, 1<<20)...)
	if _, err := c.Decode(deep); !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v", err)
	}
	flat := append([]byte{0, 0, 0, 0, 5, 0, 0, 0, 2, 2, 2, 0}, 0)
	if _, err := c.Decode(flat); err != nil {
		t.Fatal(err)
	}
}

func TestItemsWithoutBytesAreCounted(t *testing.T) {
	const schema = `{"type":"array","items":"null"}`
	if _, err := ToJSON(schema, append(long(math.MaxInt32), 0)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v", err)
	}
	if got, err := ToJSON(schema, append(long(2), 0)); err != nil || string(got) != "[null,null]" {
		t.Fatalf("%s, %v", got, err)
	}
}
