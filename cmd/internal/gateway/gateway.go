// Package gateway is the HTTP API of the system: commands that are answered when their outcome is committed, or later under
// a status URL, and queries that are as fresh as the caller needs. Several instances serve the same callers: what one must
// remember (outcomes, rows) each of them reads from the log.
//
// It decides no business rule and keeps no state of its own. It sends no mail and shows no pages; those are others' packages.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/api"
	"utopia/cmd/internal/feed"
	"utopia/cmd/internal/flow"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/operator"
	"utopia/cmd/internal/timeline"
	"utopia/processors/ask"
	"utopia/schemas"
)

const (
	// defaultWait is how long a command waits for its outcome if the caller does not say.
	defaultWait = 5 * time.Second
	// maxWait is the longest that a caller may ask a command or query to wait.
	maxWait = 30 * time.Second
	// storeWithin is how long the cluster may take to acknowledge a command.
	storeWithin = 5 * time.Second
	// maxBody is the largest body of a request.
	maxBody = 64 << 10
	// remember is how many outcomes of each service are kept for status URLs and retries, about 400 bytes each.
	remember = 100_000
	// readBack is how far back an instance reads outcomes when it starts.
	readBack = 15 * time.Minute
	// hurryAfter is when a stopping instance ends the waiting of commands: they are answered with their status URL, which any
	// other instance serves. With what follows it is less than the five seconds that a binary has to stop.
	hurryAfter = 2 * time.Second
	closeAfter = 3 * time.Second
)

// Config of a gateway. Client, IDs and Views are required.
type Config struct {
	Client []kgo.Opt // seeds, TLS, SASL
	IDs    schemas.IDs
	Views  Views
	// ViewsRun says that somebody else runs the views.
	ViewsRun bool
	History  timeline.History // the query side of the customer service; nil: timelines have what is public
	// WebhookKeys are those that secrets of webhooks are derived from; none: no webhook is made here.
	WebhookKeys     links.Keys
	WebhookLoopback bool       // webhooks may have http URLs and loopback addresses, for development
	Links           links.Keys // that verify confirmation links; none: no link is good

	// Keys and Tokens say who calls; Open lets everybody do everything, for development.
	Keys   Keys
	Tokens *Tokens
	Open   bool
	// Rate is how many requests a second each caller may send, twice as many at once; 0 is no limit.
	Rate float64
	// PublicRate is the same for those who need not say who they are (confirmation), by address.
	PublicRate float64
	// Streams is how many callers may be connected to the feed at a time, StreamsPerCaller how often each; 0: 2,000 and 100.
	Streams, StreamsPerCaller int
	// AddressHeader names the header in which a proxy that is trusted says where a request came from; empty: nobody is.
	AddressHeader string

	// Listen, if set, makes the listener that Run serves, with TLS if that is set.
	Listen     func(context.Context) (net.Listener, error)
	TLS        *tls.Config
	DrainDelay time.Duration // how long to answer on after /readyz has begun to say 503

	Logger  *slog.Logger
	Observe func(route string, status int, took time.Duration) // for metrics; may be nil
	Now     func() time.Time                                   // nil: time.Now
}

// Gateway is the API's handler and what it needs.
type Gateway struct {
	cfg      Config
	log      *slog.Logger
	now      func() time.Time
	api      huma.API
	handler  http.Handler
	pages    http.Handler // nil: none
	fresh    *freshness
	policy   map[string][]Role
	callers  *limits
	public   *limits
	failures *limits
	feed     *feed.Feed
	office   *operator.Office
	streams  *streams
	meter    *flow.Meter

	mu     sync.Mutex
	askers map[string]*ask.Client

	draining atomic.Bool
	hurry    context.Context // ends when waiting must end
	hurryUp  context.CancelFunc
	ending   context.Context // ends when streams must end
	end      context.CancelFunc
}

// New makes a gateway; nothing is connected before Run.
func New(cfg Config) (*Gateway, error) {
	if cfg.IDs == nil || cfg.Views.Customers == nil {
		return nil, errors.New("gateway: IDs and Views are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	changes, err := feed.New(feed.Config{Client: cfg.Client, IDs: cfg.IDs, Logger: cfg.Logger, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	office, err := operator.NewOffice(operator.Config{Client: cfg.Client, IDs: cfg.IDs, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, log: cfg.Logger, now: cfg.Now, fresh: newFreshness(cfg.Views, changes), feed: changes, office: office,
		streams: newStreams(cfg.Streams, cfg.StreamsPerCaller), policy: access.Policy(), askers: map[string]*ask.Client{},
		callers: newLimits(cfg.Rate, 2*cfg.Rate), public: newLimits(cfg.PublicRate, 10*cfg.PublicRate), failures: newLimits(5, 50),
		meter: flow.New(flow.Config{Client: cfg.Client, Logger: cfg.Logger, Now: cfg.Now, Copies: copies(cfg.Views, changes)}),
	}
	g.hurry, g.hurryUp = context.WithCancel(context.Background())
	g.ending, g.end = context.WithCancel(context.Background())
	g.handler = g.routes()
	return g, nil
}

// Handler serves the API, /openapi.json, /docs, /problems/, /healthz and /readyz.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Run connects, and serves until ctx ends; then it says so on /readyz, finishes what is under way and returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // requests are finished before what they need is closed
	defer stop()
	group, working := errgroup.WithContext(work)
	if !g.cfg.ViewsRun {
		g.cfg.Views.run(working, group)
	}
	group.Go(func() error { return g.feed.Run(working) })
	group.Go(func() error { return g.meter.Run(working) })
	group.Go(func() error { return g.office.Run(working) })
	group.Go(func() error { return g.fresh.run(working, g.cfg.Client, g.log) })
	for _, to := range asked() {
		group.Go(func() error { return g.ask(working, to) })
	}
	server := g.server()
	if g.cfg.Listen != nil {
		l, err := g.cfg.Listen(ctx)
		if err != nil {
			stop()
			return errors.Join(err, group.Wait())
		}
		g.log.Info("serving the API", slog.String("address", l.Addr().String()))
		group.Go(func() error { return serve(server, l) })
	}
	select {
	case <-ctx.Done():
	case <-working.Done(): // a part cannot go on
	}
	g.drain(work, server)
	stop()
	return group.Wait()
}

func (g *Gateway) server() *http.Server {
	return &http.Server{
		Handler: g.handler, TLSConfig: g.cfg.TLS,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: maxWait + 15*time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

func serve(s *http.Server, l net.Listener) error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the API: %w", err)
}

// drain lets requests finish. Those who wait for an outcome are told where to find it.
func (g *Gateway) drain(ctx context.Context, server *http.Server) {
	g.draining.Store(true)
	if g.cfg.Listen == nil {
		g.end()
		g.hurryUp()
		return
	}
	delay := time.NewTimer(g.cfg.DrainDelay)
	defer delay.Stop()
	<-delay.C
	g.end()
	hurry := time.AfterFunc(hurryAfter, g.hurryUp)
	defer hurry.Stop()
	ctx, cancel := context.WithTimeout(ctx, closeAfter)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		g.log.Warn("requests were cut off", slog.Any("error", err))
		_ = server.Close()
	}
	g.hurryUp()
}

// ask connects to a service and stays connected until ctx ends.
func (g *Gateway) ask(ctx context.Context, to api.Service) error {
	for {
		c, err := ask.New(ctx, ask.Config{
			Client: g.cfg.Client, IDs: g.cfg.IDs, Commands: to.Commands, Replies: to.Replies, Remember: remember, Back: readBack,
		})
		if err == nil {
			g.mu.Lock()
			g.askers[to.Name] = c
			g.mu.Unlock()
			<-ctx.Done()
			c.Close()
			return nil
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		g.log.Warn("cannot ask a service yet; trying again", slog.String("service", to.Name), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// asked are the services that are sent commands.
func asked() []api.Service { return []api.Service{api.Customer(), api.Billing(), api.Webhook()} }

// asker returns the client of a service, nil while it is not connected.
func (g *Gateway) asker(to api.Service) *ask.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.askers[to.Name]
}

// Ready says what is missing before the gateway can answer, nil if nothing is. A cluster that went away later is not: queries
// are still answered then, with their age.
func (g *Gateway) Ready() error {
	if g.draining.Load() {
		return errors.New("stopping")
	}
	for _, to := range asked() {
		if g.asker(to) == nil {
			return fmt.Errorf("cannot ask the %s service yet", to.Name)
		}
	}
	if !g.feed.Ready() {
		return errors.New("the changes of customers have not been read up to now")
	}
	if err := g.cfg.Views.ready(); err != nil {
		return err
	}
	if !g.fresh.known() {
		return errors.New("how fresh the views are is not known yet")
	}
	return nil
}
