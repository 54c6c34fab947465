package demo

import (
	"bytes"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
)

// A line that is wider than the terminal wraps, and everything drawn after it is in the wrong place.
func TestThePictureFitsTheTerminal(t *testing.T) {
	p := picture{
		phase: "people move", in: 123456, out: 123456, open: 123456, accepted: 1234567, refused: 123456, repeats: 12345, dead: 1234, moved: 1234, mailed: 1234567,
		last: []change{
			{"corrected", "c-1234", 12, "서울특별시, 서울특별시 KR → Санкт-Петербург, Санкт-Петербург RU"},
			{"new e-mail", "c-0001", 1, ""},
		},
		by: []string{"billing ✓ notification …", "billing … notification …"},
	}
	for _, width := range []int{20, 40, 80, 110, 300} {
		lines := p.lines(width)
		if len(lines) != 6+shown {
			t.Errorf("%d lines at width %d", len(lines), width)
		}
		for _, l := range lines {
			if w := lipgloss.Width(l); w >= width {
				t.Errorf("width %d: %d cells: %q", width, w, l)
			}
		}
	}
	if l := p.lines(80)[6]; !strings.Contains(l, "corrected  c-1234  v12 서울특별시") || !strings.Contains(l, "notification …") {
		t.Errorf("%q", l)
	}
}

func TestWhoHasAppliedAChange(t *testing.T) {
	tr := &tracker{applied: map[string]int64{"c": 3}, told: map[string]int64{"c": 2}}
	if got := tr.appliedBy(change{customer: "c", version: 3}); got != "billing ✓ notification …" {
		t.Error(got)
	}
}

func TestWithoutATerminalAMomentIsOneLine(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(Config{Out: &out}, &tracker{}, &traffic{})
	s.progress(1, 2)
	s.progress(2, 2)
	s.draw()
	if got := out.String(); strings.Count(got, "\n") != 2 || strings.Contains(got, "\x1b") || strings.Contains(got, "\r") {
		t.Errorf("%q", got)
	}
}
