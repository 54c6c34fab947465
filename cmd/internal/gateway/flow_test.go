package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/flow"
	"utopia/cmd/internal/gateway"
	"utopia/topics"
)

// A stream tells once a second how records flow: who registers customers sees them in the topic of commands, and nobody is behind for
// long. Who has too many streams gets no other; without a cluster there is still a graph.
func TestHowRecordsFlow(t *testing.T) {
	w := start(t)
	g := w.gateway(func(c *gateway.Config) { c.StreamsPerCaller = 1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	resp := (&source{t: t}).open(ctx, g.url+"/v1/flow/stream")
	defer func() { _ = resp.Body.Close() }()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	if a := g.do(http.MethodGet, "/v1/flow/stream", ""); a.Status != http.StatusTooManyRequests {
		t.Errorf("a second stream: %d %s", a.Status, a.Body)
	}
	g.register("c-1")
	command := func(n flow.Node) bool {
		return n.ID == topics.CustomerCommands.Name && n.Rate != nil && *n.Rate > 0 && n.Dead != nil && *n.Dead == 0
	}
	handled := func(e flow.Edge) bool {
		return e.From == topics.CustomerCommands.Name && e.To == "processor/customer" && e.Lag != nil && *e.Lag == 0
	}
	seen, events := false, 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var s flow.Snapshot
		if err := json.Unmarshal([]byte(data), &s); err != nil {
			t.Fatal(err)
		}
		events++
		if seen = seen || slices.ContainsFunc(s.Nodes, command); seen && events > 1 && slices.ContainsFunc(s.Edges, handled) {
			break
		}
	}
	if !seen || events < 2 || ctx.Err() != nil {
		t.Errorf("%d events, the command seen: %v, %v", events, seen, ctx.Err())
	}
	now := gateway.Decoded[flow.Snapshot](t, g.do(http.MethodGet, "/v1/flow", ""))
	for _, e := range now.Edges {
		if strings.HasPrefix(e.To, "view/") && e.Lag == nil {
			t.Errorf("%s to %s: no lag", e.From, e.To)
		}
		if strings.HasPrefix(e.To, "processor/") && e.From != topics.WebhookState.Name && e.Lag == nil && !strings.HasPrefix(e.From, "sender/") && !strings.Contains(e.From, ".events.") && !strings.Contains(e.From, "-table") {
			t.Errorf("%s to %s: no lag", e.From, e.To)
		}
	}
	alone := gateway.Bare(t, func(c *gateway.Config) { c.Open = true })
	if a := gateway.Local(t, alone.Handler(), http.MethodGet, "/v1/flow", ""); a.Status != http.StatusOK || gateway.Decoded[flow.Snapshot](t, a).At != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := gateway.Local(t, alone.Handler(), http.MethodGet, "/v1/flow/stream", ""); a.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
