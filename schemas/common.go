package schemas

// EventHead is what every event and every public change carries beside its own fields.
type EventHead struct {
	Version       int64  `avro:"version"` // Version of the aggregate after this event.
	At            int64  `avro:"at"`      // When: the timestamp of the input that caused it.
	CommandID     string `avro:"commandId"`
	CausationID   string `avro:"causationId"`
	CorrelationID string `avro:"correlationId"`
}

// ReplyFields is what every reply carries.
type ReplyFields struct {
	ReplyTo       string `avro:"replyTo"` // Key of the reply.
	CommandID     string `avro:"commandId"`
	CorrelationID string `avro:"correlationId"`
	Outcome       string `avro:"outcome"`
	Refusal       string `avro:"refusal"` // Stable code; empty: accepted.
	Message       string `avro:"message"` // The refusal as a sentence.
	Aggregate     string `avro:"aggregate"`
	Key           string `avro:"key"`
	Version       int64  `avro:"version"`   // The aggregate's version after the command; of a refusal, the current one.
	Partition     int32  `avro:"partition"` // Where the command was.
	Offset        int64  `avro:"offset"`    // Where the command was.
	Repeat        bool   `avro:"repeat"`    // The command had been answered before.
}

// Metadata is what belongs to a command whatever it asks for.
type Metadata struct {
	CommandID       string `avro:"commandId"`       // Idempotency key set by the sender; a UUIDv7 is a good one.
	CorrelationID   string `avro:"correlationId"`   // The whole conversation; empty: the command id.
	CausationID     string `avro:"causationId"`     // The command or event that caused this one.
	ReplyTo         string `avro:"replyTo"`         // Key of the reply; empty: the id of the aggregate.
	ExpectedVersion int64  `avro:"expectedVersion"` // The version that the sender has seen; 0: it does not matter.
}

// Address is a postal address anywhere in the world.
type Address struct {
	Country     string `avro:"country"` // ISO 3166-1 alpha-2 code.
	Region      string `avro:"region"`  // State, province, prefecture.
	City        string `avro:"city"`
	District    string `avro:"district"` // Part of the city, where addresses have one.
	PostCode    string `avro:"postCode"`
	SortingCode string `avro:"sortingCode"` // For example CEDEX in France.
	Street      string `avro:"street"`      // Lines separated by a line feed.
}

// Handled is a command id that was handled, and how.
type Handled struct {
	ID      int64  `avro:"id"`      // First 8 bytes of SHA-256 of the command id.
	Body    int64  `avro:"body"`    // First 8 bytes of SHA-256 of the command without its metadata.
	Refusal string `avro:"refusal"` // Code of the refusal; empty: accepted.
	Version int64  `avro:"version"` // The aggregate's version after it.
	At      int64  `avro:"at"`      // Unix seconds.
}

// Personal is the personal fields of an event, apart from the rest so that they can be encrypted and forgotten.
type Personal struct {
	KeyID int32  `avro:"keyId"` // Key that data is encrypted with; 0: not encrypted.
	Data  []byte `avro:"data"`  // utopia.private.PersonalData in single-object encoding.
}

// PersonalData is the personal fields of an event; each event uses some of them.
type PersonalData struct {
	Name       string   `avro:"name"`
	Email      string   `avro:"email"`
	Language   string   `avro:"language"`
	Address    Address  `avro:"address"`
	Text       string   `avro:"text"`
	Recipients []string `avro:"recipients"`
}

// AvroName implements Record.
func (*PersonalData) AvroName() string { return "utopia.private.PersonalData" }

// Head is what every event and every public change has.
func (h EventHead) Head() EventHead { return h }
