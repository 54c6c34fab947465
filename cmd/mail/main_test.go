package main

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/registry"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/schemas"
	"utopia/topics"
)

func execute(ctx context.Context, args ...string) (code int, stderr string) {
	return executeTo(ctx, io.Discard, args...)
}

func executeTo(ctx context.Context, stdout io.Writer, args ...string) (code int, stderr string) {
	var errs bytes.Buffer
	err := service.Run(spec())(ctx, args, stdout, &errs)
	return run.ExitCode(err), errs.String()
}

// key makes a key file with the binary's own command.
func key(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link-keys")
	if code, stderr := execute(t.Context(), "new-link-key", "--out", path); code != run.ExitOK {
		t.Fatal(stderr)
	}
	return path
}

func TestANewKeyIsTheOwnersAndIsNeverOverwritten(t *testing.T) {
	path := key(t)
	keys, err := links.LoadKeys(path)
	if err != nil || keys.Len() != 1 {
		t.Fatal(keys, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if code, stderr := execute(t.Context(), "new-link-key", "--out", path); code != run.ExitUsage || !strings.Contains(stderr, "exists") {
		t.Errorf("a second time: exit %d, %s", code, stderr)
	}
	if code, _ := execute(t.Context(), "new-link-key", "--id", "a:b"); code != run.ExitUsage {
		t.Errorf("an id that no file can hold: exit %d", code)
	}
}

func TestWhatIsMissingIsSaidBeforeAnythingConnects(t *testing.T) {
	base := []string{"run", "--state-dir", t.TempDir(), "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1"}
	mail := []string{"--mail-dir", filepath.Join(t.TempDir(), "mails"), "--mail-from", "a@example.org", "--base-url", "https://example.org/confirm"}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no mail server": {nil, "--smtp: name the mail server"},
		"no key":         {mail, "there is no default key; make one with: mail new-link-key"},
		"no key file":    {append(mail, "--link-keys", "/does/not/exist"), "--link-keys: open /does/not/exist"},
	} {
		if code, stderr := execute(t.Context(), append(base, tc.args...)...); code != run.ExitUsage || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

func TestAMailBecomesAFileWithASignedLink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mails")
	handOver(t, dir, io.Discard, func(ended chan string) string { return waitForFile(t, dir, ended) })
}

func TestAMailIsPrinted(t *testing.T) {
	printed, console := io.Pipe()
	defer func() { _ = printed.Close() }()
	handOver(t, "-", console, func(chan string) string {
		b := make([]byte, 4096) // a mail is written in one piece
		n, err := printed.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	})
}

// handOver runs the service with --mail-dir, has it send one mail and looks at what arrived.
func handOver(t *testing.T, mailDir string, stdout io.Writer, arrived func(ended chan string) string) {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	defer c.Close()
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	plan, err := cluster.Compare(t.Context(), kadm.NewClient(cl), topics.All(), cluster.EmbeddedSizes())
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(t.Context(), kadm.NewClient(cl), func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(reg.Handler())
	defer srv.Close()
	keyFile := key(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		code, stderr := executeTo(ctx, stdout, "run", "--brokers", c.ListenAddrs()[0], "--registry", srv.URL, "--state-dir", filepath.Join(t.TempDir(), "state"),
			"--dev", "--http", "", "--mail-dir", mailDir, "--mail-from", "Utopia <no-reply@example.org>", "--base-url", "https://example.org/confirm", "--link-keys", keyFile)
		if code == run.ExitOK {
			stderr = ""
		}
		ended <- stderr
	}()
	send(t, cl, srv.URL, &schemas.SendMail{
		MailID: "m-1", Meta: schemas.Metadata{CommandID: "m-1", ReplyTo: "c-1"}, Sender: "customer", Recipient: "ada@example.org", Language: "en",
		Subject: "Please confirm", Text: "Open {{link:confirm}}\n",
		Links: []schemas.Link{{Name: "confirm", Purpose: "confirm_address_change", Subject: "c-1", Change: "x-1", ExpiresAt: time.Now().Add(time.Hour).UnixMilli()}},
	})
	text := arrived(ended)
	if !strings.Contains(text, "https://example.org/confirm#") || !strings.Contains(text, "ada@example.org") {
		t.Errorf("the mail:\n%s", text)
	}
	cancel()
	if stderr := <-ended; stderr != "" {
		t.Errorf("a stop on request: %s", stderr)
	}
}

func send(t *testing.T, cl *kgo.Client, url string, command *schemas.SendMail) {
	t.Helper()
	ids, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := schemas.NewCodec(topics.MailCommands.Name, ids)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Lookup(); err != nil {
		t.Fatal(err)
	}
	value, err := codec.Append(nil, command)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topics.MailCommands.Name, Key: []byte(command.MailID), Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func waitForFile(t *testing.T, dir string, ended chan string) string {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 1 {
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		select {
		case stderr := <-ended:
			t.Fatalf("ended early: %s", stderr)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("no mail within a minute")
		}
	}
}
