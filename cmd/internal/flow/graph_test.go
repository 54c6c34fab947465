package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utopia/topics"
)

// Whoever depends on somebody through a topic has a line in the picture: it writes that topic, or has records from it. And every topic
// is in the picture, at a place of its own or with the only one who uses it.
func TestEveryDependencyIsInThePicture(t *testing.T) {
	p := NewGraph().Draw()
	who, shown := map[string]string{}, map[string]int{}
	for _, b := range p.Boxes {
		who[b.ID] = b.Who
		shown[b.ID]++
		for _, k := range b.Kept {
			shown[k.ID]++
		}
	}
	line := func(match func(Line) bool) bool { return slices.ContainsFunc(p.Lines, match) }
	n := 0
	for _, d := range topics.Graph() {
		n++
		ok := line(func(l Line) bool { return l.From == d.Topic && who[l.To] == d.Who })
		if d.Why == "commands" {
			ok = line(func(l Line) bool { return l.To == d.Topic && who[l.From] == d.Who })
		}
		if !ok {
			t.Errorf("%s %s %s through %s: no line", d.Who, d.Why, d.On, d.Topic)
		}
	}
	if n < 20 {
		t.Errorf("%d dependencies", n)
	}
	for _, topic := range topics.All() {
		if topic.Kind == topics.DeadLetters {
			continue
		}
		if shown[topic.Name] != 1 {
			t.Errorf("%s is there %d times", topic.Name, shown[topic.Name])
		}
		if strings.HasSuffix(topic.Name, "-table") || topic.Kind == topics.Event {
			continue
		}
		for _, end := range []struct {
			what string
			ok   func(Line) bool
		}{
			{"written", func(l Line) bool { return l.To == topic.Name }},
			{"read", func(l Line) bool { return l.From == topic.Name }},
		} {
			if topic.Kind != topics.Positions && !line(end.ok) {
				t.Errorf("%s is not %s", topic.Name, end.what)
			}
		}
	}
	for _, group := range topics.Groups() {
		for _, in := range topics.Inputs(group) {
			if !line(func(l Line) bool { return l.From == in.Name && strings.HasSuffix(l.To, "/"+group) }) {
				t.Errorf("%s does not read %s", group, in.Name)
			}
		}
	}
}

// Boxes have room, lines go down by the way of a record, but for answers and what a service sends to itself; and it is always the same.
func TestThePictureIsReadable(t *testing.T) {
	p := NewGraph().Draw()
	boxes := map[string]Box{}
	for i, a := range p.Boxes {
		boxes[a.ID] = a
		if a.X < 0 || a.Y < 0 || a.X+a.Width > p.Width || a.Y+a.Height > p.Height {
			t.Errorf("%s is outside", a.ID)
		}
		for _, b := range p.Boxes[i+1:] {
			if a.X < b.X+b.Width && b.X < a.X+a.Width && a.Y < b.Y+b.Height && b.Y < a.Y+a.Height {
				t.Errorf("%s is on %s", a.ID, b.ID)
			}
		}
	}
	if p.Width > 1400 || p.Height > 1100 {
		t.Errorf("%.0f by %.0f", p.Width, p.Height)
	}
	for _, l := range p.Lines {
		if down := boxes[l.From].Y < boxes[l.To].Y; down == l.Back || l.Back != l.back {
			t.Errorf("%s to %s: down %v, back %v %v", l.From, l.To, down, l.Back, l.back)
		}
	}
	if diff := cmp.Diff(fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", NewGraph().Draw())); diff != "" {
		t.Errorf("another picture: %s", diff)
	}
}
