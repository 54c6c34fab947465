package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"utopia/cmd/internal/flow"
	"utopia/cmd/internal/pages"
	"utopia/topics"
)

// river is a flow that a test has measured.
type river struct{ flow.Snapshot }

func (r river) FlowNow() flow.Snapshot { return r.Snapshot }

func (r river) StreamFlow(w http.ResponseWriter, _ *http.Request, caller string) {
	_, _ = fmt.Fprintf(w, "event: flow\n: %s\n\n", caller)
}

func flowing(c *pages.Config) { c.Clerk.Flow = river{flow.Snapshot{Graph: flow.NewGraph()}} }

// The picture and the tables below it say the same, also to those who have no script; without a cluster there is still a picture.
func TestHowRecordsFlow(t *testing.T) {
	now := flow.Snapshot{Graph: flow.NewGraph(), At: "2026-11-26T12:00:01.5Z"}
	rate, read, dead, lag := 1234.5, 987.6, int64(2), int64(4321)
	for i := range now.Nodes {
		if now.Nodes[i].ID == topics.CustomerCommands.Name {
			now.Nodes[i].Rate, now.Nodes[i].Dead = &rate, &dead
		}
	}
	measured := 0
	for i := range now.Edges {
		if now.Edges[i].Measured() {
			measured++
			now.Edges[i].Lag, now.Edges[i].Rate = &lag, &read
		}
	}
	h := newTown(t).clerk(t, func(c *pages.Config) { c.Clerk.Flow = river{now} })
	w := get(h, "/flow")
	has(t, w, 200, `aria-current="page">Flow</a>`, "12:00:01</time>", `<svg viewBox="0 0 `, `aria-hidden="true"`, "flow.js", `data-stream="/flow/stream"`)
	body := w.Body.String()
	picture, tables, _ := strings.Cut(body, "</svg>")
	for what, text := range map[string]string{"a rate": ">1,234.5<", "dead letters": ">2<"} {
		if strings.Count(picture, text) != 1 || strings.Count(tables, text) != 1 {
			t.Errorf("%s: %d times in the picture, %d in the tables", what, strings.Count(picture, text), strings.Count(tables, text))
		}
	}
	for _, text := range []string{">4,321<", ">987.6<"} {
		if n := strings.Count(picture, text); n != measured || n != strings.Count(tables, text) {
			t.Errorf("%s at %d arrows: %d times in the picture, %d in the tables", text, measured, n, strings.Count(tables, text))
		}
	}
	for _, n := range now.Nodes {
		if !strings.Contains(picture, ">"+n.Name+"<") && !strings.Contains(picture, `data-rate="`+n.ID+`"`) {
			t.Errorf("%s is not in the picture", n.ID)
		}
	}
	has(t, get(h, "/flow/stream"), 200, "development") // who looks has a limit of streams
	has(t, get(newTown(t).clerk(t, flowing), "/flow"), 200, "Not known now: the cluster does not answer.", "–")
	has(t, get(newTown(t).clerk(t), "/flow"), 404)
}
