package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors/kafkaclient"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

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
		Example: `utopia crm publish c-17 --source registry-office \
  --occurred-at 2026-01-31 \
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
	parsed, verified, err := postal.AsWritten(address.written())
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
	cl, err := kafkaclient.New(ctx, s.opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	rec := &kgo.Record{Topic: topics.CRMChanges.Name, Key: []byte(f.CustomerID), Value: value}
	if err := store(ctx, cl.Client, rec); err != nil {
		return err
	}
	p := produced{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: f.CustomerID}
	return out.print(s.stdout, p, func() {
		line(s.stdout, "%s/%d/%d  %s  fact %s", p.Topic, p.Partition, p.Offset, p.Key, f.FactID)
	})
}
