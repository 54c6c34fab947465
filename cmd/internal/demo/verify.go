package demo

import (
	"context"
	"fmt"
	"time"

	"utopia/schemas"
)

// problemsShown bounds the list of a report.
const problemsShown = 10

// settle waits until nothing is open and everybody agrees, for two looks in a row, and says what is still wrong when
// the time is up.
func (t *tracker) settle(ctx context.Context, cfg Config, limit time.Duration) []string {
	calm, before := 0, -1
	err := poll(ctx, limit, func() bool {
		open, _ := t.open()
		t.mu.Lock()
		records := t.records
		t.mu.Unlock()
		if open > 0 || records != before || len(disagreements(cfg)) > 0 {
			calm, before = 0, records
			return false
		}
		calm++
		return calm >= 10
	})
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// report counts what is on the topics.
func (t *tracker) report(cfg Config) Report {
	r := t.tally(disagreements(cfg))
	_ = cfg.Customers.Each(func(string, *schemas.CustomerState) error {
		r.Customers++
		return nil
	})
	return r
}

// tally compares commands with outcomes.
func (t *tracker) tally(wrong []string) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{
		Commands: len(t.seen) + t.unread, Outcomes: t.answered, Accepted: t.accepted, Refused: t.refused, Repeats: t.repeats,
		DeadLetters: t.dead, Moved: t.moved, Facts: t.facts, Mails: t.mails, Disagreements: len(wrong),
	}
	problem := func(format string, args ...any) {
		if len(r.Problems) < problemsShown {
			r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
		}
	}
	for id := range t.seen {
		if n := t.commands[id]; n == 1 {
			r.Outcomes++
		} else {
			problem("command %s has %d outcomes", id, n)
		}
	}
	for id := range t.commands {
		if !t.seen[id] {
			problem("an outcome for command %s, which nobody sent", id)
		}
	}
	for _, w := range wrong {
		problem("%s", w)
	}
	return r
}

// disagreements compares, for every customer, what the three views say.
func disagreements(cfg Config) []string {
	var out []string
	err := cfg.Customers.Each(func(key string, c *schemas.CustomerState) error {
		if why := disagree(cfg, key, c); why != "" {
			out = append(out, fmt.Sprintf("customer %s at version %d: %s", key, c.Version, why))
		}
		return nil
	})
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

func disagree(cfg Config, key string, c *schemas.CustomerState) string {
	b, err := cfg.Billing.Get(key)
	switch {
	case err != nil:
		return "billing: " + err.Error()
	case b.CustomerVersion != c.Version:
		return fmt.Sprintf("billing has applied version %d", b.CustomerVersion)
	case b.Address != c.Address.Address:
		return "billing has another address"
	}
	n, err := cfg.Notifications.Get(key)
	switch {
	case err != nil:
		return "notification: " + err.Error()
	case n.CustomerVersion != c.Version:
		return fmt.Sprintf("notification knows version %d", n.CustomerVersion)
	}
	return ""
}
