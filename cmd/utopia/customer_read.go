package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/postal"
	"utopia/schemas"
)

func (a *app) printCustomer(v api.CustomerState) {
	verified := ""
	if !v.Address.Verified {
		verified = "as written; its country's rules refuse it"
	}
	fields(a.stdout, "customer", v.ID, "version", number(v.Version), "status", v.Status, "name", v.Name, "e-mail", v.Email, "language", v.Language,
		"address", v.Address.OneLine(), "reason", v.Address.Reason, "since", v.Address.Since, "source", v.Address.Source, "note", verified,
		"updated", v.UpdatedAt, "receipt", v.Receipt)
	if p := v.Pending; p != nil {
		line(a.stdout, "")
		fields(a.stdout, "pending change", p.ChangeID, "status", p.Status, "reason", p.Reason, "requested", p.RequestedAt,
			"expires", p.ExpiresAt, "effective", p.EffectiveAt, "mail", undeliverable(p.Undeliverable))
	}
}

func undeliverable(code string) string {
	if code == "" {
		return ""
	}
	return red("the confirmation mail did not arrive: " + code)
}

func (a *app) customerGetCommand() *cobra.Command {
	var email string
	var after afterFlags
	cmd := &cobra.Command{
		Use: "get [ID]", Short: "Show a customer, by id or by e-mail address",
		Long: `Reads customer.state.v1 into a view and shows one customer with the pending change. The
view is read anew each time; a service that reads often keeps one (see the README).`,
		Example: `utopia customer get c-17
utopia customer get c-17 --after customer/c-17@4
utopia customer get --email ada@example.org -o json`,
		Args: cli.Args("[ID]"),
	}
	cmd.Flags().StringVar(&email, "email", "", "the customers with this e-mail `address`")
	after.register(cmd)
	out := output(cmd)
	check := func(args []string) error {
		if (len(args) == 0) == (email == "") {
			return run.Usagef("give an ID or --email")
		}
		if email != "" && after.receipt != "" {
			return run.Usagef("--after is about an ID")
		}
		_, err := after.parse("customer", first(args))
		return err
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		receipt, err := after.parse("customer", first(args))
		if err != nil {
			return err
		}
		return withView(ctx, s, processors.NewCustomerView, func(ctx context.Context, v *processors.View[*schemas.CustomerState]) error {
			if email != "" {
				return a.customersByEmail(v, email, *out)
			}
			c, err := row(ctx, v, args[0], receipt, after.timeout)
			if err != nil {
				return err
			}
			view := api.CustomerOf(c)
			return out.print(a.stdout, view, func() { a.printCustomer(view) })
		})
	})
}

func (a *app) customersByEmail(v *processors.View[*schemas.CustomerState], email string, out format) error {
	address, err := postal.ParseEmail(email)
	if err != nil {
		return run.Usagef("--email: %w", err)
	}
	ids, err := processors.ByEmail(v, string(address))
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return fmt.Errorf("no customer has this e-mail address: %w", processors.ErrNotFound)
	}
	var views []api.CustomerState
	for _, id := range ids {
		c, err := v.Get(id)
		if errors.Is(err, processors.ErrNotFound) {
			continue // gone between the two questions
		}
		if err != nil {
			return err
		}
		views = append(views, api.CustomerOf(c))
	}
	return out.print(a.stdout, views, func() {
		for i, view := range views {
			if i > 0 {
				line(a.stdout, "")
			}
			a.printCustomer(view)
		}
	})
}

func (a *app) customerWaitCommand() *cobra.Command {
	var in []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait RECEIPT", Short: "Wait until everybody who must know has applied a version",
		Long: `Waits until the views named by --in have reached the receipt: the customer's own state,
what billing has applied, what notification has applied. Exits 1 if one has not in time.`,
		Example: "utopia customer wait customer/c-17@4\nutopia customer wait customer/c-17@4 --in billing",
		Args:    cli.Args("RECEIPT"),
	}
	all := []string{"customer", "billing", "notification"}
	cmd.Flags().StringSliceVar(&in, "in", all, "whose view must have reached it")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait")
	complete(cmd, "in", all...)
	out := output(cmd)
	parse := func(args []string) (processors.Receipt, error) {
		r, err := processors.ParseReceipt(args[0])
		if err != nil {
			return r, run.Usage(err)
		}
		if r.Aggregate != "customer" {
			return r, run.Usagef("%s is not a customer's receipt", args[0])
		}
		for _, name := range in {
			if !slices.Contains(all, name) {
				return r, run.Usagef("--in %q is none of %s", name, strings.Join(all, ", "))
			}
		}
		return r, nil
	}
	check := func(args []string) error {
		_, err := parse(args)
		return err
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		r, err := parse(args)
		if err != nil {
			return err
		}
		return s.waitFor(ctx, r, in, timeout, *out)
	})
}
