package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"utopia/processors"
	"utopia/processors/billing"
	"utopia/processors/customer"
	"utopia/processors/mail"
	"utopia/processors/notification"
	"utopia/processors/postal"
	"utopia/processors/webhook"
)

// Codes of the problems that the gateway itself has with a request, beside the refusals of the services.
const (
	codeMalformed      = "malformed"
	codeUnauthorized   = "unauthorized"
	codeForbidden      = "forbidden"
	codeCrossOrigin    = "cross_origin"
	codeNotFound       = "not_found"
	codeUnknownCommand = "unknown_command"
	codeMethod         = "method_not_allowed"
	codeNotAcceptable  = "not_acceptable"
	codeSlow           = "request_timeout"
	codeTooLargeBody   = "request_too_large"
	codeMediaType      = "unsupported_media_type"
	codeID             = "id"
	codeLink           = "link"
	codeLinkExpired    = "link_expired"
	codeWebhooksOff    = "webhooks_off"
	codeWebhooksMany   = "too_many_webhooks"
	codeRate           = "too_many_requests"
	codeInternal       = "internal"
	codeUnavailable    = "unavailable"
	codeNotReady       = "view_not_ready"
	codeNotReached     = "receipt_not_reached"
	codePosition       = "position"
	codePositionGone   = "position_gone"
	codeNotFed         = "feed_not_ready"
	codeStreams        = "too_many_streams"
	codeStreamsFull    = "no_room_for_streams"
	codeDecided        = "letter_decided"
	codeOvertaken      = "letter_overtaken"
	codeNotSendable    = "letter_not_sendable"
	codeUnsettled      = "unsettled"
)

// kind is what all problems of one type have in common.
type kind struct {
	status int
	title  string
}

func ownKinds() map[string]kind {
	return map[string]kind{
		codeMalformed:      {http.StatusBadRequest, "The request is not what the API document describes"},
		codeUnauthorized:   {http.StatusUnauthorized, "The request needs a valid bearer token: an API key or a JWT"},
		codeForbidden:      {http.StatusForbidden, "The caller may not do this"},
		codeCrossOrigin:    {http.StatusForbidden, "Another site's page may not send this request"},
		codeNotFound:       {http.StatusNotFound, "There is nothing here"},
		codeUnknownCommand: {http.StatusNotFound, "No outcome of this command is remembered; sending it again with the same Idempotency-Key is safe and gets it"},
		codeMethod:         {http.StatusMethodNotAllowed, "This resource has no such method"},
		codeNotAcceptable:  {http.StatusNotAcceptable, "Answers are JSON; of a feed also Atom, of a stream events"},
		codeSlow:           {http.StatusRequestTimeout, "The body of the request did not come in time"},
		codeTooLargeBody:   {http.StatusRequestEntityTooLarge, "The body of the request is larger than 64 KiB"},
		codeMediaType:      {http.StatusUnsupportedMediaType, "Bodies are application/json"},
		codeID:             {http.StatusUnprocessableEntity, "An id is 1 to 64 of A-Z a-z 0-9 . _ ~ -"},
		codeLink:           {http.StatusUnprocessableEntity, "The link is damaged, or was not made by us"},
		codeLinkExpired:    {http.StatusGone, "The link has expired"},
		codeWebhooksOff:    {http.StatusConflict, "This gateway has no key that secrets of webhooks are derived from"},
		codeWebhooksMany:   {http.StatusConflict, "There are as many webhooks as there may be"},
		codeRate:           {http.StatusTooManyRequests, "Too many requests; try again later"},
		codeInternal:       {http.StatusInternalServerError, "A defect of the gateway; nothing is known to have changed"},
		codeUnavailable:    {http.StatusServiceUnavailable, "The log cannot be written now; sending the command again with the same Idempotency-Key is safe"},
		codeNotReady:       {http.StatusServiceUnavailable, "The view is still reading the log"},
		codePosition:       {http.StatusBadRequest, "The position is damaged, or was not given out by this feed"},
		codePositionGone:   {http.StatusGone, "The feed no longer has everything after this position; what was missed is in the states"},
		codeNotFed:         {http.StatusServiceUnavailable, "The feed cannot be read now"},
		codeStreams:        {http.StatusTooManyRequests, "The caller has too many streams open"},
		codeStreamsFull:    {http.StatusServiceUnavailable, "This instance has no room for another stream"},
		codeDecided:        {http.StatusConflict, "The dead letter has been decided otherwise; a decision is final"},
		codeOvertaken:      {http.StatusConflict, "A later record of this key has replaced the dead letter; sent again, the old one would be the newest"},
		codeNotSendable:    {http.StatusConflict, "The dead letter cannot be sent again: it was too large to be kept, or does not say where it came from"},
		codeUnsettled:      {http.StatusServiceUnavailable, "Nobody knows yet whether it is done; asking again is safe and gets the answer, or does it"},
		codeNotReached:     {http.StatusGatewayTimeout, "The view has not reached the receipt in time"},
	}
}

// refusalStatus is the status of each refusal that a service can answer with. Every refusal of every core is here; a test asks.
func refusalStatus() map[string]int {
	m := map[string]int{}
	for status, codes := range map[int][]string{
		http.StatusNotFound: {"not_registered", "invoice_unknown", "mail_unknown", "webhook_unknown"},
		http.StatusGone:     {"erased", "expired", "customer_forgotten"},
		http.StatusConflict: {
			"already_registered", "not_active", "same_address", "same_email", "no_pending_change", "other_change", "already_confirmed",
			"not_confirmed", "already_reminded", "not_due", "other_deadline", "fact_known", "other_mail",
			"invoice_exists", "invoice_paid", "too_many_open", "too_many_invoices",
			"webhook_exists", "same_target", "webhook_not_active", "webhook_active", "late_report", "no_trouble", "too_many_troubles", "too_early",
			"mail_exists", "already_reported", "outdated", "still_needed",
		},
		http.StatusPreconditionFailed: {"version_conflict"},
		http.StatusUnprocessableEntity: {
			"name", "language", "no_address", "no_email", "unknown_reason", "effective_in_past", "effective_too_late", "no_source", "no_time",
			"unknown_country", "incomplete_address", "post_code", "post_code_region", "not_text", "control_character", "too_long",
			"too_many_lines", "email", "email_too_long",
			"url", "events", "payload", "owner", "key_id", "customer_id", "report", "from_in_future",
			"invoice_id", "amount", "currency", "text",
			"recipient", "subject", "html", "link", "sender", "reply_to", "correlation_id", "mail_id", "result",
			"id_reused", "too_large", "metadata", "invalid",
		},
	} {
		for _, code := range codes {
			m[code] = status
		}
	}
	return m
}

// refusalTitles are the sentences of the refusals; where cores share a code, the customer's come first.
func refusalTitles() map[string]string {
	m := map[string]string{
		"id_reused": "This Idempotency-Key was used before for another command", "too_large": "What this command leads to is too large",
		"metadata": "An id in the command's metadata is not valid", "still_needed": "The row is still needed",
		"invalid": "The command is not valid", "not_due": "The deadline has not passed yet",
	}
	for _, core := range []struct {
		all  []error
		code func(error) string
	}{
		{customer.Refusals(), customer.Code},
		{billing.Refusals(), billing.Code},
		{mail.Refusals(), mail.Code},
		{notification.Refusals(), notification.Code},
		{webhook.Refusals(), webhook.Code},
	} {
		for _, err := range core.all {
			code := core.code(err)
			if _, ok := m[code]; ok {
				continue
			}
			m[code] = strings.ToUpper(err.Error()[:1]) + err.Error()[1:]
			if postal.Code(err) != "" && !strings.Contains(err.Error(), "e-mail") && code != "unknown_country" {
				m[code] = "A part of the name or address " + err.Error()
			}
		}
	}
	return m
}

// kinds is every type of problem, by code.
//
//nolint:gochecknoglobals // a constant that Go spells var
var kinds = sync.OnceValue(func() map[string]kind {
	m := map[string]kind{}
	titles := refusalTitles()
	for code, status := range refusalStatus() {
		m[code] = kind{status, titles[code]}
	}
	for _, code := range processors.Refusals() {
		if _, ok := m[code]; !ok {
			panic("gateway: no status for the refusal " + code)
		}
	}
	maps.Copy(m, ownKinds())
	return m
})

// Problem is a problem detail (RFC 9457). Type is stable; so is Code, its last part.
type Problem struct {
	Type      string  `json:"type" doc:"What kind of problem this is; it never changes and says more when it is opened" example:"/problems/not_registered"`
	Title     string  `json:"title" doc:"The type as a sentence"`
	Status    int     `json:"status" doc:"The HTTP status"`
	Code      string  `json:"code" doc:"The last part of type"`
	Detail    string  `json:"detail,omitempty" doc:"What is wrong this time, for people"`
	CommandID string  `json:"commandId,omitempty" doc:"The command that was refused"`
	Version   int64   `json:"version,omitempty" doc:"The current version of the aggregate"`
	Repeat    bool    `json:"repeat,omitempty" doc:"The command had been refused before; this is the first answer again"`
	Oldest    string  `json:"oldest,omitempty" doc:"The oldest position of the feed that can still be gone on from"`
	Faults    []Fault `json:"faults,omitempty" doc:"Where the request is wrong"`

	headers http.Header
}

// Fault is one place where a request is wrong. What was there is not repeated.
type Fault struct {
	Location string `json:"location" doc:"For example body.email"`
	Message  string `json:"message"`
}

func problem(code string) *Problem {
	k, ok := kinds()[code]
	if !ok { // a refusal newer than this gateway
		k = kind{http.StatusConflict, "The command was refused"}
	}
	return &Problem{Type: "/problems/" + code, Title: k.title, Status: k.status, Code: code, headers: http.Header{}}
}

func (p *Problem) because(detail string) *Problem {
	p.Detail = detail
	return p
}

func (p *Problem) with(header, value string) *Problem {
	p.headers.Set(header, value)
	return p
}

// Error implements error.
func (p *Problem) Error() string { return p.Title }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// fromStatus makes a problem of what huma says about a request. Its messages may quote the request, which may be personal; only
// where it is wrong is told on.
func fromStatus(status int, message string, errs ...error) huma.StatusError {
	code := map[int]string{
		http.StatusNotAcceptable: codeNotAcceptable, http.StatusRequestTimeout: codeSlow,
		http.StatusRequestEntityTooLarge: codeTooLargeBody, http.StatusUnsupportedMediaType: codeMediaType,
	}[status]
	switch {
	case code != "":
		return problem(code)
	case status >= http.StatusInternalServerError && message != "cannot read request body":
		return problem(codeInternal)
	}
	p := problem(codeMalformed)
	for _, err := range errs {
		d, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		detail := d.ErrorDetail()
		fault := Fault{detail.Location, detail.Message}
		if text, ok := detail.Value.(string); ok && detail.Location == "body" && text != "" {
			fault.Message = "is not JSON in UTF-8, or not of the types that are described"
		}
		p.Faults = append(p.Faults, fault)
	}
	if len(p.Faults) == 0 {
		p.Detail = message
	}
	slices.SortFunc(p.Faults, func(a, b Fault) int { return strings.Compare(a.Location, b.Location) })
	return p
}

// useProblems makes huma speak of problems as this package does. Huma keeps that in variables of its package.
//
//nolint:gochecknoglobals // once for the process
var useProblems = sync.OnceFunc(func() {
	huma.NewError = fromStatus
	huma.NewErrorWithContext = func(_ huma.Context, status int, message string, errs ...error) huma.StatusError {
		return fromStatus(status, message, errs...)
	}
	huma.ValidateStrictCasing = true // NAME is no name
})
