package webhooks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/links"
	"utopia/processors"
	"utopia/processors/kafkaclient"
	"utopia/processors/webhook"
	"utopia/schemas"
	"utopia/topics"
)

// What can stop a sender.
var (
	// ErrFenced says that another process has taken this sender's place in the group.
	ErrFenced = errors.New("another process runs as this sender: stop one of the two, or give each its own --instance and state directory")
	// ErrConfig says that the configuration cannot work.
	ErrConfig = errors.New("the sender of webhooks cannot run with this configuration")

	errUnlisted = errors.New("not listed")
)

// Config of a sender. Client, IDs, Keys and API are needed.
type Config struct {
	Client []kgo.Opt // seeds, TLS, SASL
	IDs    schemas.IDs
	Keys   links.Keys // that secrets are derived from
	API    *url.URL   // where the gateway is for receivers
	Guard  Guard
	// Dir is where the copy of the customers' states is kept; empty: in memory.
	Dir      string
	Logger   *slog.Logger
	Hooks    Hooks
	Instance string // this sender's name in its group, the same after every start; may be empty

	trust    *tls.Config   // for tests; nil: the system's
	resolver *net.Resolver // for tests; nil: the system's
}

// Hooks are called for metrics, from several goroutines. Any may be nil.
type Hooks struct {
	// Attempt ends with a code: taken, status_NNN, timeout, tls, connect, refused_target, unknown_key, state_not_ready; since is
	// when the change was written.
	Attempt func(code string, since time.Time)
	// Webhooks says how many this process calls.
	Webhooks func(n int)
}

// Sender tells changes. Make one with New, run it once.
type Sender struct {
	cfg       Config
	log       *slog.Logger
	client    *kafkaclient.Client
	adm       *kadm.Client
	hooks     *processors.View[*schemas.WebhookState]
	customers *processors.View[*schemas.CustomerState]
	commands  *schemas.Codec
	compose   *composer
	caller    caller
	positions *positions
	ready     atomic.Bool
	wake      chan struct{}
	known     atomic.Pointer[map[string]*schemas.WebhookState]
	count     int32 // partitions of the changes

	mu    sync.Mutex
	mine  map[int32]bool // partition → its positions are loaded
	turns sync.Mutex     // held while workers are made and ended

	workers map[string]*worker // under turns
}

// New checks the configuration and connects nothing yet. ErrConfig, or an error of the client's options.
func New(cfg Config) (*Sender, error) {
	if cfg.API == nil || cfg.API.Host == "" || cfg.IDs == nil {
		return nil, fmt.Errorf("%w: no URL of the API, or no schemas", ErrConfig)
	}
	if cfg.Keys.Len() == 0 {
		return nil, fmt.Errorf("%w: %w", ErrConfig, links.ErrNoKeys)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hooks.Attempt == nil {
		cfg.Hooks.Attempt = func(string, time.Time) {}
	}
	if cfg.Hooks.Webhooks == nil {
		cfg.Hooks.Webhooks = func(int) {}
	}
	s := &Sender{
		cfg: cfg, log: cfg.Logger, positions: newPositions(), wake: make(chan struct{}, 1), mine: map[int32]bool{}, workers: map[string]*worker{},
		caller: &httpCaller{guard: cfg.Guard, client: cfg.Guard.client(cfg.trust, cfg.resolver), keys: cfg.Keys},
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	var err error
	if s.client, err = kafkaclient.New(context.Background(), slices.Concat(cfg.Client, s.options())...); err != nil {
		return nil, fmt.Errorf("sender of webhooks: %w", err)
	}
	s.client.PauseFetchTopics(topics.CustomerChanges.Name) // membership is all that this client is for; each webhook reads for itself
	s.adm = kadm.NewClient(s.client.Client)
	return s, nil
}

func (s *Sender) open() error {
	views := processors.ViewOptions{Client: s.cfg.Client, IDs: s.cfg.IDs, Logger: s.log}
	var err error
	if s.hooks, err = processors.NewWebhookView(views); err != nil {
		return err
	}
	views.Dir = s.cfg.Dir
	if s.customers, err = processors.NewCustomerView(views); err != nil {
		return err
	}
	if s.commands, err = schemas.NewCodec(topics.WebhookCommands.Name, s.cfg.IDs); err != nil {
		return err
	}
	changes, err := schemas.NewCodec(topics.CustomerChanges.Name, s.cfg.IDs)
	if err != nil {
		return err
	}
	s.compose = &composer{codec: changes, ids: s.cfg.IDs, customers: s.customers, caughtUp: s.caughtUp, base: s.cfg.API}
	return nil
}

// caughtUp waits until the copy of the customers has read what is committed now about one of them.
func (s *Sender) caughtUp(ctx context.Context, customer string) error {
	ends, err := s.adm.ListCommittedOffsets(ctx, topics.CustomerState.Name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	part := topics.Partition(customer, int32(len(ends[topics.CustomerState.Name]))) //nolint:gosec // few partitions
	end, _ := ends.Lookup(topics.CustomerState.Name, part)
	for !s.customers.Reached(map[int32]int64{part: end.Offset}) {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(topics.WebhookSender), kgo.ConsumeTopics(topics.CustomerChanges.Name),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
		kgo.ProducerBatchMaxBytes(topics.BatchBytes), kgo.ProducerLinger(0),
		// A position lies where its partition's number says, a command where its key says.
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
			if topic == topics.WebhookPositions.Name {
				return func(r *kgo.Record, _ int) int { return int(r.Partition) }
			}
			return func(r *kgo.Record, n int) int { return int(topics.Partition(string(r.Key), int32(n))) }
		})),
	}
	if s.cfg.Instance != "" {
		opts = append(opts, kgo.ClientID("webhook-sender-"+s.cfg.Instance), kgo.InstanceID(s.cfg.Instance))
	}
	return opts
}

// Ready reports whether the sender has a place in its group and knows the webhooks.
func (s *Sender) Ready() bool { return s.ready.Load() && s.known.Load() != nil }

// lastWords is how long the brokers may take, when the sender is to end, for the positions and for leaving the group.
const lastWords = 2 * time.Second

// Run tells changes until ctx ends; calls under way are cut off, and the positions are written. It returns nil for a ctx
// that ended, ErrFenced, or why it cannot go on.
func (s *Sender) Run(ctx context.Context) error {
	defer s.client.Abandon() // the positions are written, and the group is left
	s.client.EndAfter(ctx, lastWords)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.hooks.Run(running) })
	group.Go(func() error { return s.customers.Run(running) })
	group.Go(func() error { return s.watch(running) })
	group.Go(func() error { return s.manage(running) })
	err := group.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	s.end(last, s.parts())
	s.leave(last, errors.Is(err, ErrFenced))
	if ctx.Err() != nil && !errors.Is(err, ErrFenced) {
		return nil
	}
	return err
}

// watch sees the errors of the membership: nothing is fetched here.
func (s *Sender) watch(ctx context.Context) error {
	for fetches := s.client.PollFetches(ctx); ctx.Err() == nil; fetches = s.client.PollFetches(ctx) {
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kerr.FencedInstanceID) {
				return fmt.Errorf("%w: %w", ErrFenced, e.Err)
			}
			s.log.Error("sender of webhooks has trouble with its group", slog.Any("error", e.Err))
		}
	}
	return nil
}

// leave gives up the place in the group, so that others take over at once.
func (s *Sender) leave(ctx context.Context, fenced bool) {
	instance := s.cfg.Instance
	if fenced {
		instance = ""
	}
	cluster.Leave(ctx, s.client.Client, topics.WebhookSender, instance)
}

// latest is what is known of a webhook.
func (s *Sender) latest(id string) *schemas.WebhookState {
	all := s.known.Load()
	if all == nil {
		return nil
	}
	return (*all)[id]
}

// report tells the webhook service. The id of the command is made of what it is about, so that a second one is known as such.
func (s *Sender) report(ctx context.Context, w *schemas.WebhookState, r webhook.Record) error {
	value, err := s.commands.Append(nil, &schemas.RecordTrouble{
		WebhookID: w.WebhookID,
		Meta: schemas.Metadata{
			CommandID:   fmt.Sprintf("webhook/%s/%d/%s/%d/%d", w.WebhookID, w.Version, r.Result, r.Trouble.Partition, r.Trouble.Attempts),
			CausationID: fmt.Sprintf("%s/%d", w.WebhookID, w.Version),
		},
		Result: string(r.Result), Partition: r.Trouble.Partition, SinceAt: schemas.Millis(r.Trouble.Since), Attempts: r.Trouble.Attempts,
		Detail: r.Trouble.Detail, ActiveAt: schemas.Millis(r.ActiveAt),
	})
	if err != nil {
		return err
	}
	return s.produce(ctx, &kgo.Record{Topic: topics.WebhookCommands.Name, Key: []byte(w.WebhookID), Value: value})
}
