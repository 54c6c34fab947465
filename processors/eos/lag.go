package eos

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lag is how far behind the end of its log an input partition is.
type lag struct {
	next int64     // offset after what was polled
	end  int64     // last stable offset when it was polled
	last time.Time // of the last polled record: what comes next is not much younger

	// The first polled record that is not committed. The record itself would keep a whole fetch in memory.
	open  bool
	from  int64
	since time.Time
}

// fetched notes what a poll brought.
func (l *lag) fetched(records []*kgo.Record, end int64) {
	last := records[len(records)-1]
	l.next, l.end, l.last = last.Offset+1, end, last.Timestamp
	for _, r := range records {
		if !l.open && !r.Attrs.IsControl() {
			l.waits(r)
		}
	}
}

// waits notes that r is the first record that is not committed.
func (l *lag) waits(r *kgo.Record) { l.open, l.from, l.since = true, r.Offset, r.Timestamp }

func (l *lag) behind() int64 { return max(0, l.end-l.next) }

func (r *reader) lag(tp topicPartition) *lag {
	l := r.lags[tp]
	if l == nil {
		l = new(lag)
		r.lags[tp] = l
	}
	return l
}

// behind is how many records the inputs held when they were last polled, beyond what was polled.
func (r *reader) behind() (n int64) {
	for _, l := range r.lags {
		n += l.behind()
	}
	return n
}

// committed notes that everything polled is handled, but for what is held.
func (r *reader) committed() {
	for tp, l := range r.lags {
		l.open = false
		if h := r.held[tp]; h != nil {
			l.waits(h.records[0])
		}
	}
}

// report tells Hooks.Input about every assigned partition. What was polled counts until it is committed: a processor whose transactions fail has nothing left
// to read, and its inputs grow old.
func (r *reader) report(now time.Time) {
	if r.p.cfg.Hooks.Input == nil || r.g == nil {
		return
	}
	for tp := range r.g.claims {
		l := r.lag(tp)
		behind, since := l.behind(), l.last
		if l.open {
			behind, since = behind+l.next-l.from, l.since
		}
		var age time.Duration
		if (behind > 0 || r.stopped[tp]) && !since.IsZero() {
			age = max(0, now.Sub(since))
		}
		r.p.cfg.Hooks.Input(tp.topic, tp.partition, behind, age, r.p.facts.topics[tp.topic].retention())
	}
}
