package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHooksBecomeMetrics(t *testing.T) {
	m := New()
	hooks, counters := m.Group("customer")
	hooks.Handled("customer.commands.v1", 7)
	hooks.Input("customer.commands.v1", 3, 42, 2*time.Hour, 8*time.Hour)
	hooks.Input("customer.events.v1", 3, 1, time.Second, 0)
	hooks.Committed(4*time.Millisecond, 7)
	hooks.Aborted("commit failed")
	hooks.Recovered(time.Second, 4)
	hooks.DeadLetter("customer.commands.v1", "malformed")
	hooks.Moved("customer.commands.v1")
	hooks.Fired("ExpireAddressChange")
	hooks.StoreSize(1000)
	hooks.Stopped("customer.commands.v1", 1)
	counters.Outcome("customer", "refused")
	counters.Skipped("billing", "customer.changes.v1", "unknown_type")
	counters.Forgotten("customer", time.Hour)
	got := scrape(t, m)
	for _, want := range []string{
		`utopia_handled_records_total{group="customer",topic="customer.commands.v1"} 7`,
		`utopia_input_lag_records{group="customer",partition="3",topic="customer.commands.v1"} 42`,
		`utopia_input_oldest_seconds{group="customer",partition="3",topic="customer.commands.v1"} 7200`,
		`utopia_input_oldest_retention_ratio{group="customer",partition="3",topic="customer.commands.v1"} 0.25`,
		`utopia_commit_seconds_bucket{group="customer",le="0.005"} 1`,
		`utopia_commit_seconds_bucket{group="customer",le="0.003"} 0`,
		`utopia_commit_records_sum{group="customer"} 7`,
		`utopia_aborted_transactions_total{group="customer",reason="commit failed"} 1`,
		`utopia_recovery_seconds_count{group="customer"} 1`,
		`utopia_dead_letters_total{group="customer",reason="malformed",topic="customer.commands.v1"} 1`,
		`utopia_moved_records_total{group="customer",topic="customer.commands.v1"} 1`,
		`utopia_deadlines_fired_total{group="customer",kind="ExpireAddressChange"} 1`,
		`utopia_store_bytes{group="customer"} 1000`,
		`utopia_stopped_partitions_total{group="customer",topic="customer.commands.v1"} 1`,
		`utopia_outcomes_total{group="customer",outcome="refused"} 1`,
		`utopia_skipped_records_total{group="billing",reason="unknown_type",topic="customer.changes.v1"} 1`,
		`utopia_handled_ids_forgotten_total{group="customer"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(got, `oldest_retention_ratio{group="customer",partition="3",topic="customer.events.v1"}`) {
		t.Error("a topic that is kept for ever has no ratio")
	}
}

func TestAPartitionThatMovedAwayIsForgotten(t *testing.T) {
	m := New()
	now := time.Now()
	m.inputs.now = func() time.Time { return now }
	hooks, _ := m.Group("customer")
	hooks.Input("t", 1, 42, time.Hour, 0)
	now = now.Add(10 * time.Second)
	hooks.Input("t", 2, 43, time.Hour, 0)
	if got := scrape(t, m); !strings.Contains(got, `partition="1"`) || !strings.Contains(got, `partition="2"`) {
		t.Error("a fresh one is missing")
	}
	now = now.Add(10 * time.Second)
	if got := scrape(t, m); strings.Contains(got, `partition="1"`) || !strings.Contains(got, `partition="2"`) {
		t.Error("an old one is still there")
	}
}

func TestOneHookCountsManyClients(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	defer c.Close()
	m := New()
	for range 3 {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("t"), kgo.WithHooks(m.Hook()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close() // several live at the same time
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got := scrape(t, m)
	if want := `utopia_kafka_produce_records_total{node_id="0",topic="t"} 3`; !strings.Contains(got, want) && !strings.Contains(got, `utopia_kafka_produce_bytes_total{node_id="0",topic="t"}`) {
		t.Errorf("no count of what was produced:\n%s", got)
	}
	if strings.Contains(got, "buffered") {
		t.Error("shows the buffers of one client as if they were all")
	}
}
