package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/customer"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// Why a rebuild does not begin.
var (
	// ErrProcessorRuns: rows are only replaced while no instance of the group works on them.
	ErrProcessorRuns = errors.New("an instance of the customer group is running: stop every one, then replace rows")
	// ErrEventsIncomplete: the event store does not begin at offset 0, or has no event of a partition that has rows. A state
	// folded from the rest would be wrong.
	ErrEventsIncomplete = errors.New("the event store is not complete")
)

// RebuildOptions is what RebuildCustomer needs.
type RebuildOptions struct {
	Client []kgo.Opt // seeds, TLS, SASL, of the customer service's principal
	IDs    schemas.IDs
	Apply  bool // replace what differs; else only compare
}

// What a rebuild can find about one customer.
const (
	FoundMissing    = "missing"    // events, and no row
	FoundUnreadable = "unreadable" // a row that cannot be decoded
	FoundDifferent  = "different"  // another state than the events say at that version
	FoundAhead      = "ahead"      // a version that no event has
	FoundBehind     = "behind"     // events that the row has not followed
	FoundBroken     = "broken"     // events that do not follow one another; such a row is left alone
)

// RebuildFinding is a customer whose row is not what the events say.
type RebuildFinding struct {
	Key  string
	What string
}

// RebuildReport says what a rebuild has read, found and done.
type RebuildReport struct {
	Events, Customers, Rows, Same int64
	// Findings are ordered by key within each partition.
	Findings []RebuildFinding
	// Replaced counts rows written. IDsFromEvents counts those among them whose handled ids come from the events because
	// no row was readable: a refused command that is sent again may be decided anew there.
	Replaced, IDsFromEvents int64
}

// RebuildCustomer folds customer.events.v1 from offset 0 and compares the states with the rows of the customer table. It
// may look while the processor works: a row is compared at its own version. With Apply it replaces the state part of
// every row that differs and keeps the handled ids of the live row; the public state of these customers is written with
// it, in one transaction per 500 customers. Views and stores take the new rows up like any other.
//
// One partition is in memory at a time. Errors: ErrProcessorRuns, ErrEventsIncomplete, and what the cluster answers.
func RebuildCustomer(ctx context.Context, o RebuildOptions) (*RebuildReport, error) {
	client, err := kafkaclient.New(ctx, o.Client...)
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	defer client.Close()
	b := &rebuild{o: o, admin: kadm.NewClient(client.Client), report: &RebuildReport{}}
	if o.Apply {
		if err := b.stopped(ctx); err != nil {
			return nil, err
		}
		if b.codec, err = schemas.NewCodec(topics.CustomerState.Name, o.IDs); err != nil {
			return nil, fmt.Errorf("rebuild: %w", err)
		}
	}
	starts, err := b.admin.ListStartOffsets(ctx, topics.CustomerEvents.Name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	for p, start := range starts[topics.CustomerEvents.Name] {
		if start.Offset != 0 {
			return nil, fmt.Errorf("%w: partition %d begins at offset %d", ErrEventsIncomplete, p, start.Offset)
		}
	}
	for p := range int32(len(starts[topics.CustomerEvents.Name])) { //nolint:gosec // Kafka numbers partitions by int32
		if err := b.partition(ctx, p); err != nil {
			return b.report, fmt.Errorf("rebuild partition %d: %w", p, err)
		}
	}
	return b.report, nil
}

// rebuild is one run.
type rebuild struct {
	o      RebuildOptions
	admin  *kadm.Client
	codec  *schemas.Codec
	report *RebuildReport
}

// liveRow is a row as the table has it.
type liveRow struct {
	readable bool
	state    customer.State
	handled  []schemas.Handled
}

// folded is what the events of one customer say.
type folded struct {
	state   customer.State
	at      time.Time         // of the last event
	handled []schemas.Handled // what the events know of handled ids
	settled int64             // the version that the row must have reached
	same    bool              // as the row, at the row's version
	broken  bool
}

// stopped refuses while the group has members, or where nobody says whether it has any.
func (b *rebuild) stopped(ctx context.Context) error {
	groups, err := b.admin.DescribeGroups(ctx, topics.Customer)
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	group := groups[topics.Customer]
	switch {
	case len(group.Members) > 0:
		return ErrProcessorRuns
	case group.Err != nil && !errors.Is(group.Err, kerr.GroupIDNotFound): // a group that never was has no member
		return fmt.Errorf("rebuild: group %s: %w", topics.Customer, group.Err)
	}
	return nil
}

// partition compares one partition. The order matters while the processor works: rows are read after it is known up to
// where the events must be in them, and events after the rows.
func (b *rebuild) partition(ctx context.Context, p int32) error {
	settled, err := b.stableEnd(ctx, topics.CustomerEvents.Name, p)
	if err != nil {
		return err
	}
	rows, err := b.readRows(ctx, p)
	if err != nil {
		return err
	}
	folds, err := b.foldEvents(ctx, p, settled, rows)
	if err != nil {
		return err
	}
	lived := 0 // rows that events must have led to, as far as anybody can tell
	for _, row := range rows {
		if row.state.Version > 0 || !row.readable {
			lived++
		}
	}
	if len(folds) == 0 && lived > 0 {
		return fmt.Errorf("%w: %d rows and no event", ErrEventsIncomplete, lived)
	}
	b.report.Rows += int64(len(rows))
	b.report.Customers += int64(len(folds))

	var wrong []RebuildFinding
	for key := range rows {
		if folds[key] == nil {
			folds[key] = &folded{}
		}
	}
	for key, f := range folds {
		switch what := compare(rows[key], f); what {
		case "":
			b.report.Same++
		default:
			wrong = append(wrong, RebuildFinding{Key: key, What: what})
		}
	}
	slices.SortFunc(wrong, func(a, b RebuildFinding) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	b.report.Findings = append(b.report.Findings, wrong...)
	if !b.o.Apply {
		return nil
	}
	return b.replace(ctx, p, wrong, rows, folds)
}

// compare says what is wrong with a row, "" if nothing is.
func compare(row *liveRow, f *folded) string {
	switch {
	case f.broken:
		return FoundBroken
	case row == nil && f.settled == 0: // so new that the row had not been written when rows were read
		return ""
	case row == nil:
		return FoundMissing
	case !row.readable:
		return FoundUnreadable
	case row.state.Version > f.state.Version:
		return FoundAhead
	case row.state.Version < f.settled:
		return FoundBehind
	case row.state.Version == 0 && row.state == (customer.State{}), f.same:
		return ""
	}
	return FoundDifferent
}

// foldEvents folds the events of one partition and compares each row on the way, at the row's own version.
func (b *rebuild) foldEvents(ctx context.Context, p int32, settled int64, rows map[string]*liveRow) (map[string]*folded, error) {
	folds := map[string]*folded{}
	err := b.read(ctx, topics.CustomerEvents.Name, p, func(r *kgo.Record) error {
		b.report.Events++
		key := string(r.Key)
		f := folds[key]
		if f == nil {
			f = &folded{}
			folds[key] = f
		}
		rec, err := schemas.DecodePrivate(r.Value)
		if err != nil {
			return fmt.Errorf("event at offset %d: %w", r.Offset, err)
		}
		e, head, err := readCustomerEvent(rec)
		if err != nil {
			return fmt.Errorf("event at offset %d: %w", r.Offset, err)
		}
		if f.broken || head.Version != f.state.Version+1 || !f.evolve(e) {
			f.broken = true
			return nil
		}
		f.at = schemas.Time(head.At)
		f.remember(e, head)
		if r.Offset < settled {
			f.settled = f.state.Version
		}
		if row := rows[key]; row != nil && row.readable && row.state.Version == f.state.Version {
			f.same = row.state == f.state
		}
		return nil
	})
	return folds, err
}

// evolve folds one event; false says that it cannot have happened here.
func (f *folded) evolve(e customer.Event) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	f.state = customer.Evolve(f.state, e)
	return true
}

// remember keeps what an event tells of the id that led to it. The body of the command is not in the events: 0 stands
// for whatever it was.
func (f *folded) remember(e customer.Event, head schemas.EventHead) {
	id := head.CommandID
	switch e := e.(type) { //nolint:gochecksumtype // only these can come from something else than a command
	case customer.Moved:
		if e.Source != "" {
			id = factID(e.Source, e.FactID)
		}
	case customer.FactRecorded:
		id = factID(e.Source, e.FactID)
	case customer.ConfirmationUndeliverable:
		id = undeliverableID(head.CausationID)
	}
	if id == "" {
		return
	}
	f.handled, _ = pushHandled(f.handled, schemas.Handled{
		ID: hash64([]byte(id)), Version: head.Version, At: schemas.Time(head.At).Unix(),
	})
}
