package mailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/topics"
)

// assigned is called before the committed offsets are known; offsetsFetched then replaces the windows.
func (m *Mailer) assigned(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready.Store(true)
	for _, p := range all[topics.MailOutbox.Name] {
		if m.parts[p] == nil {
			m.parts[p] = newPart()
		}
	}
}

func newPart() *part {
	p := &part{window: newWindow(-1, ""), end: kgo.EpochOffset{Epoch: -1, Offset: -1}}
	p.wait, p.leave = context.WithCancel(context.Background())
	p.send, p.kill = context.WithCancel(context.Background())
	return p
}

// offsetsFetched continues with what the group has committed, and what was open behind it.
func (m *Mailer) offsetsFetched(ctx context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	ends := m.ends(ctx, cl)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if t.Topic != topics.MailOutbox.Name && t.Topic != "" {
				continue
			}
			for _, p := range t.Partitions {
				m.restore(p.Partition, p.Offset, p.Metadata, ends)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			m.restore(p.Partition, p.Offset, p.Metadata, ends)
		}
	}
	return nil
}

func (m *Mailer) restore(partition int32, offset int64, meta *string, ends kadm.ListedOffsets) {
	p := m.parts[partition]
	if p == nil || offset < 0 {
		return
	}
	text := ""
	if meta != nil {
		text = *meta
	}
	p.window, p.read = newWindow(offset, text), offset
	if end, ok := ends.Lookup(topics.MailOutbox.Name, partition); ok && end.Err == nil {
		p.end = kgo.EpochOffset{Epoch: end.LeaderEpoch, Offset: end.Offset}
	}
}

// revoked gives partitions back: no new attempts, those under way may finish for a while, and what they did is committed
// before another mailer begins.
func (m *Mailer) revoked(ctx context.Context, _ *kgo.Client, all map[string][]int32) {
	gone := all[topics.MailOutbox.Name]
	m.release(gone, m.cfg.Limits.Shutdown)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := m.commit(limited); err != nil {
		m.cfg.Logger.Warn("mailer's offsets are not committed", slog.Any("error", err))
	}
	m.forget(gone)
}

// lost: another mailer may have the partitions already, so nothing is waited for and nothing committed.
func (m *Mailer) lost(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	gone := all[topics.MailOutbox.Name]
	m.release(gone, 0)
	m.forget(gone)
}

func (m *Mailer) mine() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []int32
	for p := range m.parts {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// release ends the work on partitions: no further attempt begins, those under way get the given time.
func (m *Mailer) release(partitions []int32, within time.Duration) {
	m.mu.Lock()
	var leaving []*part
	for _, n := range partitions {
		if p := m.parts[n]; p != nil {
			leaving = append(leaving, p)
			p.leave()
		}
	}
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range leaving {
		all.Go(p.mails.Wait)
	}
	kill := time.AfterFunc(within, func() {
		for _, p := range leaving {
			p.kill()
		}
	})
	defer kill.Stop()
	all.Wait()
}

func (m *Mailer) forget(partitions []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range partitions {
		if p := m.parts[n]; p != nil {
			p.leave()
			p.kill()
			delete(m.parts, n)
		}
	}
}

// commitLoop commits what is finished as soon as the last commit has been answered.
func (m *Mailer) commitLoop(ctx context.Context) {
	again := time.NewTimer(time.Second)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-m.changed:
		case <-again.C:
		case <-ctx.Done():
			return
		}
		err := m.commit(ctx)
		if errors.Is(err, kerr.FencedInstanceID) {
			m.fail(fmt.Errorf("%w: %w", ErrFenced, err))
			return
		}
		if err != nil && ctx.Err() == nil {
			m.cfg.Logger.Warn("mailer's offsets are not committed", slog.Any("error", err))
			again.Reset(time.Second)
		}
	}
}

// commit tells the group how far every partition is. After a failure the next commit says the same and more.
func (m *Mailer) commit(ctx context.Context) error {
	offsets, metas := map[int32]kgo.EpochOffset{}, map[int32]string{}
	m.mu.Lock()
	for n, p := range m.parts {
		if !p.dirty {
			continue
		}
		at, meta := p.window.commit()
		offsets[n], metas[n] = kgo.EpochOffset{Epoch: -1, Offset: at}, meta
		p.dirty = false
	}
	m.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	named := kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				meta := metas[p.Partition]
				p.Metadata = &meta
			}
		}
		return nil
	})
	var failed error
	m.client.CommitOffsetsSync(named, map[string]map[int32]kgo.EpochOffset{topics.MailOutbox.Name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			failed = errors.Join(err, commitError(resp))
		})
	if failed == nil {
		return nil
	}
	m.mu.Lock()
	for n := range offsets {
		if p := m.parts[n]; p != nil {
			p.dirty = true
		}
	}
	m.mu.Unlock()
	return failed
}

func commitError(resp *kmsg.OffsetCommitResponse) error {
	if resp == nil {
		return nil
	}
	var all []error
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			all = append(all, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return errors.Join(all...)
}
