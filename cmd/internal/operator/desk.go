// Package operator is what people who look after the system do by hand, and the record of who did what and why. A dead letter is
// decided once: it is sent again, or dropped, in one transaction with the record that says so. Commands of operators are noted before
// they are sent.
//
// It knows neither HTTP nor who may do what, and it decides nothing about customers.
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/access"
	"utopia/cmd/internal/cluster"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// What can be done to a dead letter.
const (
	Retry = "RetryDeadLetter"
	Drop  = "DropDeadLetter"
)

// maxReason is the longest reason, in characters.
const maxReason = 200

var (
	// ErrReason says that a reason is none.
	ErrReason = fmt.Errorf("a reason is 1 to %d characters in one line", maxReason)
	// ErrDecided says that a dead letter has been decided otherwise. A decision is final.
	ErrDecided = errors.New("the dead letter has been decided")
	// ErrUnsettled says that nobody knows whether the cluster has committed what was asked for. Asking again is safe: it gets what was
	// committed, or does it.
	ErrUnsettled = errors.New("the cluster has not said whether it is committed")
)

// Who acts, and why.
type Who struct {
	Name, Role string
	Reason     string
}

// By is a caller of the API or somebody who looks at a page.
func By(c access.Caller, reason string) Who {
	if c.Open {
		return Who{c.Name, "development", reason} // the role does not say what they may do
	}
	return Who{c.Name, string(c.Role), reason}
}

// Action is something that was done, and where the record of it is.
type Action struct {
	schemas.OperatorAction
	At        time.Time // the broker's
	Partition int32
	Offset    int64
	Repeat    bool // it had been done before
}

// decides says whether a is a decision about a dead letter. Other actions may have its name for a target: whatever was asked for is noted.
func (a Action) decides() bool { return a.Action == Retry || a.Action == Drop }

// Config of a desk or an index. Client and IDs are required.
type Config struct {
	Client []kgo.Opt
	IDs    schemas.IDs
	Logger *slog.Logger // nil: silent
}

// Desk is where operators act. It is safe for concurrent use.
type Desk struct {
	cfg   Config
	codec *schemas.Codec
	turn  chan struct{} // one decision at a time: those of one process need not fence each other

	mu    sync.Mutex
	notes *kafkaclient.Client // made by the first note
}

// New makes a desk; nothing is connected before somebody acts.
func New(cfg Config) (*Desk, error) {
	codec, err := schemas.NewCodec(topics.OperatorActions.Name, cfg.IDs)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return &Desk{cfg: cfg, codec: codec, turn: make(chan struct{}, 1)}, nil
}

// ParseReason returns a reason without the space around it. ErrReason.
func ParseReason(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
		return "", ErrReason
	}
	return text, nil
}

// noteWithin is how long the cluster may take to acknowledge a note.
const noteWithin = 5 * time.Second

// Note returns when the cluster has acknowledged that somebody asks for something: whoever calls it does it after that, or not at all.
func (d *Desk) Note(ctx context.Context, who Who, action, target, command string) error {
	cl, err := d.noting(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noteWithin)
	defer cancel()
	n, err := cluster.PartitionCount(ctx, d.cfg.Client, topics.OperatorActions.Name)
	if err != nil {
		return err
	}
	r, err := d.record(n, schemas.OperatorAction{
		Target: target, Action: action, Caller: who.Name, Role: who.Role, Reason: who.Reason, Outcome: schemas.ActionAsked, CommandID: command,
	})
	if err != nil {
		return err
	}
	return produce(ctx, cl.Client, r)
}

func (d *Desk) noting(ctx context.Context) (*kafkaclient.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.notes != nil {
		return d.notes, nil
	}
	cl, err := kafkaclient.New(context.WithoutCancel(ctx), append(append([]kgo.Opt{}, d.cfg.Client...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(noteWithin))...)
	if err != nil {
		return nil, err
	}
	d.notes = cl
	return cl, nil
}

// Close ends the connection that notes need. Nothing is noted after it.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.notes != nil {
		d.notes.Close()
	}
}

// record makes the record of an action, for a topic of n partitions.
func (d *Desk) record(n int32, a schemas.OperatorAction) (*kgo.Record, error) {
	value, err := d.codec.Append(nil, &a)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", a.AvroName(), err)
	}
	return &kgo.Record{Topic: topics.OperatorActions.Name, Partition: topics.Partition(a.Target, n), Key: []byte(a.Target), Value: value}, nil
}

// produce waits for the acknowledgement of one record, no longer than ctx: a produce can outlive its context when the broker is gone.
func produce(ctx context.Context, cl *kgo.Client, r *kgo.Record) error {
	done := make(chan error, 1)
	cl.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("produce to %s: %w", r.Topic, err)
	}
	return nil
}
