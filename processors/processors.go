// Package processors wires the pure cores to Kafka: one Goka group per file (its graph, its row, which record becomes
// which command and which event becomes which records), and constructors for views over the public state topics. It
// decides nothing: every business rule is in a core, every rule about transactions in eos, every byte in schemas.
package processors

import (
	"errors"
	"time"

	"utopia/processors/eos"
	"utopia/schemas"
)

// Refusals that the wiring itself gives, whatever the core.
var (
	// ErrIDReused refuses a command whose id was used before for a command with another body.
	ErrIDReused = errors.New("this command id was used before for another command")
	// ErrTooLarge refuses a command one of whose outputs would not fit its topic.
	ErrTooLarge = errors.New("what this command leads to is larger than its topic takes")
	// ErrMetadata refuses a command with an id in its metadata that other services, to which it goes on, would not take.
	ErrMetadata = errors.New("correlation id, causation id and reply address are at most 160 of A–Z a–z 0–9 . _ ~ - /")
	// ErrStillNeeded refuses to remove a row that has lived on since its deadline was set.
	ErrStillNeeded = errors.New("the row is still needed")

	errNotDue = errors.New("the deadline has not passed yet")
)

// Codes of the refusals that callers may switch on; those of a core come from its Code function.
const (
	codeIDReused    = schemas.RefusedIDReused
	codeTooLarge    = "too_large"
	codeMetadata    = "metadata"
	codeStillNeeded = "still_needed"
	codeInvalid     = "invalid"
	codeNotDue      = "not_due"
)

// Refusals are the codes of all refusals that the wiring gives, whatever the core, beside those of the core.
func Refusals() []string {
	return []string{codeIDReused, codeTooLarge, codeMetadata, codeStillNeeded, codeInvalid, codeNotDue}
}

// wiringMessages are the sentences of the refusals that the wiring gives, by code.
func wiringMessages() map[string]string {
	return map[string]string{
		codeIDReused: ErrIDReused.Error(), codeTooLarge: ErrTooLarge.Error(), codeMetadata: ErrMetadata.Error(),
		codeStillNeeded: ErrStillNeeded.Error(),
	}
}

// Dead-letter reasons of records that reached a callback. Those of admission are in eos.
const (
	deadMalformed   = "malformed"
	deadUnknownType = "unknown_type"
	deadInvalid     = "invalid"
	deadDefect      = "defect"
	deadTooLarge    = "output_too_large"
)

// Options is what every group needs to run.
type Options struct {
	// Engine carries the connection, the state directory and the limits. Graph, Inputs, Deadlines and Row are the
	// group's own and are filled in.
	Engine eos.Config
	// IDs resolves schema ids of the topics that are not private.
	IDs schemas.IDs
	// Counters learn what the callbacks did; nil is allowed.
	Counters Counters

	// sabotage is for the test of the simulation: where it says yes, the wiring makes one named mistake. Nil in production.
	sabotage func(mistake string) bool
}

// Counters learn what happens to records behind admission. Implementations are called from several goroutines.
type Counters interface {
	// Outcome counts one command: accepted, refused, or a repeat of an earlier answer.
	Outcome(group, outcome string)
	// Skipped counts a record that a listener has no use for.
	Skipped(group, topic, reason string)
	// Forgotten counts a handled command id that was pushed out of its row's window younger than 24 hours.
	Forgotten(group string, age time.Duration)
}

type noCounters struct{}

func (noCounters) Outcome(string, string)          {}
func (noCounters) Skipped(string, string, string)  {}
func (noCounters) Forgotten(string, time.Duration) {}
