package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// variety has every type of Avro.
const variety = `{"type":"record","name":"a.All","fields":[
	{"name":"s","type":"string","default":""},
	{"name":"i","type":"int","default":7},
	{"name":"l","type":"long","default":0},
	{"name":"b","type":"boolean","default":false},
	{"name":"f","type":"float","default":1.5},
	{"name":"d","type":"double","default":0},
	{"name":"raw","type":"bytes","default":"\u0001\u00ff"},
	{"name":"fix","type":{"type":"fixed","name":"F","size":2},"default":"ab"},
	{"name":"e","type":{"type":"enum","name":"E","symbols":["unknown","x"],"default":"unknown"},"default":"unknown"},
	{"name":"list","type":{"type":"array","items":"int"},"default":[1,2]},
	{"name":"map","type":{"type":"map","values":"long"},"default":{"k":3}},
	{"name":"maybe","type":["null","string"],"default":null},
	{"name":"any","type":["null","string","long","boolean",{"type":"array","items":"int"}],"default":null},
	{"name":"next","type":["null","All"],"default":null},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},
	{"name":"micros","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
	{"name":"nanos","type":{"type":"long","logicalType":"timestamp-nanos"},"default":1},
	{"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"},"default":1000},
	{"name":"day","type":{"type":"int","logicalType":"date"},"default":0},
	{"name":"tm","type":{"type":"int","logicalType":"time-millis"},"default":0},
	{"name":"tu","type":{"type":"long","logicalType":"time-micros"},"default":0},
	{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u0000"},
	{"name":"cents","type":{"type":"fixed","name":"C","size":4,"logicalType":"decimal","precision":9,"scale":2},
		"default":"\u0000\u0000\u0000\u0001"},
	{"name":"sub","type":{"type":"record","name":"b.Sub","fields":[
		{"name":"x","type":"long","default":5},{"name":"f","type":["null","a.F"],"default":null}]},"default":{}}
]}`

// standardVariety is what variety shows when nothing is typed.
const standardVariety = `{"s":"","i":7,"l":0,"b":false,"f":1.5,"d":0,"raw":"Af8=","fix":"YWI=","e":"unknown","list":[1,2],` +
	`"map":{"k":3},"maybe":null,"any":null,"next":null,"at":null,"micros":null,"nanos":"1970-01-01T00:00:00.000000001Z",` +
	`"local":"1970-01-01T00:00:01","day":"1970-01-01","tm":"00:00:00","tu":"00:00:00","price":"0.00","cents":"0.01",` +
	`"sub":{"x":5,"f":null}}`

type typedShown struct{ typed, shown string }

// varieties are texts that may be typed for variety, and the part of what is shown that then differs from the standard.
func varieties() map[string]typedShown {
	return map[string]typedShown{
		"nothing but defaults":                {`{}`, `{}`},
		"null takes the default":              {`{"s":null,"i":null,"sub":null,"list":null}`, `{}`},
		"a nullable value is typed plainly":   {`{"maybe":"x"}`, `{"maybe":"x"}`},
		"or named by its type":                {`{"maybe":{"string":"x"}}`, `{"maybe":"x"}`},
		"one of several types is named":       {`{"any":{"long":3}}`, `{"any":{"long":3}}`},
		"or the first that fits":              {`{"any":[1]}`, `{"any":{"array":[1]}}`},
		"and so is a boolean":                 {`{"any":true}`, `{"any":{"boolean":true}}`},
		"a recursive value":                   {`{"next":{"next":{"s":"deep"}}}`, `{"next":{"next":{"s":"deep"}}}`},
		"a time in UTC":                       {`{"at":"2026-01-02T03:04:05.678Z"}`, `{"at":"2026-01-02T03:04:05.678Z"}`},
		"a time elsewhere":                    {`{"at":"2026-01-02T03:04:05+01:00"}`, `{"at":"2026-01-02T02:04:05Z"}`},
		"a time as a number":                  {`{"at":1767323045678}`, `{"at":"2026-01-02T03:04:05.678Z"}`},
		"a time as a number in a string":      {`{"at":"1767323045678"}`, `{"at":"2026-01-02T03:04:05.678Z"}`},
		"microseconds":                        {`{"micros":"2026-01-02T03:04:05.000001Z"}`, `{"micros":"2026-01-02T03:04:05.000001Z"}`},
		"nanoseconds":                         {`{"nanos":"2026-01-02T03:04:05.000000001Z"}`, `{"nanos":"2026-01-02T03:04:05.000000001Z"}`},
		"a time that RFC 3339 cannot express": {`{"at":999999999999999}`, `{"at":999999999999999}`},
		"a wall clock":                        {`{"local":"2026-01-02T03:04:05.5"}`, `{"local":"2026-01-02T03:04:05.5"}`},
		"a day":                               {`{"day":"2026-03-01"}`, `{"day":"2026-03-01"}`},
		"a day before 1970":                   {`{"day":"1901-03-01"}`, `{"day":"1901-03-01"}`},
		"times of day":                        {`{"tm":"13:14:15.016","tu":"13:14:15.000016"}`, `{"tm":"13:14:15.016","tu":"13:14:15.000016"}`},
		"a decimal":                           {`{"price":"12.3","cents":"-0.05"}`, `{"price":"12.30","cents":"-0.05"}`},
		"a negative decimal":                  {`{"price":"-128"}`, `{"price":"-128.00"}`},
		"the largest numbers":                 {`{"l":9223372036854775807,"i":-2147483648}`, `{"l":9223372036854775807,"i":-2147483648}`},
		"what is no number":                   {`{"d":"NaN","f":"-Infinity"}`, `{"d":"NaN","f":"-Infinity"}`},
		"bytes":                               {`{"raw":"AAEC","fix":"AAE="}`, `{"raw":"AAEC","fix":"AAE="}`},
		"a string for no page":                {`{"s":"<a href=\"x\">ü\n日本</a>"}`, `{"s":"<a href=\"x\">ü\n日本</a>"}`},
		"maps have an order":                  {`{"map":{"b":1,"a":2}}`, `{"map":{"a":2,"b":1}}`},
		"a type of another namespace":         {`{"sub":{"f":"YWI="}}`, `{"sub":{"f":"YWI="}}`},
	}
}

// overlay puts the values of top over those of bottom.
func overlay(t *testing.T, bottom, top string) any {
	t.Helper()
	var under, over map[string]any
	for text, into := range map[string]*map[string]any{bottom: &under, top: &over} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range over {
		if sub, ok := v.(map[string]any); ok && k == "sub" {
			sub["x"] = json.Number("5")
		}
		if next, ok := v.(map[string]any); ok && k == "next" {
			text, _ := json.Marshal(next)
			v = overlay(t, standardVariety, string(text))
		}
		under[k] = v
	}
	return under
}

func TestWhatPeopleTypeAndWhatTheySee(t *testing.T) {
	j, err := NewJSON(variety)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range varieties() {
		t.Run(name, func(t *testing.T) {
			b, err := j.FromJSON([]byte(c.typed))
			if err != nil {
				t.Fatal(err)
			}
			shown, err := j.ToJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(overlay(t, standardVariety, c.shown), overlay(t, string(shown), `{}`)); diff != "" {
				t.Fatalf("%s\n%s", shown, diff)
			}
			again, err := j.ToJSON(mustType(t, j, string(shown))) // the order of a map's bytes is open
			if err != nil || !bytes.Equal(again, shown) {
				t.Fatalf("what is shown cannot be typed: %s, %s, %v", shown, again, err)
			}
		})
	}
	if shown, _ := j.ToJSON(mustType(t, j, `{}`)); string(shown) != standardVariety {
		t.Errorf("fields are not in the order of the schema: %s", shown)
	}
}

func mustType(t *testing.T, j *JSON, text string) []byte {
	t.Helper()
	b, err := j.FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFromJSONSaysWhereAndWhat(t *testing.T) {
	j, err := NewJSON(variety)
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		`{"i":2147483648}`:                   "i: want a whole number from -2147483648 to 2147483647",
		`{"i":1.5}`:                          "i: want a whole number",
		`{"i":true}`:                         "i: want a whole number",
		`{"naem":"secret"}`:                  "naem: no such field",
		`{"sub":{"y":1}}`:                    "sub.y: no such field",
		`{"list":[1,"two"]}`:                 "list[1]: want a whole number",
		`{"list":{}}`:                        "list: want a list",
		`{"map":[]}`:                         "map: want an object",
		`{"e":"secret"}`:                     `e: want one of ["unknown" "x"]`,
		`{"at":"yesterday"}`:                 "at: want a time like 2006-01-02T15:04:05",
		`{"at":"2026-01-02T03:04:05.6789Z"}`: "at: want a time",
		`{"day":"2026-02-30"}`:               "day: want a time like 2006-01-02",
		`{"tm":"25:00:00"}`:                  "tm: want a time like 15:04:05",
		`{"raw":"***"}`:                      "raw: want a string of base64",
		`{"fix":"AA=="}`:                     "fix: want 2 bytes",
		`{"price":"1.234"}`:                  "price: want a decimal number with at most 2 digits",
		`{"price":"1e9"}`:                    "price: want a decimal number",
		`{"cents":"99999999999"}`:            "cents: want a decimal number",
		`{"b":"yes"}`:                        "b: want true or false",
		`{"f":"x"}`:                          "f: want a number",
		`{"s":17}`:                           "s: want a string",
		`{"maybe":17}`:                       "maybe: want a string",
		`[]`:                                 "want an object",
		`{"s":`:                              "not JSON",
		`{} {}`:                              "more follows",
	} {
		_, err := j.FromJSON([]byte(typed))
		if !errors.Is(err, ErrJSON) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", typed, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v quotes the value", err)
		}
	}
	if _, err := j.FromJSON([]byte("{\"s\":\"\xff\"}")); !errors.Is(err, ErrInvalidUTF8) {
		t.Errorf("got %v", err)
	}
	const required = `{"type":"record","name":"R","fields":[{"name":"id","type":"string"},{"name":"n","type":["null","int"]}]}`
	for typed, want := range map[string]string{`{"n":1}`: "id: want a value", `{"id":null,"n":1}`: "id: want a string", `{"id":"x"}`: "n: want a value"} {
		if _, err := FromJSON(required, []byte(typed)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", typed, err, want)
		}
	}
	if _, err := FromJSON(`{`, nil); !errors.Is(err, ErrSchema) {
		t.Errorf("got %v", err)
	}
	if _, err := ToJSON(`"strin"`, nil); !errors.Is(err, ErrSchema) {
		t.Errorf("got %v", err)
	}
	deep := strings.Repeat(`{"next":`, 100) + `null` + strings.Repeat(`}`, 100)
	if _, err := j.FromJSON([]byte(deep)); !errors.Is(err, ErrJSON) {
		t.Errorf("got %v", err)
	}
}

// Every record of the contract survives the way to JSON and back, whatever is in it.
func TestEveryRecordSurvivesJSON(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			j, err := NewJSON(k.revisions[len(k.revisions)-1].Schema)
			if err != nil {
				t.Fatal(err)
			}
			codec, root := oracle(t, k.latest()), node(t, k.latest())
			rapid.Check(t, func(t *rapid.T) {
				b, err := codec.BinaryFromNative(nil, generate(t, root, ""))
				if err != nil {
					t.Fatal(err)
				}
				shown, err := j.ToJSON(b)
				if err != nil {
					t.Fatal(err)
				}
				if !json.Valid(shown) {
					t.Fatalf("not JSON: %s", shown)
				}
				again, err := j.FromJSON(shown)
				if err != nil || !bytes.Equal(b, again) {
					t.Fatalf("%s: %v", shown, err)
				}
			})
		})
	}
}

// What a person types for a command is little.
func TestACommandIsTypedInOneLine(t *testing.T) {
	c := newCodec(t, "customer.commands.v1", NewMemoryIDs())
	b, err := c.AppendJSON(nil, "utopia.customer.RequestAddressChange", []byte(`{
		"customerId": "c-17", "metadata": {"commandId": "x-1"}, "reason": "moved", "effectiveAt": "2026-05-01T00:00:00Z",
		"address": {"country": "NL", "city": "Gouda", "postCode": "2801 AA", "street": "Markt 1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := &RequestAddressChange{
		CustomerID: "c-17", Meta: Metadata{CommandID: "x-1"}, Reason: ReasonMoved, EffectiveAt: 1_777_593_600_000,
		Address: Address{Country: "NL", City: "Gouda", PostCode: "2801 AA", Street: "Markt 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := c.AppendJSON(nil, "utopia.customer.CustomerState", nil); !errors.Is(err, ErrNotOfTopic) {
		t.Errorf("got %v", err)
	}
	if _, err := c.AppendJSON(nil, "utopia.customer.CloseCustomer", []byte(`{}`)); !errors.Is(err, ErrJSON) {
		t.Errorf("got %v", err)
	}
}
