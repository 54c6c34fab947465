package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// call is a request, and what is in a right answer.
type call struct{ method, path, body, want string }

// asked is what is sent as the nth request.
type asked func(n int, random *rand.Rand) call

// registration makes somebody a customer.
func registration(n int, _ *rand.Rand) call {
	body := fmt.Sprintf(`{"name":"Grace Hopper %d","email":"grace.%d@example.org","language":"en","address":{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}}`, n, n)
	return call{http.MethodPut, fmt.Sprintf("/v1/customers/new-%d", n), body, `"accepted"`}
}

// question asks for a customer.
func question(_ int, random *rand.Rand) call {
	return call{http.MethodGet, "/v1/customers/" + gatewayCustomer(random.IntN(gatewayCustomers)), "", `"Amsterdam"`}
}

// nothing asks whether the gateway lives: what a request takes that is answered with two letters.
func nothing(int, *rand.Rand) call { return call{http.MethodGet, "/healthz", "", "ok"} }

// text is the request as HTTP/1.1 has it.
func (c call) text() string {
	head := c.method + " " + c.path + " HTTP/1.1\r\nHost: bench\r\n"
	if c.body == "" {
		return head + "\r\n"
	}
	return head + "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body
}

// right is nil if the answer is.
func (c call) right(status int, body []byte) error {
	if status != http.StatusOK || !strings.Contains(string(body), c.want) {
		return fmt.Errorf("%w: %d %s", errVoid, status, body)
	}
	return nil
}

// connection is a keep-alive connection that costs the generator little.
type connection struct {
	net.Conn

	in   *bufio.Reader
	body []byte
}

func dialHTTP(ctx context.Context, address string) (*connection, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 4096)}, nil
}

// ask sends a request and reads the answer's body, which is overwritten by the next.
func (c *connection) ask(request string) (status int, body []byte, err error) {
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return 0, nil, err
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		text := strings.TrimSpace(string(line))
		switch name, value, _ := strings.Cut(text, ": "); {
		case first && len(text) > 12:
			status, _ = strconv.Atoi(text[9:12])
		case text == "":
			c.body = append(c.body[:0], make([]byte, length)...)
			_, err = io.ReadFull(c.in, c.body)
			return status, c.body, err
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(value); err != nil {
				return 0, nil, err
			}
		}
	}
}

// requests are open-loop load: a request that finds every connection busy waits, and its waiting counts.
type requests struct {
	address     string
	total, warm int
	rate        int
	seed        uint64
	ask         asked
	sessions    int // HTTP/2 connections; 0: HTTP/1.1

	mu     sync.Mutex
	took   []time.Duration
	failed error
}

// due is a request and when it is to be sent.
type due struct {
	n  int
	at time.Time
}

// carrier takes requests when they are due.
type carrier interface {
	add(d due)
	// finish waits until all are answered.
	finish()
}

func (l *requests) connect(ctx context.Context) (carrier, error) {
	if l.sessions > 0 {
		return l.multiplex(ctx)
	}
	work := new(pool)
	for i := range busy {
		random := l.random(i)
		work.group.Go(func() { l.serve(ctx, work, random) })
	}
	return work, nil
}

func (l *requests) random(i int) *rand.Rand { return rand.New(rand.NewPCG(l.seed, uint64(i))) } //nolint:gosec // not a secret, not negative

// pool hands requests to connections: to that which has been idle for the shortest time, as the pools of HTTP clients do.
type pool struct {
	group sync.WaitGroup // of connections

	mu     sync.Mutex
	idle   []chan due
	queue  []due
	closed bool
}

func (p *pool) add(d due) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		p.idle[last] <- d
		p.idle = p.idle[:last]
		return
	}
	p.queue = append(p.queue, d)
}

// next waits for a request; false at the end.
func (p *pool) next(mine chan due) (d due, ok bool) {
	p.mu.Lock()
	if len(p.queue) > 0 {
		d, p.queue = p.queue[0], p.queue[1:]
		p.mu.Unlock()
		return d, true
	}
	if p.closed {
		p.mu.Unlock()
		return d, false
	}
	p.idle = append(p.idle, mine)
	p.mu.Unlock()
	d, ok = <-mine
	return d, ok
}

// finish lets connections end when nothing is left to do.
func (p *pool) finish() {
	p.mu.Lock()
	p.closed = true
	for _, mine := range p.idle {
		close(mine)
	}
	p.idle = nil
	p.mu.Unlock()
	p.group.Wait()
}

// busy is how many requests may be under way; one more waits for a connection.
const busy = 256

// kind is a kind of load.
type kind struct {
	name     string
	rate     int // requests a second
	ask      asked
	sessions int // HTTP/2 connections; 0: HTTP/1.1
}

// http measures one kind of request.
func (b *bench) http(ctx context.Context, n *gatewayNode, k kind, warm, measure time.Duration) (httpFigure, error) {
	name, rate := k.name, k.rate
	l := &requests{
		address: n.address, rate: rate, total: int(float64(rate) * (warm + measure).Seconds()), warm: int(float64(rate) * warm.Seconds()), seed: b.seed,
		ask: k.ask, sessions: k.sessions,
	}
	late, cpu, err := l.run(ctx, n.gateway.cpu)
	if err != nil {
		return httpFigure{}, fmt.Errorf("%s at %d/s: %w", name, rate, err)
	}
	f := httpFigure{CPUMicros: float64(cpu.Microseconds()) / float64(l.total-l.warm), latency: latency{
		Contender: name, Rate: rate, Records: len(l.took), P50: quantile(l.took, 0.5), P90: quantile(l.took, 0.9), P99: quantile(l.took, 0.99), Max: quantile(l.took, 1),
		LagP99: quantile(late, 0.99),
	}}
	b.say("%-10s %7d/s: p50 %.2f ms, p99 %.2f ms, max %.1f ms (generator's own p99 %.2f ms), %.0f µs CPU each", name, rate, f.P50, f.P99, f.Max, f.LagP99, f.CPUMicros)
	return f, nil
}

// run sends at the times of the schedule. It returns how late it was itself, and the processor time of what it asked meanwhile.
func (l *requests) run(ctx context.Context, cpu func() time.Duration) (late []time.Duration, spent time.Duration, err error) {
	work, err := l.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	runtime.LockOSThread() // the kernel's timer, not the scheduler's, which wakes at whole milliseconds
	defer runtime.UnlockOSThread()
	gap := time.Second / time.Duration(l.rate)
	start := time.Now().Add(20 * time.Millisecond)
	var before time.Duration
	for i := range l.total {
		if i == l.warm {
			before = cpu()
		}
		at := start.Add(time.Duration(i) * gap)
		if wait := time.Until(at); wait > 0 {
			ts := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&ts, nil) // a signal makes it shorter, and the next one longer
		}
		if i >= l.warm {
			late = append(late, max(0, time.Since(at)))
		}
		work.add(due{i, at})
	}
	work.finish()
	return late, cpu() - before, l.failed
}

// serve sends over one connection, which is made for its first request.
func (l *requests) serve(ctx context.Context, work *pool, random *rand.Rand) {
	var c *connection
	mine := make(chan due, 1)
	for d, ok := work.next(mine); ok; d, ok = work.next(mine) {
		var err error
		if c == nil {
			if c, err = dialHTTP(ctx, l.address); err != nil {
				l.done(d.n, 0, err)
				return
			}
			defer func() { _ = c.Close() }()
		}
		request := l.ask(d.n, random)
		status, body, err := c.ask(request.text())
		took := time.Since(d.at)
		if err == nil {
			err = request.right(status, body)
		}
		l.done(d.n, took, err)
		if err != nil {
			return
		}
	}
}

func (l *requests) done(n int, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = errors.Join(l.failed, err)
		return
	}
	if n >= l.warm {
		l.took = append(l.took, took)
	}
}

// pageFigure is what a page of the feed weighs, and how long one takes.
type pageFigure struct {
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	JSONkB float64 `json:"jsonKB"`
	AtomkB float64 `json:"atomKB"`
}

// pages asks for the oldest page of the feed again and again, one after another.
func (b *bench) pages(ctx context.Context, n *gatewayNode) (pageFigure, error) {
	writer, err := newChanges(n.broker)
	if err != nil {
		return pageFigure{}, err
	}
	defer writer.close()
	if err := writer.write(ctx, time.Now(), 1000); err != nil {
		return pageFigure{}, err
	}
	var f pageFigure
	var took []time.Duration
	for i := range 201 {
		kind, size := "application/json", &f.JSONkB
		if i == 200 {
			kind, size = "application/atom+xml", &f.AtomkB
		}
		began := time.Now()
		body, err := page(ctx, n.url, kind)
		if err != nil {
			return f, err
		}
		took = append(took, time.Since(began))
		*size = float64(len(body)) / 1000
	}
	f.P50, f.P99 = quantile(took, 0.5), quantile(took, 0.99)
	b.say("a page of 100 changes: p50 %.2f ms, p99 %.2f ms, %.1f kB as JSON, %.1f kB as Atom", f.P50, f.P99, f.JSONkB, f.AtomkB)
	return f, nil
}

// page asks for the oldest page.
func page(ctx context.Context, url, kind string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/feeds/customer-changes?from=oldest", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("a page: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: a page: %d", errVoid, resp.StatusCode)
	}
	return body, err
}
