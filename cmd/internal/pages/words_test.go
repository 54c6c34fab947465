package pages

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestEveryLanguageHasEverySentence is what a new language's file has to pass.
func TestEveryLanguageHasEverySentence(t *testing.T) {
	d, err := readDictionary()
	if err != nil {
		t.Fatal(err)
	}
	english := d.all[0]
	if english.Language != "en" || len(d.all) < 4 {
		t.Fatalf("%d languages, %s first", len(d.all), english.Language)
	}
	names := slices.Sorted(maps.Keys(english.sentences))
	for _, w := range d.all {
		if got := slices.Sorted(maps.Keys(w.sentences)); !slices.Equal(got, names) {
			t.Errorf("%s has %q, want %q", w.Language, got, names)
		}
		for _, name := range names {
			s := w.Say(name)
			if strings.Contains(s, "{date}") != strings.Contains(english.Say(name), "{date}") || strings.Count(s, "{") > 1 {
				t.Errorf("%s: the gaps of %s: %s", w.Language, name, s)
			}
			if w.Language != "en" && s == english.Say(name) {
				t.Errorf("%s: %s is English", w.Language, name)
			}
		}
	}
	for _, name := range []string{"moved", "scheduled", "outdated", "answered", "kept", "expired", "used", "superseded", "closed", "invalid", "later", "busy", "foreign"} {
		for _, part := range []string{".title", ".text", ".next"} {
			if english.Say(name+part) == "" {
				t.Errorf("no sentence %s%s", name, part)
			}
		}
	}
}
