package system

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/smtp"
	"regexp"
	"strings"
	"testing"
	"time"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/smtpd"
	"utopia/processors"
)

// TestAStrangerFindsWhatToTypeForALink: the token is in a mail, the mail is on the page, and the page says what to do
// with it.
func TestAStrangerFindsWhatToTypeForALink(t *testing.T) {
	s, err := New(t.Context(), Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := func(purpose string) string {
		t.Helper()
		token, err := links.Sign(s.Keys, links.Claims{Purpose: purpose, Subject: "c-17", Change: "ch-1", ExpiresAt: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return s.HTTPURL + "/confirm#" + token
	}
	confirm, cancel := key(processors.PurposeConfirm), key(processors.PurposeCancel)
	deliver(t, s.Inbox, "grace@example.org", "Please confirm <b>", "Hello <script>\n"+confirm+"\nor\n"+cancel+"\nor http://elsewhere.example/#x.y.z.w\n")
	deliver(t, s.Inbox, "bob@example.org", "Hello Bob", "nothing to do\n")

	front := get(t, s.HTTPURL+"/", http.StatusOK)
	for _, want := range []string{"For development: nobody logs in.", s.Broker, s.RegistryURL, "customer move c-17 --brokers " + s.Broker} {
		if !strings.Contains(front, want) {
			t.Errorf("the front page lacks %q:\n%s", want, front)
		}
	}
	mails := get(t, s.HTTPURL+"/dev/mail/?to=grace@example.org", http.StatusOK)
	if !strings.Contains(mails, "Please confirm") || strings.Contains(mails, "Hello Bob") {
		t.Errorf("the list for one recipient:\n%s", mails)
	}
	path := regexp.MustCompile(`/dev/mail/read/\d+`).FindString(mails)
	mail := get(t, s.HTTPURL+path, http.StatusOK)
	for _, want := range []string{
		"Hello &lt;script&gt;",
		"utopia customer confirm --brokers " + s.Broker + " --registry " + s.RegistryURL + " --link-keys &#39;" + s.KeyFile + "&#39; --token &#39;" + links.Token(confirm) + "&#39;",
		"utopia customer cancel --brokers ",
	} {
		if !strings.Contains(mail, want) {
			t.Errorf("the mail's page lacks %q:\n%s", want, mail)
		}
	}
	if n := strings.Count(mail, "utopia customer "); n != 2 {
		t.Errorf("%d command lines for two links of ours and one of another", n)
	}
	get(t, s.HTTPURL+"/confirm", http.StatusOK)
	get(t, s.HTTPURL+"/dev/mail/read/999", http.StatusNotFound)
	if list := get(t, s.HTTPURL+"/dev/mail/mails", http.StatusOK); !strings.HasPrefix(list, "[{") {
		t.Errorf("JSON of the mails: %s", list)
	}
}

// TestThePagesAreForThisMachineOnly: a page in a browser can have its own name point here and read what is answered.
func TestThePagesAreForThisMachineOnly(t *testing.T) {
	s, err := New(t.Context(), Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{"/", "/dev/mail/", "/dev/mail/read/1", "/dev/mail/mails", "/customers/", "/confirm"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTPURL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s as evil.example: %d", path, resp.StatusCode)
		}
	}
}

func TestFlagsAreOnlyForOtherPorts(t *testing.T) {
	s := &System{Broker: "127.0.0.1:9092", RegistryURL: "http://127.0.0.1:8081"}
	if got := s.Flags(); got != "" {
		t.Errorf("%q", got)
	}
	s.RegistryURL = "http://127.0.0.1:18081"
	if got := s.Flags(); got != " --registry http://127.0.0.1:18081" {
		t.Errorf("%q", got)
	}
}

func deliver(t *testing.T, inbox *smtpd.Server, to, subject, text string) {
	t.Helper()
	ln, err := smtpd.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- inbox.Serve(ctx, ln) }()
	if err := smtp.SendMail(ln.Addr().String(), nil, "no-reply@example.org", []string{to}, []byte("Subject: "+subject+"\r\n\r\n"+text)); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string, status int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s: %d, %v\n%s", url, resp.StatusCode, err, body)
	}
	return string(body)
}
