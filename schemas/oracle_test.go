package schemas

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Every typed codec agrees with goavro on any value, in both directions and to the last byte, and with the library whose
// place it takes on the hot path. rapid prints how to run a failure again.
func TestTypedCodecsAgreeWithGoavro(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			codec, root := oracle(t, k.latest()), node(t, k.latest())
			rapid.Check(t, func(t *rapid.T) {
				native := generate(t, root, "")
				theirs, err := codec.BinaryFromNative(nil, native)
				if err != nil {
					t.Fatal(err)
				}
				rec, err := k.readers[len(k.readers)-1].decode(theirs)
				if err != nil {
					t.Fatal(err)
				}
				ours, err := k.encode(nil, rec)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(ours, theirs) {
					t.Fatalf("ours %x\ntheirs %x", ours, theirs)
				}
				back, rest, err := codec.NativeFromBinary(ours)
				if err != nil || len(rest) > 0 {
					t.Fatalf("goavro reads ours: %v, %d bytes left", err, len(rest))
				}
				if diff := cmp.Diff(native, back, cmpopts.EquateEmpty()); diff != "" {
					t.Fatal(diff)
				}
				slow := k.new()
				if _, err := k.latest().Decode(theirs, slow); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(slow, rec, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("- twmb/avro, + layout: %s", diff)
				}
			})
		})
	}
}

// A record of any earlier revision becomes today's record: what both have is kept, what is new has its default.
func TestUpcastingKeepsEveryValue(t *testing.T) {
	for _, k := range kinds(t) {
		for i := range len(k.parsed) - 1 {
			t.Run(k.name, func(t *testing.T) {
				writer, reader := oracle(t, k.parsed[i]), oracle(t, k.latest())
				root := node(t, k.parsed[i])
				defaults := k.latest().Root().Fields
				rapid.Check(t, func(t *rapid.T) {
					native, _ := generate(t, root, "").(map[string]any)
					old, err := writer.BinaryFromNative(nil, native)
					if err != nil {
						t.Fatal(err)
					}
					rec, err := k.readers[i].decode(old)
					if err != nil {
						t.Fatal(err)
					}
					today, err := k.encode(nil, rec)
					if err != nil {
						t.Fatal(err)
					}
					back, _, err := reader.NativeFromBinary(today)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range defaults {
						if _, ok := native[f.Name]; !ok {
							native[f.Name] = f.Default
						}
					}
					if diff := cmp.Diff(any(native), back, cmpopts.EquateEmpty()); diff != "" {
						t.Fatal(diff)
					}
				})
			})
		}
	}
}

// What the scanner lets pass, every decoder can read, and what one of our encoders wrote, it lets pass.
func TestTheScannerAcceptsWhatIsWritten(t *testing.T) {
	for _, k := range kinds(t) {
		for i, s := range k.parsed {
			if err := k.readers[i].program.check(body(t, s)); err != nil {
				t.Errorf("%s.%d: %v", k.name, i+1, err)
			}
		}
	}
}
