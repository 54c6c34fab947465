package eos

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// BenchmarkViewRecovery is a million rows from the log into an empty directory, through Goka's view, four partitions at once; then the start from what
// is on disk. The broker works in the same process: its part is in cpu-s, and in the wall time.
func BenchmarkViewRecovery(b *testing.B) {
	const n, partitions = 1_000_000, 4
	c := newLogCluster(b, partitions, "t")
	client, err := kgo.NewClient(append(c.opts[:len(c.opts):len(c.opts)], kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	mustDo(b, err)
	defer client.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	var failed atomic.Int64
	var buf [32]byte
	for i := range n {
		v := make([]byte, benchRow)
		for j := 0; j < benchRow-8; j += 16 {
			binary.LittleEndian.PutUint64(v[j:], rng.Uint64())
		}
		key := benchKey(buf[:], i)
		r := &kgo.Record{Topic: "t", Partition: topics.Partition(key, partitions), Key: []byte(key), Value: v}
		client.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	mustDo(b, client.Flush(b.Context()))
	if failed.Load() > 0 {
		b.Fatal(failed.Load(), " records were not produced")
	}
	for range b.N {
		cfg := ViewConfig{Client: c.opts, Topic: "t", Dir: b.TempDir()}
		for _, metric := range []string{"log", "local"} {
			begin, cpu := time.Now(), cpuTime()
			v, stop := runView(b, cfg)
			_, err := v.Wait(b.Context(), "nobody", func([]byte) bool { return true })
			mustDo(b, err)
			b.ReportMetric(time.Since(begin).Seconds(), metric+"-s")
			b.ReportMetric((cpuTime() - cpu).Seconds(), metric+"-cpu-s")
			stop()
		}
	}
}
