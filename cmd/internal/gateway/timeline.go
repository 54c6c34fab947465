package gateway

import (
	"context"
	"errors"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/timeline"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// TimelineInput asks what has happened about a customer.
type TimelineInput struct {
	CustomerPath
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page after it in time"`
	Limit  int    `query:"limit" minimum:"0" maximum:"100" doc:"How many commands and events, 50 if not given; what followed from them comes with them"`
}

// Timeline is a page of it.
type Timeline struct {
	Age  string `header:"Utopia-Age" doc:"For how many seconds what is answered may have missed something that was committed"`
	Body timeline.Page
}

func (g *Gateway) timelineRoutes() {
	add(g, query("get-timeline", "/v1/customers/{id}/timeline", "What has happened about a customer, and what caused what: the newest page, oldest first"),
		func(ctx context.Context, in *TimelineInput) (*Timeline, error) {
			out := &Timeline{Age: g.age(topics.Customer)}
			var err error
			out.Body, err = g.Timeline().Read(ctx, in.ID, in.Cursor, pageOf(in.Limit))
			switch {
			case errors.Is(err, timeline.ErrCursor):
				return nil, fault("query.cursor", "is not the next of a page of this timeline")
			case errors.Is(err, processors.ErrNotFound):
				return nil, problem(codeNotFound)
			case err != nil:
				return nil, unread(err)
			}
			return out, nil
		})
}

// Timeline is where this gateway's timelines come from.
func (g *Gateway) Timeline() timeline.Sources {
	v := g.cfg.Views
	return timeline.Sources{
		History: g.cfg.History, Customers: v.Customers, Billing: v.Billing, Notifications: v.Notifications, Mails: v.Mails,
		Outcome: func(command, customer string) (schemas.ReplyFields, bool) {
			asker := g.asker(api.Customer())
			if asker == nil {
				return schemas.ReplyFields{}, false
			}
			found, _, _ := asker.Outcome(command)
			for _, f := range found {
				if f.Key == customer && answers(f, cluster.Ref{}) {
					return f, true
				}
			}
			return schemas.ReplyFields{}, false
		},
	}
}
