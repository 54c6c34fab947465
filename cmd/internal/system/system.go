// Package system is everything in one process, for development and tests: an embedded broker and schema registry, all
// processors, the mailer, a development mail server, views, and an HTTP page for what is not Kafka. It runs the same code
// as the deployable binaries; only the broker is a fake, and everything listens on loopback.
package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/catalogue"
	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/mailer"
	"utopia/cmd/internal/operator"
	"utopia/cmd/internal/pages"
	"utopia/cmd/internal/registry"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/smtpd"
	"utopia/cmd/internal/timeline"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// The documented ports of `utopia up`.
const (
	KafkaPort    = 9092
	RegistryPort = 8081
	HTTPPort     = 8080
)

// ErrInUse says that another process has the data directory.
var ErrInUse = errors.New("another process uses this directory")

// Config of a system. Port 0 takes any free port.
type Config struct {
	Dir      string // where everything is kept; empty: a temporary directory that is removed at the end
	Kafka    int
	Registry int
	HTTP     int
	Logger   *slog.Logger
	// BrokerProcess, with Dir, makes the command line of a process that calls ServeBroker; nil runs the broker in this
	// process, where kill -9 may tear a commit in two.
	BrokerProcess func(dir string, port int) []string
	// Metrics, if set, is given the hooks of each group's engine to fill in.
	Metrics func(group string) (eos.Hooks, processors.Counters)
	// MetricsHandler serves /metrics.
	MetricsHandler http.Handler
}

// System is a running system.
type System struct {
	Broker        string // host:port
	RegistryURL   string
	HTTPURL       string
	Dir           string // empty for a temporary one
	Client        []kgo.Opt
	IDs           schemas.IDs
	Customers     *processors.View[*schemas.CustomerState]
	Billing       *processors.View[*schemas.BillingState]
	Notifications *processors.View[*schemas.NotificationState]
	Inbox         *smtpd.Server
	Keys          links.Keys
	KeyFile       string
	WebhookKeys   links.Keys
	WebhookFile   string

	pages    atomic.Pointer[http.Handler]
	server   run.Server
	api      atomic.Pointer[http.Handler]
	timeline timeline.Sources
	live     catalogue.Live
	letters  *operator.Office
	hooks    *processors.View[*schemas.WebhookState]
	flow     pages.Flow
	cfg      Config
	state    string
	closers  []func()
	parts    []run.Part
}

// New opens directory and ports and makes everything ready to run. ErrPortInUse, ErrInUse. Close it if Run is not called.
func New(ctx context.Context, cfg Config) (*System, error) {
	s := &System{cfg: cfg, Dir: cfg.Dir}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *System) open(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.openDir, s.openBroker, s.openRegistry, s.openHTTP, s.openMail, s.openViews, s.openGateway, s.openPages, s.openWebhooks, s.openProcessors,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close releases ports and directory. Run does it at its end.
func (s *System) Close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// Run runs everything until ctx ends, then stops the processors in order: finish, leave, close.
func (s *System) Run(ctx context.Context) error {
	defer s.Close()
	s.server.Log, s.server.Client, s.server.Metrics = s.cfg.Logger, s.Client, s.cfg.MetricsHandler
	return s.server.Serve(ctx, s.parts...)
}

// WaitReady returns when every part is ready, or ctx's error with what is missing.
func (s *System) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var missing []string
		for _, p := range s.parts {
			if p.Ready == nil {
				continue
			}
			if err := p.Ready(); err != nil {
				missing = append(missing, p.Name+": "+err.Error())
			}
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %s: %w", strings.Join(missing, "; "), ctx.Err())
		case <-tick.C:
		}
	}
}

// openDir makes and locks the directory.
func (s *System) openDir(context.Context) error {
	dir := s.cfg.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "utopia-")
		if err != nil {
			return fmt.Errorf("temporary directory: %w", err)
		}
		s.closers = append(s.closers, func() { _ = os.RemoveAll(tmp) })
		dir = tmp
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	s.closers = append(s.closers, func() { _ = lock.Close() })
	s.state = dir
	return nil
}

// openBroker starts the broker and creates the topics. Without a directory of the user's own it keeps everything in
// memory.
func (s *System) openBroker(ctx context.Context) error {
	if err := s.runBroker(ctx); err != nil {
		return err
	}
	s.Client = []kgo.Opt{
		kgo.SeedBrokers(s.Broker),
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(topics.BatchBytes),
	}
	cl, err := kafkaclient.New(ctx, s.Client...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl.Client)
	plan, err := cluster.Compare(ctx, adm, topics.All(), cluster.EmbeddedSizes())
	if err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	if err := plan.Apply(ctx, adm, func(cluster.Change) {}); err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	return nil
}

func (s *System) runBroker(ctx context.Context) error {
	if s.cfg.Dir != "" && s.cfg.BrokerProcess != nil {
		addr, stop, err := startChild(ctx, s.cfg.BrokerProcess(s.cfg.Dir, s.cfg.Kafka))
		if err != nil {
			return err
		}
		s.Broker = addr
		s.closers = append(s.closers, stop)
		return nil
	}
	c, err := startBroker(s.cfg.Dir, s.cfg.Kafka)
	if err != nil {
		return err
	}
	s.Broker = c.ListenAddrs()[0]
	s.closers = append(s.closers, c.Close)
	return nil
}

// openRegistry serves the embedded registry, which has every schema of this release.
func (s *System) openRegistry(ctx context.Context) error {
	dir := ""
	if s.cfg.Dir != "" {
		dir = filepath.Join(s.cfg.Dir, "registry")
	}
	reg, err := registry.New(registry.Options{Dir: dir, Logger: s.cfg.Logger})
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	addr, err := s.serve(ctx, "--registry-port", s.cfg.Registry, reg.Handler())
	if err != nil {
		return err
	}
	s.RegistryURL = "http://" + addr
	s.IDs, err = schemas.NewRegistry(schemas.RegistryConfig{
		URLs: []string{s.RegistryURL}, CacheFile: filepath.Join(s.state, "schemas.json"),
	})
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// serve listens on a loopback port and serves h until Close.
func (s *System) serve(ctx context.Context, flag string, port int, h http.Handler) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", portError(err, flag, port)
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("http server ended", slog.Any("error", err))
		}
	}()
	s.closers = append(s.closers, func() {
		_ = srv.Close()
		<-done
	})
	return l.Addr().String(), nil
}

// openMail prepares the development mail server and the mailer that sends to it.
func (s *System) openMail(ctx context.Context) error {
	ln, err := smtpd.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	commands, err := schemas.NewCodec(topics.MailCommands.Name, s.IDs)
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	sender, err := mailer.NewSMTPSender(mailer.SMTPConfig{Addr: ln.Addr().String(), Encryption: mailer.NoTLS, Hello: "localhost"})
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	page, err := url.Parse(s.HTTPURL + "/confirm")
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	m, err := mailer.New(mailer.Config{ //nolint:contextcheck // the mailer ends with Run, not with the opening
		Client: s.Client, Commands: commands, Sender: sender, From: "Utopia <no-reply@utopia.example>",
		Keys: s.Keys, Page: page, Logger: s.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("mailer: %w", err)
	}
	s.parts = append(
		s.parts,
		run.Part{Name: "inbox", Run: func(ctx context.Context) error { return s.Inbox.Serve(ctx, ln) }},
		run.Part{Name: "mailer", Run: m.Run, Ready: readiness(m.Ready)},
	)
	return nil
}

func (s *System) openKeys() error {
	s.KeyFile = filepath.Join(s.state, "link-keys")
	var err error
	if s.Keys, err = links.LoadOrCreateKeys(s.KeyFile); err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	s.WebhookFile = filepath.Join(s.state, "webhook-keys")
	if s.WebhookKeys, err = links.LoadOrCreateKeys(s.WebhookFile); err != nil {
		return fmt.Errorf("webhook keys: %w", err)
	}
	return nil
}

var errNotYet = errors.New("catching up")

func readiness(ready func() bool) func() error {
	return func() error {
		if !ready() {
			return errNotYet
		}
		return nil
	}
}

// openViews makes the views that queries and the demo use. They are in memory: the log is next door.
func (s *System) openViews(context.Context) error {
	o := processors.ViewOptions{Client: s.Client, IDs: s.IDs, Logger: s.cfg.Logger}
	var err error
	if s.Customers, err = processors.NewCustomerView(o); err != nil {
		return err
	}
	if s.Billing, err = processors.NewBillingView(o); err != nil {
		return err
	}
	if s.Notifications, err = processors.NewNotificationView(o); err != nil {
		return err
	}
	s.parts = append(
		s.parts,
		run.Part{Name: "customer view", Run: s.Customers.Run, Ready: readiness(s.Customers.Ready)},
		run.Part{Name: "billing view", Run: s.Billing.Run, Ready: readiness(s.Billing.Ready)},
		run.Part{Name: "notification view", Run: s.Notifications.Run, Ready: readiness(s.Notifications.Ready)},
	)
	return nil
}

func (s *System) openProcessors(context.Context) error {
	for _, g := range []struct {
		name string
		make func(processors.Options) (*eos.Processor, error)
	}{
		{topics.Customer, processors.NewCustomer},
		{topics.Billing, processors.NewBilling},
		{topics.Mail, processors.NewMail},
		{topics.Notification, processors.NewNotification},
		{topics.Webhook, processors.NewWebhook},
	} {
		o := processors.Options{IDs: s.IDs, Engine: eos.Config{
			Client: s.Client, Dir: filepath.Join(s.state, "state", g.name), Dev: true,
			Logger: s.cfg.Logger,
		}}
		if s.cfg.Metrics != nil {
			o.Engine.Hooks, o.Counters = s.cfg.Metrics(g.name)
		}
		p, err := g.make(o)
		if err != nil {
			return err
		}
		s.parts = append(s.parts, run.Part{Name: g.name, Run: p.Run, Ready: readiness(p.Ready)})
	}
	return nil
}

// openHTTP serves health, metrics, the mails that were sent, and the pages. The link keys live with the data; the pages know
// what each link is for.
func (s *System) openHTTP(ctx context.Context) error {
	if err := s.openKeys(); err != nil {
		return err
	}
	s.server.Log, s.server.Metrics = s.cfg.Logger, s.cfg.MetricsHandler
	s.Inbox = smtpd.New(smtpd.Options{Keep: 5000, Logger: s.cfg.Logger})
	mux := http.NewServeMux()
	mux.Handle("/dev/mail/mails", http.StripPrefix("/dev/mail", s.Inbox.Handler()))
	mux.Handle("/dev/mail/mails/", http.StripPrefix("/dev/mail", s.Inbox.Handler()))
	s.routeAPI(mux)
	health := s.server.Handler()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		mux.Handle(path, health)
	}
	mux.HandleFunc("/", s.servePages)
	addr, err := s.serve(ctx, "--http-port", s.cfg.HTTP, mux)
	if err != nil {
		return err
	}
	s.HTTPURL = "http://" + addr
	return nil
}
