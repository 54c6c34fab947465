package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"utopia/schemas"
	"utopia/topics"
)

// gatewayReport is what the real gateway binary, a process of its own, was measured at. The load is open: latency is from the
// intended moment.
type gatewayReport struct {
	Commands httpFigure   `json:"commands"` // through HTTP to the committed reply
	Queries  []httpFigure `json:"queries"`  // at several rates: where the machine is full
	Nothing  httpFigure   `json:"nothing"`  // as many requests that ask for nothing: what is left is the connection, and the machine
	Streams  fanFigure    `json:"streams"`
	Pages    pageFigure   `json:"pages"`
}

// httpFigure is a kind of request under an open loop.
type httpFigure struct {
	latency

	CPUMicros float64 `json:"cpuMicros"` // of the gateway, each
}

// customers of the gateway's view.
const gatewayCustomers = 10_000

// node is what the gateway is measured in: a broker, the customer service, a registry, the gateway.
type gatewayNode struct {
	broker   *broker
	customer *process
	gateway  *process
	registry *http.Server
	url      string
	address  string
}

func (n *gatewayNode) stop() {
	if n.gateway != nil {
		_ = n.gateway.cmd.Process.Signal(os.Interrupt)
		n.gateway.stop()
	}
	if n.customer != nil {
		n.customer.stop()
	}
	if n.registry != nil {
		_ = n.registry.Close()
	}
	n.broker.stop()
}

// gateway measures the gateway.
func (b *bench) gateway(ctx context.Context) (*gatewayReport, error) {
	binary, err := b.buildGateway(ctx)
	if err != nil {
		return nil, err
	}
	r := &gatewayReport{}
	short, long := 15*time.Second, 21*time.Second
	if b.quick {
		short, long = short/3, long/3
	}
	for _, measure := range []func(*gatewayNode) error{
		func(n *gatewayNode) (err error) {
			r.Commands, err = b.http(ctx, n, "command", 1000, 3*time.Second, short, registration)
			return err
		},
		func(n *gatewayNode) (err error) {
			for _, rate := range []int{2_500, 5_000, 10_000} {
				f, err := b.http(ctx, n, "query", rate, 3*time.Second, short, question)
				if err != nil {
					return err
				}
				r.Queries = append(r.Queries, f)
			}
			r.Nothing, err = b.http(ctx, n, "nothing", 10_000, 3*time.Second, short, nothing)
			return err
		},
		func(n *gatewayNode) (err error) {
			if r.Pages, err = b.pages(ctx, n); err == nil {
				r.Streams, err = b.fan(ctx, n, fan{clients: 1000, rate: 1000, warm: 5 * time.Second, measure: long})
			}
			return err
		},
	} {
		n, err := b.startGateway(ctx, binary)
		if err == nil {
			err = measure(n)
		}
		if n != nil {
			n.stop()
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// buildGateway makes the binary as it is deployed.
func (b *bench) buildGateway(ctx context.Context) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(b.dir, "gateway")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/gateway")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return binary, nil
}

// startGateway starts everything and waits until the gateway can answer.
func (b *bench) startGateway(ctx context.Context, binary string) (*gatewayNode, error) {
	br, err := startBroker(ctx)
	if err != nil {
		return nil, err
	}
	n := &gatewayNode{broker: br}
	if err := errors.Join(br.createCatalogue(ctx), br.prefill(ctx, topics.CustomerState.Name, gatewayCustomers, publicRow)); err != nil {
		return n, err
	}
	if n.customer, err = b.worker(ctx, spec{Contender: "customer", Broker: br.address, Commit: 50 * time.Millisecond}); err != nil {
		return n, err
	}
	if _, err := readyLine(n.customer); err != nil {
		return n, fmt.Errorf("the customer service: %w", err)
	}
	registry, err := n.serveSchemas(ctx)
	if err != nil {
		return n, err
	}
	keys, err := b.linkKeys()
	if err != nil {
		return n, err
	}
	if n.address, err = freeAddress(ctx); err != nil {
		return n, err
	}
	n.url = "http://" + n.address
	cmd := exec.CommandContext(ctx, binary, "run", "--brokers", br.address, "--registry", registry, "--link-keys", keys, "--open", "--listen", n.address,
		"--http", "", "--rate", "0", "--max-streams-per-caller", "2000", "--drain-delay", "0s", "--log-level", "warn")
	if n.gateway, err = startCommand(cmd); err != nil {
		return n, err
	}
	return n, n.ready(ctx)
}

func (n *gatewayNode) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway did not become ready: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// linkKeys is a key file; no link is made or followed here.
func (b *bench) linkKeys() (string, error) {
	name := filepath.Join(b.dir, "link-keys")
	return name, os.WriteFile(name, []byte("bench:"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600)
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// serveSchemas is as much of a schema registry as the gateway asks, with the ids that every worker here has.
func (n *gatewayNode) serveSchemas(ctx context.Context) (url string, err error) {
	ids := schemas.NewMemoryIDs()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any, err error) {
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			v = map[string]any{"error_code": 40403, "message": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(v) // the gateway has gone, or has it
	}
	mux.HandleFunc("GET /schemas/ids/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		_, schema, err := ids.ByID(id)
		answer(w, map[string]any{"schema": schema}, err)
	})
	mux.HandleFunc("GET /schemas/ids/{id}/subjects", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		subject, _, err := ids.ByID(id)
		answer(w, []string{subject}, err)
	})
	mux.HandleFunc("POST /subjects/{subject}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id, err := ids.ID(r.PathValue("subject"))
		answer(w, map[string]any{"id": id, "subject": r.PathValue("subject"), "version": 1, "schema": "{}"}, err)
	})
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.registry = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = n.registry.Serve(l) }() // until it is closed
	return "http://" + l.Addr().String(), nil
}

// publicRow is the public state of a customer who has registered.
func publicRow(i int) (key, value []byte) {
	const then = 1_767_225_600_000
	codec, err := schemas.NewCodec(topics.CustomerState.Name, schemas.NewMemoryIDs())
	if err != nil {
		panic(err) // a topic of the catalogue
	}
	id := gatewayCustomer(i)
	value, err = codec.Append(nil, &schemas.CustomerState{
		CustomerID: id, Version: 1, Status: "active", Name: fmt.Sprintf("Anneke de Vries %d", i), Email: fmt.Sprintf("anneke.%d@example.org", i), Language: "nl",
		UpdatedAt: then, Address: residence(then),
	})
	if err != nil {
		panic(err) // a constant row
	}
	return []byte(id), value
}

func gatewayCustomer(i int) string { return "known-" + strconv.Itoa(i) }

func residence(then int64) schemas.Residence {
	return schemas.Residence{
		Address: schemas.Address{Country: "NL", PostCode: "1015 CJ", City: "Amsterdam", Street: "Keizersgracht 117"},
		Reason:  "registered", Version: 1, Verified: true, OccurredAt: then, RecordedAt: then,
	}
}

// table prints the report for people.
func (r *gatewayReport) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("the gateway, open loop\tp50\tp90\tp99\tmax\tgenerator's p99\tµs CPU each")
	for _, f := range slices.Concat([]httpFigure{r.Commands}, r.Queries, []httpFigure{r.Nothing}) {
		line("%s at %d/s\t%.2f ms\t%.2f ms\t%.2f ms\t%.1f ms\t%.2f ms\t%.0f", f.Contender, f.Rate, f.P50, f.P90, f.P99, f.Max, f.LagP99, f.CPUMicros)
	}
	s := r.Streams
	line("%d streams, %d events/s\t%.1f ms\t%.1f ms\t%.1f ms\t%.1f ms\t%.2f ms\t%.2f cores, %.0f MiB (peak %.0f), %.0f MB/s", s.Clients, s.Rate, s.P50, s.P90, s.P99, s.Max, s.LagP99, s.Cores, s.ResidentMiB, s.PeakMiB, s.MBPerSecond)
	line("a page of the feed, 100 changes\t%.2f ms\t\t%.2f ms\t\t\t%.1f kB as JSON, %.1f kB as Atom", r.Pages.P50, r.Pages.P99, r.Pages.JSONkB, r.Pages.AtomkB)
	return w.Flush()
}
