package access

// Pages is who may open which page, by its pattern: whoever may do the same over the API. What is not in it nobody may open.
// The pages about logging in, the page behind a link of a mail, and the style sheet are for everybody and not in it.
func Pages() map[string][]Role {
	can := Policy()
	return map[string][]Role{
		"GET /{$}":                     Roles(),
		"GET /customers/{$}":           can["search-customers"],
		"POST /customers/{$}":          can["search-customers"],
		"GET /waiting":                 can["list-waiting-changes"],
		"GET /customers/{id}":          can["get-customer"],
		"GET /customers/{id}/versions": can["get-customer"],
		"GET /customers/{id}/timeline": can["get-timeline"],
		"GET /customers/{id}/move":     can["request-address-change"],
		"POST /customers/{id}/move":    can["request-address-change"],
		"GET /register":                can["register-customer"],
		"POST /register":               can["register-customer"],
		"GET /topics":                  can["list-topics"],
		"GET /flow":                    can["get-flow"],
		"GET /flow/stream":             can["stream-flow"],
		"GET /topics/{topic}":          can["get-topic"],
		"GET /schemas":                 can["list-schemas"],
		"GET /schemas/{name}":          can["get-schema"],
		"GET /dead-letters":            can["list-dead-letters"],
		"GET /dead-letters/{topic}/{partition}/{offset}":  can["get-dead-letter"],
		"POST /dead-letters/{topic}/{partition}/{offset}": can["retry-dead-letter"], // the same as who may drop one: the form does either
		"GET /webhooks":                can["list-webhooks"], // a partner's own alone
		"GET /dev/mail/{$}":            Roles(),              // in development everybody is also whoever a mail was sent to
		"GET /dev/mail/read/{id}":      Roles(),
		"GET /dev/mail/read/{id}/html": Roles(),
	}
}
