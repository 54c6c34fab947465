package mailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/links"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// Group is the consumer group of all mailers.
const Group = topics.Mailer

// What can stop a mailer.
var (
	// ErrNewer says that the outbox holds a record of a later release: this binary has to be upgraded first.
	ErrNewer = errors.New("the outbox was written by a later release; upgrade the mailer")
	// ErrFenced says that another process has taken this mailer's place in the group.
	ErrFenced = errors.New("another process runs as this mailer: stop one of the two, or give each its own --instance and state directory")
	// ErrConfig says that the configuration cannot work.
	ErrConfig = errors.New("the mailer cannot run with this configuration")
)

// Config of a mailer. Client, Commands, Sender, From, Keys and Page are needed.
type Config struct {
	// Client is how to reach the cluster: seeds, TLS, SASL.
	Client []kgo.Opt
	// Commands is the codec of mail.commands.v1, *schemas.Codec.
	Commands interface {
		Append(dst []byte, r schemas.Record) ([]byte, error)
	}
	Sender Sender
	From   string     // the address that mails come from, with or without a name; its domain is that of Message-IDs
	Keys   links.Keys // sign the links
	Page   *url.URL   // where links lead; the token goes into its fragment
	Retry  Retry
	Limits Limits
	Logger *slog.Logger
	Hooks  Hooks
	// Instance names this mailer in its group, the same after every start: a killed mailer takes its own place again, instead of
	// waiting until the broker has given up its former self. Empty: without that.
	Instance string
}

// Retry says how long a mail is tried. The zero value is 40 attempts within a day, 2 s apart at first and 1 h at most.
type Retry struct {
	Attempts     int           // at most, in one run of the process: a restart counts anew, age does not
	MaxAge       time.Duration // since the mail was accepted; at least one attempt is made
	First, Limit time.Duration // the pause after the first attempt, and the longest
	Attempt      time.Duration // the longest that one attempt may take; 1 min
}

// Limits of what a mailer does at a time. The zero value is 16 connections, 1,000 mails and 64 MiB.
type Limits struct {
	Connections int   // attempts at the same time
	Mails       int   // taken up and not finished, most of them waiting for their next attempt
	Bytes       int64 // of those
	// Shutdown is how long attempts that are under way may still take when the mailer has to end; 3 s.
	Shutdown time.Duration
}

// Hooks are called for metrics, from several goroutines. Any may be nil.
type Hooks struct {
	Attempt  func(code string)                        // one attempt ended: "sent" or the code of its failure
	Reported func(result string, since time.Duration) // a fate was acknowledged; since the mail was accepted
	Held     func(mails int)                          // mails taken up and not finished
}

// farewell is how long the broker may take for the last commit and the goodbye.
const farewell = time.Second

// Results that are reported.
const (
	resultSent          = "sent"
	resultUndeliverable = "undeliverable"
)

// Mailer takes mails from the outbox, sends them and reports. Make one with New, run it once.
type Mailer struct {
	cfg     Config
	compose composer
	client  *kafkaclient.Client
	slots   chan struct{} // one token per attempt under way
	changed chan struct{} // something was finished: the committer and the poller look again
	ready   atomic.Bool

	mu       sync.Mutex
	parts    map[int32]*part
	held     int
	bytes    int64
	resuming chan struct{} // closed when there is room again; nil while there is room
	failed   error
	stop     context.CancelCauseFunc
}

// part is one partition that is ours.
type part struct {
	window *window
	wait   context.Context // ends when no further attempt may begin
	send   context.Context // ends when attempts under way have to end
	leave  context.CancelFunc
	kill   context.CancelFunc
	mails  sync.WaitGroup
	dirty  bool
	end    kgo.EpochOffset // of the log when the partition was taken up; -1: not known
	read   int64           // what is below is not read again
	cuts   []int64         // where the log went on that was cut off, each time
}

// New checks the configuration and connects nothing yet. Errors: ErrConfig, those of the client's options.
func New(cfg Config) (*Mailer, error) {
	cfg.defaults()
	from, err := mail.ParseAddress(cfg.From)
	switch {
	case err != nil || !oneLine(cfg.From):
		return nil, fmt.Errorf("%w: the sender %q is not an e-mail address", ErrConfig, cfg.From)
	case cfg.Commands == nil || cfg.Sender == nil:
		return nil, fmt.Errorf("%w: no codec or no sender", ErrConfig)
	case cfg.Keys.Len() == 0:
		return nil, fmt.Errorf("%w: %w", ErrConfig, links.ErrNoKeys)
	case cfg.Page == nil:
		return nil, fmt.Errorf("%w: no page for links", ErrConfig)
	}
	m := &Mailer{
		cfg:     cfg,
		compose: composer{from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:], keys: cfg.Keys, page: cfg.Page},
		slots:   make(chan struct{}, cfg.Limits.Connections),
		changed: make(chan struct{}, 1),
		parts:   map[int32]*part{},
	}
	if m.client, err = kafkaclient.New(context.Background(), slices.Concat(cfg.Client, m.options())...); err != nil {
		return nil, fmt.Errorf("mailer: %w", err)
	}
	return m, nil
}

func (c *Config) defaults() {
	orDefault(&c.Retry.Attempts, 40)
	orDefault(&c.Retry.MaxAge, 24*time.Hour)
	orDefault(&c.Retry.First, 2*time.Second)
	orDefault(&c.Retry.Limit, time.Hour)
	orDefault(&c.Retry.Attempt, time.Minute)
	orDefault(&c.Limits.Connections, 16)
	orDefault(&c.Limits.Mails, 1000)
	orDefault(&c.Limits.Bytes, 64<<20)
	orDefault(&c.Limits.Shutdown, 3*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Hooks.Attempt == nil {
		c.Hooks.Attempt = func(string) {}
	}
	if c.Hooks.Reported == nil {
		c.Hooks.Reported = func(string, time.Duration) {}
	}
	if c.Hooks.Held == nil {
		c.Hooks.Held = func(int) {}
	}
}

func orDefault[T int | int64 | time.Duration](v *T, or T) {
	if *v <= 0 {
		*v = or
	}
}

// options: the outbox is written in transactions, so aborted mails must not be seen; a new group begins with the oldest
// mail, which somebody is waiting for; offsets are committed by hand, with what is open behind them.
func (m *Mailer) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(Group),
		kgo.ConsumeTopics(topics.MailOutbox.Name),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		// Where the outbox was cut off while it was read, and nobody knows at which place, its last hour is sent again, not everything.
		// Below what retention has removed the oldest that is left comes next.
		kgo.ConsumeResetOffset(kgo.RewindOffset(time.Hour)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Without its markers a partition that ends with some would look as if mails waited for ever.
		kgo.KeepControlRecords(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		// A partition that is revoked and assigned anew between a poll and take would have records of its old life in its
		// new window, which would count everything before them as done.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnOffsetsFetched(m.offsetsFetched),
		kgo.AdjustFetchOffsetsFn(m.adjusted),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
		// At a start the first fetch asks for the partitions with a committed offset only, and the others wait for its answer.
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.ProducerBatchMaxBytes(topics.BatchBytes),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(r *kgo.Record, n int) int { return int(topics.Partition(string(r.Key), int32(n))) }
		})),
	}
	if m.cfg.Instance != "" {
		opts = append(opts, kgo.ClientID("mailer-"+m.cfg.Instance), kgo.InstanceID(m.cfg.Instance))
	}
	return opts
}

// Ready reports whether the mailer has a place in its group.
func (m *Mailer) Ready() bool { return m.ready.Load() }

// Run sends mails until ctx ends; then attempts under way are given Limits.Shutdown, what they did is reported and
// committed, and the group is left. It returns nil for a ctx that ended, ErrNewer, ErrFenced, or why the client cannot go on.
func (m *Mailer) Run(ctx context.Context) error {
	defer m.client.Abandon() // what had to be said is said
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m.client.EndAfter(run, m.cfg.Limits.Shutdown+farewell)
	m.mu.Lock()
	m.stop = stop
	m.mu.Unlock()

	var committer sync.WaitGroup
	committing, endCommitting := context.WithCancel(context.WithoutCancel(ctx))
	committer.Go(func() { m.commitLoop(committing) })

	err := m.poll(run)
	m.release(m.mine(), m.cfg.Limits.Shutdown)
	endCommitting()
	committer.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := m.commit(last); err != nil {
		m.cfg.Logger.Warn("mailer's last offsets are not committed", slog.Any("error", err))
	}
	m.forget(m.mine())
	m.client.AllowRebalance()
	m.leave(last)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return m.failed
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// leave gives up the place in the group, unless another mailer has it.
func (m *Mailer) leave(ctx context.Context) {
	instance := m.cfg.Instance
	m.mu.Lock()
	if errors.Is(m.failed, ErrFenced) {
		instance = ""
	}
	m.mu.Unlock()
	cluster.Leave(ctx, m.client.Client, Group, instance)
}

// fail ends Run with err.
func (m *Mailer) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = err
		m.stop(err)
	}
}

// poll hands records to the partitions until ctx ends. It waits while the mailer holds as much as it may.
func (m *Mailer) poll(ctx context.Context) error {
	for {
		if err := m.room(ctx); err != nil {
			return err
		}
		fetches := m.client.PollRecords(ctx, 50)
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fetches.EachError(func(topic string, p int32, err error) {
			if errors.Is(err, kerr.FencedInstanceID) {
				m.fail(fmt.Errorf("%w: %w", ErrFenced, err))
			}
			// The client goes on by itself; what it reports here an operator has to know.
			m.cfg.Logger.Error("mailer cannot read", slog.String("topic", topic), slog.Int64("partition", int64(p)), slog.Any("error", err))
		})
		fetches.EachRecord(m.take)
		m.client.AllowRebalance()
	}
}

// room waits until another mail may be taken up.
func (m *Mailer) room(ctx context.Context) error {
	for {
		m.mu.Lock()
		full := m.held >= m.cfg.Limits.Mails || m.bytes >= m.cfg.Limits.Bytes
		if full && m.resuming == nil {
			m.resuming = make(chan struct{})
		}
		resuming := m.resuming
		m.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-resuming:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take starts the mail of a record, unless an earlier process has finished it.
func (m *Mailer) take(r *kgo.Record) {
	m.mu.Lock()
	p := m.parts[r.Partition]
	if p == nil || p.wait.Err() != nil {
		m.mu.Unlock()
		return // revoked meanwhile
	}
	p.dirty = true
	m.reads(r.Partition, p, r.Offset)
	if r.Attrs.IsControl() {
		p.window.pass(r.Offset + 1)
		m.mu.Unlock()
		m.wake()
		return
	}
	if !p.window.take(r.Offset) {
		m.mu.Unlock()
		m.wake()
		return
	}
	m.held++
	m.bytes += int64(len(r.Value))
	held, cuts := m.held, len(p.cuts)
	p.mails.Add(1)
	m.mu.Unlock()
	m.cfg.Hooks.Held(held)
	go func() {
		defer p.mails.Done()
		m.done(p, r, cuts, m.handle(p, r))
	}()
}

// done gives back what a mail held; finished says that its fate is acknowledged, cuts how often its log had been cut off.
func (m *Mailer) done(p *part, r *kgo.Record, cuts int, finished bool) {
	m.mu.Lock()
	if finished {
		p.finish(r.Offset, cuts)
		p.dirty = true
	}
	m.held--
	m.bytes -= int64(len(r.Value))
	held := m.held
	if m.resuming != nil {
		close(m.resuming)
		m.resuming = nil
	}
	m.mu.Unlock()
	m.cfg.Hooks.Held(held)
	m.wake()
}

func (m *Mailer) wake() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
