// Package access says who may do what: roles, callers, and the one policy of the API's operations, which the pages ask, too.
// How somebody proves who they are is not decided here.
package access

// Role is what a caller is.
type Role string

// The roles. A caller has one.
const (
	// CustomerRole is a customer, or a front-end that speaks for one: only about itself.
	CustomerRole Role = "customer"
	// Clerk serves customers.
	Clerk Role = "clerk"
	// Operator looks after the system.
	Operator Role = "operator"
	// Partner is somebody outside who works with customers and need not know who they are.
	Partner Role = "partner"
	// Everybody need not say who they are.
	Everybody Role = "everybody"
)

// Roles are those that a caller can have.
func Roles() []Role { return []Role{CustomerRole, Clerk, Operator, Partner} }

// Policy is who may do what, by operation id. What is not in it nobody may do.
func Policy() map[string][]Role {
	return map[string][]Role{
		"register-customer":         {Clerk},
		"request-address-change":    {CustomerRole, Clerk},
		"confirm-address-change":    {Clerk}, // a customer confirms by the link: that is what proves the address of the mail
		"cancel-address-change":     {CustomerRole, Clerk, Operator},
		"cancel-any-address-change": {CustomerRole, Clerk, Operator},
		"change-email":              {CustomerRole, Clerk},
		"close-customer":            {Clerk},
		"erase-customer":            {Operator}, // cannot be undone, so not those who do most
		"issue-invoice":             {Clerk},
		"pay-invoice":               {Clerk, Partner},
		"get-customer":              {CustomerRole, Clerk, Operator, Partner},
		"get-billing":               {CustomerRole, Clerk, Operator, Partner},
		"get-notifications":         {CustomerRole, Clerk, Operator},
		"get-mail":                  {Operator},
		"get-customer-changes":      {CustomerRole, Clerk, Operator, Partner}, // customers: only with themselves as filter, see subject
		"stream-customer-changes":   {CustomerRole, Clerk, Operator, Partner},
		"get-command":               {CustomerRole, Clerk, Operator, Partner},
		"get-timeline":              {CustomerRole, Clerk, Operator},
		"search-customers":          {Clerk, Operator},
		"list-waiting-changes":      {Clerk, Operator},
		"list-webhooks":             {Operator, Partner}, // a partner's own alone
		"get-webhook":               {Operator, Partner},
		"register-webhook":          {Operator, Partner}, // a partner's are thin
		"change-webhook":            {Operator, Partner},
		"pause-webhook":             {Operator, Partner},
		"resume-webhook":            {Operator, Partner},
		"rotate-webhook-secret":     {Operator, Partner},
		"redeliver-webhook":         {Operator, Partner},
		"close-webhook":             {Operator, Partner},
		"list-topics":               {Clerk, Operator}, // how the system is made, also what is private in it: for those inside
		"get-flow":                  {Clerk, Operator},
		"stream-flow":               {Clerk, Operator},
		"get-topic":                 {Clerk, Operator},
		"list-schemas":              {Clerk, Operator},
		"get-schema":                {Clerk, Operator},
		"list-dead-letters":         {Operator},
		"get-dead-letter":           {Operator},
		"retry-dead-letter":         {Operator},
		"drop-dead-letter":          {Operator},
		"confirm-by-link":           {Everybody},
		"reject-by-link":            {Everybody},
	}
}
