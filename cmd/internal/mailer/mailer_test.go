package mailer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/links"
	"utopia/schemas"
	"utopia/topics"
)

const patience = time.Minute

// world is a broker, what is in the outbox and what was reported.
type world struct {
	t     *testing.T
	fake  *kfake.Cluster
	seeds kgo.Opt
	cl    *kgo.Client // producer of the outbox, reader of reports
	codec *schemas.Codec
	ids   *schemas.MemoryIDs
	logs  *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T, opts ...kgo.Opt) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(topics.EmbeddedPartitions, topics.MailOutbox.Name, topics.MailCommands.Name),
		kfake.GroupMinSessionTimeout(time.Millisecond*100))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, fake: c, seeds: kgo.SeedBrokers(c.ListenAddrs()...), ids: schemas.NewMemoryIDs(), logs: &safeBuffer{}}
	if w.codec, err = schemas.NewCodec(topics.MailCommands.Name, w.ids); err != nil {
		t.Fatal(err)
	}
	w.cl, err = kgo.NewClient(append([]kgo.Opt{w.seeds, kgo.ConsumeTopics(topics.MailCommands.Name)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	return w
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

func liveMail(id string) *schemas.MailToSend {
	r := toSend()
	r.MailID, r.AcceptedAt = id, schemas.Millis(time.Now())
	r.Recipient = "canary-" + id + "@example.org"
	r.Links[0].ExpiresAt = schemas.Millis(time.Now().Add(72 * time.Hour))
	return r
}

// put writes mails to the outbox.
func (w *world) put(mails ...*schemas.MailToSend) {
	w.t.Helper()
	for _, m := range mails {
		b, err := schemas.AppendPrivate(nil, m)
		if err != nil {
			w.t.Fatal(err)
		}
		w.putRaw(m.MailID, b)
	}
}

func (w *world) putRaw(key string, value []byte) {
	w.t.Helper()
	r := &kgo.Record{Topic: topics.MailOutbox.Name, Key: []byte(key), Value: value}
	if err := w.cl.ProduceSync(w.ctx(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// reports reads n reports.
func (w *world) reports(n int) map[string]*schemas.RecordDelivery {
	w.t.Helper()
	ctx, all := w.ctx(), map[string]*schemas.RecordDelivery{}
	for len(all) < n {
		f := w.cl.PollRecords(ctx, n)
		if err := f.Err(); err != nil {
			w.t.Fatalf("%d of %d reports: %v\n%s", len(all), n, err, w.logs)
		}
		f.EachRecord(func(r *kgo.Record) {
			rec, err := w.codec.Decode(r.Value)
			d, ok := rec.(*schemas.RecordDelivery)
			if err != nil || !ok || d.MailID != string(r.Key) || topics.Partition(d.MailID, topics.EmbeddedPartitions) != r.Partition {
				w.t.Fatalf("%v %v in partition %d", rec, err, r.Partition)
			}
			if all[d.MailID] != nil {
				w.t.Errorf("mail %s is reported twice", d.MailID)
			}
			all[d.MailID] = d
		})
	}
	return all
}

// start runs a mailer; stop ends it and returns what Run returned.
func (w *world) start(s Sender, change func(*Config)) (m *Mailer, stop func() error) {
	w.t.Helper()
	m, cancel, done := w.run(s, change)
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	w.t.Cleanup(func() { _ = stop() })
	return m, stop
}

func (w *world) run(s Sender, change func(*Config)) (*Mailer, context.CancelFunc, <-chan error) {
	w.t.Helper()
	cfg := Config{
		Client: []kgo.Opt{w.seeds, kgo.HeartbeatInterval(50 * time.Millisecond), kgo.RebalanceTimeout(20 * time.Second)}, Commands: w.codec, Sender: s, From: "Utopia <no-reply@example.com>", Keys: testKeys(w.t),
		Page:   &url.URL{Scheme: "https", Host: "example.com", Path: "/confirm"},
		Retry:  Retry{First: time.Millisecond, Limit: 5 * time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	w.t.Cleanup(cancel)
	return m, cancel, done
}

// postman is a sender that tests can steer.
type postman struct {
	mu     sync.Mutex
	copies map[string]int
	before func(ctx context.Context, m *Message, n int) error // n: the attempt, from 1
}

func (p *postman) Send(ctx context.Context, m *Message) error {
	p.mu.Lock()
	if p.copies == nil {
		p.copies = map[string]int{}
	}
	p.copies[m.MailID]++
	n := p.copies[m.MailID]
	p.mu.Unlock()
	if p.before != nil {
		return p.before(ctx, m, n)
	}
	return nil
}

func (p *postman) sent(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.copies[id]
}

func TestMailsAreSentReportedAndNotSentAgain(t *testing.T) {
	w, p := newWorld(t), &postman{}
	w.put(liveMail("m-1"), liveMail("m-2"), liveMail("customer/c-17/5/0"))
	_, stop := w.start(p, nil)
	got := w.reports(3)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := &schemas.RecordDelivery{
		MailID: "customer/c-17/5/0", Result: "sent", Attempts: 1,
		Meta: schemas.Metadata{CommandID: "mail/customer/c-17/5/0/1/0", CausationID: "customer/c-17/5/0/1"},
	}
	if diff := cmp.Diff(want, got["customer/c-17/5/0"]); diff != "" {
		t.Fatal(diff)
	}
	w.put(liveMail("m-3"))
	_, stop = w.start(p, nil)
	w.reports(1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"m-1", "m-2", "m-3"} {
		if p.sent(id) != 1 {
			t.Errorf("%s: %d copies", id, p.sent(id))
		}
	}
}

func TestFates(t *testing.T) {
	answers := map[string]func(n int) error{
		"later": func(n int) error {
			if n < 4 {
				return &Failure{Code: "smtp_451", Temporary: true, Err: errors.New("later")}
			}
			return nil
		},
		"never": func(int) error { return &Failure{Code: "smtp_451", Temporary: true, Err: errors.New("later")} },
		"gone":  func(int) error { return &Failure{Code: "smtp_550_5.1.1", Err: errors.New("gone")} },
		"rude":  func(int) error { return errors.New("a sender that breaks its contract") },
	}
	p := &postman{before: func(_ context.Context, m *Message, n int) error {
		if a := answers[m.MailID]; a != nil {
			return a(n)
		}
		return nil
	}}
	w := newWorld(t)
	dead, old, bad := liveMail("dead"), liveMail("old"), liveMail("bad")
	dead.Links[0].ExpiresAt = schemas.Millis(time.Now().Add(-time.Second))
	old.AcceptedAt = schemas.Millis(time.Now().Add(-48 * time.Hour)) // waited for a mailer: one attempt all the same
	bad.Recipient = "nobody"
	w.put(liveMail("later"), liveMail("never"), liveMail("gone"), liveMail("rude"), dead, old, bad)
	w.putRaw("poison", []byte{0xc3, 1, 0})
	w.putRaw("not an id", []byte("x"))
	_, stop := w.start(p, func(c *Config) { c.Retry.Attempts = 6 })
	type fate struct {
		Result   string
		Attempts int32
		Detail   string
	}
	got := map[string]fate{}
	for id, d := range w.reports(8) {
		got[id] = fate{d.Result, d.Attempts, d.Detail}
	}
	want := map[string]fate{
		"later":  {"sent", 4, ""},
		"never":  {"undeliverable", 6, "smtp_451"},
		"gone":   {"undeliverable", 1, "smtp_550_5.1.1"},
		"rude":   {"undeliverable", 6, "connect"},
		"dead":   {"undeliverable", 1, "link_expired"},
		"old":    {"sent", 1, ""},
		"bad":    {"undeliverable", 1, "recipient"},
		"poison": {"undeliverable", 1, "defect"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if p.sent("dead")+p.sent("bad") != 0 {
		t.Error("a mail that cannot be composed was sent")
	}
	adm := kadm.NewClient(w.cl)
	lag, err := adm.Lag(w.ctx(), Group)
	if err != nil {
		t.Fatal(err)
	}
	if l := lag[Group]; l.Error() != nil || l.Lag.Total() != 0 {
		t.Fatalf("%v, %d records are left", l.Error(), l.Lag.Total())
	}
}

// TestASlowMailHoldsNobodyBack: one mail never finishes. The others are sent, and after a restart only the slow one again,
// although its offset is before theirs.
func TestASlowMailHoldsNobodyBack(t *testing.T) {
	w := newWorld(t)
	var mails []*schemas.MailToSend
	for i := range 50 {
		mails = append(mails, liveMail(fmt.Sprintf("m-%d", i)))
	}
	w.put(append([]*schemas.MailToSend{liveMail("slow")}, mails...)...)
	slow := make(chan struct{})
	p := &postman{before: func(ctx context.Context, m *Message, n int) error {
		if m.MailID != "slow" || n > 1 {
			return nil
		}
		close(slow)
		<-ctx.Done() // as long as the mailer allows
		return ctx.Err()
	}}
	_, stop := w.start(p, func(c *Config) { c.Limits = Limits{Connections: 2, Mails: 5, Shutdown: 50 * time.Millisecond} })
	w.reports(50)
	<-slow
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_, stop = w.start(p, nil)
	if got := w.reports(1)["slow"]; got == nil || got.Result != "sent" {
		t.Fatalf("%v", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, m := range mails {
		if p.sent(m.MailID) != 1 {
			t.Errorf("%s: %d copies", m.MailID, p.sent(m.MailID))
		}
	}
	if p.sent("slow") != 2 {
		t.Errorf("the slow mail: %d copies", p.sent("slow"))
	}
}

func TestWhatIsUnderWayIsFinishedBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	w.put(liveMail("m-1"))
	begun, end := make(chan struct{}), make(chan struct{})
	p := &postman{before: func(context.Context, *Message, int) error {
		close(begun)
		<-end
		return nil
	}}
	_, stop := w.start(p, nil)
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(end)
	if got := w.reports(1)["m-1"]; got == nil || got.Result != "sent" {
		t.Fatalf("%v", got)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	lag, err := kadm.NewClient(w.cl).Lag(w.ctx(), Group)
	if err != nil || lag[Group].Lag.Total() != 0 {
		t.Fatalf("%v, %d records are left", err, lag[Group].Lag.Total())
	}
}

// TestTheEndWithoutABroker: what cannot be said to a broker that is gone does not hold the process.
func TestTheEndWithoutABroker(t *testing.T) {
	w := newWorld(t)
	sent := make(chan struct{})
	p := &postman{before: func(context.Context, *Message, int) error {
		w.fake.Close()
		close(sent)
		return nil
	}}
	w.put(liveMail("m-1"))
	_, cancel, done := w.run(p, func(c *Config) { c.Limits.Shutdown = 100 * time.Millisecond })
	<-sent
	cancel()
	begun := time.Now()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("ended after %v", time.Since(begun))
	case <-time.After(patience):
		t.Fatal("the mailer does not end")
	}
}

// TestMailersShare: a second mailer comes and goes while mails flow; nothing is sent twice and nothing is left.
func TestMailersShare(t *testing.T) {
	w, p := newWorld(t), &postman{}
	put := func(from, to int) {
		for i := from; i < to; i++ {
			w.put(liveMail(fmt.Sprintf("m-%d", i)))
		}
	}
	_, stopOne := w.start(p, func(c *Config) { c.Instance = "one" })
	put(0, 40)
	two, stopTwo := w.start(p, func(c *Config) { c.Instance = "two" })
	put(40, 80)
	for deadline := time.Now().Add(patience); len(two.mine()) == 0; { // work that the poll of the cluster paces
		if time.Now().After(deadline) {
			t.Fatal("the second mailer gets no partition")
		}
		if _, err := kadm.NewClient(w.cl).DescribeGroups(w.ctx(), Group); err != nil {
			t.Fatal(err)
		}
	}
	put(80, 120)
	if err := stopOne(); err != nil {
		t.Fatal(err)
	}
	put(120, 160)
	w.reports(160)
	if err := stopTwo(); err != nil {
		t.Fatal(err)
	}
	for i := range 160 {
		if id := fmt.Sprintf("m-%d", i); p.sent(id) != 1 {
			t.Errorf("%s: %d copies", id, p.sent(id))
		}
	}
}

func TestOnlyCommittedMailsAreSent(t *testing.T) {
	w, p := newWorld(t), &postman{}
	tx, err := kgo.NewClient(w.seeds, kgo.TransactionalID("mail-0"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for _, step := range []struct {
		id  string
		end kgo.TransactionEndTry
	}{{"aborted", kgo.TryAbort}, {"committed", kgo.TryCommit}} {
		b, err := schemas.AppendPrivate(nil, liveMail(step.id))
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(w.ctx(), &kgo.Record{Topic: topics.MailOutbox.Name, Key: []byte(step.id), Value: b}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(w.ctx(), step.end); err != nil {
			t.Fatal(err)
		}
	}
	w.put(liveMail("after"))
	_, stop := w.start(p, nil)
	if got := w.reports(2); got["after"] == nil || got["committed"] == nil {
		t.Fatalf("%v", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if p.sent("aborted") != 0 {
		t.Fatal("a mail of an aborted transaction was sent")
	}
}

func TestALaterReleaseStopsTheMailer(t *testing.T) {
	w := newWorld(t)
	w.putRaw("m-1", append([]byte{0xc3, 1}, 1, 2, 3, 4, 5, 6, 7, 8, 9))
	_, _, done := w.run(&postman{}, nil)
	select {
	case err := <-done:
		if !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
	case <-w.ctx().Done():
		t.Fatal("the mailer goes on")
	}
}

// TestAReportIsNotLost: the registry is away when the mail has been sent. It is sent once and reported when it is back.
func TestAReportIsNotLost(t *testing.T) {
	w := newWorld(t)
	sent := make(chan struct{})
	p := &postman{before: func(context.Context, *Message, int) error {
		close(sent)
		return nil
	}}
	w.ids.Break(errors.New("unplugged"))
	w.put(liveMail("m-1"))
	_, stop := w.start(p, nil)
	<-sent
	w.ids.Break(nil)
	if got := w.reports(1)["m-1"]; got.Result != "sent" || p.sent("m-1") != 1 {
		t.Fatalf("%v, %d copies", got, p.sent("m-1"))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestNothingPersonalIsLogged runs mails to every end and looks for them in the log.
func TestNothingPersonalIsLogged(t *testing.T) {
	w := newWorld(t)
	var tokens []string
	var mu sync.Mutex
	p := &postman{before: func(_ context.Context, m *Message, n int) error {
		b, err := m.Bytes()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		i := bytes.Index(b, []byte("/confirm#"))
		tokens = append(tokens, string(b[i+9:i+29]))
		if n == 1 {
			return &Failure{Code: "smtp_451", Temporary: true, Err: errors.New("later")}
		}
		return &Failure{Code: "smtp_550", Err: errors.New("gone")}
	}}
	bad := liveMail("m-2")
	bad.Recipient = "canary@@example.org"
	w.put(liveMail("m-1"), bad)
	_, stop := w.start(p, nil)
	w.reports(2)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	logged := w.logs.String()
	if !strings.Contains(logged, "m-1") {
		t.Fatal("nothing was logged")
	}
	for _, secret := range append(tokens, "canary", "verhuizing", "c-17", "Bevestig") {
		if secret == "" || strings.Contains(logged, secret) {
			t.Errorf("%q is in the log:\n%s", secret, logged)
		}
	}
}

func TestConfigThatCannotWork(t *testing.T) {
	good := func() Config {
		return Config{
			Commands: &schemas.Codec{}, Sender: &postman{}, From: "a@example.com", Keys: testKeys(t), Page: &url.URL{},
		}
	}
	for name, change := range map[string]func(*Config){
		"no sender address": func(c *Config) { c.From = "" },
		"a header":          func(c *Config) { c.From = "a@example.com\r\nBcc: b@example.com" },
		"no codec":          func(c *Config) { c.Commands = nil },
		"no sender":         func(c *Config) { c.Sender = nil },
		"no keys":           func(c *Config) { c.Keys = links.Keys{} },
		"no page":           func(c *Config) { c.Page = nil },
	} {
		c := good()
		change(&c)
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := New(good())
	if err != nil {
		t.Fatal(err)
	}
	m.client.Close()
}

func TestReportIDsAreDerivedIDs(t *testing.T) {
	for _, id := range []string{"m-1", strings.Repeat("x", 64), "customer/" + strings.Repeat("x", 140)} {
		got := reportID(id)
		if !topics.ValidDerivedID(got) || got == reportID(id+"y") {
			t.Errorf("%s: %s", id, got)
		}
	}
	if slices.Contains([]string{reportID("a")}, reportID("b")) {
		t.Error("two mails share a report")
	}
}
