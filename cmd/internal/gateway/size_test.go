package gateway_test

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/gateway"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

// Each gateway has all customers. What that takes is in ARCHITECTURE.md: on disk, and in memory if there is no directory.
func TestWhatACopyOfAllCustomersTakes(t *testing.T) {
	const customers = 50_000
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(topics.EmbeddedPartitions, topics.CustomerState.Name))
	t.Cleanup(c.Close)
	client, ids := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, schemas.NewMemoryIDs()
	fill(t, client, ids, customers)
	heap := func() int64 {
		for range 3 { // what was in a pool is gone after the second
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far from 2^63
	}
	dir := t.TempDir()
	for name, where := range map[string]string{"in memory": "", "on disk": dir} {
		before := heap()
		v, err := processors.NewCustomerView(processors.ViewOptions{Client: client, IDs: ids, Dir: where})
		if err != nil {
			t.Fatal(err)
		}
		stop := reads(t, v)
		var each int64
		gateway.Eventually(t, time.Minute, name+": a customer takes 2000 bytes of heap at most, when tables are written", func() bool {
			each = (heap() - before) / customers
			return each <= 2000
		})
		t.Logf("%s: %d bytes of heap a customer", name, each)
		stop()
	}
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("on disk: %d bytes a customer", size/customers)
	if size/customers > 1000 || size < customers*20 {
		t.Errorf("a customer takes %d bytes on disk", size/customers)
	}
}

// reads runs a view, which has read all when it returns, until stop is called.
func reads(tb testing.TB, v *processors.View[*schemas.CustomerState]) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	gateway.Eventually(tb, time.Minute, "the view has read all", v.Ready)
	return func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
}

// fill writes states of customers.
func fill(tb testing.TB, client []kgo.Opt, ids schemas.IDs, customers int) {
	tb.Helper()
	codec, err := schemas.NewCodec(topics.CustomerState.Name, ids)
	if err != nil {
		tb.Fatal(err)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}, client...)...)
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	for i := range customers {
		id := fmt.Sprintf("c-%08d", i)
		value, err := codec.Append(nil, &schemas.CustomerState{
			CustomerID: id, Version: 3, Status: "active", Name: "Grace Brewster Hopper", Email: id + "@mail.example.org", Language: "en",
			Address: schemas.Residence{
				Address: schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 JG", Street: fmt.Sprintf("Markt %d", i)},
				Reason:  schemas.ReasonMoved, Version: 3, Verified: true, OccurredAt: 1_770_000_000_000, RecordedAt: 1_770_000_000_000,
			},
			UpdatedAt: 1_770_000_000_000,
		})
		if err != nil {
			tb.Fatal(err)
		}
		cl.Produce(tb.Context(), &kgo.Record{Topic: topics.CustomerState.Name, Key: []byte(id), Value: value}, nil)
	}
	if err := cl.Flush(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}
