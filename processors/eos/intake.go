package eos

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// inputOffset is the offset a partition is read up to, exclusive, as it is committed to the group.
type inputOffset struct {
	offset int64
	epoch  int32
}

// intake is what polls brought, judged and sorted, until a transaction takes it.
type intake struct {
	runs     []run
	letters  []letter
	moved    []*kgo.Record
	next     map[topicPartition]inputOffset
	admitted int
	bytes    int
}

// run is a stretch of admitted records of one partition.
type run struct {
	claim   *claim
	records []*kgo.Record
}

// letter is a refused record.
type letter struct {
	r   *kgo.Record
	why *Reject
}

// empty says whether there is nothing that needs a transaction at once. Positions past markers alone do not: they wait for the next one, or for markersWait.
func (in *intake) empty() bool {
	return len(in.runs) == 0 && len(in.letters) == 0 && len(in.moved) == 0
}

// reset forgets the records, not the positions: those are the transaction's to take.
func (in *intake) reset() {
	clear(in.runs)
	clear(in.letters)
	clear(in.moved)
	in.runs, in.letters, in.moved = in.runs[:0], in.letters[:0], in.moved[:0]
	in.admitted, in.bytes = 0, 0
}

// holding is what was polled of a partition whose next record cannot be judged now. The partition's fetches are paused, so that it never holds more than
// one poll brings.
type holding struct {
	records []*kgo.Record
	again   time.Time
	wait    time.Duration
}

// reader polls a member and judges what comes.
type reader struct {
	p       *Processor
	m       *member
	g       *generation
	held    map[topicPartition]*holding
	stopped map[topicPartition]bool // given up by this process: records are missing from the log
	lags    map[topicPartition]*lag
	logged  time.Time
}

// follow adopts the current generation. What was held belongs to the one before: the group's offsets lead back to it.
func (r *reader) follow(g *generation, in *intake) {
	if r.g == g {
		return
	}
	r.g = g
	for tp := range r.held {
		r.m.cl.ResumeFetchPartitions(tp.asMap())
	}
	r.held = make(map[topicPartition]*holding)
	r.lags = make(map[topicPartition]*lag)
	in.reset()
	in.next = make(map[topicPartition]inputOffset)
}

// read sorts what a poll brought into in. It returns an error if the member must be replaced.
func (r *reader) read(fetches kgo.Fetches, in *intake) error {
	if err := r.errors(fetches); err != nil {
		return err
	}
	var err error
	fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
		tp := topicPartition{fp.Topic, fp.Partition}
		if len(fp.Records) == 0 || r.stopped[tp] {
			return
		}
		if r.g == nil || r.g.claims[tp] == nil {
			// Not to be: but dropped, these records would be skipped for ever.
			err = fmt.Errorf("records of %s/%d came without an assignment", tp.topic, tp.partition)
			return
		}
		r.lag(tp).fetched(fp.Records, fp.LastStableOffset)
		if h := r.held[tp]; h != nil {
			h.records = append(h.records, fp.Records...)
			return
		}
		r.sort(tp, fp.Records, in)
	})
	return err
}

// sort judges records of one partition in order, up to one that cannot be judged now.
func (r *reader) sort(tp topicPartition, records []*kgo.Record, in *intake) {
	adm, c := r.p.admissions[tp.topic], r.g.claims[tp]
	start := 0
	flush := func(end int) {
		if end > start {
			in.runs = append(in.runs, run{c, records[start:end]})
			in.admitted += end - start
		}
		start = end + 1
	}
	for i, rec := range records {
		if rec.Attrs.IsControl() {
			flush(i)
			continue
		}
		in.bytes += len(rec.Key) + len(rec.Value)
		v, why, err := adm.judge(rec)
		switch v {
		case admitted:
			continue
		case refused:
			in.letters = append(in.letters, letter{rec, why})
		case misplaced:
			in.moved = append(in.moved, rec)
		case blocked:
			flush(i)
			if i > 0 {
				in.next[tp] = inputOffset{rec.Offset, rec.LeaderEpoch}
			}
			r.hold(tp, records[i:], err)
			return
		}
		flush(i)
	}
	flush(len(records))
	last := records[len(records)-1]
	in.next[tp] = inputOffset{last.Offset + 1, last.LeaderEpoch}
	r.release(tp)
}

// hold keeps records whose first cannot be judged now, and pauses their partition. The others go on.
func (r *reader) hold(tp topicPartition, records []*kgo.Record, err error) {
	h := r.held[tp]
	if h == nil {
		h = &holding{wait: 250 * time.Millisecond}
		r.held[tp] = h
		r.m.cl.PauseFetchPartitions(tp.asMap())
		r.p.log.Warn("an input partition waits: its next record cannot be judged now", slog.String("topic", tp.topic),
			slog.Int("partition", int(tp.partition)), slog.Int64("offset", records[0].Offset), slog.String("error", err.Error()))
	}
	h.records = records
	h.again = time.Now().Add(h.wait)
	h.wait = min(2*h.wait, 5*time.Second)
}

// release lets a partition go on whose held records have been judged.
func (r *reader) release(tp topicPartition) {
	if r.held[tp] != nil {
		delete(r.held, tp)
		r.m.cl.ResumeFetchPartitions(tp.asMap())
		r.p.log.Info("the input partition goes on", slog.String("topic", tp.topic), slog.Int("partition", int(tp.partition)))
	}
}

// retryHeld judges again what is held and due.
func (r *reader) retryHeld(now time.Time, in *intake) {
	for tp, h := range r.held {
		if !now.Before(h.again) {
			r.sort(tp, h.records, in)
		}
	}
}

// nextRetry is when retryHeld has something to do, at most wait from now.
func (r *reader) nextRetry(now time.Time, wait time.Duration) time.Duration {
	for _, h := range r.held {
		wait = min(wait, h.again.Sub(now))
	}
	return max(wait, 0)
}
