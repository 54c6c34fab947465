package eos

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	maxFired       = 1_000  // commands in one transaction
	maxOutstanding = 10_000 // commands sent and not handled yet, in one generation

	// A command that was sent and left its deadline in place is sent again after a while: the broker's clock may have been behind ours, so that it
	// was refused as not due.
	firstRefire = 10 * time.Second
	lastRefire  = 5 * time.Minute
)

// firing sends a command for every deadline that has passed, in the transaction that finds it. It remembers what it sent until the generation ends;
// after a crash the same command goes out again under the same id, and its recipient knows it.
type firing struct {
	p    *Processor
	g    *generation
	sent map[sentKey]*sent
	next time.Time // when to look although no store has anything new; zero for never
	scan uint64
}

type sentKey struct {
	partition int32
	key, kind string
	ref       string
	at        int64
}

type sent struct {
	again time.Time
	after time.Duration
	scan  uint64 // in which the deadline was last seen in its row
}

func newFiring(p *Processor, g *generation) *firing {
	return &firing{p: p, g: g, sent: make(map[sentKey]*sent)}
}

// nextAt is when fire will find something to do; false if nothing is waiting.
func (f *firing) nextAt() (time.Time, bool) {
	if f.p.cfg.Deadlines == nil || !f.g.ready.Load() {
		return time.Time{}, false
	}
	next := f.next
	if len(f.sent) < maxOutstanding {
		for _, tb := range f.g.tables.all() {
			if at, ok := tb.st.nextDue(); ok && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next, !next.IsZero()
}

// fire produces the commands that are due at now.
func (f *firing) fire(now time.Time, o *outbox) error {
	if at, ok := f.nextAt(); !ok || at.After(now) {
		return nil
	}
	f.scan++
	left := min(maxFired, maxOutstanding-len(f.sent))
	for _, tb := range f.g.tables.all() {
		n, err := f.fireFrom(tb, now, max(left, 1), left > 0, o)
		if err != nil {
			return err
		}
		left -= n
	}
	f.next = time.Time{}
	for _, s := range f.sent {
		if f.next.IsZero() || s.again.Before(f.next) {
			f.next = s.again
		}
	}
	if soon := now.Add(time.Second); len(f.sent) >= maxOutstanding && f.next.After(soon) {
		f.next = soon // to see which have been handled
	}
	return nil
}

// fireFrom looks at one partition. Without room nothing is sent; what was handled meanwhile is forgotten all the same.
func (f *firing) fireFrom(tb *table, now time.Time, limit int, room bool, o *outbox) (int, error) {
	entries, err := tb.st.due(now, limit, func(e dueEntry) bool {
		s := f.sent[keyOf(tb.partition, e)]
		if s != nil {
			s.scan = f.scan
		}
		return s != nil && s.again.After(now)
	})
	if err != nil {
		return 0, err
	}
	seenUntil := now
	if len(entries) == limit {
		seenUntil = entries[limit-1].At // later ones were not looked at
	}
	f.forget(tb.partition, seenUntil)
	if !room {
		return 0, nil
	}
	for _, e := range entries {
		f.send(tb.partition, e, now, o)
	}
	return len(entries), nil
}

// forget drops what was sent for deadlines that are gone from their rows: they were handled.
func (f *firing) forget(partition int32, until time.Time) {
	for k, s := range f.sent {
		if k.partition == partition && s.scan != f.scan && k.at < until.UnixNano() {
			delete(f.sent, k)
		}
	}
}

func (f *firing) send(partition int32, e dueEntry, now time.Time, o *outbox) {
	k := keyOf(partition, e)
	s := f.sent[k]
	if s == nil {
		s = &sent{after: firstRefire / 2}
		f.sent[k] = s
	}
	s.scan, s.after = f.scan, min(2*s.after, lastRefire)
	s.again = now.Add(s.after)
	value, err := f.p.cfg.Deadlines.Encode(e.Key, e.Deadline)
	if err != nil {
		f.p.log.Error("a deadline's command cannot be encoded", slog.String("key", e.Key), slog.String("kind", e.Kind),
			slog.String("error", err.Error()))
		return
	}
	o.fired = &kgo.Record{Topic: f.p.cfg.Deadlines.Topic, Partition: partition, Key: []byte(e.Key), Value: value}
	o.produce(o.fired)
	if f.p.cfg.Hooks.Fired != nil {
		o.note(func() { f.p.cfg.Hooks.Fired(e.Kind) })
	}
}

func keyOf(partition int32, e dueEntry) sentKey {
	return sentKey{partition: partition, key: e.Key, kind: e.Kind, ref: e.Ref, at: e.At.UnixNano()}
}
