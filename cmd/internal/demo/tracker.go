package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// tracker reads the topics from their beginning, committed records only, and counts.
type tracker struct {
	cl     *kafkaclient.Client
	codecs map[string]*schemas.Codec
	kinds  map[string]topics.Kind

	mu       sync.Mutex
	commands map[string]int  // command id → outcomes that are not repeats
	seen     map[string]bool // command ids found on a commands topic
	accepted int
	refused  int
	repeats  int
	dead     int
	answered int // dead letters of commands topics: the outcome of what nobody can read
	unread   int // records on commands topics that nobody can read
	moved    int
	facts    int
	mails    int
	records  int
	last     []change
	applied  map[string]int64 // billing: customer → version applied
	told     map[string]int64 // notification: customer → version known
}

// change is one line of the live screen.
type change struct {
	what     string
	customer string
	version  int64
	where    string
}

func newTracker(ctx context.Context, cfg Config) (*tracker, error) {
	t := &tracker{
		codecs: map[string]*schemas.Codec{}, kinds: map[string]topics.Kind{},
		commands: map[string]int{}, seen: map[string]bool{}, applied: map[string]int64{}, told: map[string]int64{},
	}
	var names []string
	for _, topic := range topics.All() {
		if topic.Private() {
			continue
		}
		names = append(names, topic.Name)
		t.kinds[topic.Name] = topic.Kind
		if topic.Kind == topics.DeadLetters {
			continue
		}
		codec, err := schemas.NewCodec(topic.Name, cfg.IDs)
		if err != nil {
			return nil, fmt.Errorf("schemas of %s: %w", topic.Name, err)
		}
		t.codecs[topic.Name] = codec
	}
	opts := append([]kgo.Opt{}, cfg.Client...)
	cl, err := kafkaclient.New(context.WithoutCancel(ctx), append(
		opts,
		kgo.ConsumeTopics(names...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		return nil, err
	}
	t.cl = cl
	return t, nil
}

func (t *tracker) close() { t.cl.Close() }

func (t *tracker) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := t.cl.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		t.mu.Lock()
		fetches.EachRecord(t.note)
		t.mu.Unlock()
	}
}

func (t *tracker) note(r *kgo.Record) {
	t.records++
	kind := t.kinds[r.Topic]
	if kind == topics.DeadLetters {
		t.dead++
		if origin, _ := topics.ByName(strings.TrimSuffix(r.Topic, ".dlq")); origin.Kind == topics.Command {
			t.answered++
		}
		return
	}
	rec, err := t.codecs[r.Topic].Decode(r.Value)
	switch {
	case r.Value == nil && kind == topics.State:
		return
	case kind == topics.Command:
		t.command(r, rec, err)
	case err != nil:
	default:
		t.outcome(rec)
	}
}

// command notes a record on a commands topic. One that was sent on to its right partition is counted there.
func (t *tracker) command(r *kgo.Record, rec schemas.Record, err error) {
	cmd, ok := rec.(schemas.Command)
	if err != nil || !ok || len(r.Key) == 0 {
		t.unread++
		return
	}
	for _, h := range r.Headers {
		if h.Key == "utopia-moved-from" {
			t.moved++
		}
	}
	t.seen[cmd.Metadata().CommandID] = true
}

func (t *tracker) outcome(rec schemas.Record) {
	if reply, ok := rec.(schemas.Reply); ok {
		f := reply.Fields()
		switch {
		case f.Repeat:
			t.repeats++
		case f.Refusal == "not_due": // fires again: not an outcome yet
		default:
			t.commands[f.CommandID]++
			if f.Outcome == "accepted" {
				t.accepted++
			} else {
				t.refused++
			}
		}
		return
	}
	switch m := rec.(type) {
	case *schemas.AddressChanged:
		t.facts++
	case *schemas.MailSent:
		t.mails++
	case *schemas.BillingState:
		t.applied[m.CustomerID] = m.CustomerVersion
	case *schemas.NotificationState:
		t.told[m.CustomerID] = m.CustomerVersion
	case *schemas.PublicCustomerMoved:
		t.show(change{"moved", m.CustomerID, m.Version, fromTo(m.Before, m.After)})
	case *schemas.PublicAddressCorrected:
		t.show(change{"corrected", m.CustomerID, m.Version, fromTo(m.Before, m.After)})
	case *schemas.PublicEmailChanged:
		t.show(change{"new e-mail", m.CustomerID, m.Version, ""})
	}
}

// fromTo names the cities of a change; only the new one where it stays within it.
func fromTo(before, after schemas.Residence) string {
	b, a := before.Address, after.Address
	if b.City == a.City && b.Country == a.Country {
		return "in " + a.City + " " + a.Country
	}
	return b.City + " " + b.Country + " → " + a.City + " " + a.Country
}

const shown = 8

func (t *tracker) show(c change) {
	t.last = append(t.last, c)
	if len(t.last) > shown {
		t.last = t.last[len(t.last)-shown:]
	}
}

// open is how many commands have no outcome yet, and the first problem found so far.
func (t *tracker) open() (open int, problem error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.seen {
		switch n := t.commands[id]; {
		case n == 0:
			open++
		case n > 1:
			problem = fmt.Errorf("command %s has %d outcomes", id, n)
		}
	}
	return open, problem
}

var errTimeout = errors.New("the system did not answer everything in time")

// waitAnswered returns when as many commands as were sent have been seen and each has an outcome.
func (t *tracker) waitAnswered(ctx context.Context, sent func() int, limit time.Duration) error {
	return poll(ctx, limit, func() bool {
		open, _ := t.open()
		t.mu.Lock()
		defer t.mu.Unlock()
		return open == 0 && len(t.seen) >= sent()
	})
}

// poll asks until done answers true.
func poll(ctx context.Context, limit time.Duration, done func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return errTimeout
		case <-tick.C:
		}
	}
	return nil
}
