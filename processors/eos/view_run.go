package eos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/lovoo/goka"
	gokacodec "github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"golang.org/x/sync/errgroup"

	"utopia/processors/kafkaclient"
	"utopia/topics"
)

const (
	viewBackoffMin = 100 * time.Millisecond
	viewBackoffMax = 5 * time.Second
)

// errReopen ends a run whose local state must be opened again, and is then rebuilt: it is damaged, or the topic was made anew.
var errReopen = errors.New("the view's state must be opened again")

// Run copies the topic until ctx ends, then closes the view and returns nil. It may be called once. A cluster that cannot be reached, or a topic that
// is not there, is waited for. The error wraps ErrStateLocked if another process uses the directory.
func (v *View) Run(ctx context.Context) error {
	v.mu.Lock()
	if v.started {
		v.mu.Unlock()
		return errors.New("eos: View.Run was called before")
	}
	v.started = true
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		v.stopped = true
		v.mu.Unlock()
		v.waiters.wakeAll()
	}()
	fs, dir := v.cfg.FS, v.cfg.Dir
	switch {
	case dir == "":
		fs, dir = vfs.NewMem(), v.cfg.Topic
	case fs == nil:
		fs = vfs.Default
		fallthrough
	default:
		dir = fs.PathJoin(dir, v.cfg.Topic)
	}
	for {
		if err := v.runOn(ctx, fs, dir); !errors.Is(err, errReopen) {
			return err
		}
		if pause(ctx, viewBackoffMin) != nil {
			return nil
		}
	}
}

// runOn feeds the view from its topic until ctx ends or its state must be opened again.
func (v *View) runOn(ctx context.Context, fs vfs.FS, dir string) (err error) {
	d, err := openStateDir(fs, dir)
	if err != nil {
		return fmt.Errorf("view of %s: %w", v.cfg.Topic, err)
	}
	defer func() {
		v.closeStores()
		failed := d.failed(v.cfg.Topic) // was logged, and the next start knows
		if cerr := d.closeAll(); cerr != nil && !failed {
			err = errors.Join(err, cerr)
		}
	}()
	client, err := kafkaclient.New(ctx, v.cfg.Client...)
	if err != nil {
		return fmt.Errorf("view of %s: %w", v.cfg.Topic, err)
	}
	defer client.Close()
	logs := newTableLogs(client.Client, v.cfg.Logger)

	for wait := viewBackoffMin; ; wait = min(2*wait, viewBackoffMax) {
		began := time.Now()
		err := v.feed(ctx, d, logs)
		damage := d.damage(v.cfg.Topic)
		switch {
		case ctx.Err() != nil:
			return nil
		case d.failed(v.cfg.Topic), errors.Is(err, errLogDiffers):
			return errReopen
		case errors.Is(damage, ErrStateCorrupt):
			return damage
		case time.Since(began) > time.Minute:
			wait = viewBackoffMin
		}
		v.cfg.Logger.Warn("the view lost its topic; reading on from where it was", slog.String("topic", v.cfg.Topic),
			slog.Duration("after", wait), slog.String("error", oneLine(err)))
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

// oneLine is err for a log line: Goka's lists of errors have many.
func oneLine(err error) string {
	if err == nil {
		return "none"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// feed copies the topic until ctx ends or one partition fails. Each partition has a Goka view of its own: in a common one, no partition reads on before all have
// recovered, and an error of one does not reach another that waits with a row.
func (v *View) feed(ctx context.Context, d *stateDir, logs *tableLogs) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log, err := logs.describe(ctx, v.cfg.Topic)
	if err != nil {
		return fmt.Errorf("look up %s: %w", v.cfg.Topic, err)
	}
	if err := d.sameLog(v.cfg.Topic, log); err != nil {
		return err
	}
	uncommitted := v.cfg.sabotage != nil && v.cfg.sabotage("read_uncommitted view")
	consumer, err := newChangelog(ctx, changelogOptions{client: v.cfg.Client, logger: v.cfg.Logger, uncommitted: uncommitted})
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	v.begin(len(log.partitions))

	build := d.builder(ctx, logs, storeOptions{
		index:        v.cfg.Index,
		indexVersion: v.cfg.IndexVersion,
		cacheBytes:   v.cfg.CacheBytes,
		changed:      v.waiters.wake,
		wiping:       v.unready,
		logger:       v.cfg.Logger,
	})
	go v.confirm(ctx, cancel, logs)
	parts, ctx := errgroup.WithContext(ctx)
	for _, n := range log.partitions {
		parts.Go(func() error {
			err := v.copy(ctx, onePartition{consumer, n}, &viewTopic{v: v, ctx: ctx, logs: logs, partition: n}, func(topic string, _ int32) (storage.Storage, error) {
				st, err := build(topic, n)
				if err != nil {
					return nil, err
				}
				return v.opened(ctx, cancel, n, st)
			})
			return cmp.Or(err, errReaderClosed) // ends the others
		})
	}
	return parts.Wait()
}

// copy runs the Goka view of one partition.
func (v *View) copy(ctx context.Context, log sarama.Consumer, topic goka.TopicManager, build storage.Builder) error {
	gv, err := goka.NewView(nil, goka.Table(v.cfg.Topic), new(gokacodec.Bytes),
		goka.WithViewHasher(topics.Hasher),
		goka.WithViewLogger(gokaLogger{v.cfg.Logger}),
		goka.WithViewCallback(func(u goka.UpdateContext, s storage.Storage, key string, value []byte) error {
			if err := v.admit(ctx, value); err != nil {
				return err
			}
			return skipMarkers(u, s, key, value)
		}),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return log, nil }),
		goka.WithViewTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return topic, nil }),
		goka.WithViewStorageBuilder(build),
	)
	if err != nil {
		return err
	}
	return gv.Run(ctx)
}

// admit waits until a row can be taken, or ctx ends.
func (v *View) admit(ctx context.Context, value []byte) error {
	if v.cfg.Admit == nil || value == nil {
		return nil
	}
	for wait := viewBackoffMin; ; wait = min(2*wait, viewBackoffMax) {
		err := v.cfg.Admit(value)
		if !errors.Is(err, ErrBlocked) {
			return nil
		}
		v.cfg.Logger.Warn("the view waits with a row", slog.String("topic", v.cfg.Topic), slog.Duration("for", wait), slog.String("error", err.Error()))
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// begin prepares for reading n partitions. A view that has recovered before goes on answering.
func (v *View) begin(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.partitions) != n {
		v.partitions = make([]*viewPartition, n)
		for i := range v.partitions {
			v.partitions[i] = new(viewPartition)
		}
		v.ready = false
	}
	if !v.ready {
		v.since = time.Now()
	}
}

// opened notes a partition's store. When its table cannot be used any more, the feed ends: nothing else may ever touch the table again.
func (v *View) opened(ctx context.Context, end context.CancelFunc, partition int32, st storage.Storage) (storage.Storage, error) {
	a, ok := st.(*assignment)
	if !ok {
		return nil, fmt.Errorf("eos: view storage is a %T", st)
	}
	go func() {
		select {
		case <-a.table.broken:
			end()
		case <-ctx.Done():
		}
	}()
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.partitions[partition]
	p.store = a.store
	return &viewStorage{Storage: st, v: v, p: p}, nil
}

// unready is called before the rows of a partition are wiped: until they have been read again, nothing is answered, and who reads now
// has no answer either.
func (v *View) unready(partition int32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if int(partition) < len(v.partitions) {
		v.partitions[partition].recovered = false
	}
	v.ready = false
	v.wipes.Add(1)
}

// recovered notes that a partition has been read up to its end.
func (v *View) recovered(p *viewPartition) {
	v.mu.Lock()
	p.recovered = true
	was := v.ready
	v.ready = len(v.partitions) > 0
	for _, p := range v.partitions {
		v.ready = v.ready && p.recovered
	}
	ready, progress := v.ready, v.progress()
	v.mu.Unlock()
	if ready && !was {
		v.cfg.Logger.Info("the view is ready", slog.String("topic", v.cfg.Topic), slog.Int64("records", progress.Records),
			slog.Duration("elapsed", time.Since(progress.Since)))
		v.waiters.wakeAll()
	}
}

// closeStores makes the view unready and waits until nobody reads any more.
func (v *View) closeStores() {
	v.mu.Lock()
	v.ready = false
	v.partitions = nil
	v.mu.Unlock()
	v.readers.Wait()
}

// viewStorage is a partition's storage that tells the view how far it is.
type viewStorage struct {
	storage.Storage
	v *View
	p *viewPartition
}

// GetOffset is asked at the start of each load.
func (s *viewStorage) GetOffset(def int64) (int64, error) {
	offset, err := s.Storage.GetOffset(def)
	if err != nil {
		return 0, err
	}
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if s.p.recovered {
		return offset, nil // progress is about the recovery
	}
	if s.p.from = 0; offset != def {
		s.p.from = offset + 1
	}
	s.p.applied.Store(s.p.from - 1)
	return offset, nil
}

// SetOffset follows every message. Only when the store has it does the view say so: who asks whether it has reached an offset reads the row next, and a view
// that has reached the end calls its rows complete.
func (s *viewStorage) SetOffset(offset int64) error {
	if err := s.Storage.SetOffset(offset); err != nil {
		return err
	}
	s.p.applied.Store(offset)
	return nil
}

// MarkRecovered ends the recovery of the partition.
func (s *viewStorage) MarkRecovered() error {
	if err := s.Storage.MarkRecovered(); err != nil {
		return err
	}
	s.v.recovered(s.p)
	return nil
}

// onePartition shows a Goka view one partition of a log, as number 0: it takes only those that begin there.
type onePartition struct {
	sarama.Consumer
	n int32
}

// ConsumePartition starts to read the partition.
func (o onePartition) ConsumePartition(topic string, _ int32, offset int64) (sarama.PartitionConsumer, error) {
	return o.Consumer.ConsumePartition(topic, o.n, offset)
}

// viewTopic is what Goka asks about one partition of the topic.
type viewTopic struct {
	v         *View
	ctx       context.Context // of the feed; goka.TopicManager has none to pass
	logs      *tableLogs
	partition int32
}

var _ goka.TopicManager = (*viewTopic)(nil)

// Partitions says that there is one.
func (*viewTopic) Partitions(string) ([]int32, error) { return []int32{0}, nil }

// GetOffset answers where the log begins, and where recovery must read to. A partition that has recovered need not wait for open transactions.
func (t *viewTopic) GetOffset(topic string, _ int32, at int64) (int64, error) {
	t.v.mu.Lock()
	p := t.v.partitions[t.partition]
	st, recovered := p.store, p.recovered
	t.v.mu.Unlock()
	var offset int64
	var err error
	switch {
	case at == sarama.OffsetOldest:
		offset = st.oldest()
	case recovered:
		offset, err = t.logs.highWaterMark(t.ctx, topic, t.partition)
	default:
		offset, err = t.logs.end(t.ctx, topic, t.partition)
	}
	if err != nil {
		return 0, err
	}
	t.v.mu.Lock()
	defer t.v.mu.Unlock()
	switch {
	case p.recovered:
	case at == sarama.OffsetOldest:
		p.from = max(p.from, offset)
		p.applied.Store(p.from - 1)
	default:
		p.end = offset
	}
	return offset, nil
}

// EnsureTableExists refuses: a view creates nothing.
func (*viewTopic) EnsureTableExists(string, int) error { return errors.ErrUnsupported }

// EnsureStreamExists refuses: a view creates nothing.
func (*viewTopic) EnsureStreamExists(string, int) error { return errors.ErrUnsupported }

// EnsureTopicExists refuses: a view creates nothing.
func (*viewTopic) EnsureTopicExists(string, int, int, map[string]string) error {
	return errors.ErrUnsupported
}

// Close has nothing to close.
func (*viewTopic) Close() error { return nil }
