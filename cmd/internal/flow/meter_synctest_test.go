//go:build synctests

package flow

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"utopia/cmd/internal/catalogue"
	"utopia/topics"
)

// However many look, the cluster is asked once a second; while nobody does, every ten seconds; and what is old is not said.
func TestTheClusterIsAskedOnceASecond(t *testing.T) { synctest.Test(t, onceASecond) }

func onceASecond(t *testing.T) {
	name := topics.CustomerCommands.Name
	var asked atomic.Int64
	var away atomic.Bool
	m := New(Config{Logger: discard, Now: time.Now})
	m.look = func(context.Context) (sample, error) {
		n := asked.Add(1)
		if away.Load() {
			return sample{}, errors.New("away")
		}
		return sample{topics: map[string]catalogue.Count{name: {Partitions: 4, End: n}}}, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	during := func(d time.Duration, looking bool) int64 {
		before := asked.Load()
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if looking {
				for range 3 {
					m.Count(name)
				}
			}
		}
		synctest.Wait()
		return asked.Load() - before
	}
	if n := during(time.Minute, false); n < 6 || n > 7 {
		t.Errorf("asked %d times in a minute in which nobody looked", n)
	}
	if n := during(time.Minute, true); n < 55 || n > 61 {
		t.Errorf("asked %d times in a minute in which three looked all the time", n)
	}
	if c, at, ok := m.Count(name); !ok || c.End < 60 || time.Since(at) > every {
		t.Errorf("%+v %v %v", c, at, ok)
	}
	during(looked, false)
	if n := during(time.Minute, false); n > 7 {
		t.Errorf("asked %d times after everybody had gone", n)
	}
	away.Store(true)
	during(old, true)
	if c, _, ok := m.Count(name); ok {
		t.Errorf("%+v is said although the cluster is away", c)
	}
	away.Store(false)
	during(2*every, true)
	if _, _, ok := m.Count(name); !ok {
		t.Error("the cluster is back, and nothing is known")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
