package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/postal"
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
		Example: "utopia billing issue c-17 --invoice r-2026-1 --amount 12.50 --currency EUR --text 'Subscription, January'",
		Args:    cli.Args("ID"),
	}
	fs := cmd.Flags()
	fs.StringVar(&invoice, "invoice", "", "invoice `id`")
	fs.StringVar(&amount, "amount", "", "amount, with a point before the smallest units: 12.50")
	fs.StringVar(&currency, "currency", "EUR", "currency `code`, ISO 4217")
	fs.StringVar(&text, "text", "", "what it is for")
	return a.asks(cmd, billingService(), 0, func(_ *config.Config, args []string) (request, error) {
		if !topics.ValidID(invoice) {
			return request{}, run.Usagef("--invoice %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", invoice)
		}
		cents, err := parseAmount(amount)
		if err != nil {
			return request{}, run.Usagef("--amount %w", err)
		}
		return request{key: args[0], command: &schemas.IssueInvoice{
			CustomerID: args[0], InvoiceID: invoice, AmountCents: cents, Currency: currency, Text: text,
		}}, nil
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
	return a.asks(cmd, billingService(), 0, func(_ *config.Config, args []string) (request, error) {
		if !topics.ValidID(invoice) {
			return request{}, run.Usagef("--invoice %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", invoice)
		}
		return request{key: args[0], command: &schemas.PayInvoice{CustomerID: args[0], InvoiceID: invoice}}, nil
	})
}

type billingView struct {
	ID              string        `json:"id"`
	Version         int64         `json:"version"`
	Receipt         string        `json:"receipt"`
	CustomerVersion int64         `json:"customerVersion"` // the newest that billing has applied
	Status          string        `json:"status"`
	Address         string        `json:"address,omitempty"`
	Open            []invoiceView `json:"open"`
}

type invoiceView struct {
	ID             string `json:"id"`
	Amount         string `json:"amount"`
	Text           string `json:"text,omitempty"`
	IssuedAt       string `json:"issuedAt"`
	Address        string `json:"address,omitempty"` // frozen at issue; none while the customer is not known
	AddressVersion int64  `json:"addressVersion"`
	SendTo         int64  `json:"sendTo"` // the version of the address for what follows
	Corrections    int32  `json:"corrections"`
}

func viewBilling(b *schemas.BillingState) billingView {
	v := billingView{
		ID: b.CustomerID, Version: b.Version, CustomerVersion: b.CustomerVersion, Status: b.Status, Address: oneLine(b.Address), Open: []invoiceView{},
		Receipt: processors.Receipt{Aggregate: "billing", Key: b.CustomerID, Version: b.Version}.String(),
	}
	for _, i := range b.Open {
		v.Open = append(v.Open, invoiceView{
			ID: i.InvoiceID, Amount: fmt.Sprintf("%d.%02d %s", i.AmountCents/100, i.AmountCents%100, i.Currency), Text: i.Text,
			IssuedAt: stamp(schemas.Time(i.IssuedAt)), Address: oneLine(i.Address), AddressVersion: i.AddressVersion, SendTo: i.SendTo, Corrections: i.Corrections,
		})
	}
	return v
}

func (a *app) billingGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show open invoices, and which version of the customer billing has applied",
		Example: "utopia billing get c-17\nutopia billing get c-17 --after billing/c-17@2 -o json", Args: cli.Args("ID"),
	}
	return reads(a, cmd, "billing", processors.NewBillingView, func(b *schemas.BillingState, out format) error {
		v := viewBilling(b)
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

type notificationView struct {
	ID              string       `json:"id"`
	Version         int64        `json:"version"`
	Receipt         string       `json:"receipt"`
	CustomerVersion int64        `json:"customerVersion"`
	Status          string       `json:"status"`
	Asked           int64        `json:"asked"`
	Delivered       int64        `json:"delivered"`
	Failed          int64        `json:"failed"`
	Notices         []noticeView `json:"notices"`
}

type noticeView struct {
	Version         int64    `json:"version"`
	Kind            string   `json:"kind"`
	CustomerVersion int64    `json:"customerVersion"`
	At              string   `json:"at"`
	Mails           []string `json:"mails"`
}

func viewNotification(n *schemas.NotificationState) notificationView {
	v := notificationView{
		ID: n.CustomerID, Version: n.Version, CustomerVersion: n.CustomerVersion, Status: n.Status,
		Asked: n.Asked, Delivered: n.Delivered, Failed: n.Failed, Notices: []noticeView{},
		Receipt: processors.Receipt{Aggregate: "notification", Key: n.CustomerID, Version: n.Version}.String(),
	}
	for _, notice := range n.Notices {
		v.Notices = append(v.Notices, noticeView{
			Version: notice.Version, Kind: notice.Kind, CustomerVersion: notice.CustomerVersion, At: stamp(schemas.Time(notice.At)), Mails: notice.Mails,
		})
	}
	return v
}

func (a *app) notificationsCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list ID", Short: "Show what a customer was told, and what became of each mail",
		Example: "utopia notifications list c-17 -o yaml", Args: cli.Args("ID"),
	}
	reads(a, list, "notification", processors.NewNotificationView, func(n *schemas.NotificationState, out format) error {
		v := viewNotification(n)
		return out.print(a.stdout, v, func() {
			fields(a.stdout, "customer", v.ID, "status", v.Status, "customer version", number(v.CustomerVersion),
				"mails", fmt.Sprintf("%d asked for, %d delivered, %d failed", v.Asked, v.Delivered, v.Failed), "receipt", v.Receipt)
			var rows [][]string
			for _, n := range v.Notices {
				rows = append(rows, []string{number(n.CustomerVersion), n.Kind, n.At, strings.Join(n.Mails, ", ")})
			}
			if len(rows) > 0 {
				line(a.stdout, "")
				table(a.stdout, []string{"CUSTOMER VERSION", "NOTICE", "AT", "MAILS"}, rows)
			}
		})
	})
	return cli.Group("notifications", "What customers were told about their changes", "", list)
}

func (a *app) crmCommand() *cobra.Command {
	return cli.Group("crm", "Facts from systems of record outside",
		`The other way to produce an address change: a fact has happened already, so it is not
asked for confirmation and cannot be refused for business reasons.`,
		a.crmPublishCommand())
}

func (a *app) crmPublishCommand() *cobra.Command {
	var source, fact, occurred string
	var address addressFlags
	cmd := &cobra.Command{
		Use: "publish ID", Short: "Tell where a customer lives, by the word of a system of record",
		Long: `Stores AddressChanged on crm.changes.v1. An older fact than the customer's present address
is recorded as out of date. An address that its country's rules refuse is kept as written;
this command then says so.`,
		Example: `utopia crm publish c-17 --source registry-office --occurred-at 2026-01-31 \
  --country DE --postcode 10115 --city Berlin --street 'Invalidenstr. 117'`,
		Args: cli.Args("ID"),
	}
	fs := cmd.Flags()
	fs.StringVar(&source, "source", "", "`name` of the system of record")
	fs.StringVar(&fact, "fact-id", "", "its `id` of the fact; the same again changes nothing; default: a new UUIDv7")
	fs.StringVar(&occurred, "occurred-at", "", "`when` it became the address; default: now")
	address.register(cmd)
	out := output(cmd)
	cfg := a.configured(cmd, config.Kafka|config.Registry)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd, cfg)
		if err != nil {
			return err
		}
		f, err := a.fact(args[0], source, fact, occurred, &address)
		if err != nil {
			return err
		}
		if err := s.reach(cmd.Context()); err != nil {
			return err
		}
		return s.publish(cmd.Context(), f, *out)
	}
	return cmd
}

func (a *app) fact(id, source, fact, occurred string, address *addressFlags) (*schemas.AddressChanged, error) {
	if !topics.ValidID(id) {
		return nil, run.Usagef("%q is not an id: 1 to 64 of A-Z a-z 0-9 . _ ~ -", id)
	}
	if !topics.ValidID(source) {
		return nil, run.Usagef("--source %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", source)
	}
	if fact == "" {
		fact = uuid.Must(uuid.NewV7()).String()
	}
	if !topics.ValidID(fact) {
		return nil, run.Usagef("--fact-id %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", fact)
	}
	at, err := parseTime("--occurred-at", occurred)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = a.now()
	}
	address.Street = strings.Join(address.street, "\n")
	parsed, verified, err := postal.AsWritten(address.Fields)
	if err != nil {
		return nil, run.Usage(err)
	}
	if !verified {
		line(a.stderr, "%s", yellow("the country's rules refuse this address; it will be kept as written and not verified"))
	}
	return &schemas.AddressChanged{CustomerID: id, Source: source, FactID: fact, OccurredAt: schemas.Millis(at), Address: schemas.Address(parsed.Fields())}, nil
}

func (s *session) publish(ctx context.Context, f *schemas.AddressChanged, out format) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	codec, err := schemas.NewCodec(topics.CRMChanges.Name, registry)
	if err != nil {
		return err
	}
	value, err := codec.Append(nil, f)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(s.opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	rec := &kgo.Record{Topic: topics.CRMChanges.Name, Key: []byte(f.CustomerID), Value: value}
	if err := store(ctx, cl, rec); err != nil {
		return err
	}
	p := produced{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: f.CustomerID}
	return out.print(s.stdout, p, func() {
		line(s.stdout, "%s/%d/%d  %s  fact %s", p.Topic, p.Partition, p.Offset, p.Key, f.FactID)
	})
}
