// Command webhook runs the webhook service: the processor that keeps who is told of
// changes, and the sender that tells them.
package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/cmd/internal/webhooks"
	"utopia/processors"
	"utopia/topics"
)

func main() { os.Exit(run.Main(service.Run(spec()))) }

func spec() service.Spec {
	return service.Spec{
		Group: topics.Webhook, Short: "Tells changes of customers to the URLs that asked for them", HTTP: "127.0.0.1:9106",
		Sets: config.Webhook | config.WebhookKeys, New: processors.NewWebhook, More: sending,
		Commands: []func(service.Spec, service.Streams) *cobra.Command{newKeyCommand},
	}
}

// newKeyCommand makes key files for --webhook-keys.
func newKeyCommand(_ service.Spec, io service.Streams) *cobra.Command {
	return service.KeyCommand(&cobra.Command{
		Use: "new-webhook-key", Short: "Make a key that secrets of webhooks are derived from",
		Long: `Writes one line of a key file: a random secret and its id. The webhook service and the
gateways read the same file. To rotate, put a new line first, restart the binaries, then
rotate the secret of each webhook; remove the old line a day after the last one. Without
its line, a webhook cannot be signed and is not called.`,
		Example: "webhook new-webhook-key --out webhook-keys",
	}, io)
}

// sending makes the sender.
func sending(e *service.Env) ([]run.Part, error) {
	c := e.Config
	if c.WebhookKeys == "" {
		return nil, run.Usagef("--webhook-keys: calls are signed, and there is no default key; make one with: webhook new-webhook-key --out FILE")
	}
	keys, err := links.LoadKeys(c.WebhookKeys)
	if err != nil {
		return nil, run.Usagef("--webhook-keys: %w", err)
	}
	base, err := url.Parse(c.APIURL)
	if err != nil {
		return nil, run.Usagef("--api-url: %w", err)
	}
	name, err := service.Instance(c, "webhook-sender-instance")
	if err != nil {
		return nil, err
	}
	s, err := webhooks.New(webhooks.Config{
		Client: e.Client, IDs: e.IDs, Keys: keys, API: base, Guard: webhooks.Guard{Loopback: c.WebhookLoopback},
		Dir: filepath.Join(c.StateDir, "customers"), Logger: e.Log, Hooks: hooks(e), Instance: name,
	})
	if err != nil {
		return nil, err
	}
	ready := func() error {
		if !s.Ready() {
			return fmt.Errorf("waiting for a place in group %s", topics.WebhookSender)
		}
		return nil
	}
	return []run.Part{{Name: "sender", Run: s.Run, Ready: ready}}, nil
}

// hooks counts what the sender does.
func hooks(e *service.Env) webhooks.Hooks {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "utopia", Subsystem: "webhook", Name: "attempts_total", Help: "Calls of webhooks: taken, or the code of the failure.",
	}, []string{"code"})
	taken := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "utopia", Subsystem: "webhook", Name: "taken_seconds", Help: "Time from a change until a webhook took it.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 21600, 86400},
	})
	called := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "utopia", Subsystem: "webhook", Name: "called", Help: "Webhooks that this process calls.",
	})
	e.Metrics.Register(attempts, taken, called)
	return webhooks.Hooks{
		Attempt: func(code string, since time.Time) {
			attempts.WithLabelValues(code).Inc()
			if code == webhooks.Taken {
				taken.Observe(time.Since(since).Seconds())
			}
		},
		Webhooks: func(n int) { called.Set(float64(n)) },
	}
}
