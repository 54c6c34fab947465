package schemas

// Outcomes of an OperatorAction.
const (
	ActionDone  = "done"  // together with the record that says so
	ActionAsked = "asked" // after the record that says so; a command's outcome is in the replies
)

// OperatorAction is something that an operator did by hand.
type OperatorAction struct {
	Target    string `avro:"target"` // A dead letter as topic/partition/offset, or the id of a customer or mail.
	Action    string `avro:"action"`
	Caller    string `avro:"caller"`
	Role      string `avro:"role"`
	Reason    string `avro:"reason"` // In the caller's words.
	Outcome   string `avro:"outcome"`
	Result    string `avro:"result"`    // Where a dead letter was sent again to: topic/partition/offset.
	CommandID string `avro:"commandId"` // Of a command.
}

// AvroName implements Record.
func (*OperatorAction) AvroName() string { return "utopia.operator.OperatorAction" }
