package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"utopia/cmd/internal/api"
	"utopia/processors"
	"utopia/processors/postal"
	"utopia/topics"
)

// defaultPage is how many rows a page has if nobody says.
const defaultPage = 50

// SearchInput looks for customers. It is posted, because what people are called and where they get mail does not belong into the logs of proxies.
type SearchInput struct {
	Body struct {
		Email  string `json:"email,omitempty" doc:"The whole address; upper and lower case are taken as the same" example:"grace@example.org"`
		Name   string `json:"name,omitempty" maxLength:"200" doc:"How words of the name begin, in any order; upper and lower case, and accents, are taken as the same" example:"grace hop"`
		City   string `json:"city,omitempty" maxLength:"200" doc:"How the city begins, likewise" example:"goud"`
		ID     string `json:"id,omitempty" pattern:"^[A-Za-z0-9._~-]{0,64}$" doc:"How the id begins" example:"c-1"`
		Cursor string `json:"cursor,omitempty" maxLength:"1024" doc:"next of the page before"`
		Limit  int    `json:"limit,omitempty" minimum:"0" maximum:"100" doc:"How many customers at most; 50 if not given"`
	}
}

// Found is a page of what a search has found.
type Found struct {
	Age  string `header:"Utopia-Age" doc:"For how many seconds what is answered may have missed something that was committed"`
	Body struct {
		Customers []api.CustomerState `json:"customers" nullable:"false"`
		Next      string              `json:"next,omitempty" doc:"The cursor of the next page; none: this was the last. A page may be shorter than its limit and have a next one"`
	}
}

// WaitingInput asks for the changes that wait.
type WaitingInput struct {
	WaitsFor string `query:"waitsFor" enum:"confirmation,mail,date" doc:"Only those that wait for this: the customer's confirmation; a mail that did not arrive; their date"`
	Cursor   string `query:"cursor" maxLength:"1024" doc:"next of the page before"`
	Limit    int    `query:"limit" minimum:"0" maximum:"100" doc:"How many at most; 50 if not given"`
}

// Waiting is a page of changes that wait.
type Waiting struct {
	Age  string `header:"Utopia-Age" doc:"For how many seconds what is answered may have missed something that was committed"`
	Body struct {
		Changes []api.WaitingChange `json:"changes" nullable:"false"`
		Next    string              `json:"next,omitempty" doc:"The cursor of the next page; none: this was the last"`
	}
}

func (g *Gateway) findRoutes() {
	search := query("search-customers", "/v1/customers/search", "Customers by e-mail address, name, city or how their id begins; without any of these, all of them by id")
	search.Method = http.MethodPost
	search.Errors = append(search.Errors, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	add(g, search, g.search)
	add(g, query("list-waiting-changes", "/v1/address-changes/waiting", "Address changes that wait, the oldest first, and what for"), g.waiting)
}

func (g *Gateway) search(ctx context.Context, in *SearchInput) (*Found, error) {
	s := processors.Search{ID: in.Body.ID, Name: in.Body.Name, City: in.Body.City}
	if in.Body.Email != "" {
		email, err := postal.ParseEmail(in.Body.Email)
		if err != nil {
			return nil, impossible(err)
		}
		s.Email = string(email)
	}
	out := &Found{Age: g.age(topics.Customer)} // before the rows are read: they can only be fresher than that
	page, err := processors.FindCustomers(g.cfg.Views.Customers, s, in.Body.Cursor, pageOf(in.Body.Limit))
	if err != nil {
		return nil, unfound(err, "body")
	}
	out.Body.Customers, out.Body.Next = []api.CustomerState{}, page.Next
	for _, c := range page.Customers {
		out.Body.Customers = append(out.Body.Customers, masked(callerOf(ctx), api.CustomerOf(c)))
	}
	return out, nil
}

func (g *Gateway) waiting(_ context.Context, in *WaitingInput) (*Waiting, error) {
	out := &Waiting{Age: g.age(topics.Customer)}
	page, err := processors.WaitingChanges(g.cfg.Views.Customers, in.WaitsFor, in.Cursor, pageOf(in.Limit))
	if err != nil {
		return nil, unfound(err, "query")
	}
	out.Body.Changes, out.Body.Next = []api.WaitingChange{}, page.Next
	for _, c := range page.Customers {
		out.Body.Changes = append(out.Body.Changes, api.WaitingOf(c, g.now().Truncate(time.Second)))
	}
	return out, nil
}

func pageOf(limit int) int {
	if limit == 0 {
		return defaultPage
	}
	return limit
}

// unfound is the problem with a search. What was looked for is not repeated.
func unfound(err error, in string) *Problem {
	switch {
	case errors.Is(err, processors.ErrCursor):
		return fault(in+".cursor", "is not the next of a page of this search")
	case errors.Is(err, processors.ErrNoWord):
		return fault(in, "has a name or city without a letter or digit")
	}
	return unread(err)
}
