package webhook

import (
	"errors"

	"utopia/processors/refusal"
)

// Refusals, in the order in which a command meets them. Callers switch on Code; the texts are for people and quote nothing.
var (
	// ErrURL: not an http(s) URL that could be called.
	ErrURL = errors.New("the URL is not an absolute http or https URL of at most 2000 characters, without user name and fragment")
	// ErrEvents: a name that no change has, a name twice, or more than MaxEvents.
	ErrEvents = errors.New("the events are not at most 20 different names of changes such as CustomerMoved")
	// ErrPayload: not one of the payloads.
	ErrPayload = errors.New("the payload is neither thin, delta nor state")
	// ErrOwner: a name that no caller has.
	ErrOwner = errors.New("the owner is not one line of at most 160 bytes")
	// ErrKey: no master key could have this id.
	ErrKey = errors.New("the key id is not 1 to 32 of A–Z a–z 0–9 _ -")
	// ErrCustomer: no customer could have this id.
	ErrCustomer = errors.New("the customer's id is not 1 to 64 of A–Z a–z 0–9 . _ ~ -")
	// ErrReport: the sender's report cannot be.
	ErrReport = errors.New("the report cannot be")
	// ErrVersionConflict: the sender has seen another version.
	ErrVersionConflict = errors.New("the webhook is not at the expected version")
	// ErrExists: there is a webhook with this id.
	ErrExists = errors.New("a webhook with this id has been registered before")
	// ErrUnknown: nobody registered it, or it was closed.
	ErrUnknown = errors.New("no webhook has this id")
	// ErrSameTarget: it has this target already.
	ErrSameTarget = errors.New("the webhook has this URL, these events and this payload already")
	// ErrNotActive: it is paused or disabled.
	ErrNotActive = errors.New("the webhook is not active")
	// ErrActive: it is being called.
	ErrActive = errors.New("the webhook is active already")
	// ErrFuture: nothing can be told again that has not happened.
	ErrFuture = errors.New("changes from the future cannot be told again")
	// ErrLateReport: the calls were made before it was registered, changed or resumed for the last time.
	ErrLateReport = errors.New("the report is about calls from before the webhook was changed or resumed")
	// ErrNoTrouble: nothing was known to be wrong with this partition.
	ErrNoTrouble = errors.New("nothing was known to be wrong")
	// ErrTooManyTroubles: as much as is remembered is wrong already.
	ErrTooManyTroubles = errors.New("no more partitions in trouble are remembered")
	// ErrTooEarly: it has not been tried for a day since it was last registered, changed or resumed.
	ErrTooEarly = errors.New("the webhook has not been tried for a day")
)

func refusals() refusal.Table {
	return refusal.Table{
		{ErrURL, "url"},
		{ErrEvents, "events"},
		{ErrPayload, "payload"},
		{ErrOwner, "owner"},
		{ErrKey, "key_id"},
		{ErrCustomer, "customer_id"},
		{ErrReport, "report"},
		{ErrVersionConflict, "version_conflict"},
		{ErrExists, "webhook_exists"},
		{ErrUnknown, "webhook_unknown"},
		{ErrSameTarget, "same_target"},
		{ErrNotActive, "webhook_not_active"},
		{ErrActive, "webhook_active"},
		{ErrFuture, "from_in_future"},
		{ErrLateReport, "late_report"},
		{ErrNoTrouble, "no_trouble"},
		{ErrTooManyTroubles, "too_many_troubles"},
		{ErrTooEarly, "too_early"},
	}
}

// Code is the stable name of a refusal, empty for any other error. A caller may switch on it; it never changes.
func Code(err error) string { return refusals().Code(err) }

// Refusals returns every refusal of this core.
func Refusals() []error { return refusals().Errors() }
