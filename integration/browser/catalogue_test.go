//go:build browser

package browser

import "testing"

// TestFindingWhatIsOnTheLog: from the list of topics to a topic, to a record in it, and back to the topics that carry it.
func TestFindingWhatIsOnTheLog(t *testing.T) {
	s := up(t)
	b := open(t, s.http)
	s.utopia("customer", "register", "c-7", "--name", "Édith Piaf", "--email", "edith@example.org", "--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", "Markt 1")
	b.visit("/topics")
	b.see("event-carried state transfer")
	b.look("topics")
	b.click(`a[href="/topics/customer.state.v1"]`)
	b.see("Offsets that are kept")
	b.look("topic")
	b.click(`a[href="/schemas/utopia.customer.CustomerState"]`)
	b.see("address.address.postCode")
	b.click("details:last-of-type summary")
	b.see(`"updatedAt"`)
	b.look("schema")
	b.visit("/schemas")
	b.see("record types")
	b.look("schemas")
	s.utopia("webhook", "register", "shop", "--url", "http://127.0.0.1:9/changes", "--event", "CustomerMoved", "--webhook-keys", s.webhookKeys)
	b.visit("/webhooks")
	b.see("http://127.0.0.1:9/changes")
	b.look("webhooks")
	b.quiet()
}
