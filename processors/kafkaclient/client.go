// Package kafkaclient makes franz-go clients that end in time.
package kafkaclient

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// goodbye is how long brokers have to answer the last requests of a client that ends.
const goodbye = time.Second

// Client is a [kgo.Client] that does not wait long for a broker when it ends.
//
// A request of kgo's waits for its connection to be made, and for the requests before it there, whatever its own context says. So do the requests that
// end fetch sessions and leave groups, with which kgo's Close begins. With a broker that does not answer that takes 10 to 20 seconds, longer than a
// service has to stop.
type Client struct {
	*kgo.Client
	abandon context.CancelFunc // ends its life
}

// New makes a client, as [kgo.NewClient] does, that lives until it is closed, or a second longer than ctx: then what is under way fails.
func New(ctx context.Context, opts ...kgo.Opt) (*Client, error) {
	life, abandon := context.WithCancel(context.WithoutCancel(ctx))
	client, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.WithContext(life))...)
	if err != nil {
		abandon()
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	c := &Client{Client: client, abandon: abandon}
	c.EndAfter(ctx, goodbye)
	return c, nil
}

// EndAfter ends what is under way, and all that comes later, when ctx has ended for d.
func (c *Client) EndAfter(ctx context.Context, d time.Duration) {
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(d, c.abandon) })
	context.AfterFunc(c.Context(), func() { forget() }) //nolint:contextcheck // the client's own, which may end first
}

// Close says goodbye to the brokers and ends the client, within about a second. What is still under way then fails.
func (c *Client) Close() {
	late := time.AfterFunc(goodbye, c.abandon)
	defer late.Stop()
	c.CloseAllowingRebalance()
	c.abandon()
}

// Abandon ends the client without a word: what is under way fails at once, and the group is not left.
func (c *Client) Abandon() {
	c.abandon()
	c.CloseAllowingRebalance()
}
