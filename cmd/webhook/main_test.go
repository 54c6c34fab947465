package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
)

func execute(ctx context.Context, args ...string) (code int, stderr string) {
	var errs bytes.Buffer
	err := service.Run(spec())(ctx, args, io.Discard, &errs)
	return run.ExitCode(err), errs.String()
}

func TestWhatIsMissingIsSaidBeforeAnythingConnects(t *testing.T) {
	base := []string{"run", "--state-dir", t.TempDir(), "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1"}
	api := []string{"--api-url", "https://api.example.org"}
	for want, args := range map[string][]string{
		"--api-url: receivers need":                                            nil,
		"there is no default key; make one with: webhook new-webhook-key":      api,
		"--webhook-keys: open /does/not/exist":                                 append(api, "--webhook-keys", "/does/not/exist"),
		"--api-url: receivers need the address of the gateway, for example --": {"--api-url", "https://u:p@example.org"},
	} {
		if code, stderr := execute(t.Context(), append(base, args...)...); code != run.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
}

func TestANewKeyIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhook-keys")
	if code, stderr := execute(t.Context(), "new-webhook-key", "--out", path); code != run.ExitOK {
		t.Fatal(stderr)
	}
	if keys, err := links.LoadKeys(path); err != nil || keys.Len() != 1 || keys.First() == "" {
		t.Error(keys, err)
	}
}
