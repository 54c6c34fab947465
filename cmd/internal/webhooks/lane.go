package webhooks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/webhook"
	"utopia/schemas"
)

const (
	// firstPause and longestPause are those between attempts, before chance.
	firstPause   = 5 * time.Second
	longestPause = time.Hour
	// reportAfter is how many attempts fail before it is told: what passes at once is no news.
	reportAfter = 3
	// longestWish bounds what a receiver may ask for.
	longestWish = 6 * time.Hour
)

// lane tells one webhook the changes of one partition, one after the other.
type lane struct {
	hook     *schemas.WebhookState // as it was when the lane began; what matters of it does not change while it runs
	part     int32
	pos      schemas.WebhookPosition
	compose  *composer
	caller   caller
	slots    chan struct{} // of the webhook: calls at the same time
	save     func(schemas.WebhookPosition)
	latest   func() *schemas.WebhookState // what is known of the webhook now; nil if it is gone
	report   func(ctx context.Context, w *schemas.WebhookState, r webhook.Record) error
	observed func(code string, since time.Time)
	log      *slog.Logger
}

// handle tells one change, or passes it by. It returns ctx's error when the lane has to end before that is done. Nothing is read
// twice: a record from before the position is another one than was there.
func (l *lane) handle(ctx context.Context, r *kgo.Record) error {
	if r.Offset < l.pos.Offset {
		l.pos = cutOff(l.log, l.pos, r.Offset)
	}
	if r.Attrs.IsControl() {
		l.passed(r.Offset + 1)
		return nil
	}
	ch, err := l.read(ctx, r)
	switch {
	case errors.Is(err, errUntold):
	case err != nil:
		return err
	case wants(l.hook, ch) && tells(l.pos, r.Offset, ch.customer):
		if err := l.tell(ctx, r, ch); err != nil {
			return err
		}
	}
	l.passed(r.Offset + 1)
	return nil
}

// tells says whether a customer's change at an offset is still to be told.
func tells(pos schemas.WebhookPosition, offset int64, customer string) bool {
	return offset >= pos.Offset && (offset >= pos.Until || pos.Only == "" || pos.Only == customer)
}

// passed moves on.
func (l *lane) passed(next int64) {
	l.pos.Offset, l.pos.FailingAt, l.pos.Attempts = next, 0, 0
	if next >= l.pos.Until {
		l.pos.Only, l.pos.Until = "", 0
	}
	l.save(l.pos)
}

// read waits for the registry as long as it takes.
func (l *lane) read(ctx context.Context, r *kgo.Record) (change, error) {
	for {
		ch, err := l.compose.read(r)
		if err == nil || errors.Is(err, errUntold) {
			return ch, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return change{}, err
		}
	}
}

// tell calls until the change is taken. After a day it reports that it gives up, and goes on trying, seldom, until somebody has
// decided: the webhook's state ends the lane.
func (l *lane) tell(ctx context.Context, r *kgo.Record, ch change) error {
	for {
		out, err := l.attempt(ctx, r, ch)
		if err != nil {
			return err
		}
		l.observed(out.code, r.Timestamp)
		if out.taken() {
			l.recovered(ctx)
			return nil
		}
		if l.pos.FailingAt == 0 {
			l.pos.FailingAt = schemas.Millis(time.Now())
		}
		l.pos.Attempts++
		l.save(l.pos)
		l.complain(ctx, out)
		if err := sleep(ctx, l.pause(out)); err != nil {
			return err
		}
	}
}

// attempt calls once, when it is its turn.
func (l *lane) attempt(ctx context.Context, r *kgo.Record, ch change) (outcome, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	m, err := l.compose.compose(ctx, l.hook, r, ch)
	var out outcome
	if err != nil {
		out = outcome{code: codeState}
	} else {
		out = l.caller.call(ctx, l.hook, m)
	}
	if !out.taken() && ctx.Err() != nil {
		return outcome{}, ctx.Err() // it was not the receiver who ended it
	}
	return out, nil
}

// since is when the failures that count began.
func (l *lane) since() time.Time { return schemas.Time(max(l.pos.FailingAt, l.hook.ActiveAt)) }

// complain reports what an operator should know. A report that is lost is made again after the next attempt.
func (l *lane) complain(ctx context.Context, out outcome) {
	now := l.latest()
	if now == nil || now.Status != string(webhook.StatusActive) {
		return
	}
	r := l.result(webhook.Failing, out.code)
	switch {
	case out.code == codeGone:
		r.Result = webhook.Gone
	case time.Since(l.since()) >= webhook.GiveUpAfter:
		r.Result = webhook.GivenUp
	case l.pos.Attempts < reportAfter || troubled(now, l.part):
		return
	}
	l.log.Warn("webhook is not taken", slog.String("webhook", l.hook.WebhookID), slog.Int64("partition", int64(l.part)),
		slog.String("code", out.code), slog.Int64("attempts", int64(l.pos.Attempts)), slog.String("reported", string(r.Result)))
	if err := l.report(ctx, now, r); err != nil && ctx.Err() == nil {
		l.log.Error("webhook's trouble is not reported", slog.String("webhook", l.hook.WebhookID), slog.Any("error", err))
	}
}

// result is a report about the webhook as this lane calls it, which is not always what it is by now.
func (l *lane) result(result webhook.Result, detail string) webhook.Record {
	return webhook.Record{Result: result, ActiveAt: schemas.Time(l.hook.ActiveAt), Trouble: webhook.Trouble{
		Partition: l.part, Since: l.since(), Attempts: l.pos.Attempts, Detail: detail,
	}}
}

// recovered takes a report of failures back.
func (l *lane) recovered(ctx context.Context) {
	now := l.latest()
	if now == nil || !troubled(now, l.part) {
		return
	}
	if err := l.report(ctx, now, l.result(webhook.Recovered, "")); err != nil && ctx.Err() == nil {
		l.log.Error("webhook's recovery is not reported", slog.String("webhook", l.hook.WebhookID), slog.Any("error", err))
	}
}

// troubled says whether it is known that calls about a partition fail.
func troubled(w *schemas.WebhookState, partition int32) bool {
	for _, t := range w.Troubles {
		if t.Partition == partition {
			return true
		}
	}
	return false
}

// pause is how long to wait for the next attempt: longer each time, never the same for all, not before the receiver wants it,
// and not beyond the day that it is tried for.
func (l *lane) pause(out outcome) time.Duration {
	p := longestPause
	if n := l.pos.Attempts - 1; n < 10 {
		p = min(p, firstPause<<max(n, 0))
	}
	p = p/2 + rand.N(p) //nolint:gosec // chance, not a secret
	p = max(p, min(out.after, longestWish))
	if left := webhook.GiveUpAfter - time.Since(l.since()); left > 0 {
		p = min(p, left)
	}
	return p
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
