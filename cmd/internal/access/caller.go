package access

import (
	"slices"
	"time"

	"utopia/topics"
)

// Caller is who sends a request.
type Caller struct {
	Name     string // for limits and logs
	Role     Role
	Customer string // of the role customer: who it is

	Until time.Time // when what proves it ends; zero: it does not

	Open bool // development: everything
}

// FromClaims makes a caller of what an issuer of tokens says about a subject; ok is false if no role that we know was given, or
// a customer's without saying whose.
func FromClaims(subject, role, customer string) (c Caller, ok bool) {
	c = Caller{Name: "token " + subject, Role: Role(role), Customer: customer}
	return c, c.Valid()
}

// Valid says whether there can be such a caller.
func (c Caller) Valid() bool {
	return slices.Contains(Roles(), c.Role) && (c.Role == CustomerRole) == topics.ValidID(c.Customer)
}

// Sees tells whether the caller may learn what became of a command about a customer.
func (c Caller) Sees(customer string) bool { return c.Role != CustomerRole || c.Customer == customer }

// SeesPersons tells whether the caller may see who customers are, and what records have in them.
func (c Caller) SeesPersons() bool { return c.Role != Partner }

// Owns tells whether a webhook is the caller's to see and change: a partner has its own, others have all.
func (c Caller) Owns(owner string) bool { return c.Role != Partner || c.Name == owner }

// May is the policy for one request; customer is the one in the path, empty if there is none.
func (c Caller) May(allowed []Role, customer string) bool {
	switch {
	case c.Open:
		return true
	case !slices.Contains(allowed, c.Role):
		return false
	case c.Role == CustomerRole && customer != "":
		return c.Customer == customer
	}
	return true
}
