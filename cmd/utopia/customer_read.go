package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/postal"
	"utopia/schemas"
)

// customerView is a customer as -o json shows it.
type customerView struct {
	ID        string       `json:"id"`
	Version   int64        `json:"version"`
	Receipt   string       `json:"receipt"`
	Status    string       `json:"status"`
	Name      string       `json:"name"`
	Email     string       `json:"email"`
	Language  string       `json:"language,omitempty"`
	Address   addressView  `json:"address"`
	Pending   *pendingView `json:"pending,omitempty"`
	UpdatedAt string       `json:"updatedAt"`
}

type addressView struct {
	Country     string   `json:"country"`
	Region      string   `json:"region,omitempty"`
	City        string   `json:"city,omitempty"`
	District    string   `json:"district,omitempty"`
	PostCode    string   `json:"postCode,omitempty"`
	SortingCode string   `json:"sortingCode,omitempty"`
	Street      []string `json:"street,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Version     int64    `json:"version,omitempty"` // the customer's version that set it
	Verified    bool     `json:"verified"`
	Since       string   `json:"since,omitempty"`
	Source      string   `json:"source,omitempty"`

	flat schemas.Address
}

type pendingView struct {
	ChangeID      string `json:"changeId"`
	Status        string `json:"status"`
	Reason        string `json:"reason"`
	Version       int64  `json:"version"`
	RequestedAt   string `json:"requestedAt"`
	ExpiresAt     string `json:"expiresAt,omitempty"`
	EffectiveAt   string `json:"effectiveAt,omitempty"`
	Undeliverable string `json:"undeliverable,omitempty"`
}

func viewResidence(r schemas.Residence) addressView {
	a := r.Address
	v := addressView{
		Country: a.Country, Region: a.Region, City: a.City, District: a.District, PostCode: a.PostCode, SortingCode: a.SortingCode,
		Reason: r.Reason, Version: r.Version, Verified: r.Verified, Since: stamp(schemas.Time(r.OccurredAt)), Source: r.Source, flat: a,
	}
	if a.Street != "" {
		v.Street = strings.Split(a.Street, "\n")
	}
	return v
}

func viewCustomer(c *schemas.CustomerState) customerView {
	v := customerView{
		ID: c.CustomerID, Version: c.Version, Status: c.Status, Name: c.Name, Email: c.Email, Language: c.Language,
		Receipt: processors.Receipt{Aggregate: "customer", Key: c.CustomerID, Version: c.Version}.String(),
		Address: viewResidence(c.Address), UpdatedAt: stamp(schemas.Time(c.UpdatedAt)),
	}
	if p := c.Pending; p != nil {
		v.Pending = &pendingView{
			ChangeID: p.ChangeID, Status: p.Status, Reason: p.Reason, Version: p.Version,
			RequestedAt: stamp(schemas.Time(p.RequestedAt)), ExpiresAt: stamp(schemas.Time(p.ExpiresAt)),
			EffectiveAt: stamp(schemas.Time(p.EffectiveAt)), Undeliverable: p.Undeliverable,
		}
	}
	return v
}

func (a *app) printCustomer(v customerView) {
	verified := ""
	if !v.Address.Verified {
		verified = "as written; its country's rules refuse it"
	}
	fields(a.stdout, "customer", v.ID, "version", number(v.Version), "status", v.Status, "name", v.Name, "e-mail", v.Email, "language", v.Language,
		"address", oneLine(v.Address.flat), "reason", v.Address.Reason, "since", v.Address.Since, "source", v.Address.Source, "note", verified,
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
			view := viewCustomer(c)
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
	var views []customerView
	for _, id := range ids {
		c, err := v.Get(id)
		if errors.Is(err, processors.ErrNotFound) {
			continue // gone between the two questions
		}
		if err != nil {
			return err
		}
		views = append(views, viewCustomer(c))
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
