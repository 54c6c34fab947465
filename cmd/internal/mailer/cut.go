package mailer

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// A log may turn out to be shorter than what was read of it: records were lost in an unclean leader election, or the topic was made
// again. What comes next has offsets that were done, and is to be sent.

// endsWithin is how long a mailer asks where partitions end before it reads them.
const endsWithin = 5 * time.Second

// ends are the high-water marks of the outbox: what is not committed yet is in the log, too. Where they are not known nothing is
// changed.
func (m *Mailer) ends(ctx context.Context, cl *kgo.Client) kadm.ListedOffsets {
	ctx, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics.MailOutbox.Name)
	if err != nil && ctx.Err() == nil {
		m.cfg.Logger.Warn("mailer does not know where the outbox ends", slog.Any("error", err))
	}
	return ends
}

// adjusted is called after offsetsFetched, and begins where the group was, or at the end of a log that is shorter. The epoch lets the client find out, before it has read
// anything, at which place a log is cut off.
func (m *Mailer) adjusted(_ context.Context, all map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, at := range all[topics.MailOutbox.Name] {
		p, committed := m.parts[n], at.EpochOffset().Offset
		if p == nil || p.end.Offset < 0 || committed < 0 {
			continue
		}
		if p.window.next > p.end.Offset {
			m.shorter(n, p.window.next, p.end.Offset)
			p.cutOff(p.end.Offset)
			m.wake()
		}
		p.read = min(committed, p.end.Offset)
		all[topics.MailOutbox.Name][n] = kgo.NewOffset().At(p.read).WithEpoch(p.end.Epoch)
	}
	return all, nil
}

// reads says that the record at offset was read. Nothing is read twice: one from before what was read is another than was there.
func (m *Mailer) reads(n int32, p *part, offset int64) {
	if offset < p.read {
		m.shorter(n, p.read, offset)
		p.cutOff(offset)
	}
	p.read = offset + 1
}

func (m *Mailer) shorter(n int32, read, end int64) {
	m.cfg.Logger.Error("the outbox is shorter than what was read of it: records were lost in an unclean leader election, or the topic was made again; "+
		"going on where it ends, and mails that were lost are not sent", slog.Int64("partition", int64(n)), slog.Int64("read", read), slog.Int64("end", end))
}

// cutOff forgets what lay at end and behind it.
func (p *part) cutOff(end int64) {
	p.cuts = append(p.cuts, end)
	p.window.cutOff(end)
	p.read, p.dirty = end, true
}

// finish marks a mail as done that was taken up after a number of cuts. Since then another one may have its offset.
func (p *part) finish(offset int64, cuts int) {
	if !slices.ContainsFunc(p.cuts[cuts:], func(end int64) bool { return offset >= end }) {
		p.window.finish(offset)
	}
}
