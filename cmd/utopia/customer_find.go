package main

import (
	"context"
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

// foundPage is how many customers are asked for at once.
const foundPage = 500

func (a *app) customerFindCommand() *cobra.Command {
	var s processors.Search
	var most int
	cmd := &cobra.Command{
		Use: "find", Short: "Find customers by name, city, e-mail address or how their id begins",
		Long: `Reads customer.state.v1 into a view and lists the customers for whom everything that is given
is true. The beginnings of words are enough; case and accents do not matter.`,
		Example: "utopia customer find --name 'grace hop'\nutopia customer find --city goud -o json",
		Args:    cli.Args(),
	}
	cmd.Flags().StringVar(&s.Name, "name", "", "how words of the `name` begin")
	cmd.Flags().StringVar(&s.City, "city", "", "how the `city` begins")
	cmd.Flags().StringVar(&s.Email, "email", "", "the whole e-mail `address`")
	cmd.Flags().StringVar(&s.ID, "id", "", "how the `id` begins")
	cmd.Flags().IntVar(&most, "limit", 50, "how many customers at most")
	out := output(cmd)
	check := func([]string) error {
		if most < 1 {
			return run.Usagef("--limit %d is less than one", most)
		}
		if s == (processors.Search{}) {
			return run.Usagef("give --name, --city, --email or --id")
		}
		if s.Email == "" {
			return nil
		}
		email, err := postal.ParseEmail(s.Email)
		if err != nil {
			return run.Usagef("--email: %w", err)
		}
		s.Email = string(email)
		return nil
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, sess *session, _ []string) error {
		return withView(ctx, sess, processors.NewCustomerView, func(_ context.Context, v *processors.View[*schemas.CustomerState]) error {
			found, more, err := upTo(most, func(cursor string, limit int) (processors.CustomerPage, error) {
				return processors.FindCustomers(v, s, cursor, limit)
			})
			if err != nil {
				return err
			}
			views := []api.CustomerState{}
			var rows [][]string
			for _, c := range found {
				o := api.CustomerOf(c)
				views = append(views, o)
				rows = append(rows, []string{o.ID, o.Name, o.Email, o.Address.City + " " + o.Address.Country, number(o.Version), o.Status})
			}
			return out.print(a.stdout, views, func() {
				table(a.stdout, []string{"ID", "NAME", "E-MAIL", "CITY", "VERSION", "STATUS"}, rows)
				a.tellMore(more)
			})
		})
	})
}

func (a *app) customerWaitingCommand() *cobra.Command {
	var waitsFor string
	var most int
	cmd := &cobra.Command{
		Use: "waiting", Short: "List the address changes that wait, the oldest first, and what for",
		Long: `Reads customer.state.v1 into a view. A change waits for the customer's confirmation, or for
somebody to look why the mail that asks for it did not arrive, or for its date.`,
		Example: "utopia customer waiting\nutopia customer waiting --for mail -o json",
		Args:    cli.Args(),
	}
	cmd.Flags().StringVar(&waitsFor, "for", "", "only those that wait for `this`: confirmation, mail or date")
	cmd.Flags().IntVar(&most, "limit", 50, "how many changes at most")
	complete(cmd, "for", processors.Waits()...)
	out := output(cmd)
	check := func([]string) error {
		if most < 1 {
			return run.Usagef("--limit %d is less than one", most)
		}
		if waitsFor != "" && !slices.Contains(processors.Waits(), waitsFor) {
			return run.Usagef("--for %q is none of %s", waitsFor, strings.Join(processors.Waits(), ", "))
		}
		return nil
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, _ []string) error {
		return withView(ctx, s, processors.NewCustomerView, func(_ context.Context, v *processors.View[*schemas.CustomerState]) error {
			found, more, err := upTo(most, func(cursor string, limit int) (processors.CustomerPage, error) {
				return processors.WaitingChanges(v, waitsFor, cursor, limit)
			})
			if err != nil {
				return err
			}
			views := []api.WaitingChange{}
			var rows [][]string
			for _, c := range found {
				o := api.WaitingOf(c, time.Now())
				views = append(views, o)
				until := o.Change.ExpiresAt
				if o.WaitsFor == processors.WaitsForDate {
					until = o.Change.EffectiveAt
				}
				rows = append(rows, []string{o.Change.RequestedAt, o.Customer, o.Name, o.WaitsFor, until})
			}
			return out.print(a.stdout, views, func() {
				table(a.stdout, []string{"SINCE", "CUSTOMER", "NAME", "WAITS FOR", "UNTIL"}, rows)
				a.tellMore(more)
			})
		})
	})
}

func (a *app) tellMore(more bool) {
	if more {
		line(a.stdout, "%s", dim("There are more: --limit"))
	}
}

// upTo reads pages until there are enough rows.
func upTo(most int, read func(cursor string, limit int) (processors.CustomerPage, error)) (found []*schemas.CustomerState, more bool, err error) {
	for cursor := ""; ; {
		p, err := read(cursor, min(foundPage, most-len(found)))
		if err != nil {
			return nil, false, err
		}
		found = append(found, p.Customers...)
		if cursor = p.Next; cursor == "" || len(found) >= most {
			return found, cursor != "", nil
		}
	}
}
