package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/gateway"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// nowhere is an answer that nobody reads.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header       { return n.header }
func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (*nowhere) WriteHeader(int)             {}

// BenchmarkQuery is what the gateway itself does for one query, without the connection.
func BenchmarkQuery(b *testing.B) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(topics.EmbeddedPartitions, topics.CustomerState.Name))
	b.Cleanup(c.Close)
	client, ids := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, schemas.NewMemoryIDs()
	fill(b, client, ids, 1000)
	v, err := processors.NewCustomerView(processors.ViewOptions{Client: client, IDs: ids})
	if err != nil {
		b.Fatal(err)
	}
	stop := reads(b, v)
	g := gateway.Bare(b, func(cfg *gateway.Config) { cfg.Open, cfg.Views.Customers = true, v })
	h := g.Handler()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/customers/c-00000017", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&nowhere{http.Header{}}, r)
	}
	b.StopTimer()
	stop()
}
