package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/config"
	"utopia/schemas"
	"utopia/topics"
)

// history is what customer.changes.v1 still has about a customer.
type history struct {
	Begins   string   `json:"begins,omitempty"` // the oldest change that is kept in this partition, of any customer
	Complete bool     `json:"complete"`         // the customer's first change is among them
	Changes  []change `json:"changes"`
}

type change struct {
	shown
	Version int64  `json:"version"`
	What    string `json:"what"`
}

func (a *app) customerHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "history ID", Short: "Show what has changed about a customer, old and new",
		Long: fmt.Sprintf(`Reads %s, which keeps %s; the output says where the history begins. The whole
history is the customer service's own event store, which is private.`, topics.CustomerChanges.Name, catalogue.Days(topics.CustomerChanges.Retention)),
		Example: "utopia customer history c-17\nutopia customer history c-17 -o json",
		Args:    cli.Args("ID"),
	}
	out := output(cmd)
	return a.connected(cmd, config.Registry, nil, func(ctx context.Context, s *session, args []string) error {
		h, err := s.history(ctx, args[0])
		if err != nil {
			return err
		}
		return out.print(a.stdout, h, func() {
			var rows [][]string
			for _, c := range h.Changes {
				rows = append(rows, []string{number(c.Version), c.At, lastWords([]string{c.Type})[0], c.What})
			}
			if len(rows) > 0 {
				table(a.stdout, []string{"VERSION", "AT", "CHANGE", "WHAT"}, rows)
			}
			line(a.stdout, "%s", dim(h.note(args[0])))
		})
	})
}

// note says where the history begins.
func (h history) note(id string) string {
	switch {
	case h.Complete:
		return "this is everything since the customer was registered"
	case h.Begins == "":
		return fmt.Sprintf("%s holds nothing about %s", topics.CustomerChanges.Name, id)
	case len(h.Changes) == 0:
		return fmt.Sprintf("%s begins at %s and holds nothing about %s", topics.CustomerChanges.Name, h.Begins, id)
	default:
		return fmt.Sprintf("%s begins at %s; what was before is not public any more", topics.CustomerChanges.Name, h.Begins)
	}
}

func (s *session) history(ctx context.Context, id string) (history, error) {
	h := history{Changes: []change{}}
	registry, err := s.registry()
	if err != nil {
		return h, err
	}
	codec, err := schemas.NewCodec(topics.CustomerChanges.Name, registry)
	if err != nil {
		return h, err
	}
	partition, err := s.partitionOf(ctx, topics.CustomerChanges.Name, id)
	if err != nil {
		return h, err
	}
	show := newReader(registry)
	err = cluster.Scan(ctx, s.opts, cluster.Range{Topic: topics.CustomerChanges.Name, Partition: partition}, func(rec *kgo.Record) error {
		if h.Begins == "" {
			h.Begins = stamp(rec.Timestamp)
		}
		if string(rec.Key) != id {
			return nil
		}
		v, err := show.show(rec)
		if err != nil {
			return err
		}
		c := change{shown: v}
		if typed, err := codec.Decode(rec.Value); err == nil {
			c.Version, c.What = describe(typed)
			_, registered := typed.(*schemas.PublicCustomerRegistered)
			h.Complete = h.Complete || registered
		}
		h.Changes = append(h.Changes, c)
		return nil
	})
	return h, err
}

// describe says in a line what a change was. A type that this release does not
// know is shown by its name alone.
func describe(r schemas.Record) (version int64, what string) {
	switch r := r.(type) {
	case *schemas.PublicCustomerRegistered:
		return r.Version, fmt.Sprintf("%s, %s, %s", r.Name, r.Email, api.OneLine(r.Address.Address))
	case *schemas.PublicCustomerMoved:
		return r.Version, between(r.Before, r.After)
	case *schemas.PublicAddressCorrected:
		return r.Version, between(r.Before, r.After)
	case *schemas.PublicEmailChanged:
		return r.Version, r.Before + " → " + r.After
	case *schemas.PublicCustomerClosed:
		return r.Version, ""
	case *schemas.PublicCustomerErased:
		return r.Version, ""
	default:
		return 0, ""
	}
}

func between(before, after schemas.Residence) string {
	what := api.OneLine(before.Address) + " → " + api.OneLine(after.Address)
	if after.Source != "" {
		what += " (" + after.Source + ")"
	}
	if at := schemas.Time(after.OccurredAt); !at.IsZero() && after.RecordedAt-after.OccurredAt > time.Minute.Milliseconds() {
		what += ", since " + stamp(at)
	}
	return what
}
