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
}

func (l *lag) fetched(last *kgo.Record, end int64) {
	l.next, l.end, l.last = last.Offset+1, end, last.Timestamp
}

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

// report tells Hooks.Input about every assigned partition.
func (r *reader) report(now time.Time) {
	if r.p.cfg.Hooks.Input == nil || r.g == nil {
		return
	}
	for tp := range r.g.claims {
		l := r.lag(tp)
		behind, since := l.behind(), l.last
		if h := r.held[tp]; h != nil {
			behind, since = behind+int64(len(h.records)), h.records[0].Timestamp
		}
		var age time.Duration
		if (behind > 0 || r.stopped[tp]) && !since.IsZero() {
			age = max(0, now.Sub(since))
		}
		r.p.cfg.Hooks.Input(tp.topic, tp.partition, behind, age, r.p.facts.topics[tp.topic].retention())
	}
}
