package schemas

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzDecode looks for bytes in Confluent framing that make a decoder panic, or that it reads as a record which it then
// cannot write or reads back as another.
func FuzzDecode(f *testing.F) {
	ids := NewMemoryIDs()
	codecs := map[string]*Codec{}
	for _, k := range kinds(f) {
		if private(k.name) {
			continue
		}
		if codecs[k.topic] == nil {
			codecs[k.topic] = newCodec(f, k.topic, ids)
		}
		f.Add(framed(f, k, body(f, k.latest())))
	}
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for topic, c := range codecs {
			r, err := c.Decode(b)
			if err != nil {
				continue
			}
			if _, err := c.Key(b); err != nil {
				t.Errorf("%s: no key: %v", topic, err)
			}
			again, err := c.Append(nil, r)
			if err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			back, err := c.Decode(again)
			if err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			if twice := encoded(t, c, back); !bytes.Equal(again, twice) {
				t.Fatalf("%s: %x, %x", topic, again, twice)
			}
		}
	})
}

// FuzzDecodePrivate does the same for private records, of every revision.
func FuzzDecodePrivate(f *testing.F) {
	for _, k := range kinds(f) {
		if b, err := AppendPrivate(nil, decoded(f, k, body(f, k.latest()))); err == nil {
			f.Add(b)
		}
	}
	for _, b := range bombs() {
		if len(b) > 1000 {
			continue // mutations of small ones get there
		}
		k := everything(f).byName["utopia.customer.private.CustomerRow"]
		f.Add(append(bytes.Clone(k.header[:]), b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodePrivate(b)
		if err != nil {
			return
		}
		again, err := AppendPrivate(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodePrivate(again)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := AppendPrivate(nil, back); err != nil || !bytes.Equal(again, twice) {
			t.Fatalf("%x, %x, %v", again, twice, err)
		}
	})
}

// FuzzLayout looks for bytes on which the hot path and the library whose place it takes disagree.
func FuzzLayout(f *testing.F) {
	all := kinds(f)
	for i, k := range all {
		f.Add(uint8(i), body(f, k.latest()))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		k := all[int(which)%len(all)]
		fast := *k.readers[len(k.readers)-1]
		slow := fast
		slow.latest = false
		one, errOne := fast.decode(b)
		two, errTwo := slow.decode(b)
		if (errOne == nil) != (errTwo == nil) {
			t.Fatalf("%s: %v, %v", k.name, errOne, errTwo)
		}
		if diff := cmp.Diff(one, two, cmpopts.EquateEmpty()); errOne == nil && diff != "" {
			t.Fatalf("%s: %s", k.name, diff)
		}
	})
}

// FuzzJSON looks for bytes or texts that make the schema-driven codec panic, or that do not survive the way to JSON and
// back.
func FuzzJSON(f *testing.F) {
	j, err := NewJSON(variety)
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range varieties() {
		b, err := j.FromJSON([]byte(c.typed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(c.typed))
	}
	f.Fuzz(func(t *testing.T, b, text []byte) {
		if typed, err := j.FromJSON(text); err == nil {
			b = typed
		}
		shown, err := j.ToJSON(b)
		if err != nil {
			return
		}
		again, err := j.FromJSON(shown)
		if err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
		once, err := j.ToJSON(again)
		if err != nil || !bytes.Equal(shown, once) {
			t.Fatalf("%s\n%s\n%v", shown, once, err)
		}
	})
}
