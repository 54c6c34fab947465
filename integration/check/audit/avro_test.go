package audit

import (
	"encoding/json"
	"strings"
	"testing"
)

// The fingerprints of primitive types that Apache Avro's own tests give (share/test/data/schema-tests.txt).
func TestFingerprintAgreesWithAvro(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]uint64{
		`"null"`: 0x63dd24e7cc258f8a, `"int"`: 0x7275d51a3f395c8f, `"long"`: 0xd054e14493f41db7, `"string"`: 0x8f014872634503c7,
	} {
		if got := crc64Avro([]byte(schema)); got != want {
			t.Errorf("%s: %x, want %x", schema, got, want)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	const given = `{"doc": "x", "type": "record", "namespace": "a.b", "name": "R", "fields": [
		{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
		{"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"], "default": "X"}},
		{"name": "l", "type": {"type": "array", "items": "E"}, "default": []},
		{"name": "o", "type": ["null", {"type": "record", "name": "c.O", "fields": [{"name": "s", "type": "string"}]}]}]}`
	const want = `{"name":"a.b.R","type":"record","fields":[{"name":"at","type":"long"},` +
		`{"name":"e","type":{"name":"a.b.E","type":"enum","symbols":["X","Y"]}},` +
		`{"name":"l","type":{"type":"array","items":"a.b.E"}},` +
		`{"name":"o","type":["null",{"name":"c.O","type":"record","fields":[{"name":"s","type":"string"}]}]}]}`
	var parsed any
	if err := json.Unmarshal([]byte(given), &parsed); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	canonical(&b, parsed, "")
	if b.String() != want {
		t.Errorf("got  %s\nwant %s", b.String(), want)
	}
}

// The vectors of Kafka's own test, UtilsTest.testMurmur2.
func TestMurmur2AgreesWithKafka(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want { //nolint:gosec // the vectors are signed
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}
