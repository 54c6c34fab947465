// Command gateway serves the HTTP API: commands that are answered when their outcome is committed, and queries. Any number of
// instances serve the same callers.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/history"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
	"utopia/topics"
)

// spare is memory that is never touched, and so takes none: garbage may grow as if so much more lived. What lives in a gateway is
// little, and collecting every time that little was used once more is what one query in a hundred waited for.
const spare = 48 << 20

func main() {
	room := make([]byte, spare)
	code := run.Main(service.Run(spec()))
	runtime.KeepAlive(room)
	os.Exit(code)
}

func spec() service.Spec {
	return service.Spec{
		Group: topics.Gateway, Short: "Serves the HTTP API: commands with one outcome each, and queries", HTTP: "127.0.0.1:9105",
		Sets: config.Gateway | config.Links | config.WebhookKeys, More: serving,
		About: `Serves the API on --listen until SIGTERM or SIGINT: then /readyz says 503, requests that are
under way are finished, commands that still wait are answered with the URL of their outcome,
and it ends with exit code 0 within five seconds. A cluster or registry that is down at the
start is waited for; one that goes away later leaves queries, which are answered with their
age, while commands are refused with 503. --http answers /livez, /readyz and /metrics.

With --pages it serves the pages for people, too, who log in at --oidc-issuer; their role is the
token's claim utopia_role, and whose they are utopia_customer.

Each instance keeps complete copies of the public states: in --state-dir, or in memory.`,
		Commands: []func(service.Spec, service.Streams) *cobra.Command{newKeyCommand},
	}
}

// serving makes the gateway.
func serving(e *service.Env) ([]run.Part, error) {
	c := e.Config
	if c.LinkKeys == "" {
		return nil, run.Usagef("--link-keys: links that confirm are verified with the keys that signed them; name the file that the mail service has")
	}
	cfg := gateway.Config{
		Client: e.Client, IDs: e.IDs, WebhookLoopback: c.WebhookLoopback, Open: c.Open, Rate: c.Rate, PublicRate: c.PublicRate, AddressHeader: c.AddressHeader,
		Streams: c.MaxStreams, StreamsPerCaller: c.CallerStreams, DrainDelay: c.DrainDelay, Logger: e.Log, Observe: observe(e),
		Listen: func(ctx context.Context) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
			if err != nil {
				return nil, fmt.Errorf("--listen %s: %w", c.Listen, err)
			}
			return l, nil
		},
	}
	if err := readKeys(c, &cfg); err != nil {
		return nil, err
	}
	if c.OIDCAudience != "" {
		cfg.Tokens = gateway.NewTokens(c.OIDCIssuer, c.OIDCAudience, nil, nil)
	}
	if c.ListenCert != "" {
		cfg.TLS = run.Certificate(c.ListenCert, c.ListenKey)
	}
	dir := ""
	if c.StateDir != "" {
		dir = filepath.Join(c.StateDir, "views")
	}
	var err error
	if cfg.Views, err = gateway.OpenViews(processors.ViewOptions{Client: e.Client, IDs: e.IDs, Dir: dir, Logger: e.Log}); err != nil {
		return nil, err
	}
	g, err := gateway.New(cfg)
	if err != nil {
		return nil, err
	}
	watch(e, g)
	if c.Pages {
		h, err := openPages(e, g, cfg)
		if err != nil {
			return nil, err
		}
		g.Mount(h)
	}
	return []run.Part{{Name: "gateway", Run: g.Run, Ready: g.Ready}}, nil
}

// readKeys reads what proves who somebody is: links, API keys, secrets of webhooks, and what the query side wants to be shown.
func readKeys(c *config.Config, cfg *gateway.Config) (err error) {
	if cfg.Links, err = links.LoadKeys(c.LinkKeys); err != nil {
		return run.Usagef("--link-keys: %w", err)
	}
	if c.WebhookKeys != "" {
		if cfg.WebhookKeys, err = links.LoadKeys(c.WebhookKeys); err != nil {
			return run.Usagef("--webhook-keys: %w", err)
		}
	}
	if c.APIKeys != "" {
		if cfg.Keys, err = gateway.LoadKeys(c.APIKeys); err != nil {
			return run.Usagef("--api-keys: %w", err)
		}
	}
	if len(c.CustomerQuery) > 0 {
		word, err := c.QueryWord()
		if err != nil {
			return run.Usagef("--customer-query-key-file: %w", err)
		}
		cfg.History = history.NewClient(c.CustomerQuery, word)
	}
	return nil
}
