package main

import (
	"net/http"
	"strings"

	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/login"
	"utopia/cmd/internal/pages"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
)

// openPages makes the pages, which share the gateway's views and its connection to the customer service.
func openPages(e *service.Env, g *gateway.Gateway, cfg gateway.Config) (http.Handler, error) {
	c := e.Config
	keys, err := login.LoadKeys(c.SessionKeys)
	if err != nil {
		return nil, run.Usagef("--session-keys: %w", err)
	}
	secret, err := c.ClientSecret()
	if err != nil {
		return nil, run.Usagef("--oidc-client-secret-file: %w", err)
	}
	sessions, err := login.NewSessions(keys, strings.HasPrefix(c.PagesURL, "https:"), nil)
	if err != nil {
		return nil, err
	}
	return pages.New(pages.Config{
		Keys: cfg.Links, Ask: g, Customers: processors.Customers{View: cfg.Views.Customers}, Logger: e.Log, Limit: g.Public,
		Login: &pages.Login{Sessions: sessions, OIDC: login.NewOIDC(login.OIDCConfig{
			Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, Secret: secret, Base: c.PagesURL, Sessions: sessions,
		})},
		Clerk: &pages.Clerk{
			Billing: cfg.Views.Billing, Notifications: cfg.Views.Notifications, Timeline: g.Timeline(), Webhooks: cfg.Views.Webhooks, Live: g.Live(), Flow: g, Letters: g.Letters(),
			Links: []pages.Place{{Name: "HTTP API", Path: "/docs"}, {Name: "Ready?", Path: "/readyz"}},
		},
	})
}
