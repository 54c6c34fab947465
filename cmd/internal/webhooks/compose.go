package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/api"
	"utopia/processors"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// errUntold says that a record is nothing that webhooks are told: an event of a later release, or none.
var errUntold = errors.New("not told")

// Payload is the body of a call, in the form of Standard Webhooks.
type Payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data is what is told. Thin webhooks have no Change and no State.
type Data struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	URL     string `json:"url"`     // where to read the customer
	Receipt string `json:"receipt"` // Utopia-After takes it: what is read then is not older than this
	// Change is what changed, as customer.changes.v1 has it.
	Change json.RawMessage `json:"change,omitempty"`
	// State is the customer at this version or a later one; none of one that was erased.
	State *api.CustomerState `json:"state,omitempty"`
}

// composer makes bodies of changes.
type composer struct {
	codec     *schemas.Codec
	ids       schemas.IDs
	customers interface {
		Get(key string) (*schemas.CustomerState, error)
		After(ctx context.Context, r processors.Receipt) (*schemas.CustomerState, error)
	}
	// caughtUp waits until customers has read what is committed now about a key.
	caughtUp func(ctx context.Context, key string) error
	base     *url.URL // of the API
}

// change is one change, read.
type change struct {
	name, customer string
	version        int64
	at             time.Time
	erased         bool
}

// read says what a record tells. errUntold, or an error that passes: the registry is away.
func (c *composer) read(r *kgo.Record) (change, error) {
	rec, err := c.codec.Decode(r.Value)
	switch {
	case errors.Is(err, schemas.ErrRegistryDown):
		return change{}, err
	case err != nil:
		return change{}, errUntold
	}
	ch := change{name: rec.AvroName()[strings.LastIndexByte(rec.AvroName(), '.')+1:], customer: string(r.Key)}
	var head schemas.EventHead
	switch e := rec.(type) {
	case *schemas.PublicCustomerRegistered:
		head = e.EventHead
	case *schemas.PublicCustomerMoved:
		head = e.EventHead
	case *schemas.PublicAddressCorrected:
		head = e.EventHead
	case *schemas.PublicEmailChanged:
		head = e.EventHead
	case *schemas.PublicCustomerClosed:
		head = e.EventHead
	case *schemas.PublicCustomerErased:
		head, ch.erased = e.EventHead, true
	default:
		return change{}, errUntold
	}
	ch.version, ch.at = head.Version, schemas.Time(head.At)
	return ch, nil
}

// wants says whether a webhook is told a change.
func wants(w *schemas.WebhookState, ch change) bool {
	return len(w.Events) == 0 || slices.Contains(w.Events, ch.name)
}

// compose makes what a webhook is told. Its id is the change's, whatever the webhook and the attempt; a full stop would be the
// separator of what is signed.
func (c *composer) compose(ctx context.Context, w *schemas.WebhookState, r *kgo.Record, ch change) (message, error) {
	receipt := processors.Receipt{Aggregate: topics.Customer, Key: ch.customer, Version: ch.version, Gone: ch.erased}
	p := Payload{Type: ch.name, Timestamp: ch.at, Data: Data{
		ID: ch.customer, Version: ch.version, URL: c.base.JoinPath("v1", "customers", ch.customer).String(), Receipt: receipt.String(),
	}}
	switch webhook.Payload(w.Payload) {
	case webhook.Delta:
		text, err := c.json(r.Value)
		if err != nil {
			return message{}, err
		}
		p.Data.Change = text
	case webhook.Whole:
		s, err := c.state(ctx, receipt)
		if err != nil {
			return message{}, fmt.Errorf("state: %w", err)
		}
		p.Data.State = s
	case webhook.Thin:
	}
	body, err := json.Marshal(p)
	if err != nil {
		return message{}, fmt.Errorf("body: %w", err)
	}
	return message{id: strings.ReplaceAll(fmt.Sprintf("%s/%d", ch.customer, ch.version), ".", "%2E"), body: body}, nil
}

// state returns a customer at the receipt or later, nil of one that was erased, by this change or a later one. Change and state
// are committed together: what a copy does not have that has read all of it is gone.
func (c *composer) state(ctx context.Context, receipt processors.Receipt) (*api.CustomerState, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptWithin)
	defer cancel()
	s, err := c.customers.Get(receipt.Key)
	if errors.Is(err, processors.ErrNotFound) {
		if err := c.caughtUp(ctx, receipt.Key); err != nil {
			return nil, err
		}
		if s, err = c.customers.Get(receipt.Key); errors.Is(err, processors.ErrNotFound) {
			return nil, nil //nolint:nilnil // no state is an answer
		}
	}
	if err == nil && s.Version < receipt.Version {
		s, err = c.customers.After(ctx, receipt)
	}
	if err != nil {
		return nil, err
	}
	state := api.CustomerOf(s)
	return &state, nil
}

func (c *composer) json(value []byte) (json.RawMessage, error) {
	id, body, err := schemas.SchemaID(value)
	if err != nil {
		return nil, errUntold
	}
	_, text, err := c.ids.ByID(id)
	if err != nil {
		return nil, err
	}
	return schemas.ToJSON(text, body)
}
