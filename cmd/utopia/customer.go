package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/customer"
	"utopia/processors/postal"
)

func (a *app) customerCommand() *cobra.Command {
	return cli.Group("customer", "Ask for a change, see what became of it, import and export",
		`Each command that asks for something waits for its reply, which is read committed:
what it says has happened. It prints a receipt; every reading command takes it as
--after and then answers at least that fresh. A refusal is printed on standard error
and the exit code is 1; 2 means that nothing was sent.`,
		a.registerCommand(), a.moveCommand("move", customer.ReasonMoved), a.moveCommand("correct", customer.ReasonCorrected),
		a.confirmCommand(), a.cancelCommand(), a.changeEmailCommand(), a.closeCommand(), a.eraseCommand(),
		a.customerGetCommand(), a.customerFindCommand(), a.customerWaitingCommand(), a.customerHistoryCommand(), a.customerWaitCommand(), a.importCommand(), a.exportCommand())
}

// addressFlags are the parts of an address.
type addressFlags struct {
	postal.Fields
	street []string
}

func (f *addressFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.Country, "country", "", "country `code`, ISO 3166-1 alpha-2")
	fs.StringVar(&f.Region, "region", "", "state, province or prefecture, where addresses have one")
	fs.StringVar(&f.City, "city", "", "city or post town")
	fs.StringVar(&f.District, "district", "", "part of the city, where addresses have one")
	fs.StringVar(&f.PostCode, "postcode", "", "post code, as the country writes it")
	fs.StringVar(&f.SortingCode, "sorting-code", "", "`code` of receivers of much mail, like CEDEX")
	fs.StringArrayVar(&f.street, "street", nil, "`line` of the street part; repeat it for more lines")
	complete(cmd, "country", postal.Countries()...)
}

// written is the address as it was typed.
func (f *addressFlags) written() postal.Fields {
	f.Street = strings.Join(f.street, "\n")
	return f.Fields
}

func (a *app) registerCommand() *cobra.Command {
	var name, email, language string
	var address addressFlags
	cmd := &cobra.Command{
		Use: "register ID", Short: "Make somebody a customer",
		Example: `utopia customer register c-17 --name 'Ada Lovelace' \
  --email ada@example.org \
  --country NL --postcode '2801 EM' --city Gouda --street 'Markt 1'`,
		Args: cli.Args("ID"),
	}
	fs := cmd.Flags()
	fs.StringVar(&name, "name", "", "name, in any script")
	fs.StringVar(&email, "email", "", "mail `address`")
	fs.StringVar(&language, "language", "", "language `tag` for letters, RFC 5646, for example nl")
	address.register(cmd)
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		r, err := api.Register(args[0], api.Registration{Name: name, Email: email, Language: language, Address: address.written()})
		return request{Request: r}, flagged(err)
	})
}

// moveCommand makes both commands that ask for another address; they differ in
// the business reason only.
func (a *app) moveCommand(use string, reason customer.Reason) *cobra.Command {
	short, long := "Ask for another address: the customer has moved",
		"The old address was right at its time. Open invoices go to the new one from then on."
	if reason == customer.ReasonCorrected {
		short, long = "Ask for another address: the present one is wrong",
			"The old address was never right. What was sent to it is sent again."
	}
	var effective string
	var address addressFlags
	cmd := &cobra.Command{
		Use: use + " ID", Short: short,
		Long: long + `

The customer is asked by mail to confirm it within 72 hours; until then it is pending.
A new request ends a pending one. With --effective-at, a confirmed change waits for
that time. The mails of utopia up are at http://127.0.0.1:8080.`,
		Example: `utopia customer ` + use + ` c-17 \
  --country DE --postcode 10115 --city Berlin --street 'Invalidenstr. 117'`,
		Args: cli.Args("ID"),
	}
	cmd.Flags().StringVar(&effective, "effective-at", "", "not before this `time`, like 2026-01-31 or 2026-01-31T12:00:00Z")
	address.register(cmd)
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		at, err := parseTime("--effective-at", effective)
		if err != nil {
			return request{}, err
		}
		r, err := api.RequestChange(args[0], address.written(), string(reason), at)
		return request{Request: r, next: "pending: the customer is asked by mail to confirm it (utopia customer confirm)"}, flagged(err)
	})
}

// parseTime reads a time, or a day, which begins at midnight UTC. Empty is the
// zero time.
func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, run.Usagef("%s %q is not a time like 2026-01-31 or 2026-01-31T12:00:00Z", flag, s)
}

// claimed verifies a token, if there is one, and returns what it asks for. The
// purpose must be the one that the command serves.
func (a *app) claimed(cfg *config.Config, token, purpose string, args []string, change string) (links.Claims, error) {
	if token == "" {
		if len(args) == 0 || change == "" {
			return links.Claims{}, run.Usagef("give --token with --link-keys, or ID and --change")
		}
		return links.Claims{Subject: args[0], Change: change}, nil
	}
	if cfg.LinkKeys == "" {
		return links.Claims{}, run.Usagef("--token is verified with the keys that signed it: name their file with --link-keys or UTOPIA_LINK_KEYS")
	}
	keys, err := links.LoadKeys(cfg.LinkKeys)
	if err != nil {
		return links.Claims{}, run.Usagef("--link-keys: %w", err)
	}
	claims, err := links.Verify(keys, links.Token(token), a.now())
	switch {
	case err != nil:
		return links.Claims{}, run.Usage(err)
	case claims.Purpose != purpose:
		return links.Claims{}, run.Usagef("this link is for something else (%s)", claims.Purpose)
	case len(args) > 0 && args[0] != claims.Subject:
		return links.Claims{}, run.Usagef("this link is not for customer %s", args[0])
	case change != "" && change != claims.Change:
		return links.Claims{}, run.Usagef("this link is not for change %s", change)
	}
	return claims, nil
}

func (a *app) confirmCommand() *cobra.Command {
	var token, change string
	cmd := &cobra.Command{
		Use: "confirm [ID]", Short: "Confirm a pending change, with the link of a mail or by its id",
		Long: `With --token (the link, or what follows its #), the token is verified with the keys that
signed it, as the page behind the link does; customer and change come from it. Without
a token, ID and --change name what to confirm: whoever may write the commands topic is
trusted to have asked the customer.

The page of a mail of utopia up, at http://127.0.0.1:8080, shows the whole command line.`,
		Example: `utopia customer confirm --link-keys link-keys \
  --token 'https://customers.example.org/confirm#...'
utopia customer confirm c-17 --change 0199c0de-7d1c-7a11-b1ab-5f8d2f3d9c01`,
		Args: cli.Args("[ID]"),
	}
	cmd.Flags().StringVar(&token, "token", "", "the link of a confirmation mail, or its token")
	cmd.Flags().StringVar(&change, "change", "", "`id` of the change, as `utopia customer get` shows it")
	return a.asks(cmd, config.Links, func(cfg *config.Config, args []string) (request, error) {
		c, err := a.claimed(cfg, token, processors.PurposeConfirm, args, change)
		return request{Request: api.Confirm(c.Subject, c.Change, c.ExpiresAt)}, err
	})
}

func (a *app) cancelCommand() *cobra.Command {
	var token, change string
	cmd := &cobra.Command{
		Use: "cancel [ID]", Short: "Take a pending or scheduled change back",
		Long: `With --token, the link that a confirmation mail offers to those who did not ask for the
change is verified. Without --change, whatever change there is is taken back.`,
		Example: "utopia customer cancel c-17",
		Args:    cli.Args("[ID]"),
	}
	cmd.Flags().StringVar(&token, "token", "", "the link of a confirmation mail, or its token")
	cmd.Flags().StringVar(&change, "change", "", "only if this is the `id` of the change")
	return a.asks(cmd, config.Links, func(cfg *config.Config, args []string) (request, error) {
		c := links.Claims{Subject: first(args), Change: change}
		if token != "" || len(args) == 0 {
			var err error
			if c, err = a.claimed(cfg, token, processors.PurposeCancel, args, change); err != nil {
				return request{}, err
			}
		}
		return request{Request: api.Cancel(c.Subject, c.Change)}, nil
	})
}

func (a *app) changeEmailCommand() *cobra.Command {
	var email string
	cmd := &cobra.Command{
		Use: "change-email ID", Short: "Give a customer another e-mail address",
		Example: "utopia customer change-email c-17 --email ada@lovelace.example", Args: cli.Args("ID"),
	}
	cmd.Flags().StringVar(&email, "email", "", "mail `address`")
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		r, err := api.ChangeEmail(args[0], email)
		return request{Request: r}, flagged(err)
	})
}

func (a *app) closeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close ID", Short: "End the relation with a customer; the data stay",
		Example: "utopia customer close c-17", Args: cli.Args("ID"),
	}
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		return request{Request: api.Close(args[0])}, nil
	})
}

func (a *app) eraseCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "erase ID", Short: "Remove everything personal of a customer, for good",
		Long: `Removes every personal field from the customer's row and puts a tombstone on the public
state, so that every reader forgets the customer too. It cannot be undone.`,
		Example: "utopia customer erase c-17 --yes", Args: cli.Args("ID"),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "I know that it cannot be undone")
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		if !yes {
			return request{}, run.Usagef("erasing %s cannot be undone; add --yes", args[0])
		}
		return request{Request: api.Erase(args[0])}, nil
	})
}
