package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"utopia/processors/kafkaclient"
)

// stopWithin is how long parts have to finish after the signal. What is not
// finished then is left to the next start: nothing that was acknowledged is lost.
const stopWithin = 5 * time.Second

// ErrStopTimeout is returned when a part did not finish within five seconds, for
// example because the cluster is gone.
var ErrStopTimeout = errors.New("stopped before everything was finished")

// A Part is one thing that runs for the life of the process.
type Part struct {
	Name string
	// Run returns when ctx ends (nil) or when it cannot go on.
	Run func(ctx context.Context) error
	// Ready says what is missing, nil if nothing is. A nil func is always ready.
	Ready func() error
}

// Server runs parts and answers for them.
type Server struct {
	Log *slog.Logger
	// HTTP is the listen address for health and metrics; empty for none.
	HTTP string
	// Metrics serves /metrics; nil for none.
	Metrics http.Handler
	// Client reaches the cluster; before it does, no part is started.
	Client []kgo.Opt

	mu       sync.Mutex
	parts    []Part
	waiting  atomic.Bool
	stopping atomic.Bool
}

// Serve waits for the cluster, runs the parts and returns when all have ended:
// nil after ctx ended and everything is finished, ErrStopTimeout if that took
// longer than five seconds, else the error of the part that could not go on.
func (s *Server) Serve(ctx context.Context, parts ...Part) error {
	s.mu.Lock()
	s.parts = parts
	s.mu.Unlock()
	s.waiting.Store(true)
	closeHTTP, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer closeHTTP()

	if err := WaitForCluster(ctx, s.Client, s.Log); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before there was anything to finish
		}
		return err
	}
	s.waiting.Store(false)
	return s.runParts(ctx, parts)
}

func (s *Server) runParts(ctx context.Context, parts []Part) error {
	var running sync.Map
	g, gctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		running.Store(p.Name, true)
		g.Go(func() error {
			defer running.Delete(p.Name)
			err := p.Run(gctx)
			if err != nil && gctx.Err() != nil && errors.Is(err, gctx.Err()) {
				return nil // ended because it was told to
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-gctx.Done():
	}
	s.stopping.Store(true)
	s.Log.Info("stopping")
	limit := time.NewTimer(stopWithin)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		var names []string
		running.Range(func(k, _ any) bool {
			names = append(names, fmt.Sprint(k))
			return true
		})
		return fmt.Errorf("%w: still running after %s: %s", ErrStopTimeout, stopWithin, strings.Join(names, ", "))
	}
}

// listen serves health and metrics until the returned function is called.
func (s *Server) listen(ctx context.Context) (func(), error) {
	if s.HTTP == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.HTTP)
	if err != nil {
		return nil, fmt.Errorf("--http %s: %w", s.HTTP, err)
	}
	s.Log.Info("health and metrics", slog.String("address", l.Addr().String()))
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.Log.Error("health and metrics ended", slog.Any("error", err))
		}
	}()
	return func() {
		_ = srv.Close()
		<-failed
	}, nil
}

// Handler answers /livez (the process works), /readyz (every part is ready; the
// body says what is missing) and /metrics.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		missing := s.missing()
		if len(missing) == 0 {
			_, _ = fmt.Fprintln(w, "ok")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, strings.Join(missing, "\n"))
	})
	if s.Metrics != nil {
		mux.Handle("GET /metrics", s.Metrics)
	}
	return mux
}

func (s *Server) missing() []string {
	if s.stopping.Load() {
		return []string{"stopping"}
	}
	if s.waiting.Load() {
		return []string{"waiting for the cluster"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for _, p := range s.parts {
		if p.Ready == nil {
			continue
		}
		if err := p.Ready(); err != nil {
			missing = append(missing, p.Name+": "+err.Error())
		}
	}
	return missing
}

// WaitForCluster returns nil when a broker answers. Until then it tries again,
// with a growing pause of at most ten seconds, and says so. Only the end of ctx
// or options that no client can be made of end it with an error.
func WaitForCluster(ctx context.Context, opts []kgo.Opt, log *slog.Logger) error {
	cl, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	attempt := 0
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 200 * time.Millisecond
	pause.MaxInterval = 10 * time.Second
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := cl.Ping(try)
		cancel()
		if err == nil {
			if attempt > 0 {
				log.Info("the cluster answers", slog.Int("attempts", attempt+1))
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the cluster: %w", ctx.Err())
		}
		attempt++
		wait := pause.NextBackOff()
		log.Warn("no broker answers; check --brokers, TLS and SASL; trying again",
			slog.Any("brokers", cl.OptValue(kgo.SeedBrokers)), slog.Any("error", err),
			slog.Int("attempt", attempt), slog.Duration("next_in", wait.Round(time.Millisecond)))
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the cluster: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}
