// Package notification is the pure core of the notification service: it listens to what the customer service publishes,
// keeps its own copy of how a customer is reached, and tells the customer that an address has changed: the contact, and
// where the e-mail address itself changed, the old and the new one. It owns no question and waits for no answer; what
// another service owns, such as the question whether a change is wanted, is deliberately not here.
//
// It asks the mail service to send and counts what became of each mail. It knows no clock, no I/O, no encoding and no
// topic.
package notification
