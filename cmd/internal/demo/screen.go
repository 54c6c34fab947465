package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// screen shows progress and then a small picture of what happens, four times a second on a terminal and every five
// seconds as a line where the output is not one.
type screen struct {
	cfg     Config
	tracker *tracker
	traffic *traffic

	mu      sync.Mutex
	closed  bool
	drawn   int // lines of the last picture
	phase   string
	records int
	sent    int64
	at      time.Time
}

func newScreen(cfg Config, t *tracker, tr *traffic) *screen {
	return &screen{cfg: cfg, tracker: t, traffic: tr, at: time.Now()}
}

// usualWidth is how wide a picture is where nobody says.
const usualWidth = 80

// width is that of the terminal, asked anew for each picture: people resize. A line that is wider takes two on the
// terminal, and the next picture would begin in the middle of this one.
func (s *screen) width() int {
	if f, ok := s.cfg.Out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 { //nolint:gosec // a file descriptor is a small number
			return w
		}
	}
	return usualWidth
}

// progress shows how many of the sample are registered.
func (s *screen) progress(done, of int) {
	if !s.cfg.Live {
		if done == of {
			s.print("registered %d people\n", of)
		}
		return
	}
	count := fmt.Sprintf(" %d/%d", done, of)
	width := max(1, min(40, s.width()-len("registering ")-len(count)-1))
	filled := done * width / of
	s.print("\rregistering %s%s%s", strings.Repeat("█", filled), strings.Repeat("░", width-filled), count)
	if done == of {
		s.print("\n")
	}
}

func (s *screen) print(format string, args ...any) {
	_, _ = lipgloss.Fprintf(s.cfg.Out, format, args...)
}

// now says what is going on.
func (s *screen) now(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
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
	p := s.picture(time.Now())
	if !s.cfg.Live {
		s.print("%s\n", p.line())
		return
	}
	if s.drawn > 0 {
		s.print("\x1b[%dA", s.drawn)
	}
	lines := p.lines(s.width())
	for _, l := range lines {
		s.print("\x1b[2K%s\n", l)
	}
	s.drawn = len(lines)
}

// picture is what the screen shows of one moment.
type picture struct {
	phase                                           string
	in, out                                         float64 // records a second
	open                                            int     // commands without an outcome yet
	accepted, refused, repeats, dead, moved, mailed int
	last                                            []change // oldest first
	by                                              []string // who has applied each
}

// picture takes one of the counters.
func (s *screen) picture(now time.Time) picture {
	open, _ := s.tracker.open()
	t := s.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := max(now.Sub(s.at).Seconds(), 0.001)
	sent := s.traffic.records.Load()
	p := picture{
		phase: s.phase, in: float64(sent-s.sent) / seconds, out: float64(t.records-s.records) / seconds, open: open,
		accepted: t.accepted, refused: t.refused, repeats: t.repeats, dead: t.dead, moved: t.moved, mailed: t.mails,
	}
	s.at, s.sent, s.records = now, sent, t.records
	for _, c := range t.last {
		p.last = append(p.last, c)
		p.by = append(p.by, t.appliedBy(c))
	}
	return p
}

// line says it in one, for a log.
func (p picture) line() string {
	return fmt.Sprintf("in %.0f/s  out %.0f/s  waiting %d  accepted %d  refused %d  repeated %d  dead letters %d  moved %d  mails %d",
		p.in, p.out, p.open, p.accepted, p.refused, p.repeats, p.dead, p.moved, p.mailed)
}

// lines is the picture for a terminal, always of the same height and never wider than it.
func (p picture) lines(width int) []string {
	bold, faint := lipgloss.NewStyle().Bold(true), lipgloss.NewStyle().Faint(true)
	lines := []string{
		"",
		bold.Render(p.phase),
		fmt.Sprintf("  in %5.0f/s    out %6.0f/s    waiting for an outcome %d", p.in, p.out, p.open),
		fmt.Sprintf("  accepted %d  refused %d  repeated %d  dead letters %d  sent on %d  mails %d",
			p.accepted, p.refused, p.repeats, p.dead, p.moved, p.mailed),
		"",
		bold.Render("last changes"),
	}
	where := max(10, min(40, width-52)) // what the other columns leave
	for i := range shown {
		if i >= len(p.last) {
			lines = append(lines, "")
			continue
		}
		c := p.last[i]
		lines = append(lines, fmt.Sprintf("  %-10s %s  v%-2d %s %s", c.what, c.customer, c.version, padded(c.where, where), faint.Render(p.by[i])))
	}
	fit := lipgloss.NewStyle().MaxWidth(max(width-1, 1))
	for i, l := range lines {
		lines[i] = fit.Render(l)
	}
	return lines
}

// padded cuts or fills s to a width in cells: scripts of the whole world are in it.
func padded(s string, width int) string {
	s = lipgloss.NewStyle().MaxWidth(width).Render(s)
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

// appliedBy says of each listener whether it has reached the version of a change.
func (t *tracker) appliedBy(c change) string {
	mark := func(version int64) string {
		if version >= c.version {
			return "✓"
		}
		return "…"
	}
	return "billing " + mark(t.applied[c.customer]) + " notification " + mark(t.told[c.customer])
}
