package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/login/issuertest"
)

// source is what a browser's EventSource is: it keeps the id of the last event, and comes back with it.
type source struct {
	t       *testing.T
	lastID  string
	changes []api.Change
}

// listen reads events until it has n of them in all, and hangs up in the middle of whatever comes then.
func (s *source) listen(url string, n int, headers ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	resp := s.open(ctx, url, headers...)
	defer func() { _ = resp.Body.Close() }()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		s.t.Fatalf("%s: %d %s", url, resp.StatusCode, kind)
	}
	id, data := "", ""
	for lines := bufio.NewScanner(resp.Body); (n > len(s.changes) || s.lastID == "") && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case lines.Text() == "": // the end of an event, WHATWG HTML 9.2.6
			s.lastID = id
			if data != "" {
				var c api.Change
				if err := json.Unmarshal([]byte(data), &c); err != nil {
					s.t.Fatal(err)
				}
				s.changes = append(s.changes, c)
				data = ""
			}
		}
	}
	if len(s.changes) < n {
		s.t.Fatalf("%d of %d events", len(s.changes), n)
	}
}

func (s *source) open(ctx context.Context, url string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.lastID != "" {
		r.Header.Set("Last-Event-ID", s.lastID)
	}
	gateway.SetAll(r, headers)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

func (s *source) ids() []string {
	var all []string
	for _, c := range s.changes {
		all = append(all, c.ID)
	}
	return all
}

const (
	feedPath   = "/v1/feeds/customer-changes"
	streamPath = feedPath + "/stream"
)

// A client without Kafka hears of every change once, whichever gateways it comes to, one of which is stopped under it and started
// again; pages tell it the same.
func TestTheFeedOverManyGateways(t *testing.T) {
	w := start(t)
	one, other := w.gateway(), w.listening()
	s := &source{t: t}
	s.listen(one.url+streamPath, 0)
	var want []string
	for n := range 12 {
		id := fmt.Sprintf("f-%d", n)
		one.register(id)
		want = append(want, id+"/1")
		at := []*instance{one, other}[n%2]
		s.listen(at.url+streamPath, n+1)
		if n == 5 { // it is drained while somebody listens, and another one takes its place
			ended := make(chan struct{})
			resp := s.open(t.Context(), other.url+streamPath) //nolint:bodyclose // where it is read
			go func() {
				defer close(ended)
				defer func() { _ = resp.Body.Close() }()
				for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
					continue // until it ends
				}
			}()
			began := time.Now()
			other.stop()
			<-ended
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("a stream held a gateway back for %s", took)
			}
			other = w.listening()
		}
	}
	slices.Sort(want)
	got := s.ids()
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%v\n%v", want, got)
	}
	if c := s.changes[0]; c.Type != "utopia.customer.CustomerRegistered" || c.Data.Email != c.Subject+"@example.org" || c.Data.Receipt != "customer/"+c.Subject+"@1" {
		t.Errorf("%+v", c)
	}
	w.pages(one, want)
}

// A stream ends with the token that it was asked for with, and is given to no one whose token has ended.
func TestAStreamEndsWithItsToken(t *testing.T) {
	w, i := start(t), issuertest.New(t, nil)
	g := w.gateway(func(c *gateway.Config) { c.Open, c.Tokens = false, gateway.NewTokens(i.URL, "utopia", i.Client(), nil) })
	ends := time.Now().Truncate(time.Second).Add(3 * time.Second)
	token := i.Sign(map[string]any{"iss": i.URL, "aud": "utopia", "sub": "desk", "exp": ends.Unix(), "utopia_role": "clerk"})
	s := &source{t: t}
	for path, want := range map[string]string{streamPath: "id: ", "/v1/flow/stream": "event: flow"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			resp := s.open(ctx, g.url+path, "Authorization", "Bearer "+token)
			defer func() { _ = resp.Body.Close() }()
			said, err := io.ReadAll(resp.Body)
			if early := time.Until(ends); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(said), want) || early > 0 {
				t.Errorf("%s before its end: %d %.200q %v", early, resp.StatusCode, said, err)
			}
			again := s.open(t.Context(), g.url+path, "Authorization", "Bearer "+token)
			defer func() { _ = again.Body.Close() }()
			if again.StatusCode != http.StatusUnauthorized {
				t.Errorf("with the token that has ended: %d", again.StatusCode)
			}
		})
	}
}

// pages reads the feed in pages, from the oldest on, and says whether they have what was heard.
func (w *world) pages(i *instance, want []string) {
	w.t.Helper()
	var got []string
	for next, more := feedPath+"?from=oldest&limit=5", true; more; {
		a := i.do(http.MethodGet, next, "")
		if a.Status != http.StatusOK || a.Header.Get("Utopia-Age") == "" {
			w.t.Fatalf("%d %s", a.Status, a.Body)
		}
		page := gateway.Decoded[gateway.FeedPage](w.t, a)
		for _, c := range page.Changes {
			if strings.HasPrefix(c.ID, "f-") {
				got = append(got, c.ID)
			}
		}
		if b := i.do(http.MethodGet, page.Links.Self, "", "If-None-Match", a.Header.Get("ETag")); page.More && b.Status != http.StatusNotModified {
			w.t.Errorf("%s again: %d", page.Links.Self, b.Status)
		}
		next, more = page.Links.Next, page.More
	}
	slices.Sort(got)
	if !slices.Equal(want, got) {
		w.t.Errorf("pages: %v\n%v", want, got)
	}
}

// The Atom document is one that a reader of RFC 4287 understands, and its links lead back to the beginning.
func TestTheFeedAsAtom(t *testing.T) {
	w := start(t)
	g := w.gateway()
	for n := range 9 {
		g.register(fmt.Sprintf("f-%d", n))
	}
	type link struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	}
	type document struct {
		XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string   `xml:"id"`
		Updated string   `xml:"updated"`
		Links   []link   `xml:"link"`
		Entries []struct {
			ID      string `xml:"id"`
			Updated string `xml:"updated"`
			Content struct {
				Type string `xml:"type,attr"`
				Text string `xml:",chardata"`
			} `xml:"content"`
		} `xml:"entry"`
	}
	seen := map[string]bool{}
	for next := feedPath + "?limit=4"; next != ""; {
		a, err := gateway.Over(t.Context(), http.MethodGet, g.url+next, "", "Accept", "application/atom+xml")
		if err != nil || a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/atom+xml" {
			t.Fatalf("%v %d %s", err, a.Status, a.Body)
		}
		var d document
		if err := xml.Unmarshal(a.Body, &d); err != nil || d.ID == "" {
			t.Fatalf("%v\n%s", err, a.Body)
		}
		if _, err := time.Parse(time.RFC3339, d.Updated); err != nil {
			t.Error(err)
		}
		for _, e := range d.Entries {
			var c api.Change
			if err := json.Unmarshal([]byte(e.Content.Text), &c); err != nil || e.Content.Type != "text" || !strings.HasSuffix(e.ID, c.ID) || seen[c.ID] {
				t.Errorf("%v: %+v", err, e)
			}
			seen[c.ID] = true
		}
		next = ""
		for _, l := range d.Links {
			if l.Rel == "previous" {
				next = l.Href
			}
		}
	}
	if len(seen) != 9 {
		t.Errorf("%d entries", len(seen))
	}
}

// Who need not know who a customer is, does not learn it from the feed; a customer hears of nobody else.
func TestWhoHearsWhat(t *testing.T) {
	w := start(t)
	keys, err := gateway.ParseKeys(strings.NewReader(strings.Join([]string{
		gateway.KeyLine("shop", gateway.Partner, "", "partner"), gateway.KeyLine("ada", gateway.CustomerRole, "f-1", "customer"),
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	g := w.gateway(func(c *gateway.Config) { c.Keys, c.StreamsPerCaller = keys, 1 })
	g.register("f-0")
	g.register("f-1")
	partner := &source{t: t}
	partner.listen(g.url+streamPath+"?from=oldest", 2, "Authorization", "Bearer partner")
	page := g.do(http.MethodGet, feedPath+"?from=oldest", "", "Authorization", "Bearer partner")
	for _, c := range append(partner.changes, gateway.Decoded[gateway.FeedPage](t, page).Changes...) {
		if d := c.Data; d.Name != "" || d.Email != "" || d.Language != "" || d.Address == nil || d.Address.Country == "" || d.Address.City != "" || len(d.Address.Street) > 0 || d.Address.PostCode != "" {
			t.Errorf("%+v", c)
		}
	}
	for _, text := range []string{"Hopper", "@example", "Gouda", "Markt"} {
		if strings.Contains(string(page.Body), text) {
			t.Errorf("%q is in %s", text, page.Body)
		}
	}
	ada := &source{t: t}
	ada.listen(g.url+streamPath+"?from=oldest&customer=f-1", 1, "Authorization", "Bearer customer")
	if c := ada.changes[0]; c.Subject != "f-1" || c.Data.Name == "" {
		t.Errorf("%+v", c)
	}
	for _, path := range []string{feedPath, streamPath, feedPath + "?customer=f-0", streamPath + "?customer=f-0", streamPath + "?customer=f-0&customer=f-1"} {
		if a := g.do(http.MethodGet, path, "", "Authorization", "Bearer customer"); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	w.refused(g)
}

// refused asks for what cannot be.
func (w *world) refused(g *instance) {
	w.t.Helper()
	for path, code := range map[string]string{
		streamPath + "?lastEventId=17": "position", feedPath + "?after=AQ": "position", feedPath + "?before=x": "position",
		feedPath + "?after=a&before=b": "malformed", feedPath + "?limit=0": "malformed", feedPath + "?type=Moved": "malformed", streamPath + "?from=here": "malformed",
	} {
		if p := g.do(http.MethodGet, path, "").Problem(w.t); p.Code != code {
			w.t.Errorf("%s: %+v", path, p)
		}
	}
	if a := g.do(http.MethodGet, feedPath, "", "Accept", "image/png"); a.Status != http.StatusNotAcceptable {
		w.t.Errorf("%d", a.Status)
	}
	gateway.Eventually(w.t, 10*time.Second, "those who listened have gone", func() bool { return g.Streams() == 0 })
	ctx, cancel := context.WithCancel(w.t.Context())
	resp := (&source{t: w.t}).open(ctx, g.url+streamPath)
	if p := g.do(http.MethodGet, streamPath, "").Problem(w.t); p.Code != "too_many_streams" || g.Streams() != 1 {
		w.t.Errorf("%+v with %d streams", p, g.Streams())
	}
	if a := g.do(http.MethodHead, streamPath, ""); a.Status != http.StatusTooManyRequests {
		w.t.Errorf("HEAD: %d", a.Status)
	}
	cancel()
	_ = resp.Body.Close()
	gateway.Eventually(w.t, 10*time.Second, "a caller who went away is not counted", func() bool { return g.Streams() == 0 })
	if a, err := gateway.Over(w.t.Context(), http.MethodHead, g.url+streamPath, ""); err != nil || a.Status != http.StatusOK || g.Streams() != 0 {
		w.t.Errorf("HEAD: %d %v", a.Status, err)
	}
}
