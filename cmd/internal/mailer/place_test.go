package mailer

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// A killed mailer says no goodbye. Its next start takes its place at once, not after the session time-out, and the process that was taken for dead ends and
// says why.
func TestAKilledMailerTakesItsOwnPlace(t *testing.T) {
	w, p := newWorld(t), &postman{}
	var cut atomic.Bool
	dialer := kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("the network is cut")
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &cutConn{conn, &cut}, err
	})
	_, _, ended := w.run(p, func(c *Config) {
		c.Instance, c.Client = "one", append(c.Client, dialer)
	})
	w.put(liveMail("m-1"))
	w.reports(1)
	cut.Store(true)

	began := time.Now()
	_, stop := w.start(p, func(c *Config) { c.Instance = "one" })
	w.put(liveMail("m-2"))
	w.reports(1)
	if took := time.Since(began); took > 20*time.Second { // the session time-out is 45 s
		t.Errorf("the place was taken over after %v", took)
	}
	cut.Store(false)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrFenced) {
			t.Errorf("the former process ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the former process goes on")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	group, err := kadm.NewClient(w.cl).DescribeGroups(w.ctx(), Group)
	if err != nil || len(group[Group].Members) != 0 {
		t.Errorf("after the goodbye: %v, %v", group[Group].Members, err)
	}
}

type cutConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.cut.Load() {
		_ = c.Close()
	}
	return c.Conn.Write(b)
}

// The outbox ends with markers, of aborted transactions too: the group's lag is zero when nothing waits.
func TestMarkersAreNoLag(t *testing.T) {
	w, p := newWorld(t), &postman{}
	tx, err := kgo.NewClient(w.seeds, kgo.TransactionalID("mail-0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryAbort} {
		b, err := schemas.AppendPrivate(nil, liveMail("m-1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topics.MailOutbox.Name, Key: []byte("m-1"), Value: b}
		if err := tx.ProduceSync(w.ctx(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := kafkaclient.EndTransaction(w.ctx(), tx, end, r); err != nil {
			t.Fatal(err)
		}
	}
	w.start(p, nil)
	w.reports(1)
	admin := kadm.NewClient(w.cl)
	for ctx := w.ctx(); ; { // the cluster's answers pace it
		lags, err := admin.Lag(ctx, Group)
		group := lags[Group]
		if err := errors.Join(err, group.Error()); err != nil {
			t.Fatalf("lag %d: %v", group.Lag.Total(), err)
		}
		if group.Lag.Total() == 0 {
			return
		}
	}
}
