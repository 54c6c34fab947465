package schemas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
)

// gouda is a customer as others see it.
func gouda() *CustomerState {
	return &CustomerState{
		CustomerID: "c-17", Version: 7, Status: "active", Name: "Zoë de Vries", Email: "zoe@example.org", Language: "nl",
		Address: Residence{
			Address: Address{Country: "NL", City: "Gouda", PostCode: "2801 AA", Street: "Markt 1\n2e verdieping"},
			Reason:  ReasonMoved, Version: 3, Verified: true, OccurredAt: 1_700_000_000_000, RecordedAt: 1_700_000_001_000,
			Source: "crm", FactID: "f-17",
		},
		Pending: &PendingChange{
			ChangeID: "0192f0c1-7b1c-7000-8000-000000000001", Status: "unconfirmed", Reason: ReasonCorrected, Version: 7,
			RequestedAt: 1_700_000_000_000, ExpiresAt: 1_700_259_200_000,
		},
		UpdatedAt: 1_700_000_000_000,
	}
}

func newCodec(tb testing.TB, topic string, ids IDs) *Codec {
	tb.Helper()
	c, err := NewCodec(topic, ids)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func encoded(tb testing.TB, c *Codec, r Record) []byte {
	tb.Helper()
	b, err := c.Append(nil, r)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestEveryPublicRecordComesBackFromItsTopic(t *testing.T) {
	ids := NewMemoryIDs()
	for _, k := range kinds(t) {
		if private(k.name) {
			continue
		}
		c := newCodec(t, k.topic, ids)
		if err := c.Lookup(); err != nil {
			t.Fatal(err)
		}
		r := decoded(t, k, body(t, k.latest()))
		b, err := c.Append([]byte("before"), r)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := bytes.CutPrefix(b, []byte("before"))
		if !ok || b[0] != 0 {
			t.Fatalf("%s: Append does not append: %q", k.name, b)
		}
		back, err := c.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("%s: %s", k.name, diff)
		}
		key, err := c.Key(b)
		if err != nil || key == "" || !strings.Contains(key, node(t, k.latest()).Fields[0].Name) {
			t.Errorf("%s: key %q, %v", k.name, key, err)
		}
	}
}

func TestEveryRecordComesBackFromThePrivateFraming(t *testing.T) {
	for _, k := range kinds(t) {
		r := decoded(t, k, body(t, k.latest()))
		b, err := AppendPrivate(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("%s: %s", k.name, diff)
		}
		rev, rest, err := PrivateSchema(b)
		if err != nil || rev.Record != k.name || rev.Number != len(k.revisions) || len(rest) != len(b)-10 {
			t.Errorf("%s: %+v, %d bytes, %v", k.name, rev, len(rest), err)
		}
		// The framing is the one of the Avro specification: the library that knows nothing of ours reads it.
		other := k.new()
		if _, err := k.latest().DecodeSingleObject(b, other); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		// Every earlier revision is read by its fingerprint.
		for i, s := range k.parsed[:len(k.parsed)-1] {
			old := binary.LittleEndian.AppendUint64([]byte{0xC3, 0x01}, fingerprint(s))
			if _, err := DecodePrivate(append(old, body(t, s)...)); err != nil {
				t.Errorf("%s.%d: %v", k.name, i+1, err)
			}
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	c := newCodec(t, "customer.state.v1", NewMemoryIDs())
	noSymbol, notUTF8 := gouda(), gouda()
	noSymbol.Pending.Status = "lost"
	notUTF8.Address.Address.City = "Gou\xffda"
	for name, tc := range map[string]struct {
		r    Record
		want error
	}{
		"a record of another topic":                 {&RegisterCustomer{}, ErrNotOfTopic},
		"a private record":                          {&CustomerRow{}, ErrNotOfTopic},
		"no record":                                 {nil, ErrNotOfTopic},
		"a nil record":                              {(*CustomerState)(nil), ErrNotOfTopic},
		"an enum's value that is no symbol":         {noSymbol, ErrSymbol},
		"an enum that was not set":                  {&CustomerState{}, ErrSymbol},
		"a string that nobody would accept to read": {notUTF8, ErrInvalidUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			dst := []byte("kept")
			got, err := c.Append(dst, tc.r)
			if !errors.Is(err, tc.want) || string(got) != "kept" {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
	if _, err := AppendPrivate(nil, (*CustomerRow)(nil)); !errors.Is(err, ErrNotOfTopic) {
		t.Errorf("got %v", err)
	}
	if err := func() error { _, err := c.Append(nil, notUTF8); return err }(); strings.Contains(err.Error(), "Gou") {
		t.Errorf("the error quotes a person's address: %v", err)
	}
}

func TestNewCodecRefusesTopicsWithoutPublicSchemas(t *testing.T) {
	for _, topic := range []string{"customer.events.v1", "customer-table", "customer.state.v1.dlq", "no.such.topic", ""} {
		if _, err := NewCodec(topic, NewMemoryIDs()); !errors.Is(err, ErrTopic) {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

// foreign frames a body with the id of somebody else's schema.
func foreign(t *testing.T, ids *MemoryIDs, id int, schema string, value any) []byte {
	t.Helper()
	name, err := FullName(schema)
	if err != nil {
		t.Fatal(err)
	}
	ids.Add(id, "customer.state.v1", name, schema)
	b, err := avro.MustParse(schema).AppendEncode(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A newer release, or another team's tool, writes with a schema that this release has never seen.
func TestANewerWriterIsRead(t *testing.T) {
	ids := NewMemoryIDs()
	c := newCodec(t, "customer.state.v1", ids)
	newest := Revisions("customer.state.v1")[1].Schema
	next := strings.Replace(newest, `"fields": [`, `"fields": [
		{"name": "tier", "type": "string", "default": ""},`, 1)
	next = strings.Replace(next, `"symbols": ["unknown", "unregistered", "active", "closed"]`,
		`"symbols": ["unknown", "unregistered", "active", "closed", "frozen"]`, 1)
	if err := CheckCompatibility(FullTransitive, next, newest); err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if _, err := avro.MustParse(newest).Decode(encoded(t, c, gouda())[5:], &value); err != nil {
		t.Fatal(err)
	}
	value["tier"], value["status"] = "gold", "frozen"
	b := foreign(t, ids, 4711, next, value)

	got, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := gouda()
	want.Status = Unknown // a symbol that this release does not know
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	// The first field is no longer the id: the key is found all the same.
	if key, err := c.Key(b); err != nil || key != "c-17" {
		t.Fatalf("key %q, %v", key, err)
	}
}

func TestForeignSchemas(t *testing.T) {
	const asBytes = `{"type":"record","name":"utopia.customer.CustomerState","fields":[
		{"name":"customerId","type":"bytes"},{"name":"version","type":"long"},
		{"name":"status","type":{"type":"enum","name":"utopia.customer.Status","symbols":["active"]}}` + restOfState
	for name, c := range map[string]struct {
		schema string
		value  map[string]any
		check  func(error) bool
	}{
		"a record type that this topic does not have": {
			`{"type":"record","name":"utopia.customer.CustomerPromoted","fields":[{"name":"customerId","type":"string"}]}`,
			map[string]any{"customerId": "c-17"},
			func(err error) bool {
				var u *UnknownTypeError
				return errors.As(err, &u) && u.Name == "utopia.customer.CustomerPromoted"
			},
		},
		"a record type of another topic": {
			Revisions("customer.changes.v1")[0].Schema, nil,
			func(err error) bool { var u *UnknownTypeError; return errors.As(err, &u) },
		},
		"something that is no record": {
			`"string"`, nil,
			func(err error) bool { var u *UnknownTypeError; return errors.As(err, &u) && u.Name == "string" },
		},
		"our record without what we need": {
			`{"type":"record","name":"utopia.customer.CustomerState","fields":[{"name":"customerId","type":"string"}]}`,
			map[string]any{"customerId": "c-17"},
			func(err error) bool { return errors.Is(err, ErrIncompatible) },
		},
		"bytes that are to become a string and are not UTF-8": {
			asBytes,
			map[string]any{"customerId": []byte{0xff}, "version": int64(1), "status": "active", "address": emptyAddress()},
			func(err error) bool { return errors.Is(err, ErrInvalidUTF8) },
		},
		"bytes that are to become a string and are": {
			asBytes,
			map[string]any{"customerId": []byte("c-17"), "version": int64(1), "status": "active", "address": emptyAddress()},
			func(err error) bool { return err == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ids := NewMemoryIDs()
			var b []byte
			if c.value != nil {
				b = foreign(t, ids, 99, c.schema, c.value)
			} else {
				ids.Add(99, "t", "r", c.schema)
				b = []byte{0, 0, 0, 0, 99, 0}
			}
			codec := newCodec(t, "customer.state.v1", ids)
			for range 2 { // the second time from memory
				if _, err := codec.Decode(b); !c.check(err) {
					t.Fatalf("got %v", err)
				}
			}
			if _, err := codec.Key(b); c.value == nil && err == nil {
				t.Fatal("it has a key")
			}
		})
	}
}

const restOfState = `,{"name":"address","type":{"type":"record","name":"utopia.customer.Residence","fields":[
	{"name":"address","type":{"type":"record","name":"utopia.Address","fields":[{"name":"city","type":"string"}]}}]}}]}`

func emptyAddress() map[string]any {
	return map[string]any{"address": map[string]any{"city": "Gouda"}}
}

func TestARegistryThatIsDownIsNoVerdict(t *testing.T) {
	ids := NewMemoryIDs()
	writer := newCodec(t, "customer.state.v1", ids)
	b := encoded(t, writer, gouda())

	reader := newCodec(t, "customer.state.v1", ids)
	ids.Break(errors.New("connection refused"))
	if _, err := reader.Decode(b); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("got %v", err)
	}
	if _, err := reader.Key(b); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("got %v", err)
	}
	if err := reader.Lookup(); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("got %v", err)
	}
	if _, err := reader.Append(nil, gouda()); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("got %v", err)
	}
	// Who knows the id goes on without it.
	if _, err := writer.Decode(b); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("the writer has not read that id before, but got %v", err)
	}
	if _, err := writer.Append(nil, gouda()); err != nil {
		t.Fatal(err)
	}
	ids.Break(nil)
	if _, err := reader.Decode(b); err != nil {
		t.Fatal(err)
	}
	ids.Break(errors.New("gone for good"))
	if _, err := reader.Decode(b); err != nil {
		t.Fatal(err)
	}
}

func TestEnumsAndTimesHaveAZero(t *testing.T) {
	if OrUnknown("") != Unknown || OrUnknown("moved") != "moved" {
		t.Error("OrUnknown")
	}
	if Millis(Time(0)) != 0 || !Time(0).IsZero() || Millis(Time(1_700_000_000_001)) != 1_700_000_000_001 {
		t.Error("Millis and Time are not each other's reverse")
	}
	if zone := Time(1).Location().String(); zone != "UTC" {
		t.Error(zone)
	}
}
