package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"utopia/cmd/internal/feed"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// Views are complete copies of the public states; each gateway has its own, so that any of them answers any query.
type Views struct {
	Customers     *processors.View[*schemas.CustomerState]
	Billing       *processors.View[*schemas.BillingState]
	Notifications *processors.View[*schemas.NotificationState]
	Mails         *processors.View[*schemas.MailState]
	Webhooks      *processors.View[*schemas.WebhookState]
}

// OpenViews makes all views; they are not run.
func OpenViews(o processors.ViewOptions) (v Views, err error) {
	if v.Customers, err = processors.NewCustomerView(o); err != nil {
		return v, err
	}
	if v.Billing, err = processors.NewBillingView(o); err != nil {
		return v, err
	}
	if v.Notifications, err = processors.NewNotificationView(o); err != nil {
		return v, err
	}
	if v.Mails, err = processors.NewMailView(o); err != nil {
		return v, err
	}
	v.Webhooks, err = processors.NewWebhookView(o)
	return v, err
}

// named is a view without its rows' type.
type named struct {
	name, topic string
	view        *eos.View
}

func (v Views) all() []named {
	return []named{
		{topics.Customer, topics.CustomerState.Name, v.Customers.View},
		{topics.Billing, topics.BillingState.Name, v.Billing.View},
		{topics.Notification, topics.NotificationState.Name, v.Notifications.View},
		{topics.Mail, topics.MailState.Name, v.Mails.View},
		{topics.Webhook, topics.WebhookState.Name, v.Webhooks.View},
	}
}

func (v Views) run(ctx context.Context, group *errgroup.Group) {
	for _, one := range v.all() {
		group.Go(func() error {
			if err := one.view.Run(ctx); err != nil {
				return fmt.Errorf("%s view: %w", one.name, err)
			}
			return nil
		})
	}
}

func (v Views) ready() error {
	for _, one := range v.all() {
		if !one.view.Ready() {
			p := one.view.Progress()
			return fmt.Errorf("the %s view has read %d of %d records", one.name, p.Records, p.Of)
		}
	}
	return nil
}

// copies say what the views and the feed read next, by topic.
func copies(v Views, changes *feed.Feed) map[string]func() map[int32]int64 {
	all := map[string]func() map[int32]int64{topics.CustomerChanges.Name: changes.Next}
	for _, one := range v.all() {
		all[one.topic] = one.view.Next
	}
	return all
}

const (
	freshEvery = 200 * time.Millisecond
	// goneAfter is for how long the cluster may be silent before commands are refused.
	goneAfter = 3 * time.Second
)

// freshness knows, of each view, up to which moment it has everything that was committed, and when the cluster last answered.
type freshness struct {
	views   []*watched
	contact atomic.Int64 // Unix nanoseconds
}

type watched struct {
	name, topic string
	reached     func(map[int32]int64) bool

	asOf atomic.Int64 // Unix nanoseconds; 0: never

	target map[int32]int64 // what it must have read to be as of at; nil: reached
	at     time.Time
}

// changesName is under what the freshness of the feed is known.
const changesName = "customer changes"

func newFreshness(v Views, changes *feed.Feed) *freshness {
	f := &freshness{views: []*watched{{name: changesName, topic: topics.CustomerChanges.Name, reached: changes.Reached}}}
	for _, one := range v.all() {
		f.views = append(f.views, &watched{name: one.name, topic: one.topic, reached: one.view.Reached})
	}
	return f
}

// run asks the cluster again and again how far the logs are committed.
func (f *freshness) run(ctx context.Context, client []kgo.Opt, log *slog.Logger) error {
	cl, err := kafkaclient.New(ctx, client...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl.Client)
	silent := false
	for {
		err := f.look(ctx, adm)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != silent {
			silent = err != nil
			if silent {
				log.Warn("the cluster does not answer; queries are answered with what was read before", slog.Any("error", err))
			} else {
				log.Info("the cluster answers")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.pause()):
		}
	}
}

// pause is how long to wait for the next look: a moment until each age is known.
func (f *freshness) pause() time.Duration {
	if !f.known() {
		return freshEvery / 20
	}
	return freshEvery
}

// known says whether the age of every answer is.
func (f *freshness) known() bool {
	for _, w := range f.views {
		if w.asOf.Load() == 0 {
			return false
		}
	}
	return true
}

func (f *freshness) look(ctx context.Context, adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var names []string
	for _, w := range f.views {
		names = append(names, w.topic)
	}
	began := time.Now()
	ends, err := adm.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	f.contact.Store(began.UnixNano())
	for _, w := range f.views {
		if w.target == nil { // an older one that is not reached yet comes first: a view that lags would never be asked twice
			w.target, w.at = map[int32]int64{}, began
			for p, end := range ends[w.topic] {
				w.target[p] = end.Offset
			}
		}
		if w.reached(w.target) {
			w.asOf.Store(w.at.UnixNano())
			w.target = nil
		}
	}
	return nil
}

// age returns for how long the view may have missed what was committed; false if nothing is known.
func (f *freshness) age(name string, now time.Time) (time.Duration, bool) {
	for _, w := range f.views {
		if w.name == name {
			at := w.asOf.Load()
			return max(0, now.Sub(time.Unix(0, at))), at != 0
		}
	}
	return 0, false
}

// reachable says whether the cluster has answered lately.
func (f *freshness) reachable(now time.Time) bool {
	return now.Sub(time.Unix(0, f.contact.Load())) < goneAfter
}
