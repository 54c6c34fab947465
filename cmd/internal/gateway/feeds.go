package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/feed"
)

const (
	feedPath   = "/v1/feeds/customer-changes"
	streamPath = feedPath + "/stream"
	atomType   = "application/atom+xml"
	jsonType   = "application/json"
	// keepPage is for how long a page that never changes may be kept by its reader: long enough to be read again by a job that
	// is repeated, and short, because it may hold what a customer wants to be forgotten.
	keepPage = "private, max-age=3600, immutable"
)

// FeedFilter chooses changes.
type FeedFilter struct {
	Customer string   `query:"customer" pattern:"^[A-Za-z0-9._~-]{1,64}$" doc:"Only this customer's changes; the role customer must name itself" example:"c-17"`
	Types    []string `query:"type" maxItems:"20" enum:"CustomerRegistered,CustomerMoved,AddressCorrected,EmailChanged,CustomerClosed,CustomerErased" doc:"Only these types, separated by commas"`
}

func (f FeedFilter) filter(c Caller) feed.Filter {
	return feed.Filter{Customer: f.Customer, Types: f.Types, Masked: !c.SeesPersons()}
}

// PageInput asks for a page of the feed.
type PageInput struct {
	FeedFilter
	After       string `query:"after" maxLength:"4000" doc:"The page after this position. A page that is full, and does not change any more, may be kept for an hour"`
	Before      string `query:"before" maxLength:"4000" doc:"The page before this position"`
	From        string `query:"from" enum:"newest,oldest" doc:"Without a position: the newest page, or the oldest that is kept. newest if not given"`
	Limit       int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"At most so many changes"`
	Accept      string `header:"Accept" maxLength:"400" doc:"application/json or application/atom+xml"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"200" doc:"ETag of the page that the caller has: 304 if it is the same"`
}

// FeedPage is a page of the feed as JSON.
type FeedPage struct {
	Changes  []api.Change `json:"changes" doc:"In the order of the log's time; those of one customer in the order of their versions"`
	Position string       `json:"position" doc:"The position after the page; Last-Event-ID of the stream takes it"`
	More     bool         `json:"more" doc:"There is something after the page already; a filter may have left a page empty all the same"`
	Links    FeedLinks    `json:"links"`
}

// FeedLinks lead through the feed, relative to the API.
type FeedLinks struct {
	Self     string `json:"self"`
	First    string `json:"first" doc:"The oldest page that is kept"`
	Previous string `json:"previous,omitempty" doc:"The page before"`
	Next     string `json:"next" doc:"What comes after; without more, ask again later"`
	Current  string `json:"current" doc:"The newest page"`
}

// FeedAnswer is a page, as JSON or as Atom.
type FeedAnswer struct {
	Status       int
	ContentType  string `header:"Content-Type"`
	ETag         string `header:"ETag" doc:"Of this page as this caller may see it"`
	CacheControl string `header:"Cache-Control"`
	Vary         string `header:"Vary"`
	Age          string `header:"Utopia-Age" doc:"For how many seconds the page may have missed something that was committed"`
	Body         []byte
}

func (g *Gateway) feedRoutes() {
	page := query("get-customer-changes", feedPath, "What has changed about customers, in pages (JSON, or Atom with the links of RFC 5005)")
	page.Tags = []string{"feeds"}
	page.Errors = []int{http.StatusNotAcceptable, http.StatusGone, http.StatusServiceUnavailable}
	schema := g.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[FeedPage](), true, "FeedPage")
	page.Responses = map[string]*huma.Response{
		"200": {Description: "A page", Content: map[string]*huma.MediaType{
			jsonType: {Schema: schema}, atomType: {Schema: &huma.Schema{Type: huma.TypeString, Description: "A feed document, RFC 4287; the text of an entry is its change as JSON"}},
		}},
		"304": {Description: "The caller has the page"},
	}
	add(g, page, g.feedPage)

	stream := query("stream-customer-changes", streamPath, "What changes about customers, as it happens (server-sent events)")
	stream.Tags = []string{"feeds"}
	stream.Description = "Each event has the name of its type, a change as JSON, and an id: the position after it. Who comes back with Last-Event-ID, to this " +
		"instance or another, gets everything that follows, each once. An id without data moves the position on. A reader that is too slow is cut off, and comes back."
	stream.Errors = []int{http.StatusNotAcceptable, http.StatusGone, http.StatusServiceUnavailable}
	stream.Responses = map[string]*huma.Response{
		"200": {Description: "Events until the caller goes away, or its token ends", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "The data of each event is a Change"}},
		}},
	}
	add(g, stream, g.stream)
}

// unfed is the problem with a question that the feed has not answered.
func unfed(err error) *Problem {
	var gone *feed.GoneError
	switch {
	case errors.As(err, &gone):
		p := problem(codePositionGone).because(gone.Error())
		p.Oldest = gone.Oldest
		return p
	case errors.Is(err, feed.ErrPosition):
		return problem(codePosition)
	}
	return problem(codeNotFed).with("Retry-After", "1") // also one whose caller has gone
}

func (g *Gateway) feedPage(ctx context.Context, in *PageInput) (*FeedAnswer, error) {
	if in.After != "" && in.Before != "" {
		return nil, fault("query.before", "is there together with after")
	}
	format := accepted(in.Accept, jsonType, atomType)
	if format == "" {
		return nil, problem(codeNotAcceptable)
	}
	age := g.age(changesName) // before the page is read: it can only be fresher than that
	caller := callerOf(ctx)
	var page feed.Page
	var err error
	if in.After != "" || in.Before == "" && in.From == "oldest" {
		page, err = g.feed.Forward(ctx, in.After, in.Limit, in.filter(caller))
	} else {
		page, err = g.feed.Backward(ctx, in.Before, in.Limit, in.filter(caller))
	}
	if err != nil {
		return nil, unfed(err)
	}
	out := &FeedAnswer{
		Status: http.StatusOK, ContentType: format, CacheControl: "private, no-cache", Vary: "Accept, Authorization", Age: age,
		ETag: pageTag(page, in, caller, format),
	}
	if page.Settled && (in.Before != "" || in.After != "" && page.More) {
		out.CacheControl = keepPage
	}
	if in.IfNoneMatch != "" && strings.Contains(in.IfNoneMatch, out.ETag) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	out.Body, err = in.write(page, format)
	return out, err
}

// accepted is what a caller wants of what there is, the first if it does not say; "" if it wants none of it.
func accepted(header string, kinds ...string) string {
	if header == "" {
		return kinds[0]
	}
	if best := negotiation.SelectQValueFast(header, kinds); best != "" {
		return best
	}
	if strings.Contains(header, "*/*") {
		return kinds[0]
	}
	for _, kind := range kinds {
		if group, _, _ := strings.Cut(kind, "/"); strings.Contains(header, group+"/*") {
			return kind
		}
	}
	return ""
}

// pageTag is the entity tag of a page: which part of the log, and how it is shown.
func pageTag(p feed.Page, in *PageInput, c Caller, format string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		p.After, p.Next, in.Customer, strings.Join(in.Types, ","), strconv.FormatBool(in.filter(c).Masked), strconv.FormatBool(p.More), format,
	}, " ")))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// link is the URL of another page under the same filter.
func (in *PageInput) link(name, value string) string {
	q := url.Values{}
	if name != "" {
		q.Set(name, value)
	}
	if in.Customer != "" {
		q.Set("customer", in.Customer)
	}
	if len(in.Types) > 0 {
		q.Set("type", strings.Join(in.Types, ","))
	}
	if in.Limit != 100 {
		q.Set("limit", strconv.Itoa(in.Limit))
	}
	if len(q) == 0 {
		return feedPath
	}
	return feedPath + "?" + q.Encode()
}

func (in *PageInput) links(p feed.Page) FeedLinks {
	l := FeedLinks{First: in.link("from", "oldest"), Next: in.link("after", p.Next), Current: in.link("", "")}
	switch {
	case in.After != "":
		l.Self = in.link("after", in.After)
	case in.Before != "":
		l.Self = in.link("before", in.Before)
	case in.From != "":
		l.Self = in.link("from", in.From)
	default:
		l.Self = l.Current
	}
	if p.Older {
		l.Previous = in.link("before", p.After)
	}
	return l
}
