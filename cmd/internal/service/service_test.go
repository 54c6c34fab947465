package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/registry"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func spec() service.Spec {
	return service.Spec{Group: topics.Billing, Short: "Billing", HTTP: "127.0.0.1:0", New: processors.NewBilling}
}

// surroundings are a broker with all topics, and a registry with all schemas.
type surroundings struct {
	broker, registry string
	opts             []kgo.Opt
}

func start(t *testing.T) surroundings {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	s := surroundings{broker: c.ListenAddrs()[0], opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}}
	cl, err := kgo.NewClient(s.opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	plan, err := cluster.Compare(t.Context(), adm, topics.All(), cluster.EmbeddedSizes())
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(t.Context(), adm, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(r.Handler())
	t.Cleanup(srv.Close)
	s.registry = srv.URL
	return s
}

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// lockedBuffer collects what a running service writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a service in this process.
type running struct {
	http string
	log  *lockedBuffer
	stop context.CancelFunc
	done chan error
}

func launch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{http: free(t), log: &lockedBuffer{}, stop: cancel, done: make(chan error, 1)}
	go func() {
		r.done <- service.Run(spec())(ctx, append([]string{"run", "--http", r.http}, args...), io.Discard, r.log)
	}()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + r.http + path)
	if err != nil {
		return 0, err.Error()
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, string(b)
}

// ready waits until /readyz says so, and fails with its last words.
func (r *running) ready(t *testing.T) {
	t.Helper()
	r.eventually(t, "ready", func() (bool, string) {
		code, body := r.get(t, "/readyz")
		return code == http.StatusOK, body
	})
}

func (r *running) eventually(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		done, last := ok()
		if done {
			return
		}
		select {
		case err := <-r.done:
			t.Fatalf("ended while waiting for %s: %v", what, err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s: %s", what, last)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// end stops the service as SIGTERM does and returns its error.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("does not end")
		return nil
	}
}

func issue(t *testing.T, s surroundings, invoice string) schemas.ReplyFields {
	t.Helper()
	ids, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{s.registry}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := ask.New(ctx, ask.Config{Client: s.opts, IDs: ids, Commands: topics.BillingCommands, Replies: topics.BillingReplies})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Ask(ctx, "c-1", &schemas.IssueInvoice{CustomerID: "c-1", InvoiceID: invoice, AmountCents: 100, Currency: "EUR"})
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestAServiceRunsStopsAndGoesOnWhereItWas(t *testing.T) {
	s := start(t)
	args := []string{"--brokers", s.broker, "--registry", s.registry, "--state-dir", filepath.Join(t.TempDir(), "state"), "--dev", "--log-format", "json"}
	first := launch(t, args...)
	first.ready(t)
	if reply := issue(t, s, "r-1"); reply.Outcome != schemas.OutcomeAccepted || reply.Version != 1 {
		t.Fatalf("%+v", reply)
	}
	if code, body := first.get(t, "/livez"); code != http.StatusOK {
		t.Errorf("/livez %d %s", code, body)
	}
	first.eventually(t, "metrics", func() (bool, string) {
		_, body := first.get(t, "/metrics")
		for _, want := range []string{
			`utopia_outcomes_total{group="billing",outcome="accepted"} 1`,
			`utopia_handled_records_total{group="billing",topic="billing.commands.v1"} 1`,
			`utopia_input_lag_records{group="billing",`, `utopia_commit_seconds_count{group="billing"}`, `utopia_kafka_connects_total`,
		} {
			if !strings.Contains(body, want) {
				return false, want
			}
		}
		return true, ""
	})
	if err := first.end(t); err != nil {
		t.Fatalf("a stop on request: %v", err)
	}
	if strings.Contains(first.log.String(), `"level":"ERROR"`) {
		t.Errorf("errors in the log:\n%s", first.log)
	}

	second := launch(t, args...)
	second.ready(t)
	if reply := issue(t, s, "r-1"); reply.Outcome != schemas.OutcomeRefused {
		t.Errorf("the invoice of before is forgotten: %+v", reply)
	}
	if err := second.end(t); err != nil {
		t.Fatal(err)
	}
}

func TestARegistryThatIsDownIsWaitedForAndThenRemembered(t *testing.T) {
	s := start(t)
	state := filepath.Join(t.TempDir(), "state")
	address := free(t)
	args := []string{"--brokers", s.broker, "--registry", "http://" + address, "--state-dir", state, "--dev"}
	r := launch(t, args...)
	r.eventually(t, "the wait is said", func() (bool, string) {
		return strings.Contains(r.log.String(), "the schema registry does not answer; trying again"), r.log.String()
	})
	reg, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	srv := &http.Server{Handler: reg.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	r.ready(t)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	again := launch(t, args...) // the registry is down again, and not needed
	again.ready(t)
	if err := again.end(t); err != nil {
		t.Fatal(err)
	}
}

func TestASchemaThatIsNotRegisteredSaysWhatToDo(t *testing.T) {
	s := start(t)
	empty := srfake.New()
	defer empty.Close()
	r := launch(t, "--brokers", s.broker, "--registry", empty.URL(), "--state-dir", t.TempDir(), "--dev")
	err := <-r.done
	if err == nil || run.ExitCode(err) != run.ExitFailure || !strings.Contains(err.Error(), `run "utopia schemas register"`) {
		t.Fatal(err)
	}
}

func TestAClusterWithoutTopicsIsRefusedWithWhatToDo(t *testing.T) {
	s := start(t)
	c := kfake.MustCluster(kfake.NumBrokers(1))
	defer c.Close()
	r := launch(t, "--brokers", c.ListenAddrs()[0], "--registry", s.registry, "--state-dir", t.TempDir(), "--dev")
	err := <-r.done
	if err == nil || run.ExitCode(err) != run.ExitFailure || !strings.Contains(err.Error(), "utopia topics apply") {
		t.Fatal(err)
	}
	if !strings.Contains(r.log.String(), "billing: ") {
		t.Errorf("not printed:\n%s", r.log)
	}
}

func TestACommandLineThatIsWrongConnectsNothing(t *testing.T) {
	for line, want := range map[string]string{
		"run":                                   "--state-dir",
		"run --state-dir s --brokers kafka":     `--brokers: "kafka" is not host:port`,
		"run --state-dir s --http 1 extra":      "one argument too many",
		"run --state-dir s --smtp x:1":          "unknown flag: --smtp",
		"config check":                          "--state-dir",
		"serve":                                 `unknown command "serve"`,
		"config chekc":                          "did you mean check",
		"run --state-dir s --commit-interval 0": "is not between 1ms and 5s",
	} {
		var stdout, stderr bytes.Buffer
		err := service.Run(spec())(t.Context(), strings.Fields(line), &stdout, &stderr)
		if run.ExitCode(err) != run.ExitUsage || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%s: %v, stderr %q, stdout %q", line, err, stderr.String(), stdout.String())
		}
	}
}

func TestConfigCheckAndVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := service.Run(spec())(t.Context(), []string{"config", "check", "--state-dir", "s"}, &stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "127.0.0.1:0") || !strings.Contains(stdout.String(), "state-dir") {
		t.Error(stdout.String())
	}
	stdout.Reset()
	if err := service.Run(spec())(t.Context(), []string{"version"}, &stdout, &stderr); err != nil || !strings.HasPrefix(stdout.String(), "billing ") {
		t.Error(err, stdout.String())
	}
}

func TestFurtherPartsAreAskedForBeforeAnythingConnects(t *testing.T) {
	boom := errors.New("no key to sign links with")
	sp := spec()
	sp.More = func(*service.Env) ([]run.Part, error) { return nil, run.Usage(boom) }
	var stderr bytes.Buffer
	err := service.Run(sp)(t.Context(), []string{"run", "--state-dir", t.TempDir(), "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1"}, io.Discard, &stderr)
	if run.ExitCode(err) != run.ExitUsage || !errors.Is(err, boom) {
		t.Fatal(err)
	}
}
