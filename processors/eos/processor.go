package eos

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/topics"
)

// Processor runs one member of a group. Run it once.
type Processor struct {
	cfg        Config
	log        *slog.Logger
	group      string
	inputs     []string
	tableTopic string // empty for a stateless group

	// Set by Run before Goka starts.
	dir        *stateDir
	instance   string
	adm        *kadm.Client
	logs       *tableLogs
	facts      facts
	admissions map[string]*admission

	standby    *standby // nil without copies of partitions that are not assigned
	producer   *producer
	generation atomic.Pointer[generation] // nil between assignments
	started    atomic.Pointer[time.Time]

	mu   sync.Mutex
	err  error              // why Run ends
	halt context.CancelFunc // ends the loop
}

// New checks cfg and fills in defaults. It contacts no broker: that, and everything the cluster may refuse, is Run's.
func New(cfg Config) (*Processor, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	group := string(cfg.Graph.Group())
	return &Processor{
		cfg:        cfg,
		log:        cfg.Logger.With(slog.String("group", group)),
		group:      group,
		inputs:     inputTopics(cfg.Graph),
		tableTopic: tableTopic(cfg.Graph),
		producer:   newProducer(),
	}, nil
}

// Run joins the group and processes until ctx is cancelled; then it finishes the transaction at hand, leaves the group and returns nil. A cluster that
// cannot be reached is waited for. The error wraps ErrRefused if the start-up guard objects, ErrFenced if another process runs under the same instance
// id, ErrStateLocked if another process uses the state directory, ErrStateDamaged if its files turned out to be damaged and the next start will make them anew;
// any other error means a defect or a broken disk.
func (p *Processor) Run(ctx context.Context) (err error) {
	dir, err := openStateDir(p.cfg.FS, p.cfg.Dir)
	if err != nil {
		return err
	}
	p.dir = dir
	defer func() { err = errors.Join(err, dir.closeAll()) }()
	if p.instance, err = dir.instance(p.cfg.Instance); err != nil {
		return err
	}
	p.log = p.log.With(slog.String("instance", p.instance))

	client, err := kafkaclient.New(context.WithoutCancel(ctx), slices.Concat(p.cfg.Client, []kgo.Opt{kgo.MetadataMinAge(100 * time.Millisecond), kgo.DisableClientMetrics()})...)
	if err != nil {
		return fmt.Errorf("configure the connection to Kafka: %w", err)
	}
	defer client.Close()
	client.EndAfter(ctx, leaveTime+lastWord)
	p.adm = kadm.NewClient(client.Client)
	p.logs = newTableLogs(client.Client, p.log)

	stop, halt := context.WithCancel(ctx)
	defer halt()
	p.halt = halt
	if err := p.guard(stop); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.admissions = make(map[string]*admission, len(p.inputs))
	for _, topic := range p.inputs {
		p.admissions[topic] = &admission{Input: p.cfg.Inputs[topic], partitions: p.facts.partitions}
	}
	now := time.Now()
	p.started.Store(&now)
	if p.tableTopic != "" && (p.cfg.HotStandby || p.cfg.RecoverAhead) {
		if p.standby, err = newStandby(ctx, p); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.standby.close()) }()
	}
	if p.standby != nil && p.cfg.RecoverAhead && p.standby.recovered(stop) != nil {
		return p.failure()
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	defer halt()
	watching.Go(func() { p.watchTopics(stop) })
	return p.runGoka(stop)
}

func (p *Processor) runGoka(stop context.Context) error {
	// Goka must outlive stop by the transaction at hand.
	ctx, done := context.WithCancel(context.WithoutCancel(stop))
	defer done()
	gp, err := goka.NewProcessor(nil, p.cfg.Graph, p.gokaOptions(stop, done)...)
	if err != nil {
		return fmt.Errorf("start group %s: %w", p.group, err)
	}
	err = gp.Run(ctx)
	if damage := p.dir.damage(p.tableTopic); damage != nil {
		return damage // whatever failed because of it; Goka does not keep the chain of errors
	}
	if failure := p.failure(); failure != nil {
		return failure
	}
	return err
}

func (p *Processor) gokaOptions(stop context.Context, done context.CancelFunc) []goka.ProcessorOption {
	return slices.Concat([]goka.ProcessorOption{goka.WithLogger(gokaLogger{p.log})}, p.cfg.GokaOptions, []goka.ProcessorOption{
		goka.WithHasher(topics.Hasher),
		// By default a nil value is marked as done without a callback: tombstones would vanish.
		goka.WithNilHandling(goka.NilDecode),
		goka.WithUpdateCallback(skipMarkers),
		goka.WithPartitionChannelSize(1024),
		goka.WithStorageBuilder(p.buildStorage),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return p.producer, nil }),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return topicManager{p}, nil }),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) {
			return &group{p: p, stop: stop, done: done, errs: make(chan error)}, nil
		}),
		goka.WithConsumerSaramaBuilder(changelogConsumer(stop, changelogOptions{client: p.cfg.Client, logger: p.log})),
	})
}

// fail makes Run return err, which no retry heals. The first one counts.
func (p *Processor) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.log.Error("the processor stops", slog.String("error", err.Error()))
		p.halt()
	}
}

func (p *Processor) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Processor) transactionalID() string { return p.group + "-" + p.instance }

func (p *Processor) at(point string) {
	if p.cfg.Hooks.At != nil {
		p.cfg.Hooks.At(point)
	}
}

// sabotaged says whether a mistake is to be made, for the test of the tests.
func (p *Processor) sabotaged(mistake string) bool {
	return p.cfg.sabotage != nil && p.cfg.sabotage(mistake)
}

// Ready reports whether this instance is in the group and its tables have caught up.
func (p *Processor) Ready() bool {
	g := p.generation.Load()
	return g != nil && g.ready.Load()
}

// Progress says how far the recovery of this instance's tables is.
func (p *Processor) Progress() Progress {
	var progress Progress
	if started := p.started.Load(); started != nil {
		progress.Since = *started
	}
	add := func(read, of int64) {
		progress.Records += read
		progress.Of += of
	}
	if g := p.generation.Load(); g != nil {
		for _, tb := range g.tables.all() {
			add(tb.progress())
		}
	} else if p.standby != nil {
		for _, f := range p.standby.all() {
			add(f.progress())
		}
	}
	return progress
}

// Get returns the committed row of a key that this instance owns, nil if there is none. It returns ErrNotReady or ErrNotOwned otherwise.
func (p *Processor) Get(key string) ([]byte, error) {
	g := p.generation.Load()
	if g == nil || !g.ready.Load() {
		return nil, ErrNotReady
	}
	tb := g.tables.get(topics.Partition(key, p.facts.partitions))
	if tb == nil {
		return nil, ErrNotOwned
	}
	return tb.st.committed(key)
}
