package schemas

import (
	"fmt"
	"testing"

	"github.com/twmb/avro"
)

func TestZ(t *testing.T) {
	s := avro.MustParse(`{"type":"record","name":"B","namespace":"a","fields":[{"name":"x","type":["null","B"]},{"name":"y","type":{"type":"fixed","name":"F","size":3}},{"name":"z","type":"F"},{"name":"w","type":{"type":"array","items":"F"}}]}`)
	fmt.Printf("%+v\n", s.Root().Fields[0].Type.Branches[1])
	fmt.Printf("%+v\n", s.Root().Fields[2].Type)
	fmt.Printf("%+v\n", s.Root().Fields[3].Type.Items)
	if _, err := compiled(); err != nil {
		t.Fatal(err)
	}
	n, _ := normal(s)
	fmt.Println(n)
}

func sampleState() *CustomerState {
	a := Residence{Address: Address{Country: "NL", City: "Gouda", PostCode: "2801 AA", Street: "Markt 1\n2e verdieping"}, Reason: "moved", Version: 3, Verified: true, OccurredAt: 1700000000000, RecordedAt: 1700000001000, Source: "crm", FactID: "f-17"}
	return &CustomerState{CustomerID: "c-17", Version: 7, Status: "active", Name: "Zoë de Vries", Email: "zoe@example.org", Language: "nl", Address: a, Pending: &PendingChange{ChangeID: "0192f0c1-7b1c-7000-8000-000000000001", Status: "unconfirmed", Reason: "moved", Version: 7, RequestedAt: 1700000000000, ExpiresAt: 1700000000000}, UpdatedAt: 1700000000000}
}

func sampleRow(n int) *CustomerRow {
	s := sampleState()
	r := &CustomerRow{CustomerID: s.CustomerID, Version: 7, Status: "active", Name: s.Name, Email: s.Email, Language: "nl", Address: s.Address, Change: Change{ChangeID: s.Pending.ChangeID, Status: "unconfirmed", Address: s.Address.Address, Reason: "moved", Version: 7, RequestedAt: 1700000000000, ExpiresAt: 1700000000000}}
	for i := range n {
		r.Handled = append(r.Handled, Handled{ID: int64(i) * -7046029254386353131, Body: int64(i) * 2685821657736338717, Version: int64(i), At: 1700000000})
	}
	return r
}

func BenchmarkStateEncode(b *testing.B) {
	c, _ := NewCodec("customer.state.v1", NewMemoryIDs())
	s := sampleState()
	var buf []byte
	var err error
	b.ReportAllocs()
	for b.Loop() {
		buf, err = c.Append(buf[:0], s)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkStateDecode(b *testing.B) {
	c, _ := NewCodec("customer.state.v1", NewMemoryIDs())
	s := sampleState()
	buf, _ := c.Append(nil, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStateScan(b *testing.B) {
	c, _ := NewCodec("customer.state.v1", NewMemoryIDs())
	s := sampleState()
	buf, _ := c.Append(nil, s)
	b.ReportAllocs()
	r, body, _ := c.reader(buf)
	for b.Loop() {
		if err := r.program.check(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStateKey(b *testing.B) {
	c, _ := NewCodec("customer.state.v1", NewMemoryIDs())
	s := sampleState()
	buf, _ := c.Append(nil, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Key(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowEncode(b *testing.B) {
	s := sampleRow(32)
	var buf []byte
	var err error
	b.ReportAllocs()
	for b.Loop() {
		buf, err = AppendPrivate(buf[:0], s)
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowDecode(b *testing.B) {
	s := sampleRow(32)
	buf, _ := AppendPrivate(nil, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodePrivate(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowScan(b *testing.B) {
	s := sampleRow(32)
	buf, _ := AppendPrivate(nil, s)
	b.ReportAllocs()
	r, _ := privateReader(buf)
	for b.Loop() {
		if err := r.program.check(buf[10:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRow1Decode(b *testing.B) {
	s := sampleRow(1)
	buf, _ := AppendPrivate(nil, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodePrivate(buf); err != nil {
			b.Fatal(err)
		}
	}
}
