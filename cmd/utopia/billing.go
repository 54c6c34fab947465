package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

func (a *app) billingCommand() *cobra.Command {
	return cli.Group("billing", "Invoices, and the address that they go to",
		`Billing listens to customers: an invoice freezes the address it was issued to, a move
re-addresses open ones, a correction issues them again. It works on while the customer
service is down.`,
		a.issueCommand(), a.payCommand(), a.billingGetCommand())
}

func (a *app) issueCommand() *cobra.Command {
	var invoice, amount, currency, text string
	cmd := &cobra.Command{
		Use: "issue ID", Short: "Send a customer an invoice",
		Example: `utopia billing issue c-17 --invoice r-2026-1 \
  --amount 12.50 --currency EUR --text 'Subscription, January'`,
		Args: cli.Args("ID"),
	}
	fs := cmd.Flags()
	fs.StringVar(&invoice, "invoice", "", "invoice `id`")
	fs.StringVar(&amount, "amount", "", "amount, with a point before the smallest units: 12.50")
	fs.StringVar(&currency, "currency", "EUR", "currency `code`, ISO 4217")
	fs.StringVar(&text, "text", "", "what it is for")
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		if !topics.ValidID(invoice) {
			return request{}, run.Usagef("--invoice %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", invoice)
		}
		cents, err := parseAmount(amount)
		if err != nil {
			return request{}, run.Usagef("--amount %w", err)
		}
		return request{Request: api.Issue(args[0], invoice, cents, currency, text)}, nil
	})
}

// parseAmount reads 12, 12.5 and 12.50 as hundredths, without a float.
func parseAmount(s string) (int64, error) {
	whole, part, _ := strings.Cut(s, ".")
	if len(part) > 2 || whole == "" || strings.ContainsAny(s, "+- ") {
		return 0, fmt.Errorf("%q is not an amount like 12.50", s)
	}
	part += strings.Repeat("0", 2-len(part))
	n, err := strconv.ParseInt(whole, 10, 64)
	m, err2 := strconv.ParseInt(part, 10, 64)
	if err != nil || err2 != nil || n > (math.MaxInt64-m)/100 {
		return 0, fmt.Errorf("%q is not an amount like 12.50", s)
	}
	return n*100 + m, nil
}

func (a *app) payCommand() *cobra.Command {
	var invoice string
	cmd := &cobra.Command{
		Use: "pay ID", Short: "Settle an open invoice",
		Example: "utopia billing pay c-17 --invoice r-2026-1", Args: cli.Args("ID"),
	}
	cmd.Flags().StringVar(&invoice, "invoice", "", "invoice `id`")
	return a.asks(cmd, 0, func(_ *config.Config, args []string) (request, error) {
		if !topics.ValidID(invoice) {
			return request{}, run.Usagef("--invoice %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", invoice)
		}
		return request{Request: api.Pay(args[0], invoice)}, nil
	})
}

func (a *app) billingGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show open invoices, and which version of the customer billing has applied",
		Example: "utopia billing get c-17\nutopia billing get c-17 --after billing/c-17@2 -o json", Args: cli.Args("ID"),
	}
	return reads(a, cmd, "billing", processors.NewBillingView, func(b *schemas.BillingState, out format) error {
		v := api.BillingOf(b)
		return out.print(a.stdout, v, func() {
			fields(a.stdout, "customer", v.ID, "status", v.Status, "version", number(v.Version), "customer version", number(v.CustomerVersion),
				"address", v.Address, "open invoices", number(len(v.Open)), "receipt", v.Receipt)
			var rows [][]string
			for _, i := range v.Open {
				rows = append(rows, []string{i.ID, i.Amount, i.IssuedAt, number(i.SendTo), number(i.Corrections), i.Address})
			}
			if len(rows) > 0 {
				line(a.stdout, "")
				table(a.stdout, []string{"INVOICE", "AMOUNT", "ISSUED", "SEND TO VERSION", "CORRECTIONS", "ISSUED TO"}, rows)
			}
		})
	})
}
