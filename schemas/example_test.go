package schemas_test

import (
	"fmt"
	"time"

	"utopia/schemas"
)

// How does a producer ask for an address change, and how does the recipient read it?
func Example() {
	ids := schemas.NewMemoryIDs() // in a service: schemas.NewRegistry(…)
	commands, err := schemas.NewCodec("customer.commands.v1", ids)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := commands.Append(nil, &schemas.RequestAddressChange{
		CustomerID:  "c-17",
		Meta:        schemas.Metadata{CommandID: "0192f0c1-7b1c-7000-8000-000000000001"},
		Address:     schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 AA", Street: "Markt 1"},
		Reason:      schemas.ReasonMoved,
		EffectiveAt: schemas.Millis(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := commands.Decode(value)
	if err != nil {
		fmt.Println(err)
		return
	}
	switch c := record.(type) {
	case *schemas.RequestAddressChange:
		fmt.Println(c.CustomerID, "to", c.Address.City, "on", schemas.Time(c.EffectiveAt).Format(time.DateOnly))
	default:
		fmt.Println("something else:", c.AvroName())
	}
	// Output: c-17 to Gouda on 2026-05-01
}

// How does a tool show a record of any schema, and how does a person type one?
func ExampleJSON() {
	j, err := schemas.NewJSON(`{"type": "record", "name": "parcel.Parcel", "fields": [
		{"name": "id", "type": "string"},
		{"name": "note", "type": ["null", "string"], "default": null},
		{"name": "sentAt", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0}]}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := j.FromJSON([]byte(`{"id": "p-1", "sentAt": "2026-03-01T09:30:00+01:00"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	shown, err := j.ToJSON(body)
	fmt.Println(string(shown), err)
	_, err = j.FromJSON([]byte(`{"id": "p-1", "sentAt": "on Sunday"}`))
	fmt.Println(err)
	// Output:
	// {"id":"p-1","note":null,"sentAt":"2026-03-01T08:30:00Z"} <nil>
	// not JSON for this schema: sentAt: want a time like 2006-01-02T15:04:05.999999999Z07:00
}

// May this schema follow that one?
func ExampleCheckCompatibility() {
	revisions := schemas.Revisions("customer.state.v1")
	first, second := revisions[0].Schema, revisions[1].Schema
	fmt.Println(schemas.CheckCompatibility(schemas.FullTransitive, second, first))
	fmt.Println(schemas.CheckCompatibility(schemas.Backward,
		`{"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}`,
		`{"type": "record", "name": "R", "fields": []}`))
	// Output:
	// <nil>
	// not BACKWARD: the new schema cannot read records of revision 1: id: reader field has no default and is missing from writer
}
