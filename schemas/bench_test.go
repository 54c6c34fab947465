package schemas

import (
	"testing"
)

// row is what the processor reads and writes once per command, with so many remembered command ids.
func row(handled int) *CustomerRow {
	s := gouda()
	r := &CustomerRow{
		CustomerID: s.CustomerID, Version: s.Version, Status: s.Status, Name: s.Name, Email: s.Email, Language: s.Language,
		Address: s.Address, Change: Change{
			ChangeID: s.Pending.ChangeID, Status: s.Pending.Status, Address: s.Address.Address, Reason: s.Pending.Reason,
			Version: s.Pending.Version, RequestedAt: s.Pending.RequestedAt, ExpiresAt: s.Pending.ExpiresAt,
		},
	}
	for i := range handled {
		n := int64(i + 1)
		r.Handled = append(r.Handled, Handled{ID: n * -7046029254386353131, Body: n * 2685821657736338717, Version: n, At: 1_700_000_000 + n})
	}
	return r
}

// BenchmarkEncode writes the hot records, each by our layout, by twmb/avro and by goavro.
func BenchmarkEncode(b *testing.B) { benchmark(b, benchEncode) }

// BenchmarkDecode reads them. Only ours checks lengths and UTF-8.
func BenchmarkDecode(b *testing.B) { benchmark(b, benchDecode) }

func benchmark(b *testing.B, one func(*testing.B, Record)) {
	b.Helper()
	for name, r := range map[string]Record{
		"state": gouda(), "row with 1 id": row(1), "row with 32 ids": row(32),
		"command": &RequestAddressChange{
			CustomerID: "c-17", Meta: Metadata{CommandID: "0192f0c1-7b1c-7000-8000-000000000001"}, Reason: ReasonMoved,
			Address: gouda().Address.Address,
		},
		"reply": &CustomerReply{ReplyFields: ReplyFields{
			ReplyTo: "c-17", CommandID: "0192f0c1-7b1c-7000-8000-000000000001", Outcome: OutcomeAccepted,
			Aggregate: "customer", Key: "c-17", Version: 8, Offset: 123456,
		}},
	} {
		b.Run(name, func(b *testing.B) { one(b, r) })
	}
}

func benchEncode(b *testing.B, r Record) {
	b.Helper()
	k := everything(b).byName[r.AvroName()]
	buf := make([]byte, 0, 4096)
	native, _, err := oracle(b, k.latest()).NativeFromBinary(mustEncode(b, k, r))
	if err != nil {
		b.Fatal(err)
	}
	run(b, "ours", func() error { _, err := k.encode(buf, r); return err })
	run(b, "twmb", func() error { _, err := k.latest().AppendEncode(buf, r); return err })
	codec := oracle(b, k.latest())
	run(b, "goavro", func() error { _, err := codec.BinaryFromNative(buf, native); return err })
}

func benchDecode(b *testing.B, r Record) {
	b.Helper()
	k := everything(b).byName[r.AvroName()]
	body := mustEncode(b, k, r)
	ours, codec := k.readers[len(k.readers)-1], oracle(b, k.latest())
	run(b, "ours", func() error { _, err := ours.decode(body); return err })
	run(b, "twmb", func() error { _, err := k.latest().Decode(body, k.new()); return err })
	run(b, "goavro", func() error { _, _, err := codec.NativeFromBinary(body); return err })
}

func mustEncode(b *testing.B, k *kind, r Record) []byte {
	b.Helper()
	out, err := k.encode(nil, r)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func run(b *testing.B, name string, f func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkKey is what admission asks of every input record.
func BenchmarkKey(b *testing.B) {
	c := newCodec(b, "customer.state.v1", NewMemoryIDs())
	framed := encoded(b, c, gouda())
	run(b, "state", func() error { _, err := c.Key(framed); return err })
}
