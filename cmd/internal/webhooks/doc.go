// Package webhooks tells changes of customers to the URLs that asked for them.
//
// It reads the public changes as any other consumer and calls outside of every transaction: no transaction can hold somebody
// else's server. So a change is told at least once, with an id that is the same each time. Each webhook has its own reader and
// its own position in each partition, so that nobody waits for a receiver that is slow or gone; within a partition, and so for
// each customer, one call follows the other. The positions are kept in a compacted topic of the webhook service.
//
// It deliberately decides nothing about webhooks: it reports how calls go, and the webhook service disables.
package webhooks
