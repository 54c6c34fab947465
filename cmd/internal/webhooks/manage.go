package webhooks

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/schemas"
	"utopia/topics"
)

const (
	// lookEvery is how soon a webhook that was changed is called otherwise.
	lookEvery = 250 * time.Millisecond
	// lagEvery is how often the group's offsets say how far the slowest webhook is.
	lagEvery = time.Second
)

func (s *Sender) assigned(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	s.mu.Lock()
	for _, p := range all[topics.CustomerChanges.Name] {
		s.mine[p] = false
	}
	s.mu.Unlock()
	if mine := all[topics.CustomerChanges.Name]; len(mine) > 0 {
		s.log.Info("changes to tell are assigned", slog.Any("partitions", mine))
	}
	s.ready.Store(true)
	s.look()
}

// revoked ends the calls about partitions and writes their positions before another sender begins.
func (s *Sender) revoked(ctx context.Context, _ *kgo.Client, all map[string][]int32) {
	s.end(context.WithoutCancel(ctx), all[topics.CustomerChanges.Name])
}

// lost: another sender may have the partitions already, so that nothing is written.
func (s *Sender) lost(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	s.turns.Lock()
	defer s.turns.Unlock()
	s.stopAbout(all[topics.CustomerChanges.Name])
	s.disown(all[topics.CustomerChanges.Name])
}

// end stops everything about partitions and writes where it was.
func (s *Sender) end(ctx context.Context, parts []int32) {
	s.turns.Lock()
	defer s.turns.Unlock()
	s.stopAbout(parts)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.flush(ctx); err != nil {
		s.log.Warn("positions of webhooks are not written; some changes are told again", slog.Any("error", err))
	}
	s.disown(parts)
	s.look()
}

func (s *Sender) disown(parts []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		delete(s.mine, p)
		s.positions.forget(p)
	}
}

// stopAbout ends every worker that reads one of the partitions; what is left of its partitions gets another one.
func (s *Sender) stopAbout(parts []int32) {
	var ids []string
	for id, k := range s.workers {
		if slices.ContainsFunc(parts, func(p int32) bool { return k.lanes[p] != nil }) {
			ids = append(ids, id)
		}
	}
	s.stop(ids)
}

// stop ends workers, all at the same time. A call under way is cut off: it is made again with the same id.
func (s *Sender) stop(ids []string) {
	for _, id := range ids {
		s.workers[id].stop()
	}
	for _, id := range ids {
		<-s.workers[id].done
		delete(s.workers, id)
	}
}

func (s *Sender) parts() []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.mine))
}

func (s *Sender) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// manage lets there be a worker for each webhook that is to be called, and writes positions.
func (s *Sender) manage(ctx context.Context) error {
	looks, saves, lags := time.NewTicker(lookEvery), time.NewTicker(saveEvery), time.NewTicker(lagEvery)
	defer looks.Stop()
	defer saves.Stop()
	defer lags.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			err = s.reconcile(ctx)
		case <-looks.C:
			err = s.reconcile(ctx)
		case <-saves.C:
			err = s.limited(ctx, s.flush)
		case <-lags.C:
			err = s.limited(ctx, s.tellLag)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("sender of webhooks; trying again", slog.Any("error", err))
			_ = sleep(ctx, time.Second)
		}
	}
}

func (s *Sender) limited(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return f(ctx)
}

// reconcile makes the workers what the webhooks and the partitions want.
func (s *Sender) reconcile(ctx context.Context) error {
	if !s.hooks.Ready() {
		return nil
	}
	all := map[string]*schemas.WebhookState{}
	if err := s.hooks.Each(func(id string, w *schemas.WebhookState) error {
		all[id] = w
		return nil
	}); err != nil {
		return err
	}
	s.known.Store(&all)
	s.turns.Lock()
	defer s.turns.Unlock()
	parts, err := s.loaded(ctx)
	if err != nil {
		return err
	}
	var stop []string
	for id, k := range s.workers {
		w := all[id]
		if w == nil || !called(w) || !same(w, k.hook) || !slices.Equal(parts, k.parts()) {
			stop = append(stop, id)
		}
	}
	s.stop(stop)
	if err := s.bury(ctx, all); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if w := all[id]; called(w) && s.workers[id] == nil && len(parts) > 0 {
			if s.workers[id], err = s.start(ctx, w, parts); err != nil {
				delete(s.workers, id)
				return err
			}
		}
	}
	s.cfg.Hooks.Webhooks(len(s.workers))
	return nil
}

// loaded returns the partitions that are ours, with their positions.
func (s *Sender) loaded(ctx context.Context) ([]int32, error) {
	s.mu.Lock()
	var missing, all []int32
	for p, known := range s.mine {
		all = append(all, p)
		if !known {
			missing = append(missing, p)
		}
	}
	s.mu.Unlock()
	slices.Sort(all)
	if len(missing) == 0 {
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	topic, err := s.adm.ListTopics(ctx, topics.CustomerChanges.Name)
	if err != nil {
		return nil, err
	}
	s.count = int32(len(topic[topics.CustomerChanges.Name].Partitions))
	if err := s.load(ctx, missing); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range missing {
		if _, still := s.mine[p]; still {
			s.mine[p] = true
		}
	}
	return all, nil
}

// bury removes the positions of webhooks that were closed.
func (s *Sender) bury(ctx context.Context, all map[string]*schemas.WebhookState) error {
	gone := s.positions.drop(func(id string) bool { return all[id] != nil })
	var records []*kgo.Record
	for _, at := range gone {
		records = append(records, &kgo.Record{Topic: topics.WebhookPositions.Name, Partition: at.part, Key: positionKey(at.hook, at.part)})
	}
	if len(records) == 0 {
		return nil
	}
	return s.produce(ctx, records...)
}

// tellLag commits, as the group's offsets, how far the slowest webhook is that is called, so that the usual tools show what waits.
// Nothing is read from there.
func (s *Sender) tellLag(ctx context.Context) error {
	s.turns.Lock()
	defer s.turns.Unlock()
	ends, err := s.adm.ListCommittedOffsets(ctx, topics.CustomerChanges.Name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	offsets := map[int32]kgo.EpochOffset{}
	for _, part := range s.parts() {
		end, ok := ends.Lookup(topics.CustomerChanges.Name, part)
		if !ok {
			continue
		}
		at := end.Offset
		for _, k := range s.workers {
			if pos, ok := s.positions.of(k.hook, part); ok {
				at = min(at, pos.Offset)
			}
		}
		offsets[part] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	if len(offsets) == 0 {
		return nil
	}
	var failed error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{topics.CustomerChanges.Name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
			failed = err
		})
	return failed
}
