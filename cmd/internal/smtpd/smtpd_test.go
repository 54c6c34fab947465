package smtpd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"utopia/cmd/internal/smtpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, opts smtpd.Options) (*smtpd.Server, string) {
	t.Helper()
	ln, err := smtpd.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtpd.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

const body = "From: Utopia <no-reply@example.com>\r\n" +
	"To: <j@example.org>\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_=E2=9C=93?=\r\n" +
	"Message-ID: <m-1@example.com>\r\n" +
	"Content-Language: nl\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHall=C3=B3 w=\r\nereld\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+SGFs\r\nbMOzPC9wPg==\r\n" +
	"--b--\r\n"

func send(addr string, to []string, mail string) error {
	return smtp.SendMail(addr, nil, "no-reply@example.com", to, []byte(mail))
}

func TestAMailIsKeptAndShown(t *testing.T) {
	s, addr := start(t, smtpd.Options{})
	if err := send(addr, []string{"j@example.org"}, body); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	defer web.Close()

	var list []smtpd.Mail
	get(t, web.URL+"/mails", &list)
	if len(list) != 1 || list[0].Text != "" || list[0].Subject != "Grüße ✓" {
		t.Fatalf("%+v", list)
	}
	var got smtpd.Mail
	get(t, web.URL+"/mails/1", &got)
	got.ReceivedAt = time.Time{}
	want := smtpd.Mail{
		ID: 1, From: "no-reply@example.com", To: []string{"j@example.org"}, Subject: "Grüße ✓",
		MessageID: "m-1@example.com", Language: "nl", Text: "Halló wereld", HTML: "<p>Halló</p>", Size: len(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for path, want := range map[string]int{
		"/mails?to=j@example.org": 1, "/mails?to=k@example.org": 0, "/mails?after=1": 0, "/mails?after=0": 1,
	} {
		get(t, web.URL+path, &list)
		if len(list) != want {
			t.Errorf("%s: %d mails, want %d", path, len(list), want)
		}
	}
	res := do(t, http.MethodGet, web.URL+"/mails/1/raw", "")
	if string(res.body) != body || !strings.HasPrefix(res.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%+v", res)
	}
	if res := do(t, http.MethodDelete, web.URL+"/mails", ""); res.status != http.StatusNoContent || len(s.Mails()) != 0 {
		t.Fatal(res.status)
	}
	for path, want := range map[string]int{"/mails/1": 404, "/mails/x": 404, "/mails?after=x": 400, "/other": 404} {
		if res := do(t, http.MethodGet, web.URL+path, ""); res.status != want {
			t.Errorf("%s: %d", path, res.status)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func do(t *testing.T, method, url, host string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	if err := json.Unmarshal(do(t, http.MethodGet, url, "").body, into); err != nil {
		t.Fatal(err)
	}
}

func TestAPageOfAnotherNameReadsNothing(t *testing.T) {
	web := httptest.NewServer(smtpd.New(smtpd.Options{}).Handler())
	defer web.Close()
	for host, want := range map[string]int{
		"evil.example:80": 403, "127.0.0.1.evil.example": 403, "": 200, "localhost:1": 200, "[::1]:8080": 200, "192.0.2.1": 403,
	} {
		if res := do(t, http.MethodGet, web.URL+"/mails", host); res.status != want {
			t.Errorf("host %q: %d, want %d", host, res.status, want)
		}
	}
}

func TestOnlyTheLastMailsAreKept(t *testing.T) {
	s, addr := start(t, smtpd.Options{Keep: 2})
	for i := range 5 {
		if err := send(addr, []string{fmt.Sprintf("u%d@example.org", i)}, body); err != nil {
			t.Fatal(err)
		}
	}
	var ids []int
	for _, m := range s.Mails() {
		ids = append(ids, m.ID)
	}
	if diff := cmp.Diff([]int{4, 5}, ids); diff != "" {
		t.Fatal(diff)
	}
	all := func(smtpd.Mail) bool { return true }
	if m, ok := s.Last("u4@example.org", all); !ok || m.ID != 5 {
		t.Fatalf("the last to u4: %d %v", m.ID, ok)
	}
	if m, ok := s.Last("u0@example.org", all); ok {
		t.Fatalf("a forgotten mail: %d", m.ID)
	}
	if m, ok := s.Last("u4@example.org", func(m smtpd.Mail) bool { return m.ID < 5 }); ok {
		t.Fatalf("a mail that was not asked for: %d", m.ID)
	}
}

func TestAnswers(t *testing.T) {
	s, addr := start(t, smtpd.Options{
		MaxBytes: 4096,
		Refuse: func(_, to string) error {
			switch {
			case strings.HasPrefix(to, "full"):
				return smtpd.Reject(452, "mailbox full")
			case strings.HasPrefix(to, "gone"):
				return smtpd.Reject(550, "no such user")
			}
			return nil
		},
	})
	for name, tc := range map[string]struct {
		to, mail string
		code     int
	}{
		"a temporary refusal": {"full@example.org", body, 452},
		"a permanent refusal": {"gone@example.org", body, 550},
		"too long":            {"j@example.org", body + strings.Repeat("x\r\n", 2000), 552},
		"taken":               {"j@example.org", body, 0},
	} {
		err := send(addr, []string{tc.to}, tc.mail)
		var answer *textproto.Error
		if errors.As(err, &answer); (err == nil) != (tc.code == 0) || (err != nil && (answer == nil || answer.Code != tc.code)) {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	if len(s.Mails()) != 1 {
		t.Fatalf("%d mails kept", len(s.Mails()))
	}
}

func TestWhatIsNoMailIsKeptRaw(t *testing.T) {
	s, addr := start(t, smtpd.Options{})
	var deep string
	for i := range 12 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for _, mail := range []string{"no header here", "Content-Type: ;;\r\n\r\nx", deep} {
		if err := send(addr, []string{"j@example.org"}, mail); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range s.Mails() {
		if m.Problem == "" || len(m.Raw) == 0 {
			t.Errorf("%q: problem %q", m.Raw, m.Problem)
		}
	}
}

func TestAuth(t *testing.T) {
	_, addr := start(t, smtpd.Options{Auth: func(u, p string) bool { return u == "u" && p == "p" }})
	if err := send(addr, []string{"j@example.org"}, body); err == nil {
		t.Fatal("sent without authentication")
	}
}

func TestServeEndsWithIdleConnections(t *testing.T) {
	ln, err := smtpd.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- smtpd.New(smtpd.Options{}).Serve(ctx, ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := textproto.NewReader(bufio.NewReader(c)).ReadLine(); err != nil { // the greeting: the server has it
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := smtpd.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := smtpd.New(smtpd.Options{}).Serve(t.Context(), ln); err == nil {
		t.Fatal("no error")
	}
}

func TestListenRefusesOtherAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		ln, err := smtpd.Listen(t.Context(), addr)
		if err == nil {
			_ = ln.Close()
		}
		if !errors.Is(err, smtpd.ErrNotLoopback) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := smtpd.Listen(t.Context(), "nonsense"); err == nil {
		t.Error("no error for an address without a port")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := smtpd.New(smtpd.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ctx, func(smtpd.Mail) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
