package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// fan is many clients of the stream.
type fan struct {
	clients, rate int
	warm, measure time.Duration
}

// fanFigure is what they cost, and when they hear.
type fanFigure struct {
	latency

	Clients     int     `json:"clients"`
	Cores       float64 `json:"cores"`
	ResidentMiB float64 `json:"residentMiB"`
	PeakMiB     float64 `json:"peakMiB"`
	MBPerSecond float64 `json:"megabytesPerSecond"` // that the gateway sent
}

// changes writes public facts about customers, in transactions as the customer service does.
type changes struct {
	client *kgo.Client
	codec  *schemas.Codec
	n      int
}

func newChanges(br *broker) (*changes, error) {
	codec, err := schemas.NewCodec(topics.CustomerChanges.Name, schemas.NewMemoryIDs())
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(br.address), kgo.TransactionalID("bench-changes"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, fmt.Errorf("open a writer: %w", err)
	}
	return &changes{client: client, codec: codec}, nil
}

func (c *changes) close() { c.client.Close() }

const stampPrefix = `"commandId":"t-`

// write commits so many moves that say when they were due.
func (c *changes) write(ctx context.Context, due time.Time, moves int) error {
	if err := c.client.BeginTransaction(); err != nil {
		return err
	}
	var last *kgo.Record
	for range moves {
		id := gatewayCustomer(c.n % gatewayCustomers)
		before, after := residence(due.UnixMilli()), residence(due.UnixMilli())
		after.Address.Street, after.Reason = "Prinsengracht 263", "moved"
		value, err := c.codec.Append(nil, &schemas.PublicCustomerMoved{
			CustomerID: id, EventHead: schemas.EventHead{Version: int64(2 + c.n/gatewayCustomers), At: due.UnixMilli(), CommandID: "t-" + strconv.FormatInt(due.UnixNano(), 10)},
			ChangeID: "move-" + strconv.Itoa(c.n), Before: before, After: after,
		})
		if err != nil {
			return err
		}
		c.n++
		last = &kgo.Record{Topic: topics.CustomerChanges.Name, Key: []byte(id), Value: value}
		c.client.Produce(ctx, last, nil)
	}
	if err := c.client.Flush(ctx); err != nil {
		return err
	}
	return kafkaclient.EndTransaction(ctx, c.client, kgo.TryCommit, last)
}

// ears are the clients.
type ears struct {
	heard, bytes atomic.Int64
	measuring    atomic.Bool
	mu           sync.Mutex
	took         []time.Duration
	failed       atomic.Int64
}

// listenEvery: of so many clients one looks at when each event was due; the others count.
const listenEvery = 50

func (e *ears) listen(c net.Conn, looks bool) {
	buffer := make([]byte, 0, 64<<10)
	for {
		n, err := c.Read(buffer[len(buffer):cap(buffer)])
		if err != nil {
			if err != io.EOF { //nolint:errorlint // a read error is never wrapped
				e.failed.Add(1)
			}
			return
		}
		e.bytes.Add(int64(n))
		buffer = buffer[:len(buffer)+n]
		last := bytes.LastIndexByte(buffer, '\n') // whole lines; the rest comes with the next read
		lines := buffer[:last+1]
		e.heard.Add(int64(bytes.Count(lines, []byte("\ndata: "))))
		if looks && e.measuring.Load() {
			e.look(lines)
		}
		// "\ndata: " begins with the end of the line before: that byte stays
		keep := max(last, 0)
		buffer = buffer[:copy(buffer, buffer[keep:])]
	}
}

func (e *ears) look(lines []byte) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		i := bytes.Index(lines, []byte(stampPrefix))
		if i < 0 {
			return
		}
		lines = lines[i+len(stampPrefix):]
		end := max(0, bytes.IndexByte(lines, '"'))
		if nanos, err := strconv.ParseInt(string(lines[:end]), 10, 64); err == nil {
			e.took = append(e.took, now.Sub(time.Unix(0, nanos)))
		}
	}
}

// fan measures how the feed is told to many.
func (b *bench) fan(ctx context.Context, n *gatewayNode, l fan) (fanFigure, error) {
	e := &ears{}
	var listening sync.WaitGroup
	conns := make([]net.Conn, 0, l.clients)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		listening.Wait()
	}()
	for i := range l.clients {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", n.address)
		if err != nil {
			return fanFigure{}, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, "GET /v1/feeds/customer-changes/stream HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			return fanFigure{}, err
		}
		first := make([]byte, 16)
		if _, err := io.ReadFull(c, first); err != nil || !bytes.HasPrefix(first, []byte("HTTP/1.1 200")) {
			return fanFigure{}, fmt.Errorf("client %d: %q %w", i, first, err)
		}
		listening.Go(func() { e.listen(c, i%listenEvery == 0) })
	}
	f, sent, err := l.drive(ctx, n, e)
	if err != nil {
		return f, err
	}
	want := int64(sent) * int64(l.clients)
	for limit := time.Now().Add(10 * time.Second); e.heard.Load() < want && time.Now().Before(limit); {
		time.Sleep(10 * time.Millisecond)
	}
	if heard := e.heard.Load(); heard != want {
		return f, fmt.Errorf("%w: %d clients heard %d events of %d, %d were cut off", errVoid, l.clients, heard, want, e.failed.Load())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f.P50, f.P90, f.P99, f.Max, f.Records = quantile(e.took, 0.5), quantile(e.took, 0.9), quantile(e.took, 0.99), quantile(e.took, 1), len(e.took)
	b.say("%d streams at %d events/s: %.2f cores, %.0f MiB (peak %.0f), %.0f MB/s; p50 %.1f ms, p99 %.1f ms, max %.1f ms", l.clients, l.rate, f.Cores, f.ResidentMiB, f.PeakMiB, f.MBPerSecond, f.P50, f.P99, f.Max)
	return f, nil
}

// drive writes at the times of the schedule, every ten milliseconds a transaction.
func (l fan) drive(ctx context.Context, n *gatewayNode, e *ears) (f fanFigure, sent int, err error) {
	writer, err := newChanges(n.broker)
	if err != nil {
		return f, 0, err
	}
	defer writer.close()
	const every = 10 * time.Millisecond
	each, ticks, warm := l.rate/100, int((l.warm+l.measure)/every), int(l.warm/every)
	start := time.Now().Add(20 * time.Millisecond)
	var late []time.Duration
	var cpu time.Duration
	var bytes int64
	began := start
	for i := range ticks {
		at := start.Add(time.Duration(i) * every)
		time.Sleep(time.Until(at))
		if i == warm {
			cpu, bytes, began = n.gateway.cpu(), e.bytes.Load(), time.Now()
			e.measuring.Store(true)
		}
		if i >= warm {
			late = append(late, time.Since(at))
		}
		if err := writer.write(ctx, at, each); err != nil {
			return f, sent, err
		}
		sent += each
	}
	took := time.Since(began)
	f = fanFigure{Clients: l.clients, Cores: (n.gateway.cpu() - cpu).Seconds() / took.Seconds(), MBPerSecond: float64(e.bytes.Load()-bytes) / 1e6 / took.Seconds()}
	f.Contender, f.Rate, f.LagP99 = "streams", l.rate, quantile(late, 0.99)
	f.ResidentMiB, f.PeakMiB = n.gateway.memory()
	return f, sent, nil
}
