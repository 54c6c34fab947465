package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
)

// ErrAway says that the cluster does not answer, or the feed has not reached it yet.
var ErrAway = errors.New("the log cannot be read now")

// readersAtOnce is how many bounded reads go on at a time, each with up to responseBytes of the log in memory; others wait.
const readersAtOnce = 8

// source reads bounded pieces of the topic, from positions that callers name.
type source struct {
	topic string
	codec *schemas.Codec
	slots chan struct{}

	mu     sync.Mutex
	client *kafkaclient.Client // nil: not connected
	facts  facts
}

// facts are what is known of the topic.
type facts struct {
	known   bool
	id      kadm.TopicID
	leaders []int32 // by partition
}

func (f facts) tag() (t tag) {
	copy(t[:], f.id[:])
	return t
}

func newSource(topic string, ids schemas.IDs) (*source, error) {
	codec, err := schemas.NewCodec(topic, ids)
	if err != nil {
		return nil, err
	}
	return &source{topic: topic, codec: codec, slots: make(chan struct{}, readersAtOnce)}, nil
}

// connect makes the source usable until the returned function is called, or shortly after ctx ends.
func (s *source) connect(ctx context.Context, opts []kgo.Opt) (disconnect func(), err error) {
	client, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
	return func() {
		s.mu.Lock()
		s.client = nil
		s.mu.Unlock()
		client.Close()
	}, nil
}

// kafka is the client; ErrAway while there is none.
func (s *source) kafka() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil, ErrAway
	}
	return s.client.Client, nil
}

func (s *source) admin() (*kadm.Client, error) {
	client, err := s.kafka()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// look asks what the topic is.
func (s *source) look(ctx context.Context) (facts, error) {
	admin, err := s.admin()
	if err != nil {
		return facts{}, err
	}
	all, err := admin.ListTopics(ctx, s.topic)
	if err != nil {
		return facts{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
	detail := all[s.topic]
	if err := detail.Err; err != nil {
		return facts{}, fmt.Errorf("%w: topic %s: %w", ErrAway, s.topic, err)
	}
	f := facts{known: true, id: detail.ID, leaders: make([]int32, len(detail.Partitions))}
	for i := range f.leaders {
		p, ok := detail.Partitions[int32(i)]
		if !ok || p.Leader < 0 {
			return facts{}, fmt.Errorf("%w: partition %d of %s has no leader", ErrAway, i, s.topic)
		}
		f.leaders[i] = p.Leader
	}
	if len(f.leaders) == 0 {
		return facts{}, fmt.Errorf("%w: topic %s has no partitions", ErrAway, s.topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = f
	return f, nil
}

// current is what is known of the topic, asked for if nothing is.
func (s *source) current(ctx context.Context) (facts, error) {
	s.mu.Lock()
	f := s.facts
	s.mu.Unlock()
	if f.known {
		return f, nil
	}
	return s.look(ctx)
}

// which offsets of the log to ask for.
type which func(context.Context, *kadm.Client) (kadm.ListedOffsets, error)

// offsets asks for one offset of each partition.
func (s *source) offsets(ctx context.Context, partitions int, list which) (Position, error) {
	admin, err := s.admin()
	if err != nil {
		return nil, err
	}
	listed, err := list(ctx, admin)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	p := make(Position, partitions)
	for i := range p {
		one, ok := listed[s.topic][int32(i)] //nolint:gosec // partitions are few
		if !ok {
			return nil, fmt.Errorf("%w: no offset of partition %d", ErrAway, i)
		}
		p[i] = one.Offset
	}
	return p, nil
}

// oldest is the position before the oldest record that is kept.
func (s *source) oldest(ctx context.Context, partitions int) (Position, error) {
	return s.offsets(ctx, partitions, func(ctx context.Context, admin *kadm.Client) (kadm.ListedOffsets, error) {
		return admin.ListStartOffsets(ctx, s.topic)
	})
}

// newest is the position after everything that is committed.
func (s *source) newest(ctx context.Context, partitions int) (Position, error) {
	return s.offsets(ctx, partitions, func(ctx context.Context, admin *kadm.Client) (kadm.ListedOffsets, error) {
		return admin.ListCommittedOffsets(ctx, s.topic)
	})
}

// since is the position before the first record that came at or after a moment.
func (s *source) since(ctx context.Context, at time.Time, partitions int) (Position, error) {
	return s.offsets(ctx, partitions, func(ctx context.Context, admin *kadm.Client) (kadm.ListedOffsets, error) {
		return cluster.OffsetsSince(ctx, admin, s.topic, at)
	})
}

// parse reads a position that a caller has sent. ErrPosition, *GoneError for one of a topic that was made anew.
func (s *source) parse(ctx context.Context, text string) (Position, facts, error) {
	p, t, err := decode(text)
	if err != nil {
		return nil, facts{}, err
	}
	f, err := s.current(ctx)
	if err != nil {
		return nil, facts{}, err
	}
	if t != f.tag() {
		if f, err = s.look(ctx); err != nil {
			return nil, facts{}, err
		}
	}
	if t != f.tag() {
		oldest, err := s.oldest(ctx, len(f.leaders))
		if err != nil {
			return nil, facts{}, err
		}
		return nil, facts{}, &GoneError{Oldest: oldest.encode(f.tag()), Anew: true}
	}
	p, err = p.fit(len(f.leaders))
	return p, f, err
}

// check says whether the log has everything after a position, and whether it has come that far. ErrPosition, *GoneError.
func (s *source) check(ctx context.Context, p Position, f facts) error {
	oldest, err := s.oldest(ctx, len(p))
	if err != nil {
		return err
	}
	if !p.covers(oldest) {
		return &GoneError{Oldest: oldest.encode(f.tag())}
	}
	newest, err := s.newest(ctx, len(p))
	if err != nil {
		return err
	}
	if !newest.covers(p) {
		return fmt.Errorf("%w: the log has not come that far", ErrPosition)
	}
	return nil
}
