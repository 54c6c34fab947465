package mail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/processors/mail"
	"utopia/processors/postal"
)

func link(name string) mail.Link {
	return mail.Link{Name: name, Purpose: "confirm", Subject: "c-17", Change: "x1", ExpiresAt: noon}
}

// full is a message that uses every field.
func full() mail.Message {
	return mail.Message{
		Recipient: "ada@example.com", Language: "de-CH", Subject: "Bitte bestätigen", Text: "Öffnen:\n\t" + mail.Placeholder("yes"),
		HTML: "<p>" + mail.Placeholder("yes") + "</p>", Links: []mail.Link{link("yes")},
	}
}

func TestParseMessage(t *testing.T) {
	tests := map[string]struct {
		change func(*mail.Message)
		err    error
	}{
		"a full message":              {func(*mail.Message) {}, nil},
		"no language, HTML and links": {func(m *mail.Message) { m.Language, m.HTML, m.Links = "", "", nil }, nil},
		"a recipient in another script": {
			func(m *mail.Message) { m.Recipient = "юлия@пример.рф" }, nil,
		},
		"no recipient":                 {func(m *mail.Message) { m.Recipient = "" }, mail.ErrRecipient},
		"two recipients":               {func(m *mail.Message) { m.Recipient = "a@example.com,b@example.com" }, mail.ErrRecipient},
		"a recipient with a name":      {func(m *mail.Message) { m.Recipient = "Ada <ada@example.com>" }, mail.ErrRecipient},
		"a header behind a recipient":  {func(m *mail.Message) { m.Recipient = "ada@example.com\r\nBcc: eve@example.com" }, mail.ErrRecipient},
		"a line feed in a recipient":   {func(m *mail.Message) { m.Recipient = "ada\n@example.com" }, mail.ErrRecipient},
		"a NUL in a recipient":         {func(m *mail.Message) { m.Recipient = "ada@example.com\x00" }, mail.ErrRecipient},
		"a separator in a recipient":   {func(m *mail.Message) { m.Recipient = "ada\u2028@example.com" }, mail.ErrRecipient},
		"a recipient that is no UTF-8": {func(m *mail.Message) { m.Recipient = "ada\xff@example.com" }, mail.ErrRecipient},
		"a language of one letter":     {func(m *mail.Message) { m.Language = "d" }, nil},
		"a language with a space":      {func(m *mail.Message) { m.Language = "de CH" }, mail.ErrLanguage},
		"a language with a header":     {func(m *mail.Message) { m.Language = "de\r\nBcc: eve@example.com" }, mail.ErrLanguage},
		"a language with an empty part": {
			func(m *mail.Message) { m.Language = "de--CH" }, mail.ErrLanguage,
		},
		"a language with a long part": {func(m *mail.Message) { m.Language = "abcdefghi" }, mail.ErrLanguage},
		"a long language":             {func(m *mail.Message) { m.Language = "de" + strings.Repeat("-abcdefg", 5) }, mail.ErrLanguage},
		"no subject":                  {func(m *mail.Message) { m.Subject = "" }, mail.ErrSubject},
		"a subject as long as it may be": {
			func(m *mail.Message) { m.Subject = strings.Repeat("s", mail.MaxSubject) }, nil,
		},
		"a subject that is too long": {
			func(m *mail.Message) { m.Subject = strings.Repeat("s", mail.MaxSubject+1) }, mail.ErrSubject,
		},
		"a header behind a subject":         {func(m *mail.Message) { m.Subject = "Hi\r\nBcc: eve@example.com" }, mail.ErrSubject},
		"a line feed in a subject":          {func(m *mail.Message) { m.Subject = "Hi\nthere" }, mail.ErrSubject},
		"a next line control in a subject":  {func(m *mail.Message) { m.Subject = "Hi\u0085there" }, mail.ErrSubject},
		"a line separator in a subject":     {func(m *mail.Message) { m.Subject = "Hi\u2028there" }, mail.ErrSubject},
		"a subject that is no UTF-8":        {func(m *mail.Message) { m.Subject = "Hi\xff" }, mail.ErrSubject},
		"a subject with a joined character": {func(m *mail.Message) { m.Subject = "Hi 👩\u200d🚀" }, nil},
		"no text":                           {func(m *mail.Message) { m.Text = "" }, mail.ErrText},
		"a text that is too long": {
			func(m *mail.Message) { m.Text += strings.Repeat("t", mail.MaxText) }, mail.ErrText,
		},
		"a text that is no UTF-8":          {func(m *mail.Message) { m.Text += "\xff" }, mail.ErrText},
		"a text with a control character":  {func(m *mail.Message) { m.Text += "\x1b[31m" }, mail.ErrText},
		"HTML that is too long":            {func(m *mail.Message) { m.HTML += strings.Repeat("h", mail.MaxHTML) }, mail.ErrHTML},
		"HTML that is no UTF-8":            {func(m *mail.Message) { m.HTML += "\xff" }, mail.ErrHTML},
		"a link that the text lacks":       {func(m *mail.Message) { m.Text = "Open the link" }, mail.ErrLink},
		"a link twice":                     {func(m *mail.Message) { m.Links = append(m.Links, m.Links[0]) }, mail.ErrLink},
		"a link without a name":            {func(m *mail.Message) { m.Links[0].Name = ""; m.Text += mail.Placeholder("") }, mail.ErrLink},
		"a link without a purpose":         {func(m *mail.Message) { m.Links[0].Purpose = "" }, mail.ErrLink},
		"a link without an expiry":         {func(m *mail.Message) { m.Links[0].ExpiresAt = time.Time{} }, mail.ErrLink},
		"a link about no change":           {func(m *mail.Message) { m.Links[0].Change = "" }, nil},
		"a link about a derived id":        {func(m *mail.Message) { m.Links[0].Change = "customer/c-17/3/1" }, nil},
		"a link about a sentence":          {func(m *mail.Message) { m.Links[0].Subject = "the one in Gouda" }, mail.ErrLink},
		"a link about a very long subject": {func(m *mail.Message) { m.Links[0].Subject = strings.Repeat("c", 161) }, mail.ErrLink},
		"more links than may be": {func(m *mail.Message) {
			m.Links = nil
			for i := range mail.MaxLinks + 1 {
				name := strings.Repeat("l", i+1)
				m.Links = append(m.Links, link(name))
				m.Text += mail.Placeholder(name)
			}
		}, mail.ErrLink},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := full()
			tt.change(&m)
			got, err := mail.ParseMessage(m)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err != nil {
				m = mail.Message{}
			}
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("the message is another (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseOrigin(t *testing.T) {
	long := strings.Repeat("s", 161)
	for name, tt := range map[string]struct {
		origin mail.Origin
		err    error
	}{
		"all of it":                    {mail.Origin{Sender: "customer", ReplyTo: "c-17", CorrelationID: "k-1"}, nil},
		"no correlation":               {mail.Origin{Sender: "customer", ReplyTo: "customer/c-17/3/1"}, nil},
		"a sentence for a correlation": {mail.Origin{Sender: "customer", ReplyTo: "c-17", CorrelationID: "the move of March"}, nil},
		"as long as may be":            {mail.Origin{Sender: long[:64], ReplyTo: long[:160], CorrelationID: long[:160]}, nil},
		"no sender":                    {mail.Origin{ReplyTo: "c-17"}, mail.ErrSender},
		"a sender of two lines":        {mail.Origin{Sender: "customer\n", ReplyTo: "c-17"}, mail.ErrSender},
		"a derived sender":             {mail.Origin{Sender: "a/b", ReplyTo: "c-17"}, mail.ErrSender},
		"a long sender":                {mail.Origin{Sender: long[:65], ReplyTo: "c-17"}, mail.ErrSender},
		"no reply address":             {mail.Origin{Sender: "customer"}, mail.ErrReplyTo},
		"a reply address with spaces":  {mail.Origin{Sender: "customer", ReplyTo: "c 17"}, mail.ErrReplyTo},
		"a long reply address":         {mail.Origin{Sender: "customer", ReplyTo: long}, mail.ErrReplyTo},
		"a correlation of two lines":   {mail.Origin{Sender: "customer", ReplyTo: "c-17", CorrelationID: "k\n1"}, mail.ErrCorrelationID},
		"a long correlation":           {mail.Origin{Sender: "customer", ReplyTo: "c-17", CorrelationID: long}, mail.ErrCorrelationID},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mail.ParseOrigin(tt.origin)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err == nil && got != tt.origin {
				t.Fatalf("%+v, want %+v", got, tt.origin)
			}
		})
	}
}

func TestCheckID(t *testing.T) {
	long := strings.Repeat("m", mail.MaxID)
	for ids, want := range map[[2]string]error{
		{"customer/c-17/3/1", "customer/c-17/3/1"}: nil, {"m-1", "m-2"}: mail.ErrMailID,
		{long, long}: nil, {long + "m", long + "m"}: mail.ErrMailID,
	} {
		if err := mail.CheckID(ids[0], ids[1]); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", ids, err, want)
		}
	}
}

func TestParseReport(t *testing.T) {
	for name, tt := range map[string]struct {
		report mail.RecordDelivery
		err    error
	}{
		"sent":              {mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1}, nil},
		"undeliverable":     {mail.RecordDelivery{Result: mail.StatusUndeliverable, Attempts: mail.MaxAttempts, Detail: "5.1.1"}, nil},
		"neither":           {mail.RecordDelivery{Result: mail.StatusQueued, Attempts: 1}, mail.ErrResult},
		"nothing":           {mail.RecordDelivery{Attempts: 1}, mail.ErrResult},
		"not attempted":     {mail.RecordDelivery{Result: mail.StatusSent}, mail.ErrResult},
		"too many attempts": {mail.RecordDelivery{Result: mail.StatusSent, Attempts: mail.MaxAttempts + 1}, mail.ErrResult},
		"a quoting detail":  {mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1, Detail: "550 ada@example.com?"}, mail.ErrResult},
		"a long detail":     {mail.RecordDelivery{Result: mail.StatusSent, Attempts: 1, Detail: strings.Repeat("5", 65)}, mail.ErrResult},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mail.ParseReport(tt.report)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err == nil && got != tt.report {
				t.Fatalf("%+v, want %+v", got, tt.report)
			}
		})
	}
}

func FuzzAHeaderCannotBeInjected(f *testing.F) {
	f.Add("ada@example.com\r\nBcc: eve@example.com", "Hi\nthere", "de")
	f.Add("\"a b\"@example.com", "=?utf-8?Q?Hi=0A?=", "en")
	f.Fuzz(func(t *testing.T, recipient, subject, language string) {
		m, err := mail.ParseMessage(mail.Message{
			Recipient: postal.Email(recipient), Subject: subject, Language: language, Text: "Hello",
		})
		if err != nil {
			return
		}
		for _, s := range []string{string(m.Recipient), m.Subject, m.Language} {
			if strings.ContainsAny(s, "\r\n\x00\u0085\u2028\u2029") {
				t.Fatalf("%q would break a header", s)
			}
		}
	})
}
