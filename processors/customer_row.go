package processors

import (
	"fmt"
	"time"

	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
)

// loadCustomer reads a row.
func loadCustomer(rec schemas.Record) (customer.State, []schemas.Handled, error) {
	r, ok := rec.(*schemas.CustomerRow)
	if !ok {
		return customer.State{}, nil, fmt.Errorf("row is a %s", rec.AvroName())
	}
	s := customer.State{
		Version: r.Version, Status: customer.Status(r.Status),
		Name: customer.Name(r.Name), Email: postal.Email(r.Email), Language: customer.Language(r.Language),
		Address: customer.Residence{
			Address: addressFrom(r.Address.Address), Reason: customer.Reason(r.Address.Reason), Version: r.Address.Version,
			Verified: r.Address.Verified, OccurredAt: schemas.Time(r.Address.OccurredAt), RecordedAt: schemas.Time(r.Address.RecordedAt),
			Source: r.Address.Source, FactID: r.Address.FactID,
		},
		Change: customer.Change{
			ID: r.Change.ChangeID, Status: customer.ChangeStatus(r.Change.Status), Address: addressFrom(r.Change.Address),
			Reason: customer.Reason(r.Change.Reason), Version: r.Change.Version,
			RequestedAt: schemas.Time(r.Change.RequestedAt), ExpiresAt: schemas.Time(r.Change.ExpiresAt),
			EffectiveAt: schemas.Time(r.Change.EffectiveAt), Reminded: r.Change.Reminded, Undeliverable: r.Change.Undeliverable,
		},
	}
	return s, r.Handled, nil
}

// saveCustomer is the reverse of loadCustomer.
func saveCustomer(key string, s customer.State, handled []schemas.Handled) schemas.Record {
	return &schemas.CustomerRow{
		CustomerID: key, Version: s.Version, Status: string(s.Status),
		Name: string(s.Name), Email: string(s.Email), Language: string(s.Language),
		Address: residence(s.Address),
		Change: schemas.Change{
			ChangeID: s.Change.ID, Status: string(s.Change.Status), Address: addressOf(s.Change.Address),
			Reason: string(s.Change.Reason), Version: s.Change.Version,
			RequestedAt: schemas.Millis(s.Change.RequestedAt), ExpiresAt: schemas.Millis(s.Change.ExpiresAt),
			EffectiveAt: schemas.Millis(s.Change.EffectiveAt), Reminded: s.Change.Reminded, Undeliverable: s.Change.Undeliverable,
		},
		Handled: handled,
	}
}

// publicCustomer is what others may know of a customer who is not erased.
func publicCustomer(key string, s customer.State, at time.Time) *schemas.CustomerState {
	out := &schemas.CustomerState{
		CustomerID: key, Version: s.Version, Status: schemas.OrUnknown(s.Status),
		Name: string(s.Name), Email: string(s.Email), Language: string(s.Language),
		Address: residence(s.Address), UpdatedAt: schemas.Millis(at),
	}
	out.Address.Reason = schemas.OrUnknown(out.Address.Reason)
	if c := s.Change; c.Status != customer.NoChange {
		out.Pending = &schemas.PendingChange{
			ChangeID: c.ID, Status: schemas.OrUnknown(c.Status), Reason: schemas.OrUnknown(c.Reason), Version: c.Version,
			RequestedAt: schemas.Millis(c.RequestedAt), ExpiresAt: schemas.Millis(c.ExpiresAt),
			EffectiveAt: schemas.Millis(c.EffectiveAt), Undeliverable: c.Undeliverable,
		}
	}
	return out
}

func residence(r customer.Residence) schemas.Residence {
	return schemas.Residence{
		Address: addressOf(r.Address), Reason: string(r.Reason), Version: r.Version, Verified: r.Verified,
		OccurredAt: schemas.Millis(r.OccurredAt), RecordedAt: schemas.Millis(r.RecordedAt), Source: r.Source, FactID: r.FactID,
	}
}
