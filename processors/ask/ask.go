// Package ask sends a command and waits for its reply. It knows topics and schemas, no Goka and no business rule: a
// refusal is a reply like any other. A reply is read committed, so what it says has happened.
package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// Errors of Ask, Begin and Send.
var (
	// ErrNoReply says that the time ran out before the reply came. The command may be in the log and will then get its
	// one outcome: asking again with the same command id is safe and gets it.
	ErrNoReply = errors.New("no reply yet")
	// ErrNotStored says that the time ran out before the cluster had acknowledged the command. Nobody knows whether it is in
	// the log; asking again with the same command id is safe. It is an ErrNoReply too.
	ErrNotStored = fmt.Errorf("%w, and the cluster has not acknowledged the command", ErrNoReply)
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

	// Remember is how many outcomes are kept for Outcome, the newest, whoever asked for them; 0 keeps none. With it the client
	// reads all partitions of the replies, from Back before now on.
	Remember int
	Back     time.Duration
}

// Client asks one service. One client serves many callers at once: it has one reply address, and a reply finds its caller
// by where the command is in the log.
type Client struct {
	cl       *kafkaclient.Client
	commands *schemas.Codec
	replies  *schemas.Codec
	cfg      Config
	address  string
	done     chan struct{}

	mu      sync.Mutex
	waiting map[string][]*Question // by command id
	memory  *memory                // nil: nothing is remembered
}

// New connects and positions itself at the end of the replies, so that no reply to a command sent later can be missed.
// ErrNoTopic, or what the cluster answered.
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
		kgo.KeepControlRecords(), // markers tell how far reading back has come
	)
	cl, err := kafkaclient.New(context.WithoutCancel(ctx), opts...)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cl: cl, commands: commands, replies: replies, cfg: cfg,
		address: "ask-" + uuid.NewString(), done: make(chan struct{}), waiting: map[string][]*Question{},
	}
	if err := c.listen(ctx); err != nil {
		cl.Close()
		return nil, err
	}
	go c.run() //nolint:contextcheck // ctx is New's; the client lives until Close
	return c, nil
}

func (c *Client) run() {
	defer close(c.done)
	late := lateReplies{read: c.read}
	for {
		fetches := late.poll(c.cl.Client)
		if fetches.IsClientClosed() {
			return
		}
		late.take(fetches.Records())
	}
}

// read takes one record; false: its schema cannot be looked up now, or nobody waits for anything any more.
func (c *Client) read(r *kgo.Record) bool {
	if c.cl.Context().Err() != nil {
		return false
	}
	mine := string(r.Key) == c.address
	if !r.Attrs.IsControl() && (mine || c.memory != nil) {
		rec, err := c.replies.Decode(r.Value)
		if errors.Is(err, schemas.ErrRegistryDown) {
			return false
		}
		// Not a reply: another service's, or one newer than this code: its caller is not here.
		if reply, ok := rec.(schemas.Reply); ok && err == nil {
			c.take(reply, r.Timestamp, mine)
		}
	}
	if c.memory != nil {
		c.memory.reached(r.Partition, r.Offset+1)
	}
	return true
}

func (c *Client) take(reply schemas.Reply, at time.Time, mine bool) {
	if c.memory != nil {
		c.memory.add(*reply.Fields(), at)
	}
	if mine {
		c.deliver(*reply.Fields())
	}
}

// Question is a command that is on its way. Its Reply is asked for once.
type Question struct {
	c    *Client
	id   string
	key  string
	got  chan schemas.ReplyFields
	sent chan error // the answer to the produce request

	// Under the client's lock:
	known     bool // where the command is
	partition int32
	offset    int64
	early     []schemas.ReplyFields // came before that was known
}

// Answers tells whether a reply is about the command at a place of its topic: the same id may be asked at the same time by others,
// and with another body. A record that was sent on to its right partition is answered from there.
func Answers(f schemas.ReplyFields, partition int32, offset int64) bool {
	return f.Partition != partition || f.Offset == offset
}

func (c *Client) deliver(f schemas.ReplyFields) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.waiting[f.CommandID] {
		switch {
		case q.key != f.Key:
		case !q.known:
			q.early = append(q.early, f)
		case Answers(f, q.partition, q.offset):
			q.give(f)
		}
	}
}

func (q *Question) give(f schemas.ReplyFields) {
	select {
	case q.got <- f:
	default: // has one
	}
}

// stored notes where the command is.
func (q *Question) stored(partition int32, offset int64) {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	q.known, q.partition, q.offset = true, partition, offset
	for _, f := range q.early {
		if Answers(f, q.partition, q.offset) {
			q.give(f)
		}
	}
	q.early = nil
}

// Ask sends cmd to the aggregate key and waits for its reply until ctx ends. A command without an id gets a new one
// (UUIDv7); its reply address is set. The reply may be a refusal. ErrNoReply, or why the command was not stored.
func (c *Client) Ask(ctx context.Context, key string, cmd schemas.Command) (schemas.ReplyFields, error) {
	q, err := c.Begin(ctx, key, cmd)
	if err != nil {
		return schemas.ReplyFields{}, err
	}
	defer q.Close()
	return q.Reply(ctx)
}

// Begin stores cmd as Ask does and returns when the cluster has acknowledged it. ErrNotStored, ErrClosed, or why the command
// cannot be stored. The question must be closed.
func (c *Client) Begin(ctx context.Context, key string, cmd schemas.Command) (*Question, error) {
	meta := cmd.Metadata()
	meta.ReplyTo = c.address
	Identify(meta)
	q := &Question{c: c, id: meta.CommandID, key: key, got: make(chan schemas.ReplyFields, 1), sent: make(chan error, 1)}
	c.mu.Lock()
	c.waiting[q.id] = append(c.waiting[q.id], q)
	c.mu.Unlock()
	err := c.produce(ctx, key, cmd, func(r *kgo.Record, err error) {
		if err == nil {
			q.stored(r.Partition, r.Offset)
		}
		q.sent <- err
	})
	if err == nil {
		select {
		case err = <-q.sent:
		case <-ctx.Done(): // a produce can outlive its context when the broker is gone
			err = fmt.Errorf("%w: command %s: %w", ErrNotStored, q.id, ctx.Err())
		case <-c.done:
			err = ErrClosed
		}
	}
	if err == nil {
		return q, nil
	}
	q.Close()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrNotStored) {
		err = fmt.Errorf("%w: command %s: %w", ErrNotStored, q.id, err)
	}
	return nil, err
}

// Input is where the command is: its partition and offset, which its answer names.
func (q *Question) Input() (partition int32, offset int64) {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	return q.partition, q.offset
}

// Reply waits until ctx ends. ErrNoReply, ErrClosed.
func (q *Question) Reply(ctx context.Context) (schemas.ReplyFields, error) {
	select {
	case f := <-q.got:
		return f, nil
	default:
	}
	select {
	case f := <-q.got:
		return f, nil
	case <-ctx.Done():
		return schemas.ReplyFields{}, fmt.Errorf("%w to command %s: %w", ErrNoReply, q.id, ctx.Err())
	case <-q.c.done:
		return schemas.ReplyFields{}, ErrClosed
	}
}

// Close ends the waiting.
func (q *Question) Close() {
	q.c.mu.Lock()
	defer q.c.mu.Unlock()
	left := q.c.waiting[q.id][:0:0]
	for _, other := range q.c.waiting[q.id] {
		if other != q {
			left = append(left, other)
		}
	}
	if len(left) == 0 {
		delete(q.c.waiting, q.id)
		return
	}
	q.c.waiting[q.id] = left
}

// Send stores cmd in the log and does not wait for its outcome. It returns once the cluster has acknowledged it.
func (c *Client) Send(ctx context.Context, key string, cmd schemas.Command) error {
	Identify(cmd.Metadata())
	sent := make(chan error, 1)
	if err := c.produce(ctx, key, cmd, func(_ *kgo.Record, err error) { sent <- err }); err != nil {
		return err
	}
	select {
	case err := <-sent:
		return err
	case <-ctx.Done(): // a produce can outlive its context when the broker is gone
		return fmt.Errorf("%s: %w", c.cfg.Commands.Name, ctx.Err())
	}
}

// Identify gives a command without an id a new one (UUIDv7).
func Identify(meta *schemas.Metadata) {
	if meta.CommandID == "" {
		meta.CommandID = uuid.Must(uuid.NewV7()).String()
	}
}

func (c *Client) produce(ctx context.Context, key string, cmd schemas.Command, done func(*kgo.Record, error)) error {
	value, err := c.commands.Append(nil, cmd)
	if err != nil {
		return fmt.Errorf("encode %s: %w", cmd.AvroName(), err)
	}
	c.cl.Produce(ctx, &kgo.Record{Topic: c.cfg.Commands.Name, Key: []byte(key), Value: value}, func(r *kgo.Record, err error) {
		switch {
		case errors.Is(err, kgo.ErrClientClosed):
			err = ErrClosed
		case err != nil:
			err = fmt.Errorf("produce to %s: %w", c.cfg.Commands.Name, err)
		}
		done(r, err)
	})
	return nil
}

// Close ends the client. Callers still waiting get ErrClosed.
func (c *Client) Close() {
	c.cl.Close()
	<-c.done
}
