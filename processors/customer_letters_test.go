package processors

import (
	"strings"
	"testing"
	"time"

	"utopia/processors/customer"
	"utopia/processors/mail"
	"utopia/processors/postal"
)

func letterState(t *testing.T, name string, language customer.Language, a postal.Fields) customer.State {
	t.Helper()
	parsed, err := postal.Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	return customer.State{
		Name: customer.Name(name), Email: "a@example.org", Language: language,
		Change: customer.Change{ID: "x1", Address: parsed, ExpiresAt: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)},
	}
}

func TestEveryLetterIsAcceptedByTheMailService(t *testing.T) {
	all, err := readLetters()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 8 {
		t.Fatalf("%d letters", len(all))
	}
	s := letterState(t, "Saskia & <Co>", "", postal.Fields(porto))
	for name, want := range map[string]struct{ language, subject string }{
		"en-GB": {"en", "confirm"}, "de": {"de", "bestätigen"}, "NL-be": {"nl", "evestig"}, "fr": {"fr", "confirmer"}, "ja": {"en", "confirm"}, "": {"en", "confirm"},
	} {
		for _, kind := range []string{letterConfirmation, letterReminder} {
			s.Language = customer.Language(name)
			l := all.write(kind, s)
			if !strings.Contains(l.subject, want.subject) || !strings.Contains(l.html, `<html lang="`+want.language+`">`) {
				t.Errorf("%s for %q: subject %q", kind, name, l.subject)
			}
			for _, has := range []string{"Saskia & <Co>", "Rua <Santa> Catarina 12\n3.º Dto\n4050-014 Porto\nPT", "2026-03-04 12:00 UTC", "{{link:confirm}}", "{{link:reject}}"} {
				if strings.Count(l.text, has) != 1 {
					t.Errorf("%s for %q: the text has %q %d times", kind, name, has, strings.Count(l.text, has))
				}
			}
			for _, has := range []string{"Saskia &amp; &lt;Co&gt;", "Rua &lt;Santa&gt; Catarina 12", `href="{{link:confirm}}"`, `href="{{link:reject}}"`} {
				if !strings.Contains(l.html, has) {
					t.Errorf("%s for %q: the page lacks %q", kind, name, has)
				}
			}
			if strings.Contains(strings.NewReplacer("{{link:confirm}}", "", "{{link:reject}}", "").Replace(l.subject+l.text+l.html), "{") {
				t.Errorf("%s for %q: a placeholder is left", kind, name)
			}
			if _, err := mail.ParseMessage(mail.Message{
				Recipient: s.Email, Language: name, Subject: l.subject, Text: l.text, HTML: l.html,
				Links: []mail.Link{{Name: "confirm", Purpose: PurposeConfirm, Subject: "c-1", Change: "x1", ExpiresAt: s.Change.ExpiresAt}, {Name: "reject", Purpose: PurposeCancel, Subject: "c-1", Change: "x1", ExpiresAt: s.Change.ExpiresAt}},
			}); err != nil {
				t.Errorf("%s for %q: %v", kind, name, err)
			}
		}
	}
}

// What people are called and where they live cannot become a link of a mail, nor fill another gap.
func TestALetterIsNotWrittenByItsReader(t *testing.T) {
	all, err := readLetters()
	if err != nil {
		t.Fatal(err)
	}
	a := postal.Fields(gouda)
	a.Street = "{{link:reject}} {until} {name}\n{{{link:confirm}}}"
	l := all.write(letterConfirmation, letterState(t, "{{link:confirm}} {address} {{{", "en", a))
	for _, part := range []string{l.text, l.html} {
		if strings.Count(part, "{{link:confirm}}") != 1 || strings.Count(part, "{{link:reject}}") != 1 {
			t.Errorf("a name became a link:\n%s", part)
		}
		if strings.Count(part, "2026-03-04") != 1 {
			t.Errorf("an address filled another gap:\n%s", part)
		}
	}
	if strings.ContainsAny(l.subject, "\r\n") {
		t.Errorf("subject %q", l.subject)
	}
}

func TestTheLongestAddressFitsAMail(t *testing.T) {
	all, err := readLetters()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("&", 199) + "x"
	s := customer.State{Name: customer.Name(line), Change: customer.Change{
		Address: postal.Restore(postal.Fields{Country: "NL", City: line, Street: strings.TrimSuffix(strings.Repeat(line+"\n", 18), "\n")}), ExpiresAt: time.Unix(1, 0),
	}}
	l := all.write(letterReminder, s)
	if len(l.text) > mail.MaxText || len(l.html) > mail.MaxHTML {
		t.Errorf("text %d, page %d bytes", len(l.text), len(l.html))
	}
}
