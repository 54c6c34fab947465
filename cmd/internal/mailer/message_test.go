package mailer

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"utopia/cmd/internal/links"
	"utopia/schemas"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testKeys(tb testing.TB) links.Keys {
	tb.Helper()
	keys, err := links.ParseKeys(strings.NewReader("k1:" + strings.Repeat("QUFB", 11)))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func testComposer(tb testing.TB) *composer {
	tb.Helper()
	return &composer{
		from: &mail.Address{Name: "Utopia", Address: "no-reply@example.com"}, domain: "example.com",
		keys: testKeys(tb), page: &url.URL{Scheme: "https", Host: "example.com", Path: "/confirm", RawQuery: "a=1&b=2"},
	}
}

func toSend() *schemas.MailToSend {
	return &schemas.MailToSend{
		MailID: "m-1", Sender: "customer", AcceptedAt: schemas.Millis(noon), Recipient: "j@example.org", Language: "nl",
		Subject: "Uw verhuizing ✓", Text: "Bevestig: {{link:confirm}}\n", HTML: `<a href="{{link:confirm}}">✓</a>`,
		Links: []schemas.Link{{
			Name: "confirm", Purpose: "confirm_address_change", Subject: "c-17", Change: "x1",
			ExpiresAt: schemas.Millis(noon.Add(72 * time.Hour)),
		}},
	}
}

func TestComposeSignsLinksAndKeepsTheRest(t *testing.T) {
	c := testComposer(t)
	first, err := c.compose(toSend(), noon)
	if err != nil {
		t.Fatal(err)
	}
	b, err := first.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Message-Id": "<m-1@example.com>", "From": `"Utopia" <no-reply@example.com>`, "To": "<j@example.org>",
		"Content-Language": "nl", "Auto-Submitted": "auto-generated", "Date": "Sun, 01 Mar 2026 12:00:00 +0000",
	} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); got != "Uw verhuizing ✓" || err != nil {
		t.Errorf("subject %q (%v)", got, err)
	}
	text, htmlText, err := c.sign(toSend(), noon)
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimSpace(strings.TrimPrefix(text, "Bevestig: "))
	claims, err := links.Verify(c.keys, links.Token(link), noon)
	if err != nil || claims.Subject != "c-17" || claims.Change != "x1" || !claims.ExpiresAt.Equal(noon.Add(72*time.Hour)) {
		t.Fatalf("%v %v", claims, err)
	}
	if want := `<a href="` + strings.ReplaceAll(link, "&", "&amp;") + `">✓</a>`; htmlText != want {
		t.Fatalf("%s\nwant\n%s", htmlText, want)
	}
	again, err := c.compose(toSend(), noon.Add(time.Hour))
	if err != nil || again.MessageID != first.MessageID {
		t.Fatalf("another Message-ID at the second attempt: %v", err)
	}
}

func TestComposeGivesUpWhatCannotBecomeBetter(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*schemas.MailToSend)
		code   string
	}{
		"a dead link":                  {func(m *schemas.MailToSend) { m.Links[0].ExpiresAt = schemas.Millis(noon) }, codeLinkExpired},
		"a link without a purpose":     {func(m *schemas.MailToSend) { m.Links[0].Purpose = "" }, codeLink},
		"no subject":                   {func(m *schemas.MailToSend) { m.Subject = "" }, codeDefect},
		"a second header":              {func(m *schemas.MailToSend) { m.Subject = "x\r\nBcc: k@example.org" }, codeDefect},
		"a header in the language":     {func(m *schemas.MailToSend) { m.Language = "nl\nBcc: k@example.org" }, codeDefect},
		"a recipient with a name":      {func(m *schemas.MailToSend) { m.Recipient = "J <j@example.org>" }, codeRecipient},
		"two recipients":               {func(m *schemas.MailToSend) { m.Recipient = "j@example.org,k@example.org" }, codeRecipient},
		"a recipient with a line end":  {func(m *schemas.MailToSend) { m.Recipient = "j@example.org\r\nRCPT TO:<k@example.org>" }, codeRecipient},
		"a recipient without a domain": {func(m *schemas.MailToSend) { m.Recipient = "j@" }, codeRecipient},
		"nobody":                       {func(m *schemas.MailToSend) { m.Recipient = "" }, codeRecipient},
	} {
		t.Run(name, func(t *testing.T) {
			r := toSend()
			tc.change(r)
			_, err := testComposer(t).compose(r, noon)
			var f *Failure
			if !errors.As(err, &f) || f.Code != tc.code || f.Temporary {
				t.Fatalf("%v, want %s", err, tc.code)
			}
			for _, person := range []string{"example.org", "c-17"} {
				if strings.Contains(err.Error(), person) {
					t.Fatalf("the error names a person: %v", err)
				}
			}
		})
	}
}

func TestRecipientsOfTheWorld(t *testing.T) {
	for in, want := range map[string]string{
		"jürgen@example.org":    "jürgen@example.org",
		"j@bücher.example":      "j@xn--bcher-kva.example",
		"用户@例え.jp":              "用户@xn--r8jz45g.jp",
		"o'brien+x@example.org": "o'brien+x@example.org",
		"a@x--y.example":        "a@x--y.example", // odd, and not ours to judge
	} {
		a, err := parseRecipient(in)
		if err != nil || a.Address != want {
			t.Errorf("%s: %v %v, want %s", in, a, err, want)
		}
	}
}

// TestNothingAddsAHeader: whatever the fields hold, the mail has the headers that we set, one of each, and one recipient.
func TestNothingAddsAHeader(t *testing.T) {
	c := testComposer(t)
	plain, err := c.compose(toSend(), noon)
	if err != nil {
		t.Fatal(err)
	}
	names := headerNames(t, plain)
	nasty := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z@. ,<>:;"\\\r\n\t\x00-\x1f]{0,40}`),
		rapid.StringMatching(`[a-z]{1,5}@[a-z]{1,5}(\r?\n[ ]?Bcc: x@y)?`))
	rapid.Check(t, func(t *rapid.T) {
		r := toSend()
		r.Recipient = rapid.OneOf(rapid.Just(r.Recipient), nasty).Draw(t, "recipient")
		r.Subject = rapid.OneOf(rapid.Just(r.Subject), nasty).Draw(t, "subject")
		r.Language = rapid.OneOf(rapid.Just(r.Language), nasty).Draw(t, "language")
		r.Text, r.HTML = nasty.Draw(t, "text"), "<p>"+nasty.Draw(t, "html")
		r.MailID = rapid.OneOf(rapid.Just(r.MailID), nasty).Draw(t, "id")
		m, err := c.compose(r, noon)
		if err != nil {
			return
		}
		if got := headerNames(t, m); got != names && (r.Language != "" || got != strings.Replace(names, "Content-Language ", "", 1)) {
			t.Fatalf("headers %s, want %s", got, names)
		}
		rcpt, err := m.msg.GetRecipients()
		if err != nil || len(rcpt) != 1 || strings.Count(rcpt[0], "@") != 1 && utf8.ValidString(rcpt[0]) {
			t.Fatalf("recipients %q (%v)", rcpt, err)
		}
	})
}

func headerNames(t interface{ Fatal(...any) }, m *Message) string {
	b, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(b), "\r\n\r\n")
	var names []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
	}
	if _, err := mail.ReadMessage(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestMessageID(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"m-1", "0198c1f2-7e", "customer/c-17/5/0", "a..b", ".a", "a.", strings.Repeat("x", 300), "é", "a@b", "a b", ""} {
		got := messageID(id, "example.com")
		a, err := mail.ParseAddress("<" + got + ">") // msg-id and addr-spec have the same two halves
		if err != nil || a.Address != got || len(got) > 250 {
			t.Errorf("%q: %q (%v)", id, got, err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q share %q", id, other, got)
		}
		seen[got] = id
		if got != messageID(id, "example.com") {
			t.Errorf("%q: not the same twice", id)
		}
	}
}

func TestFileSender(t *testing.T) {
	dir := t.TempDir() + "/mails"
	s, err := NewFileSender(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := toSend()
	r.MailID = "customer/c-17/5/0"
	m, err := testComposer(t).compose(r, noon)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second copy replaces the first
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	checkFiles(t, dir, "customer+c-17+5+0.eml")
	if _, err := NewFileSender(dir + "/customer+c-17+5+0.eml"); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestConsoleSender(t *testing.T) {
	var out bytes.Buffer
	m, err := testComposer(t).compose(toSend(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewConsoleSender(&out).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "mail m-1") || !strings.Contains(s, "Message-ID: <m-1@example.com>\n") {
		t.Fatal(s)
	}
	var f *Failure
	if err := NewConsoleSender(brokenWriter{}).Send(t.Context(), m); !errors.As(err, &f) || !f.Temporary {
		t.Fatal(err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
