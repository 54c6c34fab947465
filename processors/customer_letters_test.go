package processors

import (
	"strings"
	"testing"
	"time"

	"utopia/processors/customer"
	"utopia/processors/letters"
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
	s := letterState(t, "Saskia & <Co>", "", postal.Fields(porto))
	for tag, want := range map[string]struct{ language, subject string }{
		"en-GB": {"en", "confirm"}, "de": {"de", "bestätigen"}, "NL-be": {"nl", "evestig"}, "fr": {"fr", "confirmer"},
		"ja": {"en", "confirm"}, "": {"en", "confirm"},
	} {
		for _, kind := range []letters.Kind{letters.Confirmation, letters.Reminder} {
			s.Language = customer.Language(tag)
			l := customerLetter(kind, s)
			if l.Language != want.language || !strings.Contains(l.Subject, want.subject) {
				t.Errorf("%s for %q: in %s, subject %q", kind, tag, l.Language, l.Subject)
			}
			for _, has := range []string{"Saskia & <Co>", "Rua <Santa> Catarina 12\n3.º Dto\n4050-014 Porto\nPT", "2026-03-04 12:00 UTC", "{{link:confirm}}", "{{link:reject}}"} {
				if strings.Count(l.Text, has) != 1 {
					t.Errorf("%s for %q: the text has %q %d times", kind, tag, has, strings.Count(l.Text, has))
				}
			}
			if strings.Contains(strings.NewReplacer("{{link:confirm}}", "", "{{link:reject}}", "").Replace(l.Subject+l.Text), "{") {
				t.Errorf("%s for %q: a gap is left", kind, tag)
			}
			if _, err := mail.ParseMessage(mail.Message{
				Recipient: s.Email, Language: l.Language, Subject: l.Subject, Text: l.Text,
				Links: []mail.Link{{Name: "confirm", Purpose: PurposeConfirm, Subject: "c-1", Change: "x1", ExpiresAt: s.Change.ExpiresAt}, {Name: "reject", Purpose: PurposeCancel, Subject: "c-1", Change: "x1", ExpiresAt: s.Change.ExpiresAt}},
			}); err != nil {
				t.Errorf("%s for %q: %v", kind, tag, err)
			}
		}
	}
}

func TestTheLongestAddressFitsAMail(t *testing.T) {
	line := strings.Repeat("&", 199) + "x"
	s := customer.State{Name: customer.Name(line), Change: customer.Change{
		Address: postal.Restore(postal.Fields{Country: "NL", City: line, Street: strings.TrimSuffix(strings.Repeat(line+"\n", 18), "\n")}), ExpiresAt: time.Unix(1, 0),
	}}
	if l := customerLetter(letters.Reminder, s); len(l.Text) > mail.MaxText {
		t.Errorf("text %d bytes", len(l.Text))
	}
}
