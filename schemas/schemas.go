// Package schemas is the contract: every Avro schema that was ever released, the Go type of each record, and the codecs
// between the two. The .avsc files are the contract, the Go types follow them. It knows no topic's purpose, no broker
// and no business rule; topics are named here by the folders of the schemas only.
//
// # Files
//
// A schema is the file <topic>/<Record>.<revision>.avsc. A released file is never edited: a compatible revision is a new
// file with the next number, an incompatible change is a new major topic. Adding a record is an .avsc file, a struct and
// a line in the table of types. The folder "nested" holds records that travel inside bytes fields of others.
//
// # Representation
//
// Decided once for all records:
//
//   - An absent string is "". No string is nullable.
//   - A time is an int64 of milliseconds since 1970 with logical type timestamp-millis, and 0 is an absent one: see
//     Millis and Time.
//   - Only what is a whole record and may be missing is a union with null, a pointer in Go.
//   - Enums are strings in Go; each public one has the symbol "unknown", which is also what a reader sees for a symbol
//     that it does not know. See OrUnknown.
//   - Every field after revision 1 has a default, and so has every optional field of revision 1.
//   - The first field is the id of the aggregate, which is the record's key; of a reply it is the reply address. The
//     second field of a command is its metadata.
//   - Private records live in namespaces that end in "private".
//
// # Framing
//
// Records of topics that others read carry the Confluent framing (magic byte 0, schema id, body) and are handled by
// Codec. Private records (events, rows, the outbox) carry Avro's single-object encoding (marker, CRC-64-AVRO fingerprint,
// body) and are handled by AppendPrivate and DecodePrivate, without any registry. Both decode a record that was written
// with any other revision into today's type, by Avro's schema resolution.
//
// Decoders take hostile input: they allocate no more than a small multiple of what they were given, refuse invalid UTF-8
// and trailing bytes, and do not panic.
package schemas

import "time"

// Record is one record of the contract, always a pointer to a struct of this package.
type Record interface {
	// AvroName is the full name of the record's schema, for example utopia.customer.CustomerState.
	AvroName() string
}

// Command is a record that asks for something.
type Command interface {
	Record
	// Metadata is what belongs to a command whatever it asks for; changing it changes the command.
	Metadata() *Metadata
}

// Reply is a record that answers a command.
type Reply interface {
	Record
	// Fields is what every reply carries; changing it changes the reply.
	Fields() *ReplyFields
}

// Unknown is the symbol of every public enum for what a reader does not know.
const Unknown = "unknown"

// Symbols of public enums that more than one package names.
const (
	OutcomeAccepted = "accepted"
	OutcomeRefused  = "refused"

	// RefusedIDReused is the refusal of a command whose id was used before for a command with another body.
	RefusedIDReused = "id_reused"

	ReasonRegistered = "registered"
	ReasonMoved      = "moved"
	ReasonCorrected  = "corrected"
)

// OrUnknown returns an enum's symbol for s: s itself, or "unknown" for "".
func OrUnknown[S ~string](s S) string {
	if s == "" {
		return Unknown
	}
	return string(s)
}

// Millis returns t in milliseconds since 1970, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the reverse of Millis: the time in UTC, the zero time for 0.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
