//go:build synctests

package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// witness reads what the view and the owners of rows answer while everything fails, to compare it with the log in the end.
type witness struct {
	w *world

	turn  turn
	views map[string][]answer            // customer → what the view said, in order, without repetitions
	rows  map[string]map[string]bool     // customer → what the owner of its row said
	logs  map[string]map[string][]logged // topic → key → committed values, in order
	upTo  map[string]map[int32]int64     // topic → partition → first offset not in logs
}

// answer is a value, nil if there was none.
type answer []byte

// logged is one committed record.
type logged struct {
	partition int32
	offset    int64
	value     []byte
}

const (
	viewed = "customer.state.v1"
	table  = "customer-table"
)

// watch asks, until ctx ends.
func (s *witness) watch(ctx context.Context) {
	s.views, s.rows = map[string][]answer{}, map[string]map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(70 * time.Millisecond)
		if s.w.dark.Load() {
			time.Sleep(10 * time.Minute)
			continue
		}
		key := fmt.Sprintf("c-%d", n%35)
		s.askView(key)
		for _, name := range []string{"customer-0", "customer-1"} {
			s.askOwner(name, key)
		}
	}
}

func (s *witness) askView(key string) {
	v := s.w.places["view-0"].now.Load().view.Load()
	if v == nil {
		return
	}
	value, err := v.View.Get(key)
	if err != nil {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	said := s.views[key]
	if n := len(said); n == 0 || !bytes.Equal(said[n-1], value) || (said[n-1] == nil) != (value == nil) {
		s.views[key] = append(said, bytes.Clone(value))
		s.w.hit("view answers")
	}
}

func (s *witness) askOwner(name, key string) {
	p := s.w.places[name].now.Load().proc.Load()
	if p == nil {
		return
	}
	row, err := p.Get(key)
	if err != nil || row == nil {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.rows[key] == nil {
		s.rows[key] = map[string]bool{}
	}
	s.rows[key][string(row)] = true
}

// remember reads the logs up to now, before the broker compacts them.
func (s *witness) remember() {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.logs == nil {
		s.logs = map[string]map[string][]logged{viewed: {}, table: {}}
		s.upTo = map[string]map[int32]int64{viewed: {}, table: {}}
	}
	for _, topic := range []string{viewed, table} {
		records, err := s.w.dump(topic, s.upTo[topic])
		if err != nil {
			s.w.tb.Errorf("read %s: %v", topic, err)
			return
		}
		for _, r := range records {
			s.upTo[topic][r.Partition] = max(s.upTo[topic][r.Partition], r.Offset+1)
			if !r.Attrs.IsControl() {
				s.logs[topic][string(r.Key)] = append(s.logs[topic][string(r.Key)], logged{r.Partition, r.Offset, r.Value})
			}
		}
	}
}

// testify compares: the view answered with committed rows only, per customer in their order, and owners served no row that the log does not have.
func (s *witness) testify() {
	s.remember()
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.views)) {
		at := -1 // index of the last answer in the log; -1 is before the first record
		log := s.logs[viewed][key]
		for _, said := range s.views[key] {
			says := func(i int) bool {
				if i < 0 {
					return said == nil
				}
				return bytes.Equal(log[i].value, said) && (log[i].value == nil) == (said == nil)
			}
			next := at
			for next < len(log) && !says(next) {
				next++
			}
			if next == len(log) {
				s.w.tb.Errorf("I6 view: for %s it answered with a row that the log does not have after what it had answered before", key)
				break
			}
			at = next
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		for row := range s.rows[key] {
			if !slices.ContainsFunc(s.logs[table][key], func(l logged) bool { return string(l.value) == row }) {
				s.w.tb.Errorf("I2 rows: the owner of %s served a row that the changelog does not have", key)
				break
			}
		}
	}
}

// last returns the last committed value of every key of a table; keys whose last record is a tombstone are not in it.
func (w *world) last(topic string) map[string][]byte {
	records, err := w.dump(topic, nil)
	if err != nil {
		w.tb.Errorf("read %s: %v", topic, err)
	}
	out := map[string][]byte{}
	for _, r := range records {
		switch {
		case r.Attrs.IsControl():
		case r.Value == nil:
			delete(out, string(r.Key))
		default:
			out[string(r.Key)] = r.Value
		}
	}
	return out
}

// dump reads a topic from the given offsets to its last stable ones, as a consumer of committed records sees it, markers included.
func (w *world) dump(topic string, from map[int32]int64) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(w.tb.Context(), 2*time.Minute)
	defer cancel()
	ends, err := w.adm.ListCommittedOffsets(ctx, topic)
	for err == nil && ends.Error() != nil && ctx.Err() == nil { // a fault meant for others
		time.Sleep(100 * time.Millisecond)
		ends, err = w.adm.ListCommittedOffsets(ctx, topic)
	}
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	start, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > from[o.Partition] {
			start[o.Partition], left[o.Partition] = kgo.NewOffset().At(from[o.Partition]), o.Offset
		}
	})
	if len(left) == 0 {
		return nil, nil
	}
	cl, err := kgo.NewClient(append(w.clientOptions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%w; %v left", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end := ends[topic][r.Partition].Offset; r.Offset < end {
				out = append(out, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out, nil
}
