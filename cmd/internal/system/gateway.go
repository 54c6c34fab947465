package system

import (
	"context"
	"fmt"
	"net/http"

	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/history"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/smtpd"
	"utopia/processors"
)

// openGateway makes the HTTP API, open to whoever reaches the port. It shares the views.
func (s *System) openGateway(context.Context) error {
	mails, err := processors.NewMailView(processors.ViewOptions{Client: s.Client, IDs: s.IDs, Logger: s.cfg.Logger})
	if err != nil {
		return err
	}
	hooks, err := processors.NewWebhookView(processors.ViewOptions{Client: s.Client, IDs: s.IDs, Logger: s.cfg.Logger})
	if err != nil {
		return err
	}
	past, err := history.New(history.Config{Client: s.Client, IDs: s.IDs, Logger: s.cfg.Logger})
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Client: s.Client, IDs: s.IDs, Links: s.Keys, Open: true, Logger: s.cfg.Logger, ViewsRun: true, History: past,
		Views:       gateway.Views{Customers: s.Customers, Billing: s.Billing, Notifications: s.Notifications, Mails: mails, Webhooks: hooks},
		WebhookKeys: s.WebhookKeys, WebhookLoopback: true,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	s.parts = append(
		s.parts,
		run.Part{Name: "mail view", Run: mails.Run, Ready: readiness(mails.Ready)},
		run.Part{Name: "customer query side", Run: past.Run, Ready: past.Ready},
		run.Part{Name: "webhook view", Run: hooks.Run, Ready: readiness(hooks.Ready)},
		run.Part{Name: "gateway", Run: g.Run, Ready: g.Ready},
	)
	h := smtpd.LocalOnly(g.Handler())
	s.api.Store(&h)
	s.timeline, s.live, s.letters, s.flow, s.hooks = g.Timeline(), g.Live(), g.Letters(), g, hooks
	return nil
}

// routeAPI adds the API's paths to mux. The port is open before the API is made.
func (s *System) routeAPI(mux *http.ServeMux) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.api.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "starting", http.StatusServiceUnavailable)
	})
	for _, path := range []string{"/v1/", "/openapi.json", "/openapi.yaml", "/docs", "/problems/"} {
		mux.Handle(path, h)
	}
}
