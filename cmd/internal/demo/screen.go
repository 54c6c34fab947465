package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
)

// screen shows progress and then a small picture of what happens, four times a second on a terminal and every five
// seconds as a line where the output is not one.
type screen struct {
	cfg     Config
	tracker *tracker
	traffic *traffic

	mu      sync.Mutex
	closed  bool
	lines   int // drawn last
	records int
	sent    int64
	at      time.Time
}

func newScreen(cfg Config, t *tracker, tr *traffic) *screen {
	return &screen{cfg: cfg, tracker: t, traffic: tr, at: time.Now()}
}

// progress shows how many of the sample are registered.
func (s *screen) progress(done, of int) {
	if !s.cfg.Live {
		if done == of {
			s.print("registered %d people\n", of)
		}
		return
	}
	const width = 40
	filled := done * width / of
	s.print("\rregistering %s%s %d/%d", strings.Repeat("█", filled), strings.Repeat("░", width-filled), done, of)
	if done == of {
		s.print("\n")
	}
}

func (s *screen) print(format string, args ...any) {
	_, _ = lipgloss.Fprintf(s.cfg.Out, format, args...)
}

func (s *screen) run(ctx context.Context) {
	every := 250 * time.Millisecond
	if !s.cfg.Live {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.draw()
		}
	}
}

// close draws a last time and lets the screen stand.
func (s *screen) close() {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	s.draw()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

func (s *screen) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	lines := s.compose(time.Now())
	if !s.cfg.Live {
		s.print("%s\n", lines[0])
		return
	}
	if s.lines > 0 {
		s.print("\x1b[%dA", s.lines)
	}
	for _, l := range lines {
		s.print("\x1b[2K%s\n", l)
	}
	s.lines = len(lines)
}

// compose takes a picture of the counters. The lag is how many commands wait for their outcome.
func (s *screen) compose(now time.Time) []string {
	open, _ := s.tracker.open()
	t := s.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := max(now.Sub(s.at).Seconds(), 0.001)
	sent := s.traffic.records.Load()
	in, out := float64(sent-s.sent)/seconds, float64(t.records-s.records)/seconds
	s.at, s.sent, s.records = now, sent, t.records

	faint := lipgloss.NewStyle().Faint(true)
	lines := []string{
		fmt.Sprintf("in %5.0f/s   on public topics %6.0f/s   waiting for an outcome %4d   accepted %d  refused %d  repeated %d  dead letters %d  moved %d  mails %d",
			in, out, open, t.accepted, t.refused, t.repeats, t.dead, t.moved, t.mails),
	}
	for i := range shown {
		if i >= len(t.last) {
			lines = append(lines, "")
			continue
		}
		c := t.last[i]
		lines = append(lines, fmt.Sprintf("  %-10s %-8s version %-3d %s", c.what, c.customer, c.version,
			faint.Render("applied by "+t.appliedBy(c))))
	}
	return lines
}

// appliedBy names the listeners that have reached the version of a change.
func (t *tracker) appliedBy(c change) string {
	var who []string
	if t.applied[c.customer] >= c.version {
		who = append(who, "billing")
	}
	if t.told[c.customer] >= c.version {
		who = append(who, "notification")
	}
	if len(who) == 0 {
		return "nobody yet"
	}
	return strings.Join(who, ", ")
}
