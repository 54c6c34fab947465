package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"utopia/cmd/internal/flow"
)

// pageStream is for how long a page's stream lasts; the browser comes back, and is asked again who it is.
const pageStream = 10 * time.Minute

// Flow is how records flow.
type Flow struct{ Body flow.Snapshot }

// FlowInput asks for it as a stream.
type FlowInput struct {
	Accept string `header:"Accept" maxLength:"400"`
}

func (g *Gateway) flowRoutes() {
	now := about("get-flow", "/v1/flow", "How records flow: who writes and reads what, with rates, lag and dead letters")
	now.Errors = nil
	add(g, now, func(context.Context, *struct{}) (*Flow, error) { return &Flow{g.FlowNow()}, nil })

	stream := about("stream-flow", "/v1/flow/stream", "How records flow, once a second (server-sent events)")
	stream.Errors = []int{http.StatusNotAcceptable, http.StatusServiceUnavailable}
	stream.Responses = map[string]*huma.Response{
		"200": {Description: "Events named flow until the caller goes away, or its token ends; while the cluster does not answer, one without numbers every 15 seconds", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "The data of each event is what /v1/flow answers"}},
		}},
	}
	add(g, stream, func(ctx context.Context, in *FlowInput) (*huma.StreamResponse, error) {
		if accepted(in.Accept, "text/event-stream") == "" {
			return nil, problem(codeNotAcceptable)
		}
		caller := callerOf(ctx)
		leave, p := g.enterFlow(caller.Name)
		if p != nil {
			return nil, p
		}
		return g.events(caller, leave, g.pumpFlow), nil //nolint:contextcheck // the request's own
	})
}

// FlowNow is what was measured last, for the pages.
func (g *Gateway) FlowNow() flow.Snapshot { return g.meter.Snapshot() }

// StreamFlow answers a page's script, for whoever may open the page. It counts as a stream of the caller.
func (g *Gateway) StreamFlow(w http.ResponseWriter, r *http.Request, caller string) {
	leave, p := g.enterFlow(caller)
	if p != nil {
		write(w, p)
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), pageStream)
	defer cancel()
	head(w)
	g.pumpFlow(ctx, w)
}

func (g *Gateway) enterFlow(caller string) (leave func(), p *Problem) {
	if !g.meter.Running() || g.ending.Err() != nil {
		return nil, problem(codeNotFed).with("Retry-After", "1")
	}
	return g.streams.enter(caller)
}

// pumpFlow writes each snapshot. Who is too slow for one a second misses some, and is cut off if it takes none.
func (g *Gateway) pumpFlow(ctx context.Context, w http.ResponseWriter) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ending, cancel)() //nolint:contextcheck // the gateway's end is the stream's, too
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // a test's recorder has none
	if !send(w, out, fmt.Appendf(nil, "retry: %d\n\n", back())) {
		return
	}
	var last flow.Snapshot
	for {
		next, err := g.meter.Next(ctx, last)
		if err != nil || !send(w, out, next.Event()) {
			return
		}
		last = next
	}
}
