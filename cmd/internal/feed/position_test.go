package feed

import (
	"errors"
	"slices"
	"testing"
)

func FuzzPosition(f *testing.F) {
	f.Add(Position{0, 17, 1 << 40}.encode(tag{1, 2, 3, 4}))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		p, topic, err := decode(text)
		if err != nil {
			if !errors.Is(err, ErrPosition) {
				t.Fatal(err)
			}
			return
		}
		again, same, err := decode(p.encode(topic))
		if err != nil || same != topic || !slices.Equal(again, p) {
			t.Fatalf("%v %v %v", p, again, err)
		}
	})
}

// The text of a position is a promise to those who keep it.
func TestAPositionIsWrittenTheSameForEver(t *testing.T) {
	const text = "AQECAwQDABGAgICAgCBy6psR"
	p := Position{0, 17, 1 << 40}
	if got := p.encode(tag{1, 2, 3, 4}); got != text {
		t.Errorf("%s, want %s", got, text)
	}
	if got, topic, err := decode(text); err != nil || !slices.Equal(got, p) || topic != (tag{1, 2, 3, 4}) {
		t.Error(got, topic, err)
	}
}

// A partition that is added begins at its beginning.
func TestAPositionGrows(t *testing.T) {
	p, err := Position{3, 4}.fit(3)
	if err != nil || !slices.Equal(p, Position{3, 4, 0}) {
		t.Error(p, err)
	}
}
