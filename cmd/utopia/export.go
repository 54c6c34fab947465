package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/people"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/schemas"
)

func (a *app) exportCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write all customers to a file: CSV, JSON lines or Avro",
		Long: `Reads customer.state.v1 and writes every customer, with version and status, in the columns
that import reads. FILE is replaced when everything is written; without it the export
goes to standard output.`,
		Example: "utopia customer export people.avro\nutopia customer export --format jsonl | head",
		Args:    cli.Args("[FILE]"),
	}
	cmd.Flags().StringVar(&name, "format", "", "csv, jsonl or avro; default: by the file's name")
	complete(cmd, "format", string(people.CSV), string(people.JSONL), string(people.Avro))
	check := func(args []string) error {
		format, err := people.FormatOf(name, first(args))
		if err != nil {
			return run.Usagef("%w; say --format", err)
		}
		if format == people.Avro && len(args) == 0 && isTerminal(a.stdout) {
			return run.Usagef("these bytes are not for a terminal: name a file")
		}
		return nil
	}
	return a.connected(cmd, config.Registry, check, func(ctx context.Context, s *session, args []string) error {
		format, err := people.FormatOf(name, first(args))
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return s.export(ctx, format, a.stdout)
		}
		return replace(args[0], func(w io.Writer) error { return s.export(ctx, format, w) })
	})
}

// replace writes a file beside path and puts it in its place when it is whole.
func replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return run.Usage(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (s *session) export(ctx context.Context, format people.Format, w io.Writer) error {
	out, err := people.NewWriter(format, w)
	if err != nil {
		return err
	}
	n := 0
	err = withView(ctx, s, processors.NewCustomerView, func(_ context.Context, v *processors.View[*schemas.CustomerState]) error {
		return v.Each(func(_ string, c *schemas.CustomerState) error {
			n++
			a := c.Address.Address
			return out.Write(people.Row{
				ID: c.CustomerID, Name: c.Name, Email: c.Email, Language: c.Language,
				Country: a.Country, Region: a.Region, City: a.City, District: a.District, PostCode: a.PostCode, SortingCode: a.SortingCode, Street: a.Street,
				Version: c.Version, Status: c.Status,
			})
		})
	})
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	line(s.stderr, "%d customers", n)
	return nil
}
