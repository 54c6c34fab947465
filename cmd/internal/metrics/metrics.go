// Package metrics turns what the engine, the processors, the mailer and the
// Kafka clients report into Prometheus metrics. Labels are groups, topics,
// partitions and codes; never a key, an id or a person.
//
// It decides nothing and alerts nobody; the README names the metrics that are
// worth an alert.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"utopia/processors"
	"utopia/processors/eos"
)

const namespace = "utopia"

// Metrics is one process's metrics.
type Metrics struct {
	reg    *prometheus.Registry
	inputs *inputs

	handled, aborted, deadLetters, moved, fired, stopped *prometheus.CounterVec
	recovered                                            *prometheus.HistogramVec
	commitSeconds, commitRecords                         *prometheus.HistogramVec
	storeBytes                                           *prometheus.GaugeVec
	outcomes, skipped, forgotten                         *prometheus.CounterVec

	client sync.Once
	hook   *clientHook
}

// New makes the metrics, with those of the Go runtime and the process.
func New() *Metrics {
	m := &Metrics{reg: prometheus.NewRegistry(), inputs: newInputs(time.Now)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		m.reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, []string{"group"})
		m.reg.MustRegister(h)
		return h
	}
	m.handled = counter("handled_records_total", "Input records handled in committed transactions, dead letters and moved records included.", "group", "topic")
	m.aborted = counter("aborted_transactions_total", "Transactions that were not committed; their records are handled again.", "group", "reason")
	m.deadLetters = counter("dead_letters_total", "Records that no code can handle, sent to the dead letters.", "group", "topic", "reason")
	m.moved = counter("moved_records_total", "Records found in the wrong partition and sent on; their producer uses another partitioner.", "group", "topic")
	m.fired = counter("deadlines_fired_total", "Deadline commands that were put on the log.", "group", "kind")
	m.stopped = counter("stopped_partitions_total", "Input partitions given up because records are gone from the log.", "group", "topic")
	m.outcomes = counter("outcomes_total", "Commands by outcome: accepted, refused, or a repeat of an earlier answer.", "group", "outcome")
	m.skipped = counter("skipped_records_total", "Records that a listener has no use for.", "group", "topic", "reason")
	m.forgotten = counter("handled_ids_forgotten_total", "Handled command ids pushed out of a row's window younger than 24 hours; a retry of such a command would be handled again.", "group")
	m.recovered = histogram("recovery_seconds", "Time until the tables had caught up with the changelog, per generation.",
		[]float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300})
	m.commitSeconds = histogram("commit_seconds", "Time from the begin of a transaction to the broker's answer.",
		[]float64{.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .1, .25, .5, 1, 5, 10})
	m.commitRecords = histogram("commit_records", "Input records per transaction.", []float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000})
	m.storeBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "store_bytes", Help: "Bytes that the group's table takes on disk.",
	}, []string{"group"})
	m.reg.MustRegister(m.storeBytes, m.inputs,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in Prometheus' formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Register adds another collector, for what only one binary has. It panics if
// the names clash.
func (m *Metrics) Register(c ...prometheus.Collector) { m.reg.MustRegister(c...) }

// Group returns the hooks and counters of one processor group.
func (m *Metrics) Group(group string) (eos.Hooks, processors.Counters) {
	commitSeconds, commitRecords := m.commitSeconds.WithLabelValues(group), m.commitRecords.WithLabelValues(group)
	recovered, store := m.recovered.WithLabelValues(group), m.storeBytes.WithLabelValues(group)
	return eos.Hooks{
		Handled: func(topic string, records int) { m.handled.WithLabelValues(group, topic).Add(float64(records)) },
		Input: func(topic string, partition int32, lag int64, oldest, retention time.Duration) {
			m.inputs.set(group, topic, partition, lag, oldest, retention)
		},
		Committed: func(latency time.Duration, records int) {
			commitSeconds.Observe(latency.Seconds())
			commitRecords.Observe(float64(records))
		},
		Aborted:    func(reason string) { m.aborted.WithLabelValues(group, reason).Inc() },
		Recovered:  func(elapsed time.Duration, _ int) { recovered.Observe(elapsed.Seconds()) },
		DeadLetter: func(topic, reason string) { m.deadLetters.WithLabelValues(group, topic, reason).Inc() },
		Moved:      func(topic string) { m.moved.WithLabelValues(group, topic).Inc() },
		Fired:      func(kind string) { m.fired.WithLabelValues(group, kind).Inc() },
		StoreSize:  func(bytes int64) { store.Set(float64(bytes)) },
		Stopped:    func(topic string, _ int32) { m.stopped.WithLabelValues(group, topic).Inc() },
	}, counters{m}
}

// counters implements processors.Counters.
type counters struct{ m *Metrics }

func (c counters) Outcome(group, outcome string) { c.m.outcomes.WithLabelValues(group, outcome).Inc() }

func (c counters) Skipped(group, topic, reason string) {
	c.m.skipped.WithLabelValues(group, topic, reason).Inc()
}

func (c counters) Forgotten(group string, _ time.Duration) {
	c.m.forgotten.WithLabelValues(group).Inc()
}
