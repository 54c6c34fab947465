package system

import (
	"context"
	"fmt"
	"net/url"

	"utopia/cmd/internal/run"
	"utopia/cmd/internal/webhooks"
)

// openWebhooks makes the sender of webhooks. It may call loopback, where a newcomer's receiver is.
func (s *System) openWebhooks(context.Context) error {
	base, err := url.Parse(s.HTTPURL)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	sender, err := webhooks.New(webhooks.Config{ //nolint:contextcheck // the sender ends with Run, not with the opening
		Client: s.Client, IDs: s.IDs, Keys: s.WebhookKeys, API: base, Guard: webhooks.Guard{Loopback: true}, Logger: s.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	s.parts = append(s.parts, run.Part{Name: "webhook sender", Run: sender.Run, Ready: readiness(sender.Ready)})
	return nil
}
