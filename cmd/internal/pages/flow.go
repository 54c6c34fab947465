package pages

import (
	"math"
	"net/http"
	"strconv"

	"utopia/cmd/internal/flow"
)

// Flow tells how records flow; *gateway.Gateway does.
type Flow interface {
	FlowNow() flow.Snapshot
	// StreamFlow writes each snapshot until the caller goes away, or has too many streams.
	StreamFlow(w http.ResponseWriter, r *http.Request, caller string)
}

// flowPage is the picture, and the same in tables.
type flowPage struct {
	flow.Picture
	At     string
	Topics []flow.Node
	Groups []reading
}

// reading is a topic that a consumer group reads.
type reading struct {
	flow.Edge
	Group string
}

// flow shows how records flow. The picture is drawn here; a script changes its numbers.
func (h *handler) flow(w http.ResponseWriter, _ *http.Request) {
	now := h.cfg.Clerk.Flow.FlowNow()
	p := flowPage{Picture: h.picture.With(now), At: now.At}
	groups := map[string]string{}
	for _, n := range now.Nodes {
		switch n.Kind {
		case flow.TopicNode:
			p.Topics = append(p.Topics, n)
		case flow.Processor, flow.Worker, flow.View:
			groups[n.ID] = n.Name
		}
	}
	for _, e := range now.Edges {
		if name, ok := groups[e.To]; ok && e.Measured() {
			p.Groups = append(p.Groups, reading{e, name})
		}
	}
	h.show(w, http.StatusOK, "flow", page{Title: "How records flow", Script: "flow.js", Place: "/flow", Wide: true, Data: p})
}

func (h *handler) flowStream(w http.ResponseWriter, r *http.Request) {
	h.cfg.Clerk.Flow.StreamFlow(w, r, h.caller.Name)
}

// perSecond writes a rate as the script does.
func perSecond(rate *float64) string {
	if rate == nil {
		return "–"
	}
	tenths := int64(math.Round(*rate * 10))
	return number(tenths/10) + "." + strconv.FormatInt(tenths%10, 10)
}

// count writes a number that may not be known.
func count(n *int64) string {
	if n == nil {
		return "–"
	}
	return number(*n)
}

// some says whether there is more than nothing.
func some(n *int64) bool { return n != nil && *n > 0 }
