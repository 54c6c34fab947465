package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// ErrNotFound says that a view has no row for a key. The key may be unknown, or erased.
var ErrNotFound = errors.New("not found")

// ViewOptions is what every view needs.
type ViewOptions struct {
	Client []kgo.Opt // seeds, TLS, SASL
	IDs    schemas.IDs
	Dir    string // empty: in memory, read from the log at every start
	FS     vfs.FS // nil: the disk
	Logger *slog.Logger

	change func(*eos.ViewConfig) // for the test of the simulation; nil in production
}

// View is a materialised copy of a public state topic. It holds committed rows only, and it answers nothing before it
// has read everything that was committed when it started.
type View[T schemas.Record] struct {
	*eos.View
	codec     *schemas.Codec
	version   func(T) int64
	aggregate string
}

// NewCustomerView returns a view over customer.state.v1, in which FindCustomers and WaitingChanges find customers.
func NewCustomerView(o ViewOptions) (*View[*schemas.CustomerState], error) {
	return newView(o, topics.CustomerState, "customer", customerIndex, func(s *schemas.CustomerState) int64 { return s.Version }, customerEntries)
}

// NewBillingView returns a view over billing.state.v1.
func NewBillingView(o ViewOptions) (*View[*schemas.BillingState], error) {
	return newView(o, topics.BillingState, "billing", "",
		func(s *schemas.BillingState) int64 { return s.Version }, nil)
}

// NewNotificationView returns a view over notification.state.v1.
func NewNotificationView(o ViewOptions) (*View[*schemas.NotificationState], error) {
	return newView(o, topics.NotificationState, "notification", "",
		func(s *schemas.NotificationState) int64 { return s.Version }, nil)
}

// NewMailView returns a view over mail.state.v1: the status of each mail, nothing of its content.
func NewMailView(o ViewOptions) (*View[*schemas.MailState], error) {
	return newView(o, topics.MailState, "mail", "",
		func(s *schemas.MailState) int64 { return s.Version }, nil)
}

// NewWebhookView returns a view over webhook.state.v1: who is told of changes, and how that goes.
func NewWebhookView(o ViewOptions) (*View[*schemas.WebhookState], error) {
	return newView(o, topics.WebhookState, "webhook", "",
		func(s *schemas.WebhookState) int64 { return s.Version }, nil)
}

func newView[T schemas.Record](
	o ViewOptions, topic topics.Topic, aggregate, indexVersion string, version func(T) int64, index func(T) []string,
) (*View[T], error) {
	codec, err := schemas.NewCodec(topic.Name, o.IDs)
	if err != nil {
		return nil, fmt.Errorf("view of %s: %w", topic.Name, err)
	}
	v := &View[T]{codec: codec, version: version, aggregate: aggregate}
	cfg := eos.ViewConfig{
		Client: o.Client, Topic: topic.Name, Dir: o.Dir, FS: o.FS, Logger: o.Logger, IndexVersion: indexVersion,
		Admit: func(value []byte) error { // so that no row is taken whose schema is not known yet: queries could not read it, and nobody would find it
			if _, err := codec.Key(value); errors.Is(err, schemas.ErrRegistryDown) {
				return fmt.Errorf("%w: %w", eos.ErrBlocked, err)
			}
			return nil
		},
	}
	if index != nil {
		cfg.Index = func(_ string, value []byte) ([]string, error) {
			row, err := v.decode(value)
			switch {
			case errors.Is(err, schemas.ErrRegistryDown):
				return nil, err // a row from an earlier process
			case err != nil:
				return nil, nil //nolint:nilerr // one that nobody can read
			}
			return index(row), nil
		}
	}
	if o.change != nil {
		o.change(&cfg)
	}
	if v.View, err = eos.NewView(cfg); err != nil {
		return nil, fmt.Errorf("view of %s: %w", topic.Name, err)
	}
	return v, nil
}

func (v *View[T]) decode(value []byte) (T, error) {
	var none T
	rec, err := v.codec.Decode(value)
	if err != nil {
		return none, fmt.Errorf("row: %w", err)
	}
	row, ok := rec.(T)
	if !ok {
		return none, fmt.Errorf("row is a %s", rec.AvroName())
	}
	return row, nil
}

// Get returns the row of key. ErrNotFound, or an *eos.NotReadyError that says how far the view is.
func (v *View[T]) Get(key string) (T, error) {
	var none T
	value, err := v.View.Get(key)
	if err != nil {
		return none, err
	}
	if value == nil {
		return none, fmt.Errorf("%s %s: %w", v.aggregate, key, ErrNotFound)
	}
	return v.decode(value)
}

// After waits until the view has reached the receipt and returns the row then. ErrNotFound after an erasure; ctx's error
// when it takes too long.
func (v *View[T]) After(ctx context.Context, r Receipt) (T, error) {
	return v.Until(ctx, r.Key, func(row T, found bool) bool {
		if !found {
			return r.Reached(0)
		}
		return r.Reached(v.version(row))
	})
}

// Until waits until enough says that the row of key will do and returns it then; found is false while there is none, and row
// is none. ErrNotFound if no row will do; ctx's error when it takes too long.
func (v *View[T]) Until(ctx context.Context, key string, enough func(row T, found bool) bool) (T, error) {
	var none T
	var broken error
	value, err := v.Wait(ctx, key, func(value []byte) bool {
		if value == nil {
			return enough(none, false)
		}
		var row T
		if row, broken = v.decode(value); broken != nil {
			return true
		}
		return enough(row, true)
	})
	switch {
	case err != nil:
		return none, err
	case broken != nil:
		return none, broken
	case value == nil:
		return none, fmt.Errorf("%s %s: %w", v.aggregate, key, ErrNotFound)
	}
	return v.decode(value)
}

// Each calls f for every row until it returns an error.
func (v *View[T]) Each(f func(key string, row T) error) error {
	return v.Iterate(func(key string, value []byte) error {
		row, err := v.decode(value)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return f(key, row)
	})
}

// ByEmail returns the ids of the customers with this e-mail address, upper and lower case taken as the same.
func ByEmail(v *View[*schemas.CustomerState], address string) ([]string, error) {
	return v.Lookup(emailEntry(address))
}

func emailEntry(address string) string { return "email/" + strings.ToLower(address) }
