package eos

import (
	"context"
	"sync"

	"github.com/IBM/sarama"
)

// group is the sarama.ConsumerGroup that Goka runs in. Consume returns only when the processor stops: it calls Setup and Cleanup itself for every
// assignment, because Goka sleeps for five seconds each time Consume returns.
type group struct {
	p      *Processor
	stop   context.Context    // ends when the processor is to finish
	done   context.CancelFunc // ends Goka
	errs   chan error
	closed sync.Once
}

var _ sarama.ConsumerGroup = (*group)(nil)

// Consume implements sarama.ConsumerGroup. Goka's own context outlives stop, so that the transaction at hand can be finished.
func (c *group) Consume(_ context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	defer c.done()
	l, release := newLoop(c.stop, c.p, handler) //nolint:contextcheck // Goka's context ends only when the loop has.
	defer release()
	l.run() //nolint:contextcheck // A poll without a context is one that does not wait.
	return nil
}

// Errors implements sarama.ConsumerGroup. The loop deals with its errors itself.
func (c *group) Errors() <-chan error { return c.errs }

// Close implements sarama.ConsumerGroup.
func (c *group) Close() error {
	c.closed.Do(func() { close(c.errs) })
	return nil
}

// Pause implements sarama.ConsumerGroup. Goka does not call it.
func (*group) Pause(map[string][]int32) {}

// Resume implements sarama.ConsumerGroup. Goka does not call it.
func (*group) Resume(map[string][]int32) {}

// PauseAll implements sarama.ConsumerGroup. Goka does not call it.
func (*group) PauseAll() {}

// ResumeAll implements sarama.ConsumerGroup. Goka does not call it.
func (*group) ResumeAll() {}
