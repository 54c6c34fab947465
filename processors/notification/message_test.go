package notification_test

import (
	"strings"
	"testing"

	"utopia/processors/notification"
)

func TestEveryLanguageTellsBothKindsApart(t *testing.T) {
	seen := map[string]string{}
	for _, language := range []string{"en", "de", "fr", "es", "nl", "it", "pt", "pl"} {
		for _, kind := range []notification.Kind{notification.KindAddress, notification.KindEmail} {
			m := notification.Compose(kind, language, "Ada")
			if m.Language != language {
				t.Errorf("%s is told in %s", language, m.Language)
			}
			for _, part := range []string{m.Subject, m.Text} {
				if other, ok := seen[part]; ok {
					t.Errorf("%s and %s say the same: %s", language, other, part)
				}
				seen[part] = language
			}
			if !strings.Contains(m.Text, " Ada,") || !strings.Contains(m.HTML, " Ada,") {
				t.Errorf("%s does not greet: %s", language, m.Text)
			}
			if strings.ContainsAny(m.Subject, "\r\n") {
				t.Errorf("%s: a subject of several lines: %q", language, m.Subject)
			}
		}
	}
}

func TestLanguageTags(t *testing.T) {
	for tag, want := range map[string]string{
		"": "en", "de-CH": "de", "PT-br": "pt", "tlh": "en", "n": "en", "nl-Latn-NL-x-private": "nl",
	} {
		if got := notification.Compose(notification.KindEmail, tag, "").Language; got != want {
			t.Errorf("%q is told in %s, want %s", tag, got, want)
		}
	}
}

func TestANameCannotWriteTheMail(t *testing.T) {
	m := notification.Compose(notification.KindAddress, "en", " <b>Bo</b>\r\n\r\nYou have won & \tmore ")
	if !strings.HasPrefix(m.Text, "Hello <b>Bo</b> You have won & more,\n\n") {
		t.Errorf("text %q", m.Text)
	}
	if !strings.Contains(m.HTML, "<p>Hello &lt;b&gt;Bo&lt;/b&gt; You have won &amp; more,</p>") {
		t.Errorf("HTML %q", m.HTML)
	}
	if m := notification.Compose(notification.KindAddress, "en", " \n"); !strings.HasPrefix(m.Text, "Hello,\n") {
		t.Errorf("without a name: %q", m.Text)
	}
}
