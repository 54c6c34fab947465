package processors

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"utopia/processors/customer"
	"utopia/processors/postal"
	"utopia/schemas"
)

// Events come back from their bytes as they were, and what is personal is in the personal part only.
func TestEventsSurviveTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := someTime(t, "at")
		e := someEvent(t, at)
		m := eventMeta{Key: "c-1", Version: rapid.Int64Range(1, 1<<40).Draw(t, "version"), At: at, Cause: schemas.Metadata{CommandID: "k"}}
		rec, err := customerEvent(m, e)
		if err != nil {
			t.Fatal(err)
		}
		b, err := schemas.AppendPrivate(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		back, err := schemas.DecodePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		got, h, err := readCustomerEvent(back)
		if err != nil {
			t.Fatal(err)
		}
		if got != e || h.Version != m.Version || h.CommandID != "k" || h.At != schemas.Millis(at) {
			t.Fatalf("%+v came back as %+v (%+v)", e, got, h)
		}
		personal := personalPart(back)
		if bytes.Count(b, []byte("canary")) != bytes.Count(personal, []byte("canary")) {
			t.Fatalf("%T has something personal outside its personal part", rec)
		}
	})
}

func TestRowsSurviveTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := customer.State{
			Version: rapid.Int64().Draw(t, "version"),
			Status:  rapid.SampledFrom([]customer.Status{"", "unregistered", "active", "closed", "erased"}).Draw(t, "status"),
			Name:    customer.Name(someText(t, "name")), Email: postal.Email(someText(t, "email")), Language: customer.Language(someText(t, "language")),
			Address: customer.Residence{
				Address: someAddress(t), Reason: customer.Reason(someText(t, "reason")), Version: rapid.Int64().Draw(t, "address version"),
				Verified: rapid.Bool().Draw(t, "verified"), OccurredAt: someTime(t, "occurred"), RecordedAt: someTime(t, "recorded"),
				Source: someText(t, "source"), FactID: someText(t, "fact"),
			},
			Change: customer.Change{
				ID: someText(t, "change"), Status: customer.ChangeStatus(someText(t, "change status")), Address: someAddress(t),
				Reason: customer.Reason(someText(t, "change reason")), Version: rapid.Int64().Draw(t, "change version"),
				RequestedAt: someTime(t, "requested"), ExpiresAt: someTime(t, "expires"), EffectiveAt: someTime(t, "effective"),
				Reminded: rapid.Int64().Draw(t, "reminded"), Undeliverable: someText(t, "undeliverable"),
			},
		}
		handled := []schemas.Handled{{ID: rapid.Int64().Draw(t, "id"), Body: 2, Refusal: "x", Version: 3, At: 4}}
		b, err := schemas.AppendPrivate(nil, saveCustomer("c-1", s, handled))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := schemas.DecodePrivate(b)
		if err != nil {
			t.Fatal(err)
		}
		got, ids, err := loadCustomer(rec)
		if err != nil {
			t.Fatal(err)
		}
		if got != s || len(ids) != 1 || ids[0] != handled[0] {
			t.Fatalf("%+v came back as %+v, %v", s, got, ids)
		}
	})
}

func TestARowOfAnotherGroupIsNotRead(t *testing.T) {
	if _, _, err := loadCustomer(&schemas.MailRow{}); err == nil {
		t.Error("a mail's row was read as a customer's")
	}
	if _, _, err := readCustomerEvent(&schemas.MailRow{}); err == nil {
		t.Error("a mail's row was read as an event")
	}
	if _, _, err := readCustomerEvent(&schemas.EmailChanged{Personal: schemas.Personal{KeyID: 7}}); err == nil {
		t.Error("an encrypted event was read without its key")
	}
	if _, _, err := readCustomerEvent(&schemas.EmailChanged{Personal: schemas.Personal{Data: []byte("x")}}); err == nil {
		t.Error("garbage was read as a personal part")
	}
}

func someTime(t *rapid.T, name string) time.Time {
	return schemas.Time(rapid.Int64Range(0, 4e12).Draw(t, name))
}

func someText(t *rapid.T, name string) string {
	return rapid.StringMatching(`[a-z0-9é山]{0,12}`).Draw(t, name)
}

func someAddress(t *rapid.T) postal.Address {
	return postal.Restore(postal.Fields{
		Country: "NL", Region: someText(t, "region"), City: "canary" + someText(t, "city"), District: someText(t, "district"),
		PostCode: someText(t, "post code"), SortingCode: someText(t, "sorting code"), Street: "canary\n" + someText(t, "street"),
	})
}

func someEvent(t *rapid.T, at time.Time) customer.Event {
	id := someText(t, "change")
	return rapid.SampledFrom([]customer.Event{
		customer.Registered{
			At: at, Name: customer.Name("canary" + someText(t, "name")), Email: postal.Email("canary" + someText(t, "email")),
			Language: "nl", Address: someAddress(t), KeepsFact: rapid.Bool().Draw(t, "keeps"),
		},
		customer.ChangeRequested{
			At: at, ChangeID: id, Address: someAddress(t), Reason: customer.ReasonCorrected, ExpiresAt: someTime(t, "expires"),
			EffectiveAt: someTime(t, "effective"), Supersedes: someText(t, "supersedes"),
		},
		customer.ConfirmationReminded{At: at, ChangeID: id},
		customer.ConfirmationUndeliverable{At: at, ChangeID: id, Mail: rapid.Int64().Draw(t, "mail"), Detail: someText(t, "detail")},
		customer.ChangeScheduled{At: at, ChangeID: id, EffectiveAt: someTime(t, "effective")},
		customer.ChangeCancelled{At: at, ChangeID: id},
		customer.ChangeExpired{At: at, ChangeID: id},
		customer.ChangeOutdated{At: at, ChangeID: id},
		customer.Moved{
			At: at, ChangeID: id, Source: someText(t, "source"), FactID: someText(t, "fact"), OccurredAt: someTime(t, "occurred"),
			Address: someAddress(t), Verified: rapid.Bool().Draw(t, "verified"),
		},
		customer.Corrected{At: at, ChangeID: id, OccurredAt: someTime(t, "occurred"), Address: someAddress(t)},
		customer.FactRecorded{
			At: at, Source: someText(t, "source"), FactID: someText(t, "fact"), OccurredAt: someTime(t, "occurred"),
			Address: someAddress(t), Verified: rapid.Bool().Draw(t, "verified"), Outcome: customer.FactSame,
		},
		customer.EmailChanged{At: at, Email: postal.Email("canary" + someText(t, "email"))},
		customer.Closed{At: at},
		customer.Erased{At: at},
	}).Draw(t, "event")
}

// personalPart is the bytes of an event that may be personal.
func personalPart(rec schemas.Record) []byte {
	switch r := rec.(type) {
	case *schemas.CustomerRegistered:
		return r.Personal.Data
	case *schemas.AddressChangeRequested:
		return r.Personal.Data
	case *schemas.CustomerMoved:
		return r.Personal.Data
	case *schemas.AddressCorrected:
		return r.Personal.Data
	case *schemas.FactRecorded:
		return r.Personal.Data
	case *schemas.EmailChanged:
		return r.Personal.Data
	}
	return nil
}
