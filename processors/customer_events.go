package processors

import (
	"errors"
	"fmt"

	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
)

// customerEvent is an event as the event store keeps it. What is personal is in one field of bytes of its own.
func customerEvent(m eventMeta, e customer.Event) (schemas.Record, error) {
	switch e := e.(type) {
	case customer.Registered:
		p, err := personal(schemas.PersonalData{
			Name: string(e.Name), Email: string(e.Email), Language: string(e.Language), Address: addressOf(e.Address),
		})
		return &schemas.CustomerRegistered{CustomerID: m.Key, EventHead: head(m), Personal: p, KeepsFact: e.KeepsFact}, err
	case customer.ChangeRequested:
		p, err := personalAddress(e.Address)
		return &schemas.AddressChangeRequested{
			CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID, Reason: string(e.Reason),
			ExpiresAt: schemas.Millis(e.ExpiresAt), EffectiveAt: schemas.Millis(e.EffectiveAt), Supersedes: e.Supersedes, Personal: p,
		}, err
	case customer.Moved:
		p, err := personalAddress(e.Address)
		return &schemas.CustomerMoved{
			CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID, Source: e.Source, FactID: e.FactID,
			OccurredAt: schemas.Millis(e.OccurredAt), Verified: e.Verified, Personal: p,
		}, err
	case customer.Corrected:
		p, err := personalAddress(e.Address)
		return &schemas.AddressCorrected{
			CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID, OccurredAt: schemas.Millis(e.OccurredAt), Personal: p,
		}, err
	case customer.FactRecorded:
		p, err := personalAddress(e.Address)
		return &schemas.FactRecorded{
			CustomerID: m.Key, EventHead: head(m), Source: e.Source, FactID: e.FactID,
			OccurredAt: schemas.Millis(e.OccurredAt), Verified: e.Verified, Outcome: string(e.Outcome), Personal: p,
		}, err
	case customer.EmailChanged:
		p, err := personal(schemas.PersonalData{Email: string(e.Email)})
		return &schemas.EmailChanged{CustomerID: m.Key, EventHead: head(m), Personal: p}, err
	case customer.ConfirmationReminded, customer.ConfirmationUndeliverable, customer.ChangeScheduled, customer.ChangeCancelled,
		customer.ChangeExpired, customer.ChangeOutdated, customer.Closed, customer.Erased:
		return impersonalEvent(m, e), nil
	}
	panic("processors: a customer event outside the closed set")
}

// impersonalEvent is an event that has nothing personal.
func impersonalEvent(m eventMeta, e customer.Event) schemas.Record {
	switch e := e.(type) { //nolint:gochecksumtype // the others are customerEvent's
	case customer.ConfirmationReminded:
		return &schemas.ConfirmationReminded{CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID}
	case customer.ConfirmationUndeliverable:
		return &schemas.ConfirmationUndeliverable{
			CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID, Mail: e.Mail, Detail: e.Detail,
		}
	case customer.ChangeScheduled:
		return &schemas.AddressChangeScheduled{
			CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID, EffectiveAt: schemas.Millis(e.EffectiveAt),
		}
	case customer.ChangeCancelled:
		return &schemas.AddressChangeCancelled{CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID}
	case customer.ChangeExpired:
		return &schemas.AddressChangeExpired{CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID}
	case customer.ChangeOutdated:
		return &schemas.AddressChangeOutdated{CustomerID: m.Key, EventHead: head(m), ChangeID: e.ChangeID}
	case customer.Closed:
		return &schemas.CustomerClosed{CustomerID: m.Key, EventHead: head(m)}
	case customer.Erased:
		return &schemas.CustomerErased{CustomerID: m.Key, EventHead: head(m)}
	}
	panic("processors: a customer event with something personal")
}

func personalAddress(a postal.Address) (schemas.Personal, error) {
	return personal(schemas.PersonalData{Address: addressOf(a)})
}

// personal encodes what is personal, in clear: key 0.
func personal(d schemas.PersonalData) (schemas.Personal, error) {
	data, err := schemas.AppendPrivate(nil, &d)
	if err != nil {
		return schemas.Personal{}, fmt.Errorf("encode personal data: %w", err)
	}
	return schemas.Personal{Data: data}, nil
}

// errKeyUnknown: the personal part of an event is encrypted, and this release has no keys.
var errKeyUnknown = errors.New("the personal part is encrypted with a key that this release does not have")

// readPersonal is the reverse of personal.
func readPersonal(p schemas.Personal) (*schemas.PersonalData, error) {
	if p.KeyID != 0 {
		return nil, errKeyUnknown
	}
	rec, err := schemas.DecodePrivate(p.Data)
	if err != nil {
		return nil, fmt.Errorf("personal part: %w", err)
	}
	d, ok := rec.(*schemas.PersonalData)
	if !ok {
		return nil, fmt.Errorf("personal part is a %s", rec.AvroName())
	}
	return d, nil
}

// readCustomerEvent is the reverse of customerEvent: a stored event and where it stands.
func readCustomerEvent(rec schemas.Record) (customer.Event, schemas.EventHead, error) {
	switch r := rec.(type) {
	case *schemas.ConfirmationReminded:
		return customer.ConfirmationReminded{At: schemas.Time(r.At), ChangeID: r.ChangeID}, r.EventHead, nil
	case *schemas.ConfirmationUndeliverable:
		return customer.ConfirmationUndeliverable{At: schemas.Time(r.At), ChangeID: r.ChangeID, Mail: r.Mail, Detail: r.Detail}, r.EventHead, nil
	case *schemas.AddressChangeScheduled:
		return customer.ChangeScheduled{At: schemas.Time(r.At), ChangeID: r.ChangeID, EffectiveAt: schemas.Time(r.EffectiveAt)}, r.EventHead, nil
	case *schemas.AddressChangeCancelled:
		return customer.ChangeCancelled{At: schemas.Time(r.At), ChangeID: r.ChangeID}, r.EventHead, nil
	case *schemas.AddressChangeExpired:
		return customer.ChangeExpired{At: schemas.Time(r.At), ChangeID: r.ChangeID}, r.EventHead, nil
	case *schemas.AddressChangeOutdated:
		return customer.ChangeOutdated{At: schemas.Time(r.At), ChangeID: r.ChangeID}, r.EventHead, nil
	case *schemas.CustomerClosed:
		return customer.Closed{At: schemas.Time(r.At)}, r.EventHead, nil
	case *schemas.CustomerErased:
		return customer.Erased{At: schemas.Time(r.At)}, r.EventHead, nil
	}
	return readPersonalEvent(rec)
}

// readPersonalEvent is the part of readCustomerEvent for events with something personal.
func readPersonalEvent(rec schemas.Record) (customer.Event, schemas.EventHead, error) {
	var p schemas.Personal
	var head schemas.EventHead
	var make func(d *schemas.PersonalData) customer.Event
	switch r := rec.(type) {
	case *schemas.CustomerRegistered:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.Registered{
				At: schemas.Time(r.At), Name: customer.Name(d.Name), Email: postal.Email(d.Email),
				Language: customer.Language(d.Language), Address: addressFrom(d.Address), KeepsFact: r.KeepsFact,
			}
		}
	case *schemas.AddressChangeRequested:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.ChangeRequested{
				At: schemas.Time(r.At), ChangeID: r.ChangeID, Address: addressFrom(d.Address), Reason: customer.Reason(r.Reason),
				ExpiresAt: schemas.Time(r.ExpiresAt), EffectiveAt: schemas.Time(r.EffectiveAt), Supersedes: r.Supersedes,
			}
		}
	case *schemas.CustomerMoved:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.Moved{
				At: schemas.Time(r.At), ChangeID: r.ChangeID, Source: r.Source, FactID: r.FactID,
				OccurredAt: schemas.Time(r.OccurredAt), Address: addressFrom(d.Address), Verified: r.Verified,
			}
		}
	case *schemas.AddressCorrected:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.Corrected{
				At: schemas.Time(r.At), ChangeID: r.ChangeID, OccurredAt: schemas.Time(r.OccurredAt), Address: addressFrom(d.Address),
			}
		}
	case *schemas.FactRecorded:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.FactRecorded{
				At: schemas.Time(r.At), Source: r.Source, FactID: r.FactID, OccurredAt: schemas.Time(r.OccurredAt),
				Address: addressFrom(d.Address), Verified: r.Verified, Outcome: customer.FactOutcome(r.Outcome),
			}
		}
	case *schemas.EmailChanged:
		p, head, make = r.Personal, r.EventHead, func(d *schemas.PersonalData) customer.Event {
			return customer.EmailChanged{At: schemas.Time(r.At), Email: postal.Email(d.Email)}
		}
	default:
		return nil, schemas.EventHead{}, fmt.Errorf("event is a %s", rec.AvroName())
	}
	d, err := readPersonal(p)
	if err != nil {
		return nil, head, err
	}
	return make(d), head, nil
}
