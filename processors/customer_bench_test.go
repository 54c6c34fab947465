package processors

import (
	"fmt"
	"testing"

	"utopia/schemas"
	"utopia/topics"
)

// BenchmarkCustomerCommand is what one command costs between the store and the client: the row decoded, the plan made and
// encoded. The customer's window of handled commands is full, which is what a row is like after a while.
func BenchmarkCustomerCommand(b *testing.B) {
	d := newDesk(b)
	const key = "01900000-0000-7000-9000-000000000001"
	d.give(topics.CustomerCommands, key, &schemas.RegisterCustomer{
		CustomerID: key, Meta: schemas.Metadata{CommandID: "register"}, Name: "Anneke de Vries", Email: "anneke@example.org", Language: "nl",
		Address: schemas.Address{Country: "NL", PostCode: "1015 CJ", City: "Amsterdam", Street: "Keizersgracht 117"},
	})
	ask := func(i int) schemas.Record {
		return &schemas.RequestAddressChange{
			CustomerID: key, Meta: schemas.Metadata{CommandID: fmt.Sprintf("ask-%d", i)}, Reason: "moved",
			Address: schemas.Address{Country: "NL", PostCode: "2801 AA", City: "Gouda", Street: fmt.Sprintf("Lange Tiendeweg %d", i)},
		}
	}
	confirm := func(i int) schemas.Record {
		return &schemas.ConfirmAddressChange{
			CustomerID: key, Meta: schemas.Metadata{CommandID: fmt.Sprintf("yes-%d", i)}, ChangeID: fmt.Sprintf("ask-%d", i),
		}
	}
	for i := range handledWindow {
		d.give(topics.CustomerCommands, key, ask(i))
	}
	last := handledWindow - 1
	for name, command := range map[string]schemas.Record{"ask": ask(handledWindow), "confirm": confirm(last)} {
		b.Run(name, func(b *testing.B) {
			row := d.rows[key]
			in := inbound{key: key, topic: topics.CustomerCommands.Name, at: d.now}
			b.ReportAllocs()
			for b.Loop() {
				rec, err := schemas.DecodePrivate(row)
				if err != nil {
					b.Fatal(err)
				}
				if p := d.r.guarded(in, rec, command); p.outcome != outcomeAccepted {
					b.Fatalf("the command is %+v", p)
				}
			}
		})
	}
}
