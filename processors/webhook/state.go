package webhook

import "time"

// The promises of the service. They are part of the core, not configuration: a replay with other values would decide
// differently.
const (
	// GiveUpAfter is for how long a change is tried before the webhook is disabled.
	GiveUpAfter = 24 * time.Hour
	// Overlap is for how long the secret before the last rotation still signs.
	Overlap = 24 * time.Hour
	// MaxURL is the size of a URL in bytes.
	MaxURL = 2000
	// MaxEvents is how many names of events a webhook may list.
	MaxEvents = 20
	// MaxTroubles bounds what is remembered of partitions whose calls fail.
	MaxTroubles = 64
	// MaxRedeliveries bounds what is remembered of wishes to be told again. Of more the two oldest become one, which asks for
	// both and perhaps for more.
	MaxRedeliveries = 16
	// maxAttempts bounds the number of attempts that a report may state.
	maxAttempts = 1_000_000
)

// Status is whether a webhook is called.
type Status string

// The statuses of a webhook.
const (
	// StatusUnknown: nobody has registered it, or it was closed.
	StatusUnknown Status = ""
	// StatusActive: it is called.
	StatusActive Status = "active"
	// StatusPaused: somebody wants it not to be called for now.
	StatusPaused Status = "paused"
	// StatusDisabled: the sender has given it up.
	StatusDisabled Status = "disabled"
)

// Payload is what a delivery carries.
type Payload string

// The payloads.
const (
	// Thin: id, version, type and URL. The receiver reads back.
	Thin Payload = "thin"
	// Delta: what changed, with old and new.
	Delta Payload = "delta"
	// Whole: the whole public state, at this version or a later one.
	Whole Payload = "state"
)

// State is what the next decision about one webhook needs: a fold of its events.
type State struct {
	// Version is the number of events folded; the next event has the next version.
	Version int64
	Status  Status
	Owner   string // the name of a caller; empty: the operators
	Target  Target
	Secret  Secret
	// Previous signs too until PreviousEndsAt.
	Previous       Secret
	PreviousEndsAt time.Time
	RegisteredAt   time.Time
	// ActiveAt is when it was registered, changed or resumed: failures before do not count.
	ActiveAt time.Time
	Troubles []Trouble // by partition, ascending
	Disabled Disabled  // zero unless Status is StatusDisabled
	// Redeliveries are the last wishes, by version, ascending. The sender may have seen none of them yet: it looks seldom, and not
	// at all while nothing is called.
	Redeliveries []Redelivery
	UpdatedAt    time.Time
}

// Target is where and what is told.
type Target struct {
	URL     string
	Events  []string // names of changes; empty: all
	Payload Payload
}

// Secret says which secret it is: version and time of the event that set it, and the master key that it is derived from.
type Secret struct {
	Version int64
	At      time.Time
	Key     string
}

// Trouble is a partition of the changes whose calls fail.
type Trouble struct {
	Partition int32
	Since     time.Time // the first failed attempt of the change that waits
	At        time.Time // when it was reported
	Attempts  int32
	Detail    string // code of the last failure
}

// Disabled says why a webhook is no longer called.
type Disabled struct {
	Reason Result // GivenUp or Gone
	Since  time.Time
	At     time.Time
	Detail string
}

// Redelivery is what was asked to be told again. Version is that of the event.
type Redelivery struct {
	Version  int64
	From     time.Time
	Customer string // empty: all
}
