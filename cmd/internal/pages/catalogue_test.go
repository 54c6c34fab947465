package pages_test

import (
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/pages"
	"utopia/schemas"
	"utopia/topics"
)

// counts are how much a test says is in each topic.
type counts map[string]catalogue.Count

func (c counts) Count(topic string) (catalogue.Count, time.Time, bool) {
	n, ok := c[topic]
	return n, time.Unix(0, 0), ok
}

func TestTopicsAndSchemasHavePages(t *testing.T) {
	h := newTown(t).clerk(t, func(c *pages.Config) {
		c.Clerk.Live = counts{
			"customer.commands.v1": {Partitions: 4, Start: 1000, End: 1_235_567}, "customer.commands.v1.dlq": {Partitions: 4, End: 7}, "crm.changes.v1.dlq": {Partitions: 4},
		}
	})
	list := get(h, "/topics")
	has(t, list, 200, "1,234,567", "at most 7", `aria-current="page">Topics</a>`, "not known now", "event-carried state transfer")
	for _, topic := range topics.All() {
		if !strings.Contains(list.Body.String(), `href="/topics/`+topic.Name+`"`) {
			t.Errorf("no way to %s", topic.Name)
		}
		has(t, get(h, "/topics/"+topic.Name), 200, "<h1>"+topic.Name+"</h1>", "GET /v1/topics/"+topic.Name)
	}
	has(t, get(h, "/topics/customer.commands.v1"), 200, "1,235,567", "at most 7", "7d", `href="/schemas/utopia.customer.RequestAddressChange"`, "1970-01-01T00:00:00Z")
	has(t, get(h, "/topics/crm.changes.v1"), 200, "the cluster does not answer")
	has(t, get(h, "/topics/no.such.v1"), 404, "The catalogue has no topic of this name.")
	list = get(h, "/schemas")
	for _, s := range schemas.Revisions("") {
		if !strings.Contains(list.Body.String(), `href="/schemas/`+s.Record+`"`) {
			t.Errorf("no way to %s", s.Record)
		}
		has(t, get(h, "/schemas/"+s.Record), 200, "<h1>"+s.Record+"</h1>", "Revision 1 as Avro")
	}
	has(t, get(h, "/schemas/utopia.customer.CustomerState"), 200, "FULL_TRANSITIVE", "customer.state.v1-utopia.customer.CustomerState",
		`href="/topics/customer.state.v1"`, "<code>address.address.postCode</code>", "Revision 2 as Avro", "timestamp-millis")
	has(t, get(h, "/schemas/nobody"), 404, "No record of this name was ever released.")
	has(t, get(newTown(t).clerk(t), "/topics"), 200, "not known now") // without anybody who measures
}
