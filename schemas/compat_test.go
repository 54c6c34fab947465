package schemas

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
)

// What others read stays compatible both ways with everything that was ever released; what is private stays readable.
func TestEveryRevisionKeepsThePromise(t *testing.T) {
	public, keptPrivate := 0, 0
	for _, k := range kinds(t) {
		var earlier []string
		for _, r := range k.revisions {
			if err := CheckCompatibility(ModeOf(k.name), r.Schema, earlier...); err != nil {
				t.Errorf("%s.%d: %v", k.name, r.Number, err)
			}
			earlier = append(earlier, r.Schema)
		}
		if len(earlier) > 1 && private(k.name) {
			keptPrivate++
		}
		if len(earlier) > 1 && !private(k.name) {
			public++
		}
	}
	if public == 0 || keptPrivate == 0 {
		t.Fatalf("%d public and %d private records have a second revision: the test tests nothing", public, keptPrivate)
	}
}

const (
	base  = `{"type":"record","name":"a.R","fields":[{"name":"id","type":"string"}]}`
	added = `{"type":"record","name":"a.R","fields":[{"name":"id","type":"string"},{"name":"n","type":"long","default":0}]}`
	must  = `{"type":"record","name":"a.R","fields":[{"name":"id","type":"string"},{"name":"n","type":"long"}]}`
	wider = `{"type":"record","name":"a.R","fields":[{"name":"id","type":"bytes"}]}`
	other = `{"type":"record","name":"a.S","fields":[{"name":"id","type":"string"}]}`
	two   = `{"type":"record","name":"a.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["unknown","x"],"default":"unknown"}}]}`
	three = `{"type":"record","name":"a.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["unknown","x","y"],"default":"unknown"}}]}`
	bare2 = `{"type":"record","name":"a.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["unknown","x"]}}]}`
	bare3 = `{"type":"record","name":"a.R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["unknown","x","y"]}}]}`
)

func TestCheckCompatibility(t *testing.T) {
	for name, c := range map[string]struct {
		mode    Mode
		schema  string
		earlier []string
		ok      bool
	}{
		"the first revision follows nothing":                      {FullTransitive, base, nil, true},
		"a field with a default may come, both ways":              {Full, added, []string{base}, true},
		"a field with a default may go, both ways":                {Full, base, []string{added}, true},
		"a field without a default cannot be read from old ones":  {Backward, must, []string{base}, false},
		"a field without a default may come for old readers":      {Forward, must, []string{base}, true},
		"a field without a default may not go for old readers":    {Forward, base, []string{must}, false},
		"one way is not both ways":                                {Full, must, []string{base}, false},
		"only the last revision counts without transitive":        {Backward, must, []string{base, must}, true},
		"every revision counts with transitive":                   {BackwardTransitive, must, []string{base, must}, false},
		"forward, every revision counts with transitive":          {ForwardTransitive, base, []string{must, added}, false},
		"anything goes without a promise":                         {None, other, []string{base}, true},
		"another name is another record":                          {Backward, other, []string{base}, false},
		"a string can be read as bytes and the reverse":           {Full, wider, []string{base}, true},
		"a symbol may come where the enum has a default":          {FullTransitive, three, []string{two}, true},
		"a symbol may not come for old readers without a default": {Forward, bare3, []string{bare2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckCompatibility(c.mode, c.schema, c.earlier...)
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			var ie *IncompatibleError
			if !c.ok && (!errors.As(err, &ie) || !errors.Is(err, ErrIncompatible) || len(ie.Problems) == 0) {
				t.Fatalf("%v is not an IncompatibleError with problems", err)
			}
		})
	}
}

func TestCheckCompatibilityRefusesWhatIsNoSchema(t *testing.T) {
	for _, c := range [][]string{{`{"type":"recrd"}`, base}, {base, `nonsense`}, {strings.Repeat(" ", maxSchema) + base}} {
		if err := CheckCompatibility(Full, c[0], c[1:]...); !errors.Is(err, ErrSchema) {
			t.Errorf("got %v", err)
		}
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range Modes() {
		if got, err := ParseMode(string(m)); err != nil || got != m {
			t.Errorf("%s: %s, %v", m, got, err)
		}
	}
	if _, err := ParseMode("full"); err == nil || !strings.Contains(err.Error(), "FULL_TRANSITIVE") {
		t.Errorf("got %v", err)
	}
}

func TestSameSaysWhetherTwoTextsAreOneSchema(t *testing.T) {
	documented := strings.Replace(added, `"name":"n"`, `"name":"n","doc":"why"`, 1)
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"layout and documentation do not count": {added, "\n" + documented, true},
		"a default counts":                      {added, must, false},
		"a name counts":                         {base, other, false},
		"namespace or full name are the same": {
			base, `{"namespace":"a","name":"R","type":"record","fields":[{"type":"string","name":"id"}]}`, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Same(c.a, c.b)
			if err != nil || got != c.same {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
	if _, err := Same(base, "x"); !errors.Is(err, ErrSchema) {
		t.Errorf("got %v", err)
	}
}

// Old reader and new writer, new reader and old writer, for the records that have two revisions. Today's Go type is the
// new reader; the old reader is anybody who has only the old schema.
func TestNeighbouringReleasesReadEachOther(t *testing.T) {
	for _, c := range []struct{ record, field string }{
		{"utopia.customer.CustomerState", "updatedAt"},
		{"utopia.customer.private.CustomerRegistered", "keepsFact"},
	} {
		t.Run(c.record, func(t *testing.T) {
			k := everything(t).byName[c.record]
			oldSchema, newSchema := k.parsed[0], k.parsed[1]

			newReads, err := k.readers[0].decode(body(t, oldSchema))
			if err != nil {
				t.Fatal(err)
			}
			want := decoded(t, k, body(t, newSchema))
			var old, fresh map[string]any
			for r, into := range map[Record]*map[string]any{newReads: &old, want: &fresh} {
				b, err := newSchema.AppendEncode(nil, r)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := newSchema.Decode(b, into); err != nil {
					t.Fatal(err)
				}
			}
			added := old[c.field]
			delete(old, c.field)
			delete(fresh, c.field)
			if diff := cmp.Diff(fresh, old); diff != "" {
				t.Errorf("the new reader of an old record: %s", diff)
			}
			if f, ok := added.(bool); ok && f {
				t.Errorf("%s is %v without ever having been written", c.field, added)
			}

			oldReader, err := avro.Resolve(newSchema, oldSchema)
			if err != nil {
				t.Fatal(err)
			}
			var oldReads, wanted map[string]any
			if _, err := oldReader.Decode(body(t, newSchema), &oldReads); err != nil {
				t.Fatal(err)
			}
			if _, err := oldSchema.Decode(body(t, oldSchema), &wanted); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, oldReads); diff != "" {
				t.Errorf("the old reader of a new record: %s", diff)
			}
		})
	}
}

func TestFullName(t *testing.T) {
	for schema, want := range map[string]string{base: "a.R", `"string"`: "string", `{"type":"array","items":"int"}`: "array"} {
		if got, err := FullName(schema); err != nil || got != want {
			t.Errorf("%s: %q, %v", schema, got, err)
		}
	}
}

// What the first revision can say has the bytes that it had before there was another one; what it cannot has those of today.
func TestARecordKeepsItsIdentity(t *testing.T) {
	for _, k := range kinds(t) {
		for _, i := range []int{0, k.write} {
			b := body(t, k.parsed[i])
			head := soe(k.parsed[i])
			r, err := k.readers[i].decode(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := AppendIdentity([]byte("x"), r)
			if want := slices.Concat([]byte("x"), head[:], b); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, revision %d: %x, %v; want %x", k.name, i+1, got, err, want)
			}
		}
	}
}
