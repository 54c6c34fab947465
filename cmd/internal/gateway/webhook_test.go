package gateway_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/webhooks"
)

// receiver is the program of somebody who is told: it verifies the signature as Standard Webhooks says.
type receiver struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	secret string
	status int
	told   []webhooks.Payload
	ids    []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, req.Header.Get("webhook-id")+"."+req.Header.Get("webhook-timestamp")+"."+string(body))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if err != nil || r.secret == "" || !strings.Contains(" "+req.Header.Get("webhook-signature")+" ", " "+want+" ") {
		r.t.Errorf("a call that is not signed: %v", req.Header)
	}
	var p webhooks.Payload
	if err := json.Unmarshal(body, &p); err != nil {
		r.t.Errorf("%s: %v", body, err)
	}
	if r.status == http.StatusOK {
		r.told, r.ids = append(r.told, p), append(r.ids, req.Header.Get("webhook-id"))
	}
	w.WriteHeader(r.status)
}

func (r *receiver) knows(secret string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret, r.status = secret, status
}

// wait returns what was told, at least n.
func (r *receiver) wait(n int) []webhooks.Payload {
	r.t.Helper()
	var got []webhooks.Payload
	gateway.Eventually(r.t, time.Minute, "the receiver is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = append([]webhooks.Payload{}, r.told...)
		return len(got) >= n
	})
	return got
}

func webhookBody(url, payload string, events ...string) string {
	b, _ := json.Marshal(api.WebhookTarget{URL: url, Events: events, Payload: payload}) // plain values
	return string(b)
}

func withWebhooks(w *world) func(*gateway.Config) {
	return func(c *gateway.Config) { c.WebhookKeys, c.WebhookLoopback = w.WebhookKeys, true }
}

// registered makes a webhook for a receiver, which then knows the secret.
func (i *instance) registered(id string, r *receiver, payload string, events ...string) gateway.SecretOutcome {
	i.t.Helper()
	a := i.do(http.MethodPut, "/v1/webhooks/"+id, webhookBody(r.URL, payload, events...), "Idempotency-Key", id+"-made")
	o := gateway.Decoded[gateway.SecretOutcome](i.t, a)
	if a.Status != http.StatusOK || o.Secret == "" {
		i.t.Fatalf("%d %s", a.Status, a.Body)
	}
	r.knows(o.Secret, http.StatusOK)
	return o
}

// The README's receiver: it verifies what it is told, and what it reads back is not older than that.
func TestAReceiverReadsBackWhatItIsTold(t *testing.T) {
	w := start(t)
	g := w.gateway(withWebhooks(w))
	r := newReceiver(t)
	made := g.registered("w-1", r, "thin", "CustomerRegistered", "EmailChanged")
	again := gateway.Decoded[gateway.SecretOutcome](t, g.do(http.MethodPut, "/v1/webhooks/w-1", webhookBody(r.URL, "thin", "CustomerRegistered", "EmailChanged"), "Idempotency-Key", "w-1-made"))
	if !again.Repeat || again.Secret != made.Secret {
		t.Errorf("%+v", again)
	}
	g.register("c-1")
	if a := g.do(http.MethodPut, "/v1/customers/c-1/email", `{"email":"other@example.org"}`); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	told := r.wait(2)
	for i, want := range []string{"CustomerRegistered", "EmailChanged"} {
		p := told[i]
		if p.Type != want || p.Data.ID != "c-1" || p.Data.Change != nil || p.Data.State != nil || !strings.HasSuffix(p.Data.URL, "/v1/customers/c-1") {
			t.Errorf("%+v", p)
		}
		a := g.do(http.MethodGet, "/v1/customers/c-1", "", "Utopia-After", p.Data.Receipt)
		if c := gateway.Decoded[api.CustomerState](t, a); c.Version < p.Data.Version {
			t.Errorf("told of version %d, read %d", p.Data.Version, c.Version)
		}
	}
	// Told again on demand, of one customer, with the same ids.
	g.register("c-2")
	r.wait(3)
	from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	if a := g.do(http.MethodPost, "/v1/webhooks/w-1/redeliveries", `{"from":"`+from+`","customer":"c-1"}`); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	r.wait(5)
	r.mu.Lock()
	if ids := strings.Join(r.ids, " "); ids != "c-1/1 c-1/2 c-2/1 c-1/1 c-1/2" {
		t.Errorf("told %s", ids)
	}
	r.mu.Unlock()
	// Another secret: the one before signs, too.
	a := g.do(http.MethodPost, "/v1/webhooks/w-1/secret", "")
	if o := gateway.Decoded[gateway.SecretOutcome](t, a); a.Status != http.StatusOK || o.Secret == "" || o.Secret == made.Secret {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.register("c-3")
	r.wait(6)
	if a := g.do(http.MethodDelete, "/v1/webhooks/w-1", ""); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	gateway.Eventually(t, time.Minute, "it is gone", func() bool { return g.do(http.MethodGet, "/v1/webhooks/w-1", "").Status == http.StatusNotFound })
}

func TestAWebhookIsToldTheChangeOrTheState(t *testing.T) {
	w := start(t)
	g := w.gateway(withWebhooks(w))
	delta, whole := newReceiver(t), newReceiver(t)
	g.registered("w-delta", delta, "delta")
	g.registered("w-state", whole, "state")
	g.register("c-1")
	if p := delta.wait(1)[0]; !strings.Contains(string(p.Data.Change), "Grace Hopper") || p.Data.State != nil {
		t.Errorf("%+v: %s", p, p.Data.Change)
	}
	if p := whole.wait(1)[0]; p.Data.State == nil || p.Data.State.Name != "Grace Hopper" || p.Data.State.Version < p.Data.Version || p.Data.Change != nil {
		t.Errorf("%+v", p)
	}
	page := g.do(http.MethodGet, "/v1/webhooks?limit=1", "")
	first := gateway.Decoded[struct {
		Webhooks []api.WebhookState
		Next     string
	}](t, page)
	if len(first.Webhooks) != 1 || first.Webhooks[0].ID != "w-delta" || first.Next != "w-delta" {
		t.Errorf("%s", page.Body)
	}
}

// One that is disabled is shown with its reason, and goes on from where it stopped; a neighbour is told all the time.
func TestADisabledWebhookGoesOnWhereItStopped(t *testing.T) {
	w := start(t)
	g := w.gateway(withWebhooks(w))
	gone, fine := newReceiver(t), newReceiver(t)
	o := g.registered("w-1", gone, "thin")
	g.registered("w-2", fine, "thin")
	gone.knows(o.Secret, http.StatusGone)
	g.register("c-1")
	state := func() api.WebhookState {
		return gateway.Decoded[api.WebhookState](t, g.do(http.MethodGet, "/v1/webhooks/w-1", ""))
	}
	gateway.Eventually(t, time.Minute, "it is disabled", func() bool { return state().Status == "disabled" })
	if d := state().Disabled; d == nil || d.Reason != "gone" || d.Error != "status_410" || d.Since == "" {
		t.Errorf("%+v", d)
	}
	g.register("c-2")
	fine.wait(2)
	gone.knows(o.Secret, http.StatusOK)
	if a := g.do(http.MethodPost, "/v1/webhooks/w-1/resumption", ""); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := gone.wait(2); len(got) != 2 {
		t.Errorf("told %d times", len(got))
	}
}

// Two wishes while nobody is called: both are fulfilled when calls go on.
func TestWhatIsAskedOfAPausedWebhookIsTold(t *testing.T) {
	w := start(t)
	g := w.gateway(withWebhooks(w))
	r := newReceiver(t)
	g.registered("w-1", r, "thin")
	for i, id := range []string{"c-1", "c-2", "c-3"} {
		g.register(id)
		r.wait(i + 1)
	}
	from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, ask := range [][2]string{
		{"/pause"}, {"/redeliveries", `{"from":"` + from + `","customer":"c-1"}`}, {"/redeliveries", `{"from":"` + from + `","customer":"c-2"}`}, {"/resumption"},
	} {
		if a := g.do(http.MethodPost, "/v1/webhooks/w-1"+ask[0], ask[1]); a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", ask[0], a.Status, a.Body)
		}
	}
	r.wait(5)
	r.mu.Lock()
	defer r.mu.Unlock()
	if again := r.ids[3:]; !slices.Contains(again, "c-1/1") || !slices.Contains(again, "c-2/1") {
		t.Errorf("told again: %v", again)
	}
}

// A partner has its own webhooks, thin ones, and learns of no other. What no guard would let through is refused at once.
func TestWhoseWebhooksAreWhose(t *testing.T) {
	w := start(t)
	keys, err := gateway.ParseKeys(strings.NewReader(gateway.KeyLine("ada", gateway.Partner, "", "ada") + "\n" +
		gateway.KeyLine("bob", gateway.Partner, "", "bob") + "\n" + gateway.KeyLine("ops", gateway.Operator, "", "ops")))
	if err != nil {
		t.Fatal(err)
	}
	g := w.gateway(withWebhooks(w), func(c *gateway.Config) { c.Open, c.Keys, c.WebhookLoopback = false, keys, false })
	as := func(who, method, path, body string) gateway.Answered {
		return g.do(method, path, body, "Authorization", "Bearer "+who)
	}
	const target = "https://example.org/hook"
	if a := as("ada", http.MethodPut, "/v1/webhooks/w-1", webhookBody(target, "thin")); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := as("ada", http.MethodPost, "/v1/webhooks/w-1/pause", ""); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, what := range [][3]string{
		{http.MethodGet, "", ""},
		{http.MethodDelete, "", ""},
		{http.MethodPost, "/resumption", ""},
		{http.MethodPost, "/secret", ""},
		{http.MethodPut, "/target", webhookBody(target, "thin")},
		{http.MethodPost, "/redeliveries", `{"from":"2026-01-01T00:00:00Z"}`},
	} {
		his, none := as("bob", what[0], "/v1/webhooks/w-1"+what[1], what[2]), as("bob", what[0], "/v1/webhooks/none"+what[1], what[2])
		if his.Status != http.StatusNotFound || string(his.Body) != string(none.Body) {
			t.Errorf("%v: %d %s, and %s", what, his.Status, his.Body, none.Body)
		}
	}
	if a := as("bob", http.MethodGet, "/v1/webhooks", ""); !strings.Contains(string(a.Body), `"webhooks":[]`) {
		t.Errorf("%s", a.Body)
	}
	if a := as("ops", http.MethodGet, "/v1/webhooks", ""); !strings.Contains(string(a.Body), `"owner":"ada"`) || strings.Contains(string(a.Body), "whsec") {
		t.Errorf("%s", a.Body)
	}
	for _, url := range []string{"http://example.org/", "https://127.0.0.1/", "https://example.org:22/", "https://169.254.169.254/latest", "https://u:p@example.org/"} {
		if p := as("ops", http.MethodPut, "/v1/webhooks/w-2", webhookBody(url, "thin")).Problem(t); p.Code != "url" {
			t.Errorf("%s: %+v", url, p)
		}
	}
	if p := as("ada", http.MethodPut, "/v1/webhooks/w-3", webhookBody(target, "state")).Problem(t); p.Code != "forbidden" {
		t.Errorf("%+v", p)
	}
}

// Without a key there are no secrets, and no webhook without one.
func TestAGatewayWithoutKeysMakesNoWebhook(t *testing.T) {
	g := gateway.Bare(t, func(c *gateway.Config) { c.Open, c.WebhookKeys = true, links.Keys{} })
	a := gateway.Local(t, g.Handler(), http.MethodPut, "/v1/webhooks/w-1", webhookBody("https://example.org/", "thin"))
	if p := a.Problem(t); p.Code != "webhooks_off" {
		t.Errorf("%+v", p)
	}
}
