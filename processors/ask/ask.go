// Package ask sends a command and waits for its reply. It knows topics and schemas, no Goka and no business rule: a
// refusal is a reply like any other. A reply is read committed, so what it says has happened.
package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// Errors of Ask and Send.
var (
	// ErrNoReply says that the time ran out before the reply came. The command may be in the log and will then get its
	// one outcome: asking again with the same command id is safe and gets it.
	ErrNoReply = errors.New("no reply yet")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrNoTopic says that a topic does not exist on the cluster.
	ErrNoTopic = errors.New("the topic does not exist")
)

// Config says which service to ask.
type Config struct {
	Client   []kgo.Opt // seeds, TLS, SASL
	IDs      schemas.IDs
	Commands topics.Topic
	Replies  topics.Topic
}

// Client asks one service. One client serves many callers at once: it has one reply address, and replies find their
// caller by command id.
type Client struct {
	cl       *kgo.Client
	commands *schemas.Codec
	replies  *schemas.Codec
	cfg      Config
	address  string
	done     chan struct{}

	mu      sync.Mutex
	waiting map[string]chan schemas.ReplyFields
}

// New connects and positions itself at the end of its partition of the replies, so that no reply to a command sent
// later can be missed. ErrNoTopic, or what the cluster answered.
func New(ctx context.Context, cfg Config) (*Client, error) {
	commands, err := schemas.NewCodec(cfg.Commands.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("schemas of %s: %w", cfg.Commands.Name, err)
	}
	replies, err := schemas.NewCodec(cfg.Replies.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("schemas of %s: %w", cfg.Replies.Name, err)
	}
	opts := append([]kgo.Opt{}, cfg.Client...)
	opts = append(
		opts,
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2, the rule of topics.Partition
		kgo.ProducerLinger(0),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{
		cl: cl, commands: commands, replies: replies, cfg: cfg,
		address: "ask-" + uuid.NewString(), done: make(chan struct{}), waiting: map[string]chan schemas.ReplyFields{},
	}
	if err := c.listen(ctx); err != nil {
		cl.Close()
		return nil, err
	}
	go c.run() //nolint:contextcheck // ctx is New's; the client lives until Close
	return c, nil
}

// listen assigns the partition of the reply address, from its end.
func (c *Client) listen(ctx context.Context) error {
	ends, err := kadm.NewClient(c.cl).ListEndOffsets(ctx, c.cfg.Replies.Name)
	if err != nil {
		return fmt.Errorf("end of %s: %w", c.cfg.Replies.Name, err)
	}
	n := len(ends[c.cfg.Replies.Name])
	switch err := ends.Error(); {
	case n == 0 || errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("%w: %s; create it with: utopia topics apply", ErrNoTopic, c.cfg.Replies.Name)
	case err != nil:
		return fmt.Errorf("end of %s: %w", c.cfg.Replies.Name, err)
	}
	p := topics.Partition(c.address, int32(n)) //nolint:gosec // a partition count
	end, _ := ends.Lookup(c.cfg.Replies.Name, p)
	c.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{
		c.cfg.Replies.Name: {p: kgo.NewOffset().At(end.Offset)},
	})
	return nil
}

func (c *Client) run() {
	defer close(c.done)
	for {
		fetches := c.cl.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Key) != c.address {
				return
			}
			rec, err := c.replies.Decode(r.Value)
			if err != nil {
				return // another service's reply, or one newer than this code: its caller is not here
			}
			if reply, ok := rec.(schemas.Reply); ok {
				c.deliver(*reply.Fields())
			}
		})
	}
}

func (c *Client) deliver(f schemas.ReplyFields) {
	c.mu.Lock()
	ch := c.waiting[f.CommandID]
	delete(c.waiting, f.CommandID)
	c.mu.Unlock()
	if ch != nil {
		ch <- f
	}
}

// Ask sends cmd to the aggregate key and waits for its reply until ctx ends. A command without an id gets a new one
// (UUIDv7); its reply address is set. The reply may be a refusal. ErrNoReply, or why the command was not stored.
func (c *Client) Ask(ctx context.Context, key string, cmd schemas.Command) (schemas.ReplyFields, error) {
	meta := cmd.Metadata()
	meta.ReplyTo = c.address
	identify(meta)
	ch := make(chan schemas.ReplyFields, 1)
	c.mu.Lock()
	c.waiting[meta.CommandID] = ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, meta.CommandID)
		c.mu.Unlock()
	}()
	sent, err := c.produce(ctx, key, cmd)
	if err != nil {
		return schemas.ReplyFields{}, err
	}
	for {
		select {
		case f := <-ch:
			return f, nil
		case err := <-sent:
			if err != nil {
				return schemas.ReplyFields{}, err
			}
			sent = nil
		case <-ctx.Done():
			return schemas.ReplyFields{}, fmt.Errorf("%w to command %s: %w", ErrNoReply, meta.CommandID, ctx.Err())
		case <-c.done:
			return schemas.ReplyFields{}, ErrClosed
		}
	}
}

// Send stores cmd in the log and does not wait for its outcome. It returns once the cluster has acknowledged it.
func (c *Client) Send(ctx context.Context, key string, cmd schemas.Command) error {
	identify(cmd.Metadata())
	sent, err := c.produce(ctx, key, cmd)
	if err != nil {
		return err
	}
	select {
	case err := <-sent:
		return err
	case <-ctx.Done(): // a produce can outlive its context when the broker is gone
		return fmt.Errorf("%s: %w", c.cfg.Commands.Name, ctx.Err())
	}
}

func identify(meta *schemas.Metadata) {
	if meta.CommandID == "" {
		meta.CommandID = uuid.Must(uuid.NewV7()).String()
	}
}

func (c *Client) produce(ctx context.Context, key string, cmd schemas.Command) (<-chan error, error) {
	value, err := c.commands.Append(nil, cmd)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", cmd.AvroName(), err)
	}
	sent := make(chan error, 1)
	c.cl.Produce(ctx, &kgo.Record{Topic: c.cfg.Commands.Name, Key: []byte(key), Value: value}, func(_ *kgo.Record, err error) {
		switch {
		case errors.Is(err, kgo.ErrClientClosed):
			err = ErrClosed
		case err != nil:
			err = fmt.Errorf("produce to %s: %w", c.cfg.Commands.Name, err)
		}
		sent <- err
	})
	return sent, nil
}

// Close ends the client. Callers still waiting get ErrClosed.
func (c *Client) Close() {
	c.cl.Close()
	<-c.done
}
