package history_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/history"
	"utopia/schemas"
	"utopia/topics"
)

// asked puts commands about a customer into the log, one a minute, each by another way: its cause is the one before.
func asked(t *testing.T, client *kgo.Client, ids schemas.IDs, customer string, n int) {
	t.Helper()
	codec, err := schemas.NewCodec(topics.CustomerCommands.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cmd := &schemas.ChangeEmail{CustomerID: customer, Email: "canary@example.org", Meta: schemas.Metadata{CommandID: fmt.Sprintf("%s-%d", customer, i)}}
		if i > 0 {
			cmd.Meta.CausationID = fmt.Sprintf("%s-%d", customer, i-1)
		}
		value, err := codec.Append(nil, cmd)
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topics.CustomerCommands.Name, Key: []byte(customer), Value: value, Timestamp: time.Unix(int64(60*i), 0)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// index is one that has read all that asked has put into the log.
func index(t *testing.T, put func(*kgo.Client, schemas.IDs)) *history.Index {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics.CustomerCommands.Name, topics.CustomerEvents.Name))
	t.Cleanup(c.Close)
	seeds, ids := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, schemas.NewMemoryIDs()
	client, err := kgo.NewClient(seeds...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	put(client, ids)
	x, err := history.New(history.Config{Client: seeds, IDs: ids, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Entries(t.Context(), "ada", "", 1); !errors.Is(err, history.ErrNotReady) {
		t.Errorf("before it has read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for limit := time.Now().Add(time.Minute); x.Ready() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal(x.Ready())
		}
	}
	return x
}

// All pages together are the whole history of one customer, each entry once, newest first, and of nobody else.
func TestPagesAreTheWholeHistory(t *testing.T) {
	x := index(t, func(client *kgo.Client, ids schemas.IDs) {
		asked(t, client, ids, "ada", 25)
		asked(t, client, ids, "ada-2", 3) // whose id begins alike
	})
	var got, want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("ada-%d", 24-i))
	}
	cursor := ""
	for {
		p, err := x.Entries(t.Context(), "ada", cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			if e.Kind != history.Command || e.Type != "ChangeEmail" {
				t.Errorf("%+v", e)
			}
			got = append(got, e.ID)
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := x.Entries(t.Context(), "ada", "elsewhere", 10); !errors.Is(err, history.ErrCursor) {
		t.Errorf("a cursor from elsewhere: %v", err)
	}
	if p, err := x.Entries(t.Context(), "nobody", "", 10); err != nil || len(p.Entries) != 0 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestNothingIsLeftOutBecauseTheRegistryIsAway(t *testing.T) {
	x := index(t, func(client *kgo.Client, ids schemas.IDs) {
		asked(t, client, ids, "ada", 3)
		registry, _ := ids.(*schemas.MemoryIDs)
		registry.Break(errors.New("unplugged"))
		time.AfterFunc(200*time.Millisecond, func() { registry.Break(nil) })
	})
	if p, err := x.Entries(t.Context(), "ada", "", 10); err != nil || len(p.Entries) != 3 {
		t.Errorf("%d of 3 entries, %v", len(p.Entries), err)
	}
}

// Whoever has the key is answered by the first instance that can; without the key nobody is.
func TestAQuerySideAnswersWhoHasTheKey(t *testing.T) {
	x := index(t, func(client *kgo.Client, ids schemas.IDs) { asked(t, client, ids, "ada", 2) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Serve(ctx, l, nil, "the key") }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer busy.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	url := "http://" + l.Addr().String()
	c := history.NewClient([]string{gone.URL, busy.URL, url + "/"}, "the key")
	for range 2 { // the second time it asks who answered
		p, err := c.Entries(t.Context(), "ada", "", 1)
		if err != nil || len(p.Entries) != 1 || p.Entries[0].ID != "ada-1" || p.Entries[0].Cause != "ada-0" || p.Next == "" {
			t.Fatalf("%+v %v", p, err)
		}
	}
	if _, err := c.Entries(t.Context(), "ada", "elsewhere", 1); !errors.Is(err, history.ErrCursor) {
		t.Error(err)
	}
	for _, key := range []string{"", "another"} {
		if p, err := history.NewClient([]string{url}, key).Entries(t.Context(), "ada", "", 1); err == nil || len(p.Entries) > 0 {
			t.Errorf("with the key %q: %+v %v", key, p, err)
		}
	}
	open := httptest.NewServer(x.Handler(""))
	defer open.Close()
	if p, err := history.NewClient([]string{open.URL}, "").Entries(t.Context(), "ada", "", 1); err == nil {
		t.Errorf("a query side without a key answers: %+v", p)
	}
}
