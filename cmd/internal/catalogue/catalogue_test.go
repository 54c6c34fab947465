package catalogue_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/schemas"
	"utopia/topics"
)

// counted are counts that a test has given.
type counted map[string]catalogue.Count

func (c counted) Count(topic string) (catalogue.Count, time.Time, bool) {
	n, ok := c[topic]
	return n, time.UnixMilli(0), ok
}

func TestEveryTopicWithWhatIsInIt(t *testing.T) {
	live := counted{
		"customer.commands.v1":     {Partitions: 4, Start: 10, End: 110},
		"customer.commands.v1.dlq": {Partitions: 4, Start: 1, End: 4},
		"crm.changes.v1":           {Partitions: 4, End: 1},
	}
	all := catalogue.Topics(live)
	if len(all) != len(topics.All()) {
		t.Fatalf("%d topics", len(all))
	}
	one, ok := catalogue.TopicByName("customer.commands.v1", live)
	if !ok || one.Now == nil || one.Now.Offsets != 100 || one.Now.End != 110 || one.DeadLetters != "customer.commands.v1.dlq" || *one.Now.DeadOf != 3 || one.Retention != "7d" {
		t.Errorf("%+v %+v", one, one.Now)
	}
	if crm, _ := catalogue.TopicByName("crm.changes.v1", live); crm.Now == nil || crm.Now.DeadOf != nil {
		t.Errorf("dead letters that nobody has counted: %+v", crm.Now)
	}
	if state, _ := catalogue.TopicByName("customer.state.v1", live); state.Now != nil {
		t.Errorf("%+v is not known", state.Now)
	}
	if _, ok := catalogue.TopicByName("no.such.v1", live); ok {
		t.Error("a topic that is not in the catalogue")
	}
}

// Each record of each topic leads to its schema, and each schema to the topics that carry it.
func TestTopicsAndSchemasLeadToEachOther(t *testing.T) {
	for _, topic := range topics.All() {
		for _, record := range topic.Records {
			if s, ok := catalogue.SchemaByName(record); !ok || !slices.Contains(s.Topics, topic.Name) {
				t.Errorf("%s of %s: %v %v", record, topic.Name, ok, s.Topics)
			}
		}
	}
	revisions := 0
	for _, s := range catalogue.Schemas() {
		revisions += len(s.Revisions)
		if s.Doc == "" || len(s.Newest().Fields) == 0 || slices.ContainsFunc(s.Newest().Fields, func(f catalogue.Field) bool { return f.Name == "" || f.Type == "" }) {
			t.Errorf("%s: %q %+v", s.Name, s.Doc, s.Newest().Fields)
		}
	}
	if want := len(schemas.Revisions("")); revisions != want {
		t.Errorf("%d of %d revisions", revisions, want)
	}
}

func TestASchemaInWords(t *testing.T) {
	s, ok := catalogue.SchemaByName("customer.state.v1-utopia.customer.CustomerState")
	if !ok || s.Private || s.Compatibility != "FULL_TRANSITIVE" || len(s.Revisions) != 2 || !strings.Contains(s.Newest().Schema, `"updatedAt"`) {
		t.Fatalf("%v %+v", ok, s)
	}
	for _, want := range []catalogue.Field{
		{Name: "customerId", Type: "string"},
		{Name: "address.address.country", Type: "string", Default: `""`, Doc: "ISO 3166-1 alpha-2 code."},
		{Name: "pending", Type: "null or utopia.customer.PendingChange", Default: "null", Doc: "The change that waits, if there is one."},
		{Name: "pending.changeId", Type: "string", Doc: "Id of the command that asked for it."},
		{Name: "updatedAt", Type: "long (timestamp-millis)", Default: "0", Doc: "When this version came about."},
	} {
		if !slices.Contains(s.Newest().Fields, want) {
			t.Errorf("no %+v", want)
		}
	}
	if private, ok := catalogue.SchemaByName("utopia.customer.private.CustomerMoved"); !ok || !private.Private || private.Subject != "" || private.Compatibility != "BACKWARD_TRANSITIVE" {
		t.Errorf("%+v", private)
	}
	if _, ok := catalogue.SchemaByName(""); ok {
		t.Error("a schema without a name")
	}
}
