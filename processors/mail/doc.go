// Package mail is the pure core of the mail service: whether a mail is taken, what became of it, and when it is
// forgotten. The service is generic: it is commanded, knows no customer and no purpose, and tells only whoever sent the
// command. One mail is one aggregate; its id is the id of the command that asked for it.
//
// Sending is not here: it happens outside every transaction, at least once, from an outbox. Neither recipient nor text
// is in a State or in what an event leaves behind. It knows no clock, no I/O, no encoding and no topic.
package mail
