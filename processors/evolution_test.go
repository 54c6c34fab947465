package processors

import (
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/schemas"
	"utopia/topics"
)

// Ids under which tomorrow's release of the customer service registers what it adds.
const (
	idOfNewType     = 900_001
	idOfNewField    = 900_002
	idOfGrownEvent  = 900_003
	idOfNewCommand  = 900_004
	idOfTakenField  = 900_005
	marriedSchema   = `{"type":"record","name":"utopia.customer.CustomerMarried","fields":[{"name":"customerId","type":"string"},{"name":"version","type":"long"},{"name":"partner","type":"string"}]}`
	refundingSchema = `{"type":"record","name":"utopia.billing.RefundInvoice","fields":[{"name":"customerId","type":"string"},{"name":"invoiceId","type":"string"}]}`
)

// tomorrow is the newest revision of a record with something added by edit, as the JSON of its schema.
func tomorrow(t *testing.T, topic topics.Topic, record string, edit func(schema map[string]any)) string {
	t.Helper()
	var newest string
	for _, r := range schemas.Revisions(topic.Name) {
		if r.Record == record {
			newest = r.Schema
		}
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(newest), &schema); err != nil {
		t.Fatalf("%s in %s: %v", record, topic.Name, err)
	}
	edit(schema)
	b, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// addField adds a field with a default, as a compatible revision may.
func addField(schema map[string]any, name string, typ, def any) {
	fields, _ := schema["fields"].([]any)
	schema["fields"] = append(fields, map[string]any{"name": name, "type": typ, "default": def})
}

// foreign is a record as another release writes it: Confluent framing, a schema that is not embedded here.
func foreign(t *testing.T, id int, schema string, fields map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	body, err := schemas.FromJSON(schema, text)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

// tomorrowsRecords registers what tomorrow's customer service adds (an event type, fields of the state and of an event) and
// returns three records: a state, an event of the new type, a move.
func tomorrowsRecords(t *testing.T, ids *schemas.MemoryIDs) (state, married, move []byte) {
	t.Helper()
	stateSchema := tomorrow(t, topics.CustomerState, "utopia.customer.CustomerState", func(s map[string]any) {
		addField(s, "nickname", "string", "")
		addField(s, "preferences", map[string]any{"type": "map", "values": "string"}, map[string]any{})
	})
	moveSchema := tomorrow(t, topics.CustomerChanges, "utopia.customer.CustomerMoved", func(s map[string]any) {
		addField(s, "removalFirm", []any{"null", "string"}, nil)
	})
	ids.Add(idOfNewField, topics.CustomerState.Name, "utopia.customer.CustomerState", stateSchema)
	ids.Add(idOfNewType, topics.CustomerChanges.Name, "utopia.customer.CustomerMarried", marriedSchema)
	ids.Add(idOfGrownEvent, topics.CustomerChanges.Name, "utopia.customer.CustomerMoved", moveSchema)

	residence := func(city string, version int64) map[string]any {
		return map[string]any{
			"address": map[string]any{
				"country": "NL", "region": "", "city": city, "district": "", "postCode": "2801 JG", "sortingCode": "", "street": "Markt 1",
			},
			"reason": "moved", "version": version, "verified": true, "occurredAt": 0, "recordedAt": 0, "source": "", "factId": "",
		}
	}
	state = foreign(t, idOfNewField, stateSchema, map[string]any{
		"customerId": "c-1", "version": 2, "status": "active", "name": "Ada", "email": "ada@example.com", "language": "nl",
		"address": residence("Delft", 2), "pending": nil, "updatedAt": 0,
		"nickname": "Countess", "preferences": map[string]any{"paper": "recycled"},
	})
	married = foreign(t, idOfNewType, marriedSchema, map[string]any{"customerId": "c-1", "version": 3, "partner": "c-2"})
	move = foreign(t, idOfGrownEvent, moveSchema, map[string]any{
		"customerId": "c-1", "version": 4, "at": 0, "commandId": "", "causationId": "", "correlationId": "", "changeId": "x-1",
		"before": residence("Delft", 2), "after": residence("Leiden", 4), "removalFirm": map[string]any{"string": "Van Gend"},
	})
	return state, married, move
}

// The customer service gets a new type of event, a new field in its state and one in an event, and no other service changes:
// the new type is skipped and counted, what they know they read.
func TestACustomerServiceThatGrowsChangesNoOtherService(t *testing.T) {
	l := newLedger(t)
	state, married, move := tomorrowsRecords(t, l.ids)
	bill, notify := join(l, newBillingGroup()), join(l, newNotificationGroup())
	l.write(topics.CustomerState, "c-1", customerState(1, lives("Gouda", "registered", 1)))
	bill.catchUp()
	notify.catchUp()
	l.write(topics.BillingCommands, "c-1", invoice("b-1", "i-1"))
	bill.catchUp()

	for topic, values := range map[string][][]byte{
		topics.CustomerState.Name: {state}, topics.CustomerChanges.Name: {married, move},
	} {
		for _, value := range values {
			l.topics[topic] = append(l.topics[topic], message{"c-1", value})
		}
	}
	bill.catchUp()
	notify.catchUp()

	if got := last[*schemas.BillingState](l, topics.BillingState); got.CustomerVersion != 4 || got.Address.City != "Leiden" || got.Open[0].SendTo != 4 {
		t.Errorf("billing has %+v", got)
	}
	want := []string{"notification/c-1/3/1 ada@example.com", "notification/c-1/5/1 ada@example.com"}
	if diff := cmp.Diff(want, l.mailed()); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	counted := topics.CustomerChanges.Name + " " + deadUnknownType
	if bill.skipped[counted] != 1 || notify.skipped[counted] != 1 {
		t.Errorf("counted: billing %v, notification %v", bill.skipped, notify.skipped)
	}
	if len(bill.dead)+len(notify.dead) > 0 {
		t.Errorf("dead letters: %v %v", bill.dead, notify.dead)
	}
	checkBilling(bill)
	checkNotification(notify)
}

// A command is asked of somebody: one that nobody here understands must not vanish.
func TestACommandOfAnUnknownTypeIsADeadLetter(t *testing.T) {
	l := newLedger(t)
	l.ids.Add(idOfNewCommand, topics.BillingCommands.Name, "utopia.billing.RefundInvoice", refundingSchema)
	m := join(l, newBillingGroup())
	value := foreign(t, idOfNewCommand, refundingSchema, map[string]any{"customerId": "c-1", "invoiceId": "i-1"})
	l.topics[topics.BillingCommands.Name] = append(l.topics[topics.BillingCommands.Name], message{"c-1", value})
	m.catchUp()
	if diff := cmp.Diff([]deadLetter{{deadUnknownType, "utopia.billing.RefundInvoice"}}, m.dead, cmp.AllowUnexported(deadLetter{})); diff != "" {
		t.Fatalf("dead letters (-want +got):\n%s", diff)
	}
	if len(m.rows) > 0 || len(m.topics[topics.BillingReplies.Name]) > 0 {
		t.Fatalf("a dead letter has no reply beside it")
	}
}

// A revision that took a field away and one whose enum has a symbol that we do not know are read as well.
func TestAnOlderOrStrangerStateIsRead(t *testing.T) {
	l := newLedger(t)
	schema := tomorrow(t, topics.CustomerState, "utopia.customer.CustomerState", func(s map[string]any) {
		fields, _ := s["fields"].([]any)
		var kept []any
		for _, f := range fields {
			field, _ := f.(map[string]any)
			switch field["name"] {
			case "updatedAt", "language":
				continue
			case "status":
				field["type"] = map[string]any{
					"type": "enum", "name": "utopia.customer.Status", "symbols": []any{"unknown", "unregistered", "active", "closed", "famous"},
					"default": "unknown",
				}
			}
			kept = append(kept, field)
		}
		s["fields"] = kept
	})
	l.ids.Add(idOfTakenField, topics.CustomerState.Name, "utopia.customer.CustomerState", schema)
	value := foreign(t, idOfTakenField, schema, map[string]any{
		"customerId": "c-1", "version": 1, "status": "famous", "name": "Ada", "email": "ada@example.com",
		"address": map[string]any{
			"address": map[string]any{
				"country": "NL", "region": "", "city": "Gouda", "district": "", "postCode": "", "sortingCode": "", "street": "Markt 1",
			},
			"reason": "registered", "version": 1, "verified": true, "occurredAt": 0, "recordedAt": 0, "source": "", "factId": "",
		},
		"pending": nil,
	})
	bill, notify := join(l, newBillingGroup()), join(l, newNotificationGroup())
	l.topics[topics.CustomerState.Name] = append(l.topics[topics.CustomerState.Name], message{"c-1", value})
	bill.catchUp()
	notify.catchUp()
	if got := last[*schemas.BillingState](l, topics.BillingState); got.Status != "active" || got.Address.City != "Gouda" {
		t.Errorf("billing has %+v", got)
	}
	if got := last[*schemas.NotificationState](l, topics.NotificationState); got.Status != "active" || got.CustomerVersion != 1 {
		t.Errorf("notification has %+v", got)
	}
}
