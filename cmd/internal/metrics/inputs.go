package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// freshFor is how long a report of an input partition counts. The engine reports
// about once a second for the partitions that it has; one that moved to another
// instance must not stay behind here with its last lag.
const freshFor = 15 * time.Second

type inputKey struct {
	group, topic string
	partition    int32
}

type inputState struct {
	lag               int64
	oldest, retention time.Duration
	at                time.Time
}

// inputs collects what is known of each input partition at the moment.
type inputs struct {
	now                func() time.Time
	lag, oldest, ratio *prometheus.Desc

	mu    sync.Mutex
	state map[inputKey]inputState
}

func newInputs(now func() time.Time) *inputs {
	labels := []string{"group", "topic", "partition"}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "input", name), help, labels, nil)
	}
	return &inputs{
		now: now, state: map[inputKey]inputState{},
		lag:    desc("lag_records", "Input records that are not handled yet."),
		oldest: desc("oldest_seconds", "Age of the oldest input record that is not handled yet."),
		ratio:  desc("oldest_retention_ratio", "Age of the oldest unhandled record as part of its topic's retention: at 1 it is deleted unhandled."),
	}
}

func (i *inputs) set(group, topic string, partition int32, lag int64, oldest, retention time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.state[inputKey{group, topic, partition}] = inputState{lag, oldest, retention, i.now()}
}

// Describe implements prometheus.Collector.
func (i *inputs) Describe(ch chan<- *prometheus.Desc) {
	ch <- i.lag
	ch <- i.oldest
	ch <- i.ratio
}

// Collect implements prometheus.Collector. It forgets what is no longer reported.
func (i *inputs) Collect(ch chan<- prometheus.Metric) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, s := range i.state {
		if i.now().Sub(s.at) > freshFor {
			delete(i.state, k)
			continue
		}
		send := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, k.group, k.topic, strconv.Itoa(int(k.partition)))
		}
		send(i.lag, float64(s.lag))
		send(i.oldest, s.oldest.Seconds())
		if s.retention > 0 {
			send(i.ratio, s.oldest.Seconds()/s.retention.Seconds())
		}
	}
}
