package notification_test

import (
	"fmt"
	"time"

	"utopia/processors/notification"
)

// A customer moves and then changes the e-mail address. Each record may come by either topic, and again.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	contact := notification.Contact{Name: "Ada", Email: "ada@example.com", Language: "en"}
	var s notification.State
	for _, c := range []notification.Command{
		notification.ApplyCustomer{Version: 1, Status: notification.StatusActive, Contact: contact, AddressVersion: 1},
		notification.ApplyAddress{Version: 2, Before: 1},
		notification.ApplyCustomer{Version: 2, Status: notification.StatusActive, Contact: contact, AddressVersion: 2},
		notification.ApplyEmail{Version: 3, Before: "ada@example.com", After: "ada@example.org"},
	} {
		events, _ := notification.Decide(s, c, now)
		for _, e := range events {
			s = notification.Evolve(s, e)
			if sent, ok := e.(notification.Sent); ok {
				fmt.Println(sent.Recipients, sent.Kind, sent.Language)
			}
		}
	}
	fmt.Println("applied", s.CustomerVersion)
	// Output:
	// [ada@example.com] address en
	// [ada@example.com ada@example.org] email en
	// applied 3
}
