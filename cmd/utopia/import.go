package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"charm.land/bubbles/v2/progress"
	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/people"
	"utopia/cmd/internal/run"
	"utopia/processors/ask"
	"utopia/processors/postal"
	"utopia/schemas"
	"utopia/topics"
)

type importFlags struct {
	format   string
	dry      bool
	parallel int
	timeout  time.Duration
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Register the customers of a file: CSV, JSON lines or Avro",
		Long: `Registers each row of FILE and waits for its outcome. Columns: id, name, email, language,
country, region, city, district, post_code, sorting_code, street (lines separated by
line feeds), in any order.

Rows that are wrong here, or refused there, are written with the reason to
FILE.rejected.csv (or .rejected.jsonl), which can be put right and imported itself. The
id of a row's command follows from its content, so an import that was interrupted is
simply run again. Exits 1 if a row was rejected.`,
		Example: `utopia customer import people.csv --dry-run
utopia customer import people.csv
utopia customer import people.avro -o json`,
		Args: cli.Args("FILE"),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.format, "format", "", "csv, jsonl or avro; default: by the file's name")
	fs.BoolVar(&f.dry, "dry-run", false, "check every row here and send nothing")
	fs.IntVar(&f.parallel, "parallel", 256, "how many rows may wait for their outcome at once")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for one outcome")
	complete(cmd, "format", string(people.CSV), string(people.JSONL), string(people.Avro))
	out := output(cmd)
	cfg := a.configured(cmd, config.Kafka|config.Registry)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd, cfg)
		if err != nil {
			return err
		}
		if f.parallel < 1 {
			return run.Usagef("--parallel %d: at least 1", f.parallel)
		}
		im, err := a.newImport(args[0], f)
		if err != nil {
			return err
		}
		defer im.close()
		if !f.dry {
			if err := s.reach(cmd.Context()); err != nil {
				return err
			}
			if im.asker, err = s.asker(cmd.Context(), api.Customer()); err != nil {
				return err
			}
			defer im.asker.Close()
		}
		err = im.run(cmd.Context())
		return errors.Join(err, im.report(a, *out, err))
	}
	return cmd
}

// imported counts what became of the rows.
type imported struct {
	Rows     int    `json:"rows"`
	Accepted int    `json:"accepted"`
	Repeated int    `json:"repeated"` // accepted by an earlier run
	Rejected int    `json:"rejected"`
	DryRun   bool   `json:"dryRun,omitempty"`
	Rejects  string `json:"rejects,omitempty"` // the file
}

type importing struct {
	importFlags
	file    *os.File
	size    int64
	reader  people.Reader
	rejects *people.Rejects
	asker   *ask.Client // nil for a dry run
	bar     *bar

	mu    sync.Mutex
	count imported
}

func (a *app) newImport(path string, f importFlags) (*importing, error) {
	format, err := people.FormatOf(f.format, path)
	if err != nil {
		return nil, run.Usagef("%w; say --format", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, run.Usage(err)
	}
	im := &importing{importFlags: f, file: file, count: imported{DryRun: f.dry}}
	if info, err := file.Stat(); err == nil {
		im.size = info.Size()
	}
	counted := &countingReader{r: file}
	if im.reader, err = people.NewReader(format, counted); err != nil {
		_ = file.Close()
		return nil, run.Usagef("%s: %w", path, err)
	}
	if im.rejects, err = people.NewRejects(path, format); err != nil {
		_ = file.Close()
		return nil, err
	}
	im.bar = newBar(a.stderr, func() float64 {
		if im.size == 0 {
			return 1
		}
		return float64(counted.read()) / float64(im.size)
	})
	return im, nil
}

func (im *importing) close() { _ = im.file.Close() }

// run reads rows and keeps so many of them waiting for their outcome at once. It
// ends at the first row without one: that is no property of the row.
func (im *importing) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(im.parallel)
	err := im.each(func(row people.Row) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.Go(func() error { return im.handle(ctx, row) })
		return nil
	})
	err = errors.Join(g.Wait(), err)
	im.bar.end()
	if closed := im.rejects.Close(); err == nil {
		err = closed
	}
	return err
}

// each calls f for every row that can be read.
func (im *importing) each(f func(people.Row) error) error {
	for {
		row, err := im.reader.Read()
		var bad *people.RowError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			im.mu.Lock()
			im.count.Rows++
			err = im.rejects.Unread(bad)
			im.mu.Unlock()
		case err == nil:
			err = f(row)
		}
		if err != nil {
			return err
		}
	}
}

func (im *importing) handle(ctx context.Context, row people.Row) error {
	command, err := registration(row)
	if err != nil {
		return im.settle(func(*imported) error { return im.rejects.Row(row, err.Error()) })
	}
	if im.asker == nil {
		return im.settle(func(c *imported) error { c.Accepted++; return nil })
	}
	wait, cancel := context.WithTimeout(ctx, im.timeout)
	defer cancel()
	reply, err := im.asker.Ask(wait, row.ID, command)
	if err != nil {
		return fmt.Errorf("row %d: %w", row.Number, err)
	}
	return im.settle(func(c *imported) error {
		switch {
		case reply.Outcome != schemas.OutcomeAccepted:
			return im.rejects.Row(row, reply.Message)
		case reply.Repeat:
			c.Repeated++
		default:
			c.Accepted++
		}
		return nil
	})
}

// settle counts one row under the lock.
func (im *importing) settle(f func(*imported) error) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.count.Rows++
	im.bar.show()
	return f(&im.count)
}

// registration checks a row and makes its command.
func registration(row people.Row) (schemas.Command, error) {
	if !topics.ValidID(row.ID) {
		return nil, errors.New("id: 1 to 64 of A-Z a-z 0-9 . _ ~ - are wanted")
	}
	r, err := api.Register(row.ID, api.Registration{Name: row.Name, Email: row.Email, Language: row.Language, Address: postal.Fields{
		Country: row.Country, Region: row.Region, City: row.City, District: row.District,
		PostCode: row.PostCode, SortingCode: row.SortingCode, Street: row.Street,
	}})
	if err != nil {
		return nil, err
	}
	r.Command.Metadata().CommandID = row.CommandID()
	return r.Command, nil
}

// report prints the counts, also of an import that ended early.
func (im *importing) report(a *app, out format, failed error) error {
	c := im.count
	c.Rejected, c.Rejects = im.rejects.Count(), im.rejects.Path()
	accepted := "accepted"
	if c.DryRun {
		accepted = "would be sent"
	}
	err := out.print(a.stdout, c, func() {
		fields(a.stdout, "rows", number(c.Rows), accepted, number(c.Accepted), "accepted before", zeroAsNone(c.Repeated), "rejected", number(c.Rejected), "rejects", c.Rejects)
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return fmt.Errorf("not finished after %d rows; run it again, it goes on where it was", c.Rows)
	case c.Rejected > 0:
		return fmt.Errorf("%d row(s) rejected, see %s", c.Rejected, c.Rejects)
	}
	return nil
}

func zeroAsNone(n int) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// countingReader knows how much of a file was read.
type countingReader struct {
	r  io.Reader
	mu sync.Mutex
	n  int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.mu.Lock()
	c.n += int64(n)
	c.mu.Unlock()
	return n, err
}

func (c *countingReader) read() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct {
	w     io.Writer
	model progress.Model
	part  func() float64
	last  time.Time
}

func newBar(w io.Writer, part func() float64) *bar {
	if !isTerminal(w) {
		return &bar{}
	}
	return &bar{w: w, model: progress.New(progress.WithDefaultBlend(), progress.WithWidth(50)), part: part}
}

// show draws the bar, at most ten times a second.
func (b *bar) show() {
	if b.w == nil || time.Since(b.last) < 100*time.Millisecond {
		return
	}
	b.last = time.Now()
	_, _ = lipgloss.Fprint(b.w, "\r"+b.model.ViewAs(b.part()))
}

// end takes the bar away.
func (b *bar) end() {
	if b.w != nil {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
}
