// Package systemtest starts a whole system for tests of what talks to one.
package systemtest

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"utopia/cmd/internal/system"
)

// Start starts a system that is ready, and ends it after the test, which fails if that cannot be done or the system ends with an error.
func Start(tb testing.TB) *system.System {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := system.New(ctx, system.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("the system ended with: %v", err)
		}
	})
	ready, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if err := s.WaitReady(ready); err != nil {
		tb.Fatal(err)
	}
	return s
}
