// Package webhook is the pure core of the webhook service: where changes are told, whether that goes well, when it is given
// up, and what is told again. One subscription is one aggregate.
//
// Calling is not here: it happens outside every transaction, at least once. No secret is here either, only which one it is. It
// knows no clock, no I/O, no encoding and no topic.
package webhook
