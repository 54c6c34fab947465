//go:build synctests

package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/run"
)

func TestAPartThatDoesNotStopIsLeftAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		c := kfake.MustCluster(kfake.NumBrokers(1), kfake.ListenFn(network.Listen))
		defer c.Close()
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		s := &run.Server{Log: quiet(), Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.Dialer(network.DialContext)}}
		done := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			done <- s.Serve(ctx, run.Part{Name: "stuck", Run: func(context.Context) error { close(started); <-release; return nil }})
		}()
		<-started
		cancel()
		before := time.Now()
		err := <-done
		if !errors.Is(err, run.ErrStopTimeout) || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("waited %s", waited)
		}
		close(release)
	})
}
