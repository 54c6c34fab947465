package gateway

import "utopia/cmd/internal/access"

type (
	// Role is that of package access, which the pages ask, too.
	Role = access.Role
	// Caller is that of package access.
	Caller = access.Caller
)

// The roles.
const (
	CustomerRole = access.CustomerRole
	Clerk        = access.Clerk
	Operator     = access.Operator
	Partner      = access.Partner
	Everybody    = access.Everybody
)

// Roles are those that a caller can have.
func Roles() []Role { return access.Roles() }
