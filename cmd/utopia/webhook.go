package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/webhooks"
	"utopia/processors"
	"utopia/schemas"
)

func (a *app) webhookCommand() *cobra.Command {
	return cli.Group("webhook", "Who is told of changes over HTTP",
		`A webhook is a URL that changes of customers are posted to, in order for each customer,
signed as Standard Webhooks say. Calls that fail are made again for a day; then the
webhook is disabled, and goes on from where it stopped when it is resumed.`,
		a.webhookRegisterCommand(), a.webhookGetCommand(), a.webhookListCommand(), a.webhookChangeCommand(), a.webhookSecretCommand(),
		a.webhookRotateCommand(), a.webhookRedeliverCommand(),
		a.webhookPlain("pause ID", "Do not call it until it is resumed; nothing is lost meanwhile", api.PauseWebhook),
		a.webhookPlain("resume ID", "Call it on from where it stopped, whoever stopped it", api.ResumeWebhook),
		a.webhookPlain("close ID", "Call it no more, and forget where it was", api.CloseWebhook))
}

// webhookPlain is a command that says no more than which webhook.
func (a *app) webhookPlain(use, short string, build func(id string) api.Request) *cobra.Command {
	verb, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{Use: use, Short: short, Example: "utopia webhook " + verb + " partner-1", Args: cli.Args("ID")}
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) { return request{Request: build(args[0])}, nil })
}

func targetFlags(cmd *cobra.Command) *api.WebhookTarget {
	t := &api.WebhookTarget{}
	cmd.Flags().StringVar(&t.URL, "url", "", "where changes are posted: an https `URL`, port 443 or 8443, with a public address")
	cmd.Flags().StringSliceVar(&t.Events, "event", nil, "tell only this `type` of change; may be repeated; default: all")
	cmd.Flags().StringVar(&t.Payload, "payload", "thin", "thin: id, version, type and URL; delta: what changed; state: the whole customer")
	complete(cmd, "payload", "thin", "delta", "state")
	return t
}

// webhookKeys are those of the configuration.
func webhookKeys(cfg *config.Config) (links.Keys, error) {
	if cfg.WebhookKeys == "" {
		return links.Keys{}, run.Usagef("secrets are derived from keys: name their file with --webhook-keys or UTOPIA_WEBHOOK_KEYS")
	}
	keys, err := links.LoadKeys(cfg.WebhookKeys)
	if err != nil {
		return keys, run.Usagef("--webhook-keys: %w", err)
	}
	return keys, nil
}

const secretNext = "its receiver needs the secret: utopia webhook secret " //nolint:gosec // a line to type

func (a *app) webhookRegisterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "register ID", Short: "Tell a URL of changes from now on",
		Long: `The sender calls public addresses alone; which ones a name has is looked at with each call.
The utopia up of a newcomer also calls http and loopback.`,
		Example: `utopia webhook register partner-1 --webhook-keys webhook-keys \
  --url https://partner.example.org/utopia`, Args: cli.Args("ID"),
	}
	target := targetFlags(cmd)
	return a.asks(cmd, config.WebhookKeys, func(cfg *config.Config, args []string) (request, error) {
		keys, err := webhookKeys(cfg)
		if err != nil {
			return request{}, err
		}
		r, err := api.RegisterWebhook(args[0], *target, "", keys.First())
		return request{Request: r, next: secretNext + args[0]}, flagged(err)
	})
}

func (a *app) webhookChangeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "change ID", Short: "Give it another URL, events or payload; where it is stays",
		Example: `utopia webhook change partner-1 --url https://partner.example.org/v2 \
  --event CustomerMoved --payload delta`, Args: cli.Args("ID"),
	}
	target := targetFlags(cmd)
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		r, err := api.ChangeWebhook(args[0], *target)
		return request{Request: r}, flagged(err)
	})
}

func (a *app) webhookRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Give it another secret; the present one also signs for a day",
		Example: "utopia webhook rotate partner-1 --webhook-keys webhook-keys", Args: cli.Args("ID"),
	}
	return a.asks(cmd, config.WebhookKeys, func(cfg *config.Config, args []string) (request, error) {
		keys, err := webhookKeys(cfg)
		if err != nil {
			return request{}, err
		}
		return request{Request: api.RotateWebhookSecret(args[0], keys.First()), next: secretNext + args[0]}, nil
	})
}

func (a *app) webhookRedeliverCommand() *cobra.Command {
	var from, customer string
	cmd := &cobra.Command{
		Use: "redeliver ID", Short: "Tell again what happened since a time",
		Long: `Changes are kept for 30 days. What has not been told yet is told, too, also when it is
older.`,
		Example: "utopia webhook redeliver partner-1 --from 2026-01-01T00:00:00Z", Args: cli.Args("ID"),
	}
	cmd.Flags().StringVar(&from, "from", "", "the `time` of the oldest change, RFC 3339")
	cmd.Flags().StringVar(&customer, "customer", "", "only of the customer with this `id`")
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		at, err := time.Parse(time.RFC3339, from)
		if err != nil {
			return request{}, run.Usagef("--from %q is not a time like 2026-01-01T00:00:00Z", from)
		}
		r, err := api.RedeliverWebhook(args[0], at, customer)
		return request{Request: r}, flagged(err)
	})
}

// webhookSecretCommand shows a secret to whoever has the keys; over the API only who made it sees it.
func (a *app) webhookSecretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "secret ID", Short: "Show what its calls are signed with",
		Long: `Derives the secret from the key file and the webhook's state: no topic has it. Give it to
nobody but the receiver.`,
		Example: "utopia webhook secret partner-1 --webhook-keys webhook-keys", Args: cli.Args("ID"),
	}
	out := output(cmd)
	return a.connected(cmd, config.Registry|config.WebhookKeys, nil, func(ctx context.Context, s *session, args []string) error {
		keys, err := webhookKeys(s.cfg)
		if err != nil {
			return err
		}
		return withView(ctx, s, processors.NewWebhookView, func(_ context.Context, v *processors.View[*schemas.WebhookState]) error {
			w, err := v.Get(args[0])
			if err != nil {
				return err
			}
			secret, err := webhooks.Derive(keys, args[0], w.Secret)
			if err != nil {
				return err
			}
			shown := struct {
				Secret string `json:"secret"`
			}{secret.Reveal()}
			return out.print(a.stdout, shown, func() { line(a.stdout, "%s", shown.Secret) })
		})
	})
}

func (a *app) webhookGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show a webhook and how its calls go",
		Example: "utopia webhook get partner-1 -o json", Args: cli.Args("ID"),
	}
	return reads(a, cmd, "webhook", processors.NewWebhookView, func(w *schemas.WebhookState, out format) error {
		v := api.WebhookOf(w)
		return out.print(a.stdout, v, func() {
			fields(a.stdout, "webhook", v.ID, "status", v.Status, "version", number(v.Version), "url", v.URL,
				"events", cmp.Or(strings.Join(v.Events, ", "), "all"), "payload", v.Payload, "owner", v.Owner, "key", v.KeyID,
				"old secret until", v.PreviousEndsAt, "receipt", v.Receipt)
			if d := v.Disabled; d != nil {
				fields(a.stdout, "disabled", d.Reason+" at "+d.At, "failing since", d.Since, "error", d.Error)
			}
			var rows [][]string
			for _, t := range v.Troubles {
				rows = append(rows, []string{number(int64(t.Partition)), t.Since, number(int64(t.Attempts)), t.Error})
			}
			if len(rows) > 0 {
				line(a.stdout, "")
				table(a.stdout, []string{"PARTITION", "FAILING SINCE", "ATTEMPTS", "ERROR"}, rows)
			}
		})
	})
}

func (a *app) webhookListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List webhooks and whether their calls go well",
		Example: "utopia webhook list -o json", Args: cli.Args(),
	}
	out := output(cmd)
	return a.connected(cmd, config.Registry, nil, func(ctx context.Context, s *session, _ []string) error {
		return withView(ctx, s, processors.NewWebhookView, func(_ context.Context, v *processors.View[*schemas.WebhookState]) error {
			all := []api.WebhookState{}
			err := v.Each(func(_ string, w *schemas.WebhookState) error {
				all = append(all, api.WebhookOf(w))
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b api.WebhookState) int { return strings.Compare(a.ID, b.ID) })
			return out.print(a.stdout, all, func() {
				var rows [][]string
				for _, w := range all {
					rows = append(rows, []string{w.ID, w.Status, number(int64(len(w.Troubles))), w.Payload, w.URL})
				}
				table(a.stdout, []string{"ID", "STATUS", "FAILING PARTITIONS", "PAYLOAD", "URL"}, rows)
			})
		})
	})
}
