package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
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

// text is the request as it is sent.
func (c call) text() string {
	head := c.method + " " + c.path + " HTTP/1.1\r\nHost: bench\r\n"
	if c.body == "" {
		return head + "\r\n"
	}
	return head + "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body
}

// right is nil if the answer is.
func (c call) right(answer []byte) error {
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.Contains(answer, []byte(c.want)) {
		return fmt.Errorf("%w: %s", errVoid, answer)
	}
	return nil
}

// requests are open-loop load: a request that finds every connection busy waits, and its waiting counts.
type requests struct {
	address     string
	total, warm int
	rate        int
	ask         asked
	random      *rand.Rand

	took []time.Duration
}

// busy is how many requests may be under way; one more waits for a connection.
const busy = 256

// http measures one kind of request.
func (b *bench) http(ctx context.Context, n *gatewayNode, name string, rate int, warm, measure time.Duration, ask asked) (httpFigure, error) {
	l := &requests{
		address: n.address, rate: rate, total: int(float64(rate) * (warm + measure).Seconds()), warm: int(float64(rate) * warm.Seconds()), ask: ask,
		random: rand.New(rand.NewPCG(b.seed, 1)), //nolint:gosec // not a secret
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

// due is a request and when it is to be sent.
type due struct {
	n  int
	at time.Time
}

// run sends at the times of the schedule. It returns how late it was itself, and the processor time of what it asked meanwhile.
//
// It is one thread, which waits for answers and for the time of the next request at the same time: whoever is measured has the
// machine for itself as far as that can be.
func (l *requests) run(ctx context.Context, cpu func() time.Duration) (late []time.Duration, spent time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, err := newWires(l.address)
	if err != nil {
		return nil, 0, err
	}
	defer all.close()
	gap := time.Second / time.Duration(l.rate)
	start := time.Now().Add(20 * time.Millisecond)
	var before time.Duration
	next := due{0, start}
	for len(l.took) < l.total-l.warm {
		for now := time.Now(); next.n < l.total && !next.at.After(now); {
			if next.n == l.warm {
				before = cpu()
			}
			if next.n >= l.warm {
				late = append(late, now.Sub(next.at))
			}
			all.queue = append(all.queue, next)
			next = due{next.n + 1, start.Add(time.Duration(next.n+1) * gap)}
		}
		wait := patience
		if next.n < l.total {
			wait = max(0, time.Until(next.at))
		}
		if err := errors.Join(ctx.Err(), l.exchange(all, wait)); err != nil {
			return nil, 0, err
		}
	}
	return late, cpu() - before, nil
}

// exchange sends what is due, as far as there are connections, and takes the answers that have come, or come within some time.
func (l *requests) exchange(all *wires, wait time.Duration) error {
	for len(all.queue) > 0 {
		w, err := all.idle()
		if err != nil {
			return err
		}
		if w == nil {
			break
		}
		if err := w.send(all.queue[0], l.ask(all.queue[0].n, l.random)); err != nil {
			return err
		}
		all.queue = all.queue[1:]
	}
	ready, err := all.wait(wait)
	if err != nil {
		return err
	}
	for _, w := range ready {
		whole, err := w.read()
		if err != nil {
			return err
		}
		if !whole {
			continue
		}
		if w.n >= l.warm {
			l.took = append(l.took, time.Since(w.at))
		}
		all.free = append(all.free, w)
	}
	return nil
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
