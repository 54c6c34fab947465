package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// stream is an open loop of commands to the customer service: each is sent at its time, however far the service is. An
// answer is matched with its command by the order of the customer, which every contender keeps.
type stream struct {
	br     *broker
	course *course
	sender *kgo.Client
	reader *kgo.Client

	mu      sync.Mutex
	waiting map[string][]time.Time // by key: when the commands without an answer were to be sent; zero: before the loop
	sent    int
	heard   int
	failed  error
}

// arrival is an answered command.
type arrival struct {
	intended  time.Time
	took      time.Duration
	partition int32
}

// newStream reads answers from a topic: the replies, or the commands themselves for the plain produce-consume loop.
func newStream(br *broker, l life, answers string) (*stream, error) {
	c, err := l.begin()
	if err != nil {
		return nil, err
	}
	st := &stream{br: br, course: c, waiting: map[string][]time.Time{}}
	st.sender, err = kgo.NewClient(
		kgo.SeedBrokers(br.address), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(500_000), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if err != nil {
		return nil, fmt.Errorf("open a sender: %w", err)
	}
	st.reader, err = kgo.NewClient(
		kgo.SeedBrokers(br.address), kgo.ConsumeTopics(answers), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		st.sender.Close()
		return nil, fmt.Errorf("open a reader: %w", err)
	}
	return st, nil
}

func (st *stream) close() {
	st.sender.Close()
	st.reader.Close()
}

// send makes the next command and sends it; intended is when that was to happen.
func (st *stream) send(ctx context.Context, intended time.Time) error {
	r, err := st.course.next()
	if err != nil {
		return err
	}
	st.mu.Lock()
	st.waiting[string(r.Key)] = append(st.waiting[string(r.Key)], intended)
	st.sent++
	err = st.failed
	st.mu.Unlock()
	st.sender.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			st.mu.Lock()
			st.failed = errors.Join(st.failed, err)
			st.mu.Unlock()
		}
	})
	return err
}

// backlog sends n commands at once, for warming up.
func (st *stream) backlog(ctx context.Context, n int) error {
	for range n {
		if err := st.send(ctx, time.Time{}); err != nil {
			return err
		}
	}
	return st.sender.Flush(ctx)
}

// run sends at the times of the schedule, as long as more says so, and returns how late it was itself.
func (st *stream) run(ctx context.Context, rate int, more func(elapsed time.Duration) bool) ([]time.Duration, error) {
	var late []time.Duration
	start, gap := time.Now().Add(10*time.Millisecond), time.Second/time.Duration(rate)
	for i := 0; more(time.Duration(i) * gap); i++ {
		intended := start.Add(time.Duration(i) * gap)
		if wait := time.Until(intended); wait > 0 {
			time.Sleep(wait)
		}
		late = append(late, time.Since(intended))
		if err := st.send(ctx, intended); err != nil {
			return late, err
		}
	}
	return late, st.sender.Flush(ctx)
}

// receive takes answers until every command that was sent has one and sent is closed. One that no command waits for makes
// the run void.
func (st *stream) receive(ctx context.Context, sent <-chan struct{}) ([]arrival, error) {
	var all []arrival
	for {
		over := isClosed(sent) // asked before the count: what is sent after that is counted then
		if st.answered() && over {
			return all, nil
		}
		if ctx.Err() != nil {
			return all, fmt.Errorf("answers are missing: %w", ctx.Err())
		}
		soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := st.reader.PollFetches(soon)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return all, fmt.Errorf("read answers: %w", err)
		}
		var err error
		if all, err = st.match(fetches, all); err != nil {
			return all, err
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (st *stream) answered() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sent == st.heard
}

// match finds the commands that were answered.
func (st *stream) match(fetches kgo.Fetches, all []arrival) ([]arrival, error) {
	now := time.Now()
	st.mu.Lock()
	defer st.mu.Unlock()
	var bad error
	fetches.EachRecord(func(r *kgo.Record) {
		key := string(r.Key)
		queue := st.waiting[key]
		if len(queue) == 0 {
			bad = fmt.Errorf("%w: an answer came twice or from nowhere", errVoid)
			return
		}
		st.waiting[key] = queue[1:]
		st.heard++
		if intended := queue[0]; !intended.IsZero() {
			all = append(all, arrival{intended, now.Sub(intended), topics.Partition(key, st.br.partitions)})
		}
	})
	return all, bad
}

// both sends and receives side by side.
func (st *stream) both(ctx context.Context, rate int, more func(elapsed time.Duration) bool) ([]arrival, []time.Duration, error) {
	sent := make(chan struct{})
	var late []time.Duration
	var failed error
	go func() {
		defer close(sent)
		late, failed = st.run(ctx, rate, more)
	}()
	arrived, err := st.receive(ctx, sent)
	<-sent
	return arrived, late, errors.Join(err, failed)
}

// lasting is a schedule of a fixed length.
func lasting(d time.Duration) func(time.Duration) bool {
	return func(elapsed time.Duration) bool { return elapsed < d }
}
