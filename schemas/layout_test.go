package schemas

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
)

func TestALayoutNeedsAPlaceForEveryField(t *testing.T) {
	type sub struct {
		X int64 `avro:"x"`
	}
	for name, c := range map[string]struct {
		schema string
		typ    reflect.Type
		want   string
	}{
		"a field that the struct does not have": {
			added, reflect.TypeFor[struct {
				ID string `avro:"id"`
			}](), "no field for n",
		},
		"a field that the schema does not have": {
			base, reflect.TypeFor[struct {
				ID string `avro:"id"`
				N  int64  `avro:"n"`
			}](), "has n and the schema has not",
		},
		"a field of another type": {
			added, reflect.TypeFor[struct {
				ID string `avro:"id"`
				N  int32  `avro:"n"`
			}](), "n is long in the schema and int32 in Go",
		},
		"a nested field of another type": {
			`{"type":"record","name":"R","fields":[{"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"string"}]}}]}`,
			reflect.TypeFor[struct {
				S sub `avro:"s"`
			}](), "s.x is string in the schema and int64 in Go",
		},
		"items of another type": {
			`{"type":"record","name":"R","fields":[{"name":"l","type":{"type":"array","items":"string"}}]}`,
			reflect.TypeFor[struct {
				L []int64 `avro:"l"`
			}](), "l[] is string in the schema and int64 in Go",
		},
		"bytes that are no bytes": {
			`{"type":"record","name":"R","fields":[{"name":"b","type":"bytes"}]}`,
			reflect.TypeFor[struct {
				B []string `avro:"b"`
			}](), "b is bytes in the schema",
		},
		"a union of more than null and one": {
			`{"type":"record","name":"R","fields":[{"name":"u","type":["null","string","long"]}]}`,
			reflect.TypeFor[struct {
				U *string `avro:"u"`
			}](), "u is a union of something else",
		},
		"an optional value that is no pointer": {
			`{"type":"record","name":"R","fields":[{"name":"u","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"long"}]}]}]}`,
			reflect.TypeFor[struct {
				U sub `avro:"u"`
			}](), "u is union in the schema",
		},
		"a type that no record of ours has": {
			`{"type":"record","name":"R","fields":[{"name":"d","type":"double"}]}`,
			reflect.TypeFor[struct {
				D float64 `avro:"d"`
			}](), "d is double in the schema",
		},
		"a record that is no struct": {base, reflect.TypeFor[string](), "not a struct"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newLayout(avro.MustParse(c.schema), c.typ); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A revision is readable one release before it is written, so that neighbouring releases read each other.
func TestAnOlderRevisionCanBeWritten(t *testing.T) {
	latest := everything(t).byName["utopia.customer.CustomerState"]
	older := *latest
	if err := older.writeRevision(1); err != nil {
		t.Fatal(err)
	}
	b, err := older.encode(nil, gouda())
	if err != nil {
		t.Fatal(err)
	}
	got, err := latest.readers[0].decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := gouda()
	want.UpdatedAt = 0 // what the older revision does not have
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if older.header == latest.header {
		t.Error("the private framing names the same schema for both")
	}
	for _, number := range []int{0, 3, -1} {
		if err := older.writeRevision(number); err == nil {
			t.Errorf("revision %d can be written", number)
		}
	}
}
