package eos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"utopia/processors/kafkaclient"
)

// logCluster is an embedded broker with helpers to write tables' logs.
type logCluster struct {
	*kfake.Cluster
	network *kfake.VirtualNetwork // so that it works in a synctest bubble, too
	opts    []kgo.Opt
	txns    atomic.Int64
}

func newLogCluster(tb testing.TB, partitions int32, topics ...string) *logCluster {
	tb.Helper()
	return newLogClusterOn(tb, kfake.SeedTopics(partitions, topics...))
}

func newLogClusterOn(tb testing.TB, opts ...kfake.Opt) *logCluster {
	tb.Helper()
	network := new(kfake.VirtualNetwork)
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(network.Listen)}, opts...)...)
	mustDo(tb, err)
	tb.Cleanup(c.Close)
	return &logCluster{Cluster: c, network: network, opts: []kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...),
		kgo.Dialer(func(ctx context.Context, proto, addr string) (net.Conn, error) {
			return network.DialContext(ctx, proto, addr)
		}),
	}}
}

// deleteRecords removes what lies before an offset: the log begins there.
func (c *logCluster) deleteRecords(tb testing.TB, topic string, partition int32, before int64) {
	tb.Helper()
	client, err := kgo.NewClient(c.opts...)
	mustDo(tb, err)
	defer client.Close()
	var at kadm.Offsets
	at.AddOffset(topic, partition, before, -1)
	_, err = kadm.NewClient(client).DeleteRecords(tb.Context(), at)
	mustDo(tb, err)
}

// write produces records in one transaction, which it commits or aborts.
func (c *logCluster) write(tb testing.TB, end kgo.TransactionEndTry, records ...*kgo.Record) {
	tb.Helper()
	client, err := kgo.NewClient(append(c.opts[:len(c.opts):len(c.opts)],
		kgo.TransactionalID(fmt.Sprint("writer-", c.txns.Add(1))), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	mustDo(tb, err)
	defer client.Close()
	mustDo(tb, client.BeginTransaction())
	mustDo(tb, client.ProduceSync(tb.Context(), records...).FirstErr())
	mustDo(tb, kafkaclient.EndTransaction(tb.Context(), client, end, records...))
}

// fill produces n records with distinct keys to a partition, without a transaction.
func (c *logCluster) fill(tb testing.TB, topic string, partition int32, n, size int) {
	tb.Helper()
	client, err := kgo.NewClient(append(c.opts[:len(c.opts):len(c.opts)], kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	mustDo(tb, err)
	defer client.Close()
	var failed atomic.Pointer[error]
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "k%06d", i), Value: make([]byte, size)}
		client.Produce(tb.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	mustDo(tb, client.Flush(tb.Context()))
	if p := failed.Load(); p != nil {
		tb.Fatal(*p)
	}
}

func (c *logCluster) logs(tb testing.TB) *tableLogs {
	tb.Helper()
	client, err := kgo.NewClient(c.opts...)
	mustDo(tb, err)
	tb.Cleanup(client.Close)
	return newTableLogs(client, testLogger(tb))
}

func (c *logCluster) changelog(tb testing.TB) *changelog {
	tb.Helper()
	l, err := newChangelog(context.Background(), changelogOptions{client: c.opts, logger: testLogger(tb)})
	mustDo(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// testLogger writes to the test's log; what Pebble and Goka say is shown with EOS_DEBUG=1.
func testLogger(tb testing.TB) *slog.Logger {
	tb.Helper()
	level := slog.LevelInfo
	if os.Getenv("EOS_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: level}))
}

func rec(topic string, partition int32, key, value string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}
	if value == "" {
		r.Value = nil
	}
	return r
}

// next returns a message, or fails the test after a minute.
func next(tb testing.TB, p sarama.PartitionConsumer) *sarama.ConsumerMessage {
	tb.Helper()
	select {
	case m, ok := <-p.Messages():
		if !ok {
			tb.Fatal("the messages have ended")
		}
		return m
	case err := <-p.Errors():
		tb.Fatalf("error instead of a message: %v", err)
	case <-time.After(time.Minute):
		tb.Fatal("no message within a minute")
	}
	return nil
}

func TestChangelogShowsCommittedRecordsAndMarkers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) { // so that its clean-up comes before the look for leaks
		c := newLogCluster(t, 1, "t")
		c.write(t, kgo.TryCommit, rec("t", 0, "a", "1"), rec("t", 0, "b", "1"))
		c.write(t, kgo.TryAbort, rec("t", 0, "a", "never"))
		c.write(t, kgo.TryCommit, rec("t", 0, "a", ""))
		c.write(t, kgo.TryAbort, rec("t", 0, "b", "never"), rec("t", 0, "c", "never"))
		end, err := c.logs(t).end(t.Context(), "t", 0)
		mustDo(t, err)

		p, err := c.changelog(t).ConsumePartition("t", 0, 0)
		mustDo(t, err)
		var got []string
		for {
			m := next(t, p)
			got = append(got, fmt.Sprintf("%d %q=%s", m.Offset, m.Key, show(m.Value)))
			if m.Offset == end-1 {
				break
			}
		}
		const marker = `"\x00utopia\x00marker"=-`
		want := []string{`0 "a"=1`, `1 "b"=1`, "2 " + marker, "4 " + marker, `5 "a"=-`, "6 " + marker, "9 " + marker}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if hwm := p.HighWaterMarkOffset(); hwm != end {
			t.Errorf("high-water mark %d, want %d", hwm, end)
		}
	})
}

func TestChangelogEndsWithItsClient(t *testing.T) {
	l := newLogCluster(t, 1, "t").changelog(t)
	l.client.EndAfter(context.WithoutCancel(t.Context()), 0) // which never comes
	select {
	case <-l.ended:
		t.Fatal("it has ended too early")
	case <-time.After(50 * time.Millisecond):
	}
	over, end := context.WithCancel(t.Context())
	end()
	l.client.EndAfter(over, 0)
	<-l.ended
}

func TestSkipMarkersLeavesTheRows(t *testing.T) {
	s := mustStore(t, mustOpen(t, vfs.NewMem()), storeOptions{changed: func(key string) {
		if key != "a" && key != "b" {
			t.Errorf("the row of %q changed", key)
		}
	}})
	mustDo(t,
		skipMarkers(nil, s, "a", []byte("1")), s.SetOffset(0),
		skipMarkers(nil, s, markerKey, nil), s.SetOffset(1),
		skipMarkers(nil, s, "b", []byte("1")), s.SetOffset(2),
		skipMarkers(nil, s, "b", nil), s.SetOffset(3))
	_, rows := rowsOf(t, s, nil, nil)
	if diff := cmp.Diff(map[string]string{"a": "1"}, rows); diff != "" {
		t.Error(diff)
	}
}

func TestChangelogSlowPartitionDoesNotBlockTheOthers(t *testing.T) {
	c := newLogCluster(t, 3, "t")
	const n, size = 20_000, 400 // many fetches each
	for p := range int32(3) {
		c.fill(t, "t", p, n, size)
	}
	l := c.changelog(t)
	slow, err := l.ConsumePartition("t", 0, 0)
	mustDo(t, err)
	for _, p := range []int32{1, 2} {
		fast, err := l.ConsumePartition("t", p, 0)
		mustDo(t, err)
		for i := range int64(n) {
			if m := next(t, fast); m.Offset != i || m.Partition != p {
				t.Fatalf("partition %d: offset %d, want %d", m.Partition, m.Offset, i)
			}
		}
	}
	// The slow one has not lost or repeated anything.
	for i := range int64(n) {
		if m := next(t, slow); m.Offset != i {
			t.Fatalf("slow partition: offset %d, want %d", m.Offset, i)
		}
	}
}

// Whatever went wrong inside a broker may be right the next time: it does not end a recovery.
func TestChangelogReadsOnAfterWhatPasses(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.fill(t, "t", 0, 3, 10)
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError, Count: 3})
	p, err := c.changelog(t).ConsumePartition("t", 0, 0)
	mustDo(t, err)
	for i := range int64(3) {
		if m := next(t, p); m.Offset != i {
			t.Fatalf("offset %d, want %d", m.Offset, i)
		}
	}
	if refused.Hits() != 3 {
		t.Errorf("refused %d times", refused.Hits())
	}
}

// A reader that is closed and made again at another offset must not see what was fetched for the one before it.
func TestChangelogReopenedReadersSeeTheirOwnOffsets(t *testing.T) {
	c := newLogCluster(t, 2, "t")
	const n = 30_000
	c.fill(t, "t", 0, n, 200)
	c.fill(t, "t", 1, n, 200)
	l := c.changelog(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		partition, offset := rnd.Int32N(2), rnd.Int64N(n-100)
		p, err := l.ConsumePartition("t", partition, offset)
		mustDo(t, err)
		for i := range rnd.Int64N(min(5000, n-offset)) {
			if m := next(t, p); m.Offset != offset+i || m.Partition != partition {
				t.Fatalf("partition %d offset %d, want %d offset %d", m.Partition, m.Offset, partition, offset+i)
			}
		}
		if rnd.IntN(2) == 0 {
			p.AsyncClose()
		} else {
			mustDo(t, p.Close())
		}
	}
}

func TestChangelogReportsAPositionThatTheLogDoesNotHave(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.fill(t, "t", 0, 10, 10)
	l := c.changelog(t)
	p, err := l.ConsumePartition("t", 0, 100)
	mustDo(t, err)
	select {
	case err := <-p.Errors():
		if !errors.Is(err.Err, kerr.OffsetOutOfRange) || err.Topic != "t" {
			t.Errorf("error %v", err)
		}
	case m := <-p.Messages():
		t.Errorf("a message: %+v", m)
	case <-time.After(time.Minute):
		t.Fatal("nothing within a minute")
	}
	mustDo(t, p.Close())
	if p, err = l.ConsumePartition("t", 0, 5); err != nil {
		t.Fatal(err)
	}
	if m := next(t, p); m.Offset != 5 {
		t.Errorf("offset %d", m.Offset)
	}
}

func TestChangelogRefusesWhatItCannotDo(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	l := c.changelog(t)
	if _, err := l.ConsumePartition("t", 0, sarama.OffsetNewest); err == nil {
		t.Error("an offset that is not exact was taken")
	}
	p, err := l.ConsumePartition("t", 0, 0)
	mustDo(t, err)
	if _, err := l.ConsumePartition("t", 0, 0); err == nil {
		t.Error("a second reader of a partition was made")
	}
	p.AsyncClose()
	p.AsyncClose()
	mustDo(t, l.Close(), l.Close())
	if _, err := l.ConsumePartition("t", 0, 0); !errors.Is(err, errReaderClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// recovery must not end at the last stable offset of now while a transaction before the high-water mark is open.
func TestTableLogsEndWaitsForOpenTransactions(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.fill(t, "t", 0, 3, 10)
	client, err := kgo.NewClient(append(c.opts[:len(c.opts):len(c.opts)], kgo.TransactionalID("open"))...)
	mustDo(t, err)
	defer client.Close()
	mustDo(t, client.BeginTransaction(), client.ProduceSync(t.Context(), rec("t", 0, "a", "1")).FirstErr())

	logs := c.logs(t)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if end, err := logs.end(short, "t", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("end = %d, %v while a transaction is open", end, err)
	}
	got := make(chan int64, 1)
	go func() {
		end, _ := logs.end(t.Context(), "t", 0)
		got <- end
	}()
	mustDo(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	if end := <-got; end != 4 && end != 5 { // 4 if the mark was taken before the marker was written
		t.Errorf("end = %d", end)
	}
}

func TestTableLogsRetryWhatPasses(t *testing.T) {
	c := newLogCluster(t, 1, "t")
	c.fill(t, "t", 0, 3, 10)
	var refused atomic.Int64
	c.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if refused.Add(1) > 3 {
			return nil, nil, false
		}
		c.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)                    //nolint:forcetypeassert // By the key.
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse) //nolint:forcetypeassert // By the key.
		for _, rt := range req.Topics {
			st := kmsg.NewListOffsetsResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewListOffsetsResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.NotLeaderForPartition.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	hwm, err := c.logs(t).highWaterMark(t.Context(), "t", 0)
	if err != nil || hwm != 3 {
		t.Errorf("high-water mark %d, %v", hwm, err)
	}
	if refused.Load() < 3 {
		t.Errorf("refused %d times only", refused.Load())
	}
}

func TestTableLogsDescribe(t *testing.T) {
	c := newLogClusterOn(t, kfake.SeedTopics(3, "t"), kfake.ClusterID("cluster-1"))
	log, err := c.logs(t).describe(t.Context(), "t")
	mustDo(t, err)
	if log.clusterID != "cluster-1" || log.topicID == [16]byte{} || len(log.partitions) != 3 || log.deleteRetention != 24*time.Hour {
		t.Errorf("%+v", log)
	}
}
