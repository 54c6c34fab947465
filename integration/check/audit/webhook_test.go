package audit

import (
	"maps"
	"testing"
)

// Wishes for redelivery stand beside each other; of more than are kept the two oldest become one that asks for both.
func TestWishesForRedelivery(t *testing.T) {
	t.Parallel()
	state, n := empty(service{name: "webhook", id: "webhookId"}, "w"), int64(0)
	ask := func(times int, from int64, customer string) {
		for range times {
			n++
			state["version"] = n
			state = foldWebhook(state, &record{
				name: "utopia.webhook.private.RedeliveryRequested", body: fields{"fromAt": from + n, "customerId": customer, "at": n},
			})
		}
	}
	expect := func(oldest, last fields) {
		t.Helper()
		earlier, _ := state["earlierRedeliveries"].([]any)
		first, _ := earlier[0].(fields)
		newest, _ := state["redelivery"].(fields)
		if len(earlier) != 15 || !maps.Equal(first, oldest) || !maps.Equal(newest, last) {
			t.Errorf("%d before the last, from %v to %v", len(earlier), first, newest)
		}
	}
	wish := func(version, from int64, customer string) fields {
		return fields{"version": version, "fromAt": from, "customerId": customer}
	}
	ask(16, 100, "c")
	expect(wish(1, 101, "c"), wish(16, 116, "c"))
	ask(15, 50, "d")
	expect(wish(16, 101, "c"), wish(31, 81, "d"))
	ask(1, 50, "d")
	expect(wish(17, 67, ""), wish(32, 82, "d"))
}
