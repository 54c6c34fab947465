package eos

import (
	"errors"
	"fmt"
)

// ErrBlocked is wrapped by an Input.Admit that cannot decide now, for example because the schema registry does not answer. The record's partition
// waits and is tried again; the others go on.
var ErrBlocked = errors.New("eos: the record cannot be judged now")

// ErrRefused is returned by Run when exactly-once would not hold on this cluster, or for the group's offsets as they are. The message names what is
// wrong and what to do.
var ErrRefused = errors.New("refused to start")

// ErrFenced is returned by Run when another process runs under the same instance id. It must not be retried: two processes that do would fence
// each other for ever.
var ErrFenced = errors.New("another process runs as this instance")

// ErrNotReady is returned by Get before the tables have caught up with the changelog.
var ErrNotReady = errors.New("eos: the table is still catching up")

// ErrNotOwned is returned by Get for a key whose partition is assigned to another instance.
var ErrNotOwned = errors.New("eos: the key's partition is assigned to another instance")

// Reject is returned by Input.Admit for a record that no code can ever handle. Reason is a short code, Detail a few words for people; neither may
// hold personal data, because both become headers of the dead letter.
type Reject struct {
	Reason string
	Detail string
}

// Error implements error.
func (r *Reject) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return fmt.Sprintf("%s: %s", r.Reason, r.Detail)
}

// Reasons that the engine itself gives in the header utopia-reason of a dead letter.
const (
	ReasonNilKey         = "nil_key"
	ReasonBadKey         = "bad_key"
	ReasonNilValue       = "nil_value"
	ReasonWrongPartition = "wrong_partition"
	ReasonTooLarge       = "too_large" // key, value and headers above topics.RecordBytes; the dead letter has none of them
	ReasonInadmissible   = "inadmissible"
	ReasonDefect         = "defect" // Input.Admit panicked
)

// Headers of dead letters, moved records and dead letters that were sent again.
const (
	HeaderReason    = "utopia-reason"
	HeaderDetail    = "utopia-detail"
	HeaderTopic     = "utopia-topic"
	HeaderPartition = "utopia-partition"
	HeaderOffset    = "utopia-offset"
	HeaderMovedFrom = "utopia-moved-from"
	HeaderRetryOf   = "utopia-retry-of"
)
