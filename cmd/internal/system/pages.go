package system

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/login"
	"utopia/cmd/internal/pages"
	"utopia/cmd/internal/sample"
	"utopia/cmd/internal/smtpd"
	"utopia/processors"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

// banner is on every page.
const banner = "For development: nobody logs in."

// samplePeople is how many people of the sample the pages offer to register, from different countries.
const samplePeople = 12

// Flags is what a command line has to add to find this system: nothing on the documented ports.
func (s *System) Flags() string {
	flags := ""
	if s.Broker != fmt.Sprintf("127.0.0.1:%d", KafkaPort) {
		flags += " --brokers " + s.Broker
	}
	if s.RegistryURL != fmt.Sprintf("http://127.0.0.1:%d", RegistryPort) {
		flags += " --registry " + s.RegistryURL
	}
	return flags
}

// openPages makes the pages, which ask the customer service and read views, its own and the public ones of the others.
// Mails hold live links, so a page asked for by another name than this machine's is refused, as the JSON of the mails is.
func (s *System) openPages(ctx context.Context) error {
	client, err := ask.New(ctx, ask.Config{Client: s.Client, IDs: s.IDs, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies})
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	s.closers = append(s.closers, client.Close)
	people, err := sampled()
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	keys, err := login.RandomKeys()
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	sessions, err := login.NewSessions(keys, false, nil)
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	h, err := pages.New(pages.Config{
		Login: &pages.Login{Sessions: sessions, Anybody: access.Caller{Name: "development", Role: access.Clerk, Open: true}},
		Keys:  s.Keys, Ask: client, Customers: processors.Customers{View: s.Customers}, Logger: s.cfg.Logger, Banner: banner,
		Clerk: &pages.Clerk{
			Billing: s.Billing, Notifications: s.Notifications, Inbox: s.Inbox, Sample: people, Type: s.commandLines, Terminal: s.terminal(),
			Timeline: s.timeline, Live: s.live, Flow: s.flow, Letters: s.letters, Webhooks: s.hooks,
			Links: []pages.Place{
				{Name: "Kafka", Path: s.Broker},
				{Name: "Schema registry", Path: s.RegistryURL},
				{Name: "HTTP API", Path: "/docs"},
				{Name: "Ready?", Path: "/readyz"},
				{Name: "Metrics", Path: "/metrics"},
			},
		},
	})
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	h = smtpd.LocalOnly(h)
	s.pages.Store(&h)
	return nil
}

// servePages answers with the pages once they are made: the port is open before the views are.
func (s *System) servePages(w http.ResponseWriter, r *http.Request) {
	h := s.pages.Load()
	if h == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	(*h).ServeHTTP(w, r)
}

func (s *System) terminal() string {
	return fmt.Sprintf(`utopia customer register c-17%[1]s --name 'Grace Hopper' --email grace@example.org --country US --street '1 Navy Way' --city Arlington --region VA --postcode 22202
utopia customer move c-17%[1]s --country NL --street 'Markt 1' --city Gouda --postcode '2801 JG'
utopia customer get c-17%[1]s`, s.Flags())
}

// sampled is a few people of the sample, no two of one country.
func sampled() ([]schemas.RegisterCustomer, error) {
	people, err := sample.People()
	if err != nil {
		return nil, err
	}
	var some []schemas.RegisterCustomer
	seen := map[string]bool{}
	for _, p := range people {
		if len(some) == samplePeople {
			break
		}
		if seen[p.Country] {
			continue
		}
		seen[p.Country] = true
		some = append(some, schemas.RegisterCustomer{
			CustomerID: p.ID, Name: p.Name, Email: p.Email, Language: p.Language, Address: schemas.Address{
				Country: p.Country, Region: p.Region, City: p.City, District: p.District, PostCode: p.PostCode,
				SortingCode: p.SortingCode, Street: p.Street,
			},
		})
	}
	return some, nil
}

// commandLines says for each link of a mail what to type. A link that has expired, or that this system did not sign, has
// none.
func (s *System) commandLines(text string) []pages.Typed {
	verbs := map[string]pages.Typed{
		processors.PurposeConfirm: {What: "confirm the change", Line: "confirm"},
		processors.PurposeCancel:  {What: "take the change back", Line: "cancel"},
	}
	var out []pages.Typed
	for word := range strings.FieldsSeq(text) {
		if !strings.Contains(word, "#") {
			continue
		}
		claims, err := links.Verify(s.Keys, links.Token(word), time.Now())
		if v, ok := verbs[claims.Purpose]; ok && err == nil {
			v.Line = fmt.Sprintf("utopia customer %s%s --link-keys '%s' --token '%s'", v.Line, s.Flags(), s.KeyFile, links.Token(word))
			out = append(out, v)
		}
	}
	return out
}
