//go:build synctests

package kafkaclient_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
)

const topic = "t"

// wire is the way to a broker, which can be cut: then connections end and new ones are neither taken nor refused.
type wire struct {
	network kfake.VirtualNetwork
	mu      sync.Mutex
	cut     bool
	conns   []net.Conn
}

func (w *wire) dial(ctx context.Context, proto, addr string) (net.Conn, error) {
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // kgo's own dialer waits as long
		defer cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	conn, err := w.network.DialContext(ctx, proto, addr)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.conns {
		_ = c.Close()
	}
}

// reading opens a client that has read the one record of a topic, so that it has a fetch session to end.
func reading(ctx context.Context, t *testing.T) (*wire, *kafkaclient.Client) {
	t.Helper()
	w := new(wire)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(w.network.Listen), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	cl, err := kafkaclient.New(ctx, kgo.SeedBrokers(broker.ListenAddrs()...), kgo.Dialer(w.dial),
		kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("hello")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if fetches := cl.PollFetches(ctx); fetches.Err() != nil || fetches.NumRecords() != 1 {
		t.Fatalf("%d records, %v", fetches.NumRecords(), fetches.Err())
	}
	return w, cl
}

func TestCloseDoesNotWaitForABrokerThatIsAway(t *testing.T) {
	for name, away := range map[string]time.Duration{"just now": 0, "for long": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, cl := reading(t.Context(), t)
				w.sever()
				time.Sleep(away)
				began := time.Now()
				cl.Close()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestCloseIsAtOnceWhenTheBrokerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cl := reading(t.Context(), t)
		began := time.Now()
		cl.Close()
		cl.Close() // does nothing
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheEndOfTheContextCutsOffWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w, cl := reading(ctx, t)
		w.sever()
		time.Sleep(time.Minute)
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		for ctx.Err() == nil { // each waits for a connection, longer than it may
			try, end := context.WithTimeout(ctx, time.Second)
			if cl.Ping(try) == nil {
				t.Error("a broker that is away has answered")
			}
			end()
		}
		cl.Close()
		if took := time.Since(began) - time.Minute; took > 2*time.Second {
			t.Errorf("ended %v after its context", took)
		}
	})
}

func TestAbandonCutsOffWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, cl := reading(t.Context(), t)
		w.sever()
		began := time.Now()
		failed := make(chan error, 1)
		cl.Produce(context.Background(), kgo.StringRecord("never"), func(_ *kgo.Record, err error) { failed <- err })
		cl.Abandon()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if err := <-failed; err == nil {
			t.Error("a record arrived that could not be sent")
		}
	})
}
