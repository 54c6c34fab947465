package letters

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var march = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// TestEveryLanguageHasEveryLetter is what a new language's file has to pass: the same letters with the same gaps and links
// as the English ones, each in words of its own.
func TestEveryLanguageHasEveryLetter(t *testing.T) {
	kinds := []Kind{Confirmation, Reminder, Address, Email}
	all := Languages()
	for _, needed := range []string{"de", "en", "fr", "nl"} {
		if !slices.Contains(all, needed) {
			t.Errorf("no letters in %s", needed)
		}
	}
	seen := map[string]string{}
	for _, language := range all {
		if len(forms[language]) != len(kinds) {
			t.Errorf("%s has %d letters, want %d", language, len(forms[language]), len(kinds))
		}
		for _, kind := range kinds {
			f, ok := forms[language][kind]
			if !ok {
				t.Errorf("%s lacks the letter %s", language, kind)
				continue
			}
			if want, got := shape(forms[fallback][kind]), shape(f); got != want {
				t.Errorf("%s, %s: gaps and links %s, want %s", language, kind, got, want)
			}
			text := strings.Join(f.text, "")
			for _, part := range []string{f.subject, text} {
				if other, ok := seen[part]; ok {
					t.Errorf("%s %s and %s say the same: %s", language, kind, other, part)
				}
				seen[part] = language + " " + string(kind)
			}
			if strings.Contains(text, "\n\n\n") || !strings.HasSuffix(text, "\n") || strings.Contains(text, " \n") {
				t.Errorf("%s, %s: white space", language, kind)
			}
		}
	}
}

// shape is the gaps and links of a letter, in their order.
func shape(f form) string {
	var parts []string
	for i, part := range f.text {
		if i%2 == 1 {
			parts = append(parts, part)
			continue
		}
		for line := range strings.Lines(part) {
			if strings.HasPrefix(line, "{{") {
				parts = append(parts, strings.TrimSpace(line))
			}
		}
	}
	return strings.Join(parts, " ")
}

// A link stands on a line of its own behind a line that says what it does: the mailer makes a button of the two.
func TestEveryLinkHasALabel(t *testing.T) {
	for _, language := range Languages() {
		for _, kind := range []Kind{Confirmation, Reminder} {
			l := Write(kind, language, Gaps{Name: "Ada", Address: "Markt 1\n2801 JG Gouda", Until: march})
			links := 0
			for p := range strings.SplitSeq(strings.TrimSpace(l.Text), "\n\n") {
				lines := strings.Split(p, "\n")
				if !strings.Contains(p, "{{") {
					continue
				}
				links++
				if len(lines) != 2 || !strings.HasSuffix(lines[0], ":") || !strings.HasPrefix(lines[1], "{{link:") || !strings.HasSuffix(lines[1], "}}") {
					t.Errorf("%s, %s: %q is no label with a link", language, kind, p)
				}
			}
			if links != 2 {
				t.Errorf("%s, %s: %d links", language, kind, links)
			}
		}
	}
}

func TestLanguageTags(t *testing.T) {
	for tag, want := range map[string]string{
		"": "en", "de-CH": "de", "PT-br": "pt", "tlh": "en", "n": "en", "nl-Latn-NL-x-private": "nl", "ja": "en",
	} {
		l := Write(Address, tag, Gaps{Name: "Ada"})
		if l.Language != want || !strings.Contains(l.Text, " Ada,\n\n") {
			t.Errorf("%q is told in %s, want %s: %q", tag, l.Language, want, l.Text)
		}
	}
}

func TestANameIsALine(t *testing.T) {
	if l := Write(Address, "en", Gaps{Name: " <b>Bo</b>\r\n\r\nYou have won & \tmore "}); !strings.HasPrefix(l.Text, "Hello <b>Bo</b> You have won & more,\n\n") {
		t.Errorf("text %q", l.Text)
	}
	if l := Write(Email, "en", Gaps{Name: " \n"}); !strings.HasPrefix(l.Text, "Hello,\n") {
		t.Errorf("without a name: %q", l.Text)
	}
}

// Whatever people are called and wherever they live: no link beside ours, no gap filled twice, the subject untouched.
func TestALetterIsNotWrittenByItsReader(t *testing.T) {
	wild := rapid.OneOf(rapid.String(), rapid.StringMatching(`(\{\{link:(confirm|reject)\}\}|\{(name|address|until)\}|[{}a-z\r\n ]){0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Confirmation, Reminder, Address, Email}).Draw(t, "kind")
		language := rapid.SampledFrom(Languages()).Draw(t, "language")
		g := Gaps{Name: wild.Draw(t, "name"), Address: wild.Draw(t, "address"), Until: march}
		l, plain := Write(kind, language, g), Write(kind, language, Gaps{Name: "Ada", Address: "Gouda", Until: march})
		if l.Subject != plain.Subject {
			t.Fatalf("subject %q", l.Subject)
		}
		for _, ours := range []string{"{{", "{{link:confirm}}", "{{link:reject}}", "2026-03-04 12:00 UTC"} {
			if got, want := strings.Count(l.Text, ours), strings.Count(plain.Text, ours); got != want {
				t.Fatalf("%q is there %d times, want %d:\n%s", ours, got, want, l.Text)
			}
		}
	})
}

func TestAFileThatIsWrong(t *testing.T) {
	for name, text := range map[string]string{
		"no subject":           "=== address\nHello\n\nthere\n",
		"a subject of 2 lines": "=== address\nSubject: a\nb\n\nthere\n",
		"no text":              "=== address\nSubject: a\n",
		"a kind twice":         "=== address\nSubject: a\n\nb\n\n=== address\nSubject: a\n\nb\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
