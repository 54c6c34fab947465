package customer

import (
	"cmp"
	"errors"

	"utopia/processors/postal"
	"utopia/processors/refusal"
)

// Why a command is refused, or a fact is not recorded. Each names a state and blames nobody.
var (
	// ErrNotRegistered: nobody has registered a customer with this id.
	ErrNotRegistered = errors.New("no customer is registered with this id")
	// ErrAlreadyRegistered: the id is that of an active customer.
	ErrAlreadyRegistered = errors.New("a customer is registered with this id already")
	// ErrNotActive: the customer is closed.
	ErrNotActive = errors.New("the customer is closed")
	// ErrErased: the customer is erased; the id is never used again.
	ErrErased = errors.New("the customer has been erased")
	// ErrVersionConflict: the expected version is not the customer's version, be it older or from the future. The reply
	// carries the current one.
	ErrVersionConflict = errors.New("the customer has another version than the one expected")
	// ErrName: a name without a letter or digit.
	ErrName = errors.New("a name needs a letter or a digit")
	// ErrLanguage: not a language tag.
	ErrLanguage = errors.New("this is not a language tag (BCP 47), such as nl or pt-BR")
	// ErrNoAddress: the command has no address.
	ErrNoAddress = errors.New("an address is missing")
	// ErrNoEmail: the command has no e-mail address.
	ErrNoEmail = errors.New("an e-mail address is missing")
	// ErrUnknownReason: the reason is neither moved nor corrected.
	ErrUnknownReason = errors.New("the reason of a change is moved or corrected")
	// ErrSameAddress: the customer has this address.
	ErrSameAddress = errors.New("this is the customer's address already")
	// ErrSameEmail: the customer has this e-mail address.
	ErrSameEmail = errors.New("this is the customer's e-mail address already")
	// ErrEffectiveInPast: a change cannot take effect before it is asked for.
	ErrEffectiveInPast = errors.New("the change would take effect in the past")
	// ErrEffectiveTooLate: the change would take effect later than ScheduleWithin from now.
	ErrEffectiveTooLate = errors.New("the change would take effect more than two years from now")
	// ErrNoPendingChange: there is no change that the command could be about.
	ErrNoPendingChange = errors.New("no address change is pending")
	// ErrOtherChange: the pending change is another one; a newer request has taken the place of the one named.
	ErrOtherChange = errors.New("another address change is pending")
	// ErrAlreadyConfirmed: the change is confirmed and waits for its date.
	ErrAlreadyConfirmed = errors.New("the address change is confirmed already")
	// ErrNotConfirmed: the change is not confirmed, so it cannot take effect.
	ErrNotConfirmed = errors.New("the address change is not confirmed")
	// ErrExpired: the time to confirm has passed.
	ErrExpired = errors.New("the time to confirm the address change has passed")
	// ErrAlreadyReminded: the customer has been asked again already.
	ErrAlreadyReminded = errors.New("the customer has been reminded already")
	// ErrNotDue: a deadline command came before its time, because the clock of who sent it runs ahead. It is sent again.
	ErrNotDue = errors.New("the deadline has not passed")
	// ErrOtherDeadline: the deadline that the command names is not the one the change has.
	ErrOtherDeadline = errors.New("the address change has another deadline")
	// ErrFactKnown: the fact is the one that set the current address. Nothing is recorded twice.
	ErrFactKnown = errors.New("the fact is known already")
	// ErrNoSource: a fact without source or id is hearsay.
	ErrNoSource = errors.New("a fact names its source and has an id there")
	// ErrNoTime: without the time at which it occurred, a fact cannot be put in order with what is known.
	ErrNoTime = errors.New("a fact says when it occurred")
	// ErrOtherMail: the mail did not ask for the confirmation of the pending change.
	ErrOtherMail = errors.New("the mail is not about the pending address change")
)

func refusals() refusal.Table {
	return refusal.Table{
		{ErrNotRegistered, "not_registered"},
		{ErrAlreadyRegistered, "already_registered"},
		{ErrNotActive, "not_active"},
		{ErrErased, "erased"},
		{ErrVersionConflict, "version_conflict"},
		{ErrName, "name"},
		{ErrLanguage, "language"},
		{ErrNoAddress, "no_address"},
		{ErrNoEmail, "no_email"},
		{ErrUnknownReason, "unknown_reason"},
		{ErrSameAddress, "same_address"},
		{ErrSameEmail, "same_email"},
		{ErrEffectiveInPast, "effective_in_past"},
		{ErrEffectiveTooLate, "effective_too_late"},
		{ErrNoPendingChange, "no_pending_change"},
		{ErrOtherChange, "other_change"},
		{ErrAlreadyConfirmed, "already_confirmed"},
		{ErrNotConfirmed, "not_confirmed"},
		{ErrExpired, "expired"},
		{ErrAlreadyReminded, "already_reminded"},
		{ErrNotDue, "not_due"},
		{ErrOtherDeadline, "other_deadline"},
		{ErrFactKnown, "fact_known"},
		{ErrNoSource, "no_source"},
		{ErrNoTime, "no_time"},
		{ErrOtherMail, "other_mail"},
	}
}

// Refusals returns every sentinel error that a command of this service can be refused with, those of package postal
// included.
func Refusals() []error {
	return append(refusals().Errors(), postal.Refusals()...)
}

// Code returns the stable code of a refusal, for replies and for whoever switches on them; "" for any other error. It
// never changes, while the sentences may.
func Code(err error) string {
	return cmp.Or(refusals().Code(err), postal.Code(err))
}

// RefusalByCode returns the sentinel error with the given code, false if there is none.
func RefusalByCode(code string) (error, bool) {
	for _, err := range Refusals() {
		if Code(err) == code {
			return err, true
		}
	}
	return nil, false
}
