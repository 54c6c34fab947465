//go:build broker

package broker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/live"
	"utopia/topics"
)

// gateway is one that runs, and where.
type gateway struct {
	*live.Process
	url string
}

// gatewayFlags let everybody in: these tests are about the gateway's own rights.
func gatewayFlags(listen, keys string) []string {
	return []string{"--listen", listen, "--open", "--link-keys", keys}
}

func (s *secured) gateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	w := s.as(t, topics.Gateway)
	w.Extra = append(w.Extra, "UTOPIA_CUSTOMER_QUERY_KEY=the key")
	address := fmt.Sprintf("127.0.0.1:%d", w.FreePort())
	g := &gateway{url: "http://" + address}
	g.Process = w.SpawnGateway("gateway-1", append(gatewayFlags(address, w.LinkKeys()), flags...)...)
	w.Until(2*time.Minute, "the gateway is ready", func() (bool, error) { return g.send(t, http.MethodGet, "/readyz", "") == "ok", nil })
	return g
}

// send returns the body of a good answer, otherwise nothing.
func (g *gateway) send(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		if path == "/readyz" {
			return "" // it is asked again
		}
		t.Logf("%s %s: %d %s %v", method, path, resp.StatusCode, b, err)
		return ""
	}
	return strings.TrimSpace(string(b))
}

// serves uses what the gateway has its rights for: the commands, replies and states of all services.
func (g *gateway) serves(t *testing.T) {
	t.Helper()
	const person = `{"name":"Grace","email":"grace@example.org","address":{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}}`
	for _, one := range []struct{ method, path, body, after, want string }{
		{http.MethodPut, "/v1/customers/acl-2", person, "", `"receipt":"customer/acl-2@1"`},
		{http.MethodGet, "/v1/customers/acl-2", "", "customer/acl-2@1", "Grace"},
		{http.MethodPut, "/v1/customers/acl-2/billing/invoices/i-2", `{"amountCents":100,"currency":"EUR"}`, "", `"accepted"`},
		{http.MethodGet, "/v1/customers/acl-2/billing", "", "customer/acl-2@1", `"customerVersion":1`},
		{http.MethodGet, "/v1/customers/acl-2/notifications", "", "customer/acl-2@1", `"customerVersion":1`},
		{http.MethodGet, "/v1/customers/acl-2/timeline", "", "", `"kind":"command"`}, // from the query side of the customer service
		{http.MethodGet, "/v1/mails/customer%2Facl-1%2F2%2F1", "", "", `"sent"`},
	} {
		headers := []string{"Prefer", "wait=30"}
		if one.after != "" {
			headers = append(headers, "Utopia-After", one.after)
		}
		if got := g.send(t, one.method, one.path, one.body, headers...); !strings.Contains(got, one.want) {
			t.Errorf("%s %s does not say %q: %s", one.method, one.path, one.want, got)
		}
	}
}

// decides uses what the gateway and operators have their rights for about dead letters: one is sent again over the API, comes back, and is
// dropped with the command line.
func (g *gateway) decides(t *testing.T, s *secured) {
	t.Helper()
	admin := s.admin.With(t)
	bad := &kgo.Record{Topic: topics.BillingCommands.Name, Key: []byte("acl-3"), Value: []byte("not avro")}
	if err := admin.Client.ProduceSync(t.Context(), bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	open := func(not string) (ref string) {
		admin.Until(time.Minute, "an open dead letter is listed", func() (bool, error) {
			ref = ""
			if _, rest, ok := strings.Cut(g.send(t, http.MethodGet, "/v1/dead-letters?state=open", ""), `"ref":"`); ok {
				ref, _, _ = strings.Cut(rest, `"`)
			}
			return ref != "" && ref != not, nil
		})
		return ref
	}
	first := open("")
	if got := g.send(t, http.MethodPost, "/v1/dead-letters/"+first+"/retry", `{"reason":"a test"}`); !strings.Contains(got, `"action":"retried"`) {
		t.Errorf("sent again: %s", got)
	}
	operators := s.as(t, topics.Operators)
	if got := operators.CLI("dlq", "drop", open(first), "--reason", "a test"); !strings.Contains(got, "dropped") {
		t.Errorf("dropped: %s", got)
	}
}
