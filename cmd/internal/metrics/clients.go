package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Hook returns a hook for kgo.WithHooks that counts connections, bytes and
// errors of all clients it is given to, together. An engine makes a new client
// after each doubtful transaction and has several at a time, and kprom by itself
// registers its metrics anew with each of them, which panics.
func (m *Metrics) Hook() kgo.Hook {
	m.client.Do(func() {
		m.hook = &clientHook{Metrics: kprom.NewMetrics(namespace+"_kafka", kprom.Registerer(totals{m.reg}), kprom.Gatherer(m.reg))}
	})
	return m.hook
}

// clientHook is kprom's hook, set up by the first client and never taken down.
type clientHook struct {
	*kprom.Metrics
	once sync.Once
}

// OnNewClient implements kgo.HookNewClient.
func (h *clientHook) OnNewClient(cl *kgo.Client) {
	h.once.Do(func() { h.Metrics.OnNewClient(cl) })
}

// OnClientClosed implements kgo.HookClientClosed: the counts go on.
func (h *clientHook) OnClientClosed(*kgo.Client) {}

// totals registers counters and leaves out gauges, which would show the buffers
// of the first client only.
type totals struct{ prometheus.Registerer }

// MustRegister implements prometheus.Registerer.
func (t totals) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := t.Register(c); err != nil {
			panic(err) // two kprom hooks in one registry: a defect of this package
		}
	}
}

// Register implements prometheus.Registerer.
func (t totals) Register(c prometheus.Collector) error {
	if _, gauge := c.(prometheus.GaugeFunc); gauge {
		return nil
	}
	return t.Registerer.Register(c)
}
