package processors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

// addressOf is an address as records carry it, addressFrom its reverse. Another service's address is taken as it is: its
// owner has judged it, by rules that may be other ones today.
func addressOf(a postal.Address) schemas.Address { return schemas.Address(a.Fields()) }

func addressFrom(a schemas.Address) postal.Address { return postal.Restore(postal.Fields(a)) }

// traceID is an id as it goes on to what follows: unchanged if every service takes it, else one that is made of it.
func traceID(id string) string {
	if id == "" || topics.ValidDerivedID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256/" + hex.EncodeToString(sum[:])
}

// customerCause says which version of a customer caused what follows from one of its public records. A tombstone tells
// nothing.
func customerCause(rec schemas.Record) schemas.Metadata {
	cause := func(customer string, h schemas.EventHead) schemas.Metadata {
		return schemas.Metadata{CausationID: fmt.Sprintf("%s/%d", customer, h.Version), CorrelationID: traceID(h.CorrelationID)}
	}
	switch r := rec.(type) {
	case *schemas.CustomerState:
		return cause(r.CustomerID, schemas.EventHead{Version: r.Version})
	case *schemas.PublicCustomerRegistered:
		return cause(r.CustomerID, r.EventHead)
	case *schemas.PublicCustomerMoved:
		return cause(r.CustomerID, r.EventHead)
	case *schemas.PublicAddressCorrected:
		return cause(r.CustomerID, r.EventHead)
	case *schemas.PublicEmailChanged:
		return cause(r.CustomerID, r.EventHead)
	case *schemas.PublicCustomerClosed:
		return cause(r.CustomerID, r.EventHead)
	case *schemas.PublicCustomerErased:
		return cause(r.CustomerID, r.EventHead)
	}
	return schemas.Metadata{}
}
