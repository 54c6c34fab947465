package ask_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers every command with what decide says; "" is silence.
func service(t *testing.T, client []kgo.Opt, ids schemas.IDs, decide func(schemas.Command) (refusal string, silent bool)) {
	t.Helper()
	commands, err := schemas.NewCodec(topics.CustomerCommands.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	replies, err := schemas.NewCodec(topics.CustomerReplies.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeTopics(topics.CustomerCommands.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, client...)...)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Add(1)
	t.Cleanup(func() {
		cl.Close()
		done.Wait()
	})
	go func() {
		defer done.Done()
		for {
			fetches := cl.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				rec, err := commands.Decode(r.Value)
				cmd, ok := rec.(schemas.Command)
				if err != nil || !ok {
					return
				}
				refusal, silent := decide(cmd)
				if silent {
					return
				}
				m := cmd.Metadata()
				f := schemas.ReplyFields{
					ReplyTo: m.ReplyTo, CommandID: m.CommandID, Outcome: schemas.OutcomeAccepted, Refusal: refusal,
					Key: string(r.Key), Partition: r.Partition, Offset: r.Offset,
				}
				if refusal != "" {
					f.Outcome = schemas.OutcomeRefused
				}
				value, err := replies.Append(nil, &schemas.CustomerReply{ReplyFields: f})
				if err != nil {
					return
				}
				cl.Produce(context.Background(), &kgo.Record{Topic: topics.CustomerReplies.Name, Key: []byte(m.ReplyTo), Value: value}, nil)
			})
		}
	}()
}

func setup(t *testing.T) ([]kgo.Opt, schemas.IDs) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topics.CustomerCommands.Name, topics.CustomerReplies.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, schemas.NewMemoryIDs()
}

func client(t *testing.T, opts []kgo.Opt, ids schemas.IDs) *ask.Client {
	t.Helper()
	c, err := ask.New(t.Context(), ask.Config{Client: opts, IDs: ids, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestManyCallersShareOneClientAndEachGetsItsReply(t *testing.T) {
	opts, ids := setup(t)
	service(t, opts, ids, func(c schemas.Command) (string, bool) {
		if e, ok := c.(*schemas.ChangeEmail); ok && e.Email == "bad" {
			return "bad_email", false
		}
		return "", false
	})
	c := client(t, opts, ids)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			key, email, want := "c-"+string(rune('a'+i%26)), "good", schemas.OutcomeAccepted
			if i%3 == 0 {
				email, want = "bad", schemas.OutcomeRefused
			}
			f, err := c.Ask(t.Context(), key, &schemas.ChangeEmail{CustomerID: key, Email: email})
			if err != nil || f.Outcome != want || f.Key != key {
				t.Errorf("%d: %+v, %v", i, f, err)
			}
		})
	}
	wg.Wait()
}

func TestAReplyThatDoesNotComeIsAnErrorThatSaysAskAgain(t *testing.T) {
	opts, ids := setup(t)
	service(t, opts, ids, func(schemas.Command) (string, bool) { return "", true })
	c := client(t, opts, ids)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cmd := &schemas.CloseCustomer{CustomerID: "c-1"}
	_, err := c.Ask(ctx, "c-1", cmd)
	if !errors.Is(err, ask.ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if cmd.Meta.CommandID == "" {
		t.Fatal("the caller cannot ask again without the id")
	}
}

func TestACommandKeepsTheIDItsSenderChose(t *testing.T) {
	opts, ids := setup(t)
	seen := make(chan string, 1)
	service(t, opts, ids, func(c schemas.Command) (string, bool) {
		seen <- c.Metadata().CommandID
		return "", false
	})
	c := client(t, opts, ids)
	if err := c.Send(t.Context(), "c-1", &schemas.CloseCustomer{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: "mine"}}); err != nil {
		t.Fatal(err)
	}
	if id := <-seen; id != "mine" {
		t.Fatal(id)
	}
}

// A reply is somebody's only answer: while its schema cannot be looked up, it is kept.
func TestAReplyThatCannotBeReadYet(t *testing.T) {
	opts, ids := setup(t)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	service(t, opts, ids, func(schemas.Command) (string, bool) {
		asked <- struct{}{}
		<-answer
		return "", false
	})
	registry := schemas.NewMemoryIDs()
	c, err := ask.New(t.Context(), ask.Config{
		Client: opts, IDs: registry, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies, Remember: 10, Back: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	outcome := make(chan error, 1)
	go func() {
		_, err := c.Ask(t.Context(), "c-1", &schemas.CloseCustomer{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: "mine"}})
		outcome <- err
	}()
	<-asked
	registry.Break(errors.New("unplugged"))
	close(answer)
	select {
	case err := <-outcome:
		t.Fatalf("an answer that nobody can read: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	registry.Break(nil)
	if err := <-outcome; err != nil {
		t.Error(err)
	}
	if found, _, all := c.Outcome("mine"); len(found) != 1 || !all {
		t.Errorf("remembered: %v, %v", found, all)
	}
}

func TestAMissingTopicIsSaidAtOnce(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = ask.New(t.Context(), ask.Config{
		Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, IDs: schemas.NewMemoryIDs(),
		Commands: topics.CustomerCommands, Replies: topics.CustomerReplies,
	})
	if !errors.Is(err, ask.ErrNoTopic) {
		t.Fatal(err)
	}
}

func TestClosingEndsTheWaiting(t *testing.T) {
	opts, ids := setup(t)
	service(t, opts, ids, func(schemas.Command) (string, bool) { return "", true })
	c := client(t, opts, ids)
	got := make(chan error, 1)
	go func() {
		_, err := c.Ask(t.Context(), "c-1", &schemas.CloseCustomer{CustomerID: "c-1"})
		got <- err
	}()
	c.Close()
	if err := <-got; !errors.Is(err, ask.ErrClosed) {
		t.Fatal(err)
	}
}

// Two ask at the same time with one id: each gets the answer to what it sent, not the other's.
func TestTheSameIDAtTheSameTime(t *testing.T) {
	opts, ids := setup(t)
	service(t, opts, ids, func(c schemas.Command) (string, bool) {
		if e, ok := c.(*schemas.ChangeEmail); ok && e.Email == "other" {
			return "id_reused", false
		}
		return "", false
	})
	c := client(t, opts, ids)
	var wg sync.WaitGroup
	for i := range 100 {
		email, want := "first", ""
		if i%2 == 1 {
			email, want = "other", "id_reused"
		}
		wg.Go(func() {
			f, err := c.Ask(t.Context(), "c-1", &schemas.ChangeEmail{CustomerID: "c-1", Email: email, Meta: schemas.Metadata{CommandID: "same"}})
			if err != nil || f.Refusal != want {
				t.Errorf("%s: %+v, %v", email, f, err)
			}
		})
	}
	wg.Wait()
}

// What the cluster has not acknowledged is told apart from what has no outcome yet.
func TestACommandThatIsNotAcknowledged(t *testing.T) {
	opts, ids := setup(t)
	var gone atomic.Bool
	dialer := &net.Dialer{}
	var mu sync.Mutex
	var open []net.Conn
	c := client(t, append(opts, kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		if gone.Load() {
			return nil, errors.New("no route")
		}
		conn, err := dialer.DialContext(ctx, network, host)
		mu.Lock()
		defer mu.Unlock()
		open = append(open, conn)
		return conn, err
	})), ids)
	gone.Store(true)
	mu.Lock()
	for _, conn := range open {
		_ = conn.Close()
	}
	mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Ask(ctx, "c-1", &schemas.CloseCustomer{CustomerID: "c-1"})
	if !errors.Is(err, ask.ErrNotStored) || !errors.Is(err, ask.ErrNoReply) {
		t.Fatal(err)
	}
}

// Whoever asked, everybody who remembers knows the outcome: also a client that starts later.
func TestOutcomesAreRemembered(t *testing.T) {
	opts, ids := setup(t)
	service(t, opts, ids, func(c schemas.Command) (string, bool) {
		if c.Metadata().CommandID == "refused" {
			return "not_active", false
		}
		return "", false
	})
	remembering := func(most int) *ask.Client {
		c, err := ask.New(t.Context(), ask.Config{
			Client: opts, IDs: ids, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies, Remember: most, Back: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	early, asks := remembering(100), client(t, opts, ids)
	if _, _, all := asks.Outcome("x"); all {
		t.Error("who remembers nothing knows all")
	}
	for _, id := range []string{"a", "refused", "b"} {
		if _, err := asks.Ask(t.Context(), "c-1", &schemas.CloseCustomer{CustomerID: "c-1", Meta: schemas.Metadata{CommandID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := asks.Ask(t.Context(), "c-2", &schemas.CloseCustomer{CustomerID: "c-2", Meta: schemas.Metadata{CommandID: "b"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*ask.Client{"early": early, "late": remembering(100)} {
		known := func(id string, n int) []schemas.ReplyFields {
			t.Helper()
			for range 1000 {
				if found, since, all := c.Outcome(id); all && len(found) == n && time.Since(since) > 50*time.Second {
					return found
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Fatalf("%s does not know %s", name, id)
			return nil
		}
		known("b", 2)
		if f := known("refused", 1)[0]; f.Refusal != "not_active" || f.Key != "c-1" {
			t.Errorf("%s: %+v", name, f)
		}
		known("never", 0)
	}
	small := remembering(1)
	for range 1000 {
		if _, since, all := small.Outcome("a"); all && time.Since(since) < 50*time.Second {
			break // it has forgotten, and says since when it knows everything
		}
		time.Sleep(5 * time.Millisecond)
	}
	if found, since, _ := small.Outcome("a"); len(found) != 0 || time.Since(since) > 50*time.Second {
		t.Errorf("remembered %v, all since %s ago", found, time.Since(since))
	}
}
